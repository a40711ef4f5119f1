# SPDX-License-Identifier: Apache-2.0
"""What the clients that encrypt have in common: what they heard, the rooms they make, the words they say."""

import itertools
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

from clients import PATIENCE, Impatience, Refused, until
from world import PASSWORD

MEGOLM = "m.megolm.v1.aes-sha2"


@dataclass
class Heard:
    """One event of a room as a client saw it, and what came of decrypting it."""

    room: str
    id: str
    sender: str
    kind: str  # its type; m.room.encrypted while it cannot be read
    content: dict
    ts: int
    order: tuple  # sorts a room's events as the server has them
    membership: str  # ours in the room when it was sent, as the server says; None: it does not say
    encrypted: bool  # it came encrypted
    state: str  # clear, waiting (for its key), failed
    reason: str = None  # of a failure: the client's own word
    text: str = None  # the same as a sentence
    session: str = None
    device: str = None  # the sender's, as the event names it
    colour: str = None  # of the shield: NONE, GREY, RED; None where there is none
    why: str = None
    failed_once: bool = False
    seen: float = field(default_factory=time.monotonic)

    @property
    def body(self):
        return self.content.get("body", "")

    @property
    def relates(self):
        return self.content.get("m.relates_to") or {}

    def __str__(self):
        said = self.body if self.state == "clear" else f"({self.state}: {self.reason} {self.text})"
        return f"{self.sender} {self.kind} {self.colour or '-'} {self.why or ''} {said[:200]!r}"


def request(url, method, path, token=None, body=None, query=None):
    """One request to a homeserver, and its JSON; Refused when it says no."""
    query = urllib.parse.urlencode(query or {})
    asked = urllib.request.Request(
        f"{url}{path}{'?' + query if query else ''}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        try:
            code = json.loads(said).get("errcode", "")
        except ValueError:
            code = ""
        raise Refused(f"{method} {path}", code or str(error.code), said) from None


def quote(text):
    return urllib.parse.quote(text, safe="")


def encryption(messages=None, ms=None):
    """The content of m.room.encryption; a rotation that is not named is the clients' default (100 messages, a week)."""
    content = {"algorithm": MEGOLM, "rotation_period_msgs": messages, "rotation_period_ms": ms}
    return {name: value for name, value in content.items() if value is not None}


class Client:
    """What both kinds can do. One device of one account."""

    def __init__(self, people, user, password=PASSWORD):
        self.people, self.user, self.password = people, user, password
        self.url = people.url
        self.device = self.token = None
        self.masquerade = False  # the token is an application service's, so each request says whose it is
        self.born = time.time() * 1000  # what was sent before is none of this device's business
        self.running = False
        self.invites = set()  # rooms it was invited to, ever
        self._events = {}  # event id -> Heard
        self._numbers = itertools.count()
        self._tag = f"{time.time_ns():x}"

    def __repr__(self):
        return f"<{type(self).__name__} {self.user} {self.device}>"

    # -- rooms: plain requests, which the client then hears of by its own sync

    def request(self, method, path, body=None, query=None):
        """A request of this device, e.g. ("GET", "/_matrix/client/v3/account/whoami")."""
        if self.masquerade:
            query = {"user_id": self.user, "device_id": self.device, **(query or {})}
        return request(self.url, method, path, self.token, body, query)

    def _room(self, room, tail):
        return f"/_matrix/client/v3/rooms/{quote(room)}/{tail}"

    def create_room(self, name="", encrypted=None, visibility=None, invite=(), alias=None, public=True, **content):
        """A room of mine; `encrypted` is what `encryption` gives. Returns the room id."""
        state = []
        if encrypted:
            state.append({"type": "m.room.encryption", "state_key": "", "content": encrypted})
        if visibility:
            state.append({"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}})
        body = {"preset": "public_chat" if public else "private_chat", "name": name, "invite": list(invite), "initial_state": state}
        if alias:
            body["room_alias_name"] = alias
        return self.request("POST", "/_matrix/client/v3/createRoom", {**body, **content})["room_id"]

    def join(self, room):
        return self.request("POST", f"/_matrix/client/v3/join/{quote(room)}", {})["room_id"]

    def leave(self, room):
        self.request("POST", self._room(room, "leave"), {})

    def invite(self, room, user):
        self.request("POST", self._room(room, "invite"), {"user_id": user})

    def kick(self, room, user):
        self.request("POST", self._room(room, "kick"), {"user_id": user})

    def ban(self, room, user):
        self.request("POST", self._room(room, "ban"), {"user_id": user})

    def accept(self, timeout=PATIENCE):
        """Join a room to which this user is, or will be, invited; its id."""
        room = until(lambda: next(iter(self.invites), None), timeout, f"{self.user} being invited")
        self.invites.discard(room)
        return self.join(room)

    def put_state(self, room, kind, content, key=""):
        return self.request("PUT", self._room(room, f"state/{kind}/{quote(key)}"), content)["event_id"]

    def get_state(self, room, kind, key=""):
        return self.request("GET", self._room(room, f"state/{kind}/{quote(key)}"))

    def turn_on_encryption(self, room, messages=None, ms=None):
        return self.put_state(room, "m.room.encryption", encryption(messages, ms))

    def members(self, room):
        """Who is in the room, asked of the server."""
        return set(self.request("GET", self._room(room, "joined_members"))["joined"])

    def wait_knows(self, room, users, encrypted=True, timeout=PATIENCE):
        """Until this client itself knows these users as members and the room as encrypted: only then they get its keys."""
        until(lambda: self.knows(room, users, encrypted), timeout, f"{self.user} knowing the members of {room}")

    def wait_device(self, user, device, timeout=PATIENCE):
        """Until this client knows of a device, and so would give it its keys."""
        until(lambda: device in self.known_devices(user), timeout, f"{self.user} knowing {device} of {user}")

    # -- saying

    def send(self, room, body, **content):
        """A text; other fields of its content as keywords. Returns the event id."""
        return self.send_event(room, {"msgtype": "m.text", "body": body, **content})

    def reply(self, room, to, body):
        return self.send(room, body, **{"m.relates_to": {"m.in_reply_to": {"event_id": to}}})

    def edit(self, room, event_id, body):
        fresh = {"msgtype": "m.text", "body": body}
        return self.send(room, f"* {body}", **{"m.new_content": fresh, "m.relates_to": {"rel_type": "m.replace", "event_id": event_id}})

    def react(self, room, to, key):
        relation = {"rel_type": "m.annotation", "event_id": to, "key": key}
        return self.send_event(room, {"m.relates_to": relation}, "m.reaction")

    def redact(self, room, event_id):
        return self.request("PUT", self._room(room, f"redact/{quote(event_id)}/{self._number()}"), {})["event_id"]

    def send_file(self, room, data, name="file.bin", mimetype="application/octet-stream", msgtype="m.file", secret=True):
        """An attachment, encrypted unless `secret` is false. Returns the event id."""
        content = {"msgtype": msgtype, "body": name, "info": {"mimetype": mimetype, "size": len(data)}}
        return self.send_event(room, {**content, **self.upload(data, mimetype, secret)})

    def send_image(self, room, data, name="image.png", mimetype="image/png", **keywords):
        return self.send_file(room, data, name, mimetype, "m.image", **keywords)

    def send_wire(self, room, content, kind="m.room.message"):
        """An event as it is: not encrypted, or encrypted already."""
        return self.request("PUT", self._room(room, f"send/{kind}/{self._number()}"), content)["event_id"]

    def send_plain(self, room, body, **content):
        """A text that is not encrypted, whatever the room says."""
        return self.send_wire(room, {"msgtype": "m.text", "body": body, **content})

    def _number(self):
        return f"{self._tag}.{next(self._numbers)}"

    # -- seeing

    def timeline(self, room, kind="m.room.message"):
        """The room's messages, and what could not be read of it; `kind` None gives every event."""
        found = [heard for heard in list(self._events.values()) if heard.room == room]
        if kind:
            found = [heard for heard in found if heard.kind in (kind, "m.room.encrypted")]
        return sorted(found, key=lambda heard: heard.order)

    def history(self, room):
        """The room's events asked of the server anew, as they lie there, oldest first."""
        found, query = [], {"dir": "b", "limit": 500}
        while True:
            page = self.request("GET", self._room(room, "messages"), query=query)
            found += page["chunk"]
            if not page.get("end") or not page["chunk"]:
                return found[::-1]
            query["from"] = page["end"]

    def event(self, event_id):
        """What this client knows of an event; None before it saw it."""
        return self._events.get(event_id)

    def wait(self, room, test, timeout=PATIENCE):
        """The first message that can be read and passes: a function of Heard, an event id, or words that the body contains."""
        return self._wait(room, test, ("clear",), timeout, "read")

    def wait_bodies(self, room, bodies, timeout=PATIENCE):
        """Until the room's messages are exactly these, all of them readable, in this order."""
        bodies = list(bodies)
        try:
            until(lambda: [heard.body for heard in self.timeline(room)] == bodies, timeout)
        except Impatience:
            seen = [heard.body if heard.state == "clear" else str(heard) for heard in self.timeline(room)]
            raise Impatience(f"{self!r} saw\n  {seen}\nand not\n  {bodies}{self.complaints()}") from None

    def wait_failed(self, room, event_id, timeout=PATIENCE):
        """The event, once this client has given up on it."""
        return self._wait(room, event_id, ("failed",), timeout, "failed at")

    def _wait(self, room, test, states, timeout, verb):
        def passes(heard):
            if heard.state not in states:
                return False
            return test(heard) if callable(test) else test == heard.id or (test in heard.body if test[:1] != "$" else False)

        try:
            return until(lambda: next((heard for heard in self.timeline(room) if passes(heard)), None), timeout)
        except Impatience:
            seen = "\n  ".join(map(str, self.timeline(room)[-10:])) or "nothing"
            raise Impatience(f"{self!r} never {verb} {test!r} in {room}; saw\n  {seen}{self.complaints()}") from None

    def undecryptable(self, room=None, ever=False):
        """
        What this device cannot read now (`ever`: could not at some moment) though it could expect to: sent after it was made,
        and while its user was in the room. A message whose key has not come *yet* counts as well: await what you sent first.
        """
        return [
            heard
            for heard in sorted(self._events.values(), key=lambda heard: heard.seen)
            if (heard.failed_once if ever else heard.state != "clear")
            and heard.ts >= self.born
            and heard.membership in (None, "join")
            and room in (None, heard.room)
        ]

    def complaints(self):
        """What this client said of errors, as text for a report."""
        return ""

    def _take(self, **said):
        """A new event, or news of one."""
        known = self._events.get(said["id"])
        fresh = Heard(**{**said, "order": known.order if known else tuple(said["order"])})
        fresh.failed_once = fresh.state == "failed" or bool(known and known.failed_once)
        fresh.seen = known.seen if known else fresh.seen
        self._events[fresh.id] = fresh
