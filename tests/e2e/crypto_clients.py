# SPDX-License-Identifier: Apache-2.0
"""Matrix clients that encrypt, none of them ours: matrix-js-sdk (Rust crypto, as in Element) and matrix-nio (vodozemac).

    people = Cryptic(world)                 owns them; `close` ends them all
    anna = people.js("anna")                a fresh account and device, cross-signed; lax: decrypts whatever it can
    eric = people.js("eric", strict=True)   nothing from a device that its owner did not sign
    bert = people.nio("bert")               a device that is signed by nobody: nio has no cross-signing
    room = people.room(anna, [eric, bert], rotate_messages=3, visibility="joined")
    said = anna.send(room, "hello")
    eric.wait(room, "hello").colour         NONE, GREY, RED; `.why` gives the reason; bert's is None

Both kinds have the same methods, and what they saw only grows. `timeline` is in the server's order, also where a client
was away or a sync left something out. A message that could not be read is in it from the moment the client saw it, with
`state` "waiting" or "failed", and changes when its key comes; `failed_once` remembers.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import nio

from clients import PATIENCE, Impatience, Refused, until
from world import PASSWORD, SECRET, TESTS, own, unprivileged

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


class JsClient(Client):
    """
    matrix-js-sdk in a process of its own. `sign`: "new" makes the account's identity (once an account), a bundle that
    `secrets` gave makes a further device its owner's, None leaves the device unsigned. With `token` and `device` it acts
    for a user of an application service instead of logging in.
    """

    def __init__(self, people, user, strict=False, sign="new", token=None, device=None, **keywords):
        super().__init__(people, user, **keywords)
        self.strict, self.sign = strict, sign
        self.token, self.device, self.masquerade = token, device, token is not None
        self.folder = own(tempfile.mkdtemp(prefix="js-", dir=people.folder))
        self.log = self.folder / "log"
        self.faults = []  # errors that nobody caught
        self.sync = None
        self.run = 0
        self._waiting = {}
        self.start()

    def start(self, forget=()):
        """Begin, or go on with what `stop` kept, without the keys of the sessions in `forget`."""
        assert not self.running, f"{self!r} runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), "node", str(self.people.script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.running = True
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        self.run += 1
        made = self.do(
            "create",
            url=self.url,
            user=self.user,
            password=self.password,
            token=self.token,
            device=self.device,
            masquerade=self.masquerade,
            strict=self.strict,
            sign=self.sign if self.run == 1 else None,
            store=str(self.folder / "store"),
            run=self.run,
            forget=list(forget),
        )
        self.device, self.token = made["device"], made["token"]
        return self

    def stop(self):
        """End its process; the device stays, and what is sent to it waits at the server."""
        if self.running:
            self.do("stop")
            self.close()

    def close(self):
        """End its process without ceremony."""
        self.running = False
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def logout(self):
        """The device ceases to be."""
        self.do("logout")
        self.close()

    # -- commands

    def post(self, what, **words):
        """A command without waiting for its answer: a Future."""
        answer = Future()
        number = next(self._numbers)
        self._waiting[number] = answer
        try:
            self.process.stdin.write(json.dumps({"id": number, "do": what, **words}).encode() + b"\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            self._waiting.pop(number)
            raise AssertionError(f"{self!r} is gone{self.complaints()}") from None
        return answer

    def do(self, what, timeout=60, **words):
        """A command's answer; Refused when it could not."""
        try:
            return self.post(what, **words).result(timeout)
        except TimeoutError as error:
            raise Impatience(f"{self!r} did not answer {what} in {timeout:.0f} s{self.complaints()}") from error

    def send_event(self, room, content, kind="m.room.message"):
        return self.do("send", room=room, kind=kind, content=content)

    def join(self, room):
        return self.do("join", room=room)

    def leave(self, room):
        self.do("leave", room=room)

    def knows(self, room, users, encrypted=True):
        said = self.do("knows", room=room)
        return set(users) <= set(said["members"]) and (said["encrypted"] or not encrypted)

    def rotate(self, room):
        """The next message has a new session."""
        self.do("rotate", room=room)

    def upload(self, data, mimetype, secret=True):
        """The part of a message's content that says where its file lies."""
        return self.do("upload", data=base64.b64encode(data).decode(), mimetype=mimetype, secret=secret)

    def download(self, content):
        """The bytes behind a message's content, decrypted, their hash compared."""
        return base64.b64decode(self.do("download", content=content))

    def shield(self, heard):
        """(colour, why) as it would be shown now: who signed what may have become known since."""
        said = self.do("shield", room=heard.room, event=heard.id)
        return said["colour"], said["why"]

    def identity(self, user):
        """Somebody's identity as seen from here: exists, changed (a client warns of it), verified."""
        return self.do("identity", user=user)

    def devices(self, user):
        """Somebody's devices: list of {device, keys, signed}."""
        return self.do("devices", user=user)

    def known_devices(self, user):
        return {each["device"] for each in self.devices(user)}

    def verify(self, user, room, timeout=PATIENCE):
        """Ask somebody, in a direct room, to verify himself: {phase, code} once that came to something."""
        return self.do("verify", timeout, user=user, room=room)

    def sessions(self, room):
        """The ids of the room's sessions that this device can read."""
        return {key["session"] for key in self.do("keys") if key["room"] == room}

    def forget_key(self, room, session):
        """Lose the key of a session, as if it had never come; the client is started anew for it."""
        assert session in self.sessions(room), f"{self!r} has no session {session}"
        self.stop()
        self.start(forget=[session])

    def encrypt(self, room, content, kind="m.room.message"):
        """What would be sent, with the room's key given to all: (type, content)."""
        said = self.do("encrypt", room=room, kind=kind, content=content)
        return said["kind"], said["content"]

    def new_device(self, signed=True, strict=None):
        """The account at another device, which this one signs (or not)."""
        return self.people.take(
            JsClient(
                self.people,
                self.user,
                strict=self.strict if strict is None else strict,
                sign=self.do("secrets") if signed else None,
            )
        )

    def complaints(self):
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "".join(f"\n  fault: {fault}" for fault in self.faults[-3:]) + (f"\n  log: {log[-1500:]}" if log else "")

    # -- inside (in the reader's thread)

    def _read(self, process):
        for line in process.stdout:
            said = json.loads(line)
            if "event" in said:
                self._take(**said["event"])
            elif "fault" in said:
                self.faults.append(said["fault"])
            elif "sync" in said:
                self.sync = said["sync"]
            elif "invite" in said:
                self.invites.add(said["invite"])
            else:
                self._answer(said)
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(AssertionError(f"{self!r} ended{self.complaints()}"))
        self._waiting.clear()

    def _answer(self, said):
        answer = self._waiting.pop(said["id"])
        if "ok" in said:
            answer.set_result(said["ok"])
        else:
            answer.set_exception(Refused(str(self), said["error"]["code"], said["error"]["text"] + self.complaints()))


class NioClient(Client):
    """matrix-nio with its own implementation of the protocol around vodozemac. No cross-signing, no shields."""

    def __init__(self, people, user, **keywords):
        super().__init__(people, user, **keywords)
        self.loop = people.world.loop
        self.folder = tempfile.mkdtemp(prefix="nio-", dir=people.folder)
        self.run = 0
        self.faults = []
        self._spot = itertools.count()
        self._unread = {}  # event id -> what could not be decrypted
        self.start()

    def start(self):
        assert not self.running, f"{self!r} runs already"
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True, max_limit_exceeded=0, request_timeout=60)
        self.client = self.loop.call(nio.AsyncClient, self.url, self.user, device_id=self.device, store_path=self.folder, config=config)
        if self.device:
            self.loop.call(self.client.restore_login, self.user, self.device, self.token)
        else:
            self._good(self.loop.run(self.client.login(self.password, device_name="tests")), "login")
            self.device, self.token = self.client.device_id, self.client.access_token
        self.run += 1
        self.client.add_response_callback(self._synced, nio.SyncResponse)
        for kind in (nio.RoomKeyEvent, nio.ForwardedRoomKeyEvent):
            self.client.add_to_device_callback(self._keyed, kind)
        self._first = threading.Event()
        self._sync = self.loop.spawn(self._follow())
        assert self._first.wait(PATIENCE), f"{self!r}: the first sync never came"
        self.running = True
        return self

    def stop(self):
        if self.running:
            self.close()

    def close(self):
        self.running = False
        self._sync.cancel()
        self.loop.run(self.client.close())

    def logout(self):
        self._good(self.loop.run(self.client.logout()), "logout")
        self.close()

    def send_event(self, room, content, kind="m.room.message"):
        sending = self.client.room_send(room, kind, content, tx_id=self._number(), ignore_unverified_devices=True)
        return self._good(self.loop.run(sending), "send").event_id

    def knows(self, room, users, encrypted=True):
        known = self.client.rooms.get(room)
        if known is None or (encrypted and not known.encrypted):
            return False
        present = {user_id for user_id, user in list(known.users.items()) if not user.invited}
        return set(users) <= present and not set(users) & self.client.olm.users_for_key_query

    def known_devices(self, user):
        return {device.device_id for device in list(self.client.device_store.active_user_devices(user))}

    def rotate(self, room):
        self.loop.call(self.client.invalidate_outbound_session, room)

    def upload(self, data, mimetype, secret=True):
        key = {}
        if secret:
            data, key = nio.crypto.attachments.encrypt_attachment(data)
            mimetype = "application/octet-stream"

        async def go():
            return await self.client.upload(lambda *_: data, content_type=mimetype, filesize=len(data))

        answer, _ = self.loop.run(go())
        url = self._good(answer, "upload").content_uri
        return {"file": {**key, "url": url}} if secret else {"url": url}

    def download(self, content):
        where = content.get("file") or content
        data = self._good(self.loop.run(self.client.download(mxc=where["url"])), "download").body
        if "file" in content:
            file = content["file"]
            data = nio.crypto.attachments.decrypt_attachment(data, file["key"]["k"], file["hashes"]["sha256"], file["iv"])
        return data

    def sessions(self, room):
        store = self.client.olm.inbound_group_store
        return {session.id for session in list(store) if session.room_id == room}

    def forget_key(self, room, session):
        """Lose the key of a session, as if it had never come (until the client is stopped)."""
        assert session in self.sessions(room), f"{self!r} has no session {session}"
        entries = self.client.olm.inbound_group_store._entries
        for sessions in entries[room].values():
            sessions.pop(session, None)

    def take_forwards_from(self, user):
        """
        Whoever misses a key asks the sender for it, and nio does so by itself; but it takes an answer only from its own user's
        devices. From now on also from this user's.
        """
        olm = self.client.olm
        usual = olm._should_accept_forward

        def accept(sender, key, event):
            return (sender == user and event.session_id in olm.outgoing_key_requests) or usual(sender, key, event)

        olm._should_accept_forward = accept

    def new_device(self, signed=False, **_):
        assert not signed, "nio cannot sign"
        return self.people.take(NioClient(self.people, self.user))

    # -- inside (in the loop's thread)

    @staticmethod
    def _good(response, what):
        if isinstance(response, nio.ErrorResponse):
            raise Refused(what, response.status_code, response.message)
        return response

    async def _follow(self):
        everything = {"room": {"timeline": {"limit": 100}}, "presence": {"types": []}}
        while True:
            try:
                await self.client.sync_forever(timeout=20000, sync_filter=everything, full_state=True)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the server is away: tests stop it on purpose
                self.faults.append(repr(error))
                await asyncio.sleep(0.2)

    async def _synced(self, answer):
        for room_id, joined in answer.rooms.join.items():
            events = joined.timeline.events
            if joined.timeline.limited and any(heard.room == room_id for heard in self._events.values()):
                events = await self._missed(room_id, joined.timeline.prev_batch) + events
            for event in events:
                self._hear(room_id, event)
        self.invites.update(answer.rooms.invite)
        self._first.set()

    async def _missed(self, room_id, token):
        """What the server left out before this answer, oldest first."""
        found = []
        while token:
            page = self._good(await self.client.room_messages(room_id, token, limit=100, direction=nio.MessageDirection.back), "messages")
            fresh = [event for event in page.chunk if event.event_id not in self._events]
            found = fresh[::-1] + found
            token = page.end if page.chunk and len(fresh) == len(page.chunk) else None
        return found

    async def _keyed(self, key):
        """A key has come: what waited for it can be read, perhaps."""
        for event in list(self._unread.values()):
            if event.room_id == key.room_id and event.session_id == key.session_id:
                self._hear(event.room_id, event)

    def _hear(self, room_id, event):
        source, reason, text = event.source, None, None
        if isinstance(event, nio.MegolmEvent):
            wire, event.room_id = source, room_id
            try:
                event = self.client.decrypt_event(event)
                source = event.source
                self._unread.pop(event.event_id, None)
            except nio.EncryptionError as error:
                self._unread[event.event_id] = event
                reason, text = type(error).__name__, str(error)
        else:
            wire = source
        self._take(
            room=room_id,
            id=event.event_id,
            sender=event.sender,
            kind=source["type"],
            content={} if reason else source["content"],
            ts=event.server_timestamp,
            order=(self.run, next(self._spot)),
            membership=(wire.get("unsigned") or {}).get("membership"),
            encrypted=event.decrypted or reason is not None,
            state="failed" if reason else "clear",
            reason=reason,
            text=text,
            session=event.session_id,
            device=self._device_of(event),
        )

    def _device_of(self, event):
        key = getattr(event, "sender_key", None)
        devices = self.client.device_store.active_user_devices(event.sender) if key else ()
        return next((device.device_id for device in devices if device.curve25519 == key), getattr(event, "device_id", None))


class Ghost(JsClient):
    """A user of the tests' own application service, with a device made without logging in, as a bridge makes them."""

    def __init__(self, people, localpart, **keywords):
        user = people.ghost(localpart)
        device = f"TEST{time.time_ns():X}"
        request(people.url, "PUT", f"/_matrix/client/v3/devices/{device}", people.as_token, {"display_name": "tests"}, {"user_id": user})
        super().__init__(people, user, token=people.as_token, device=device, **keywords)

    def request(self, method, path, body=None, query=None):
        return request(self.url, method, path, self.token, body, {"user_id": self.user, "device_id": self.device, **(query or {})})


class Cryptic:
    """The people of a test that encrypt: accounts, clients, rooms; `close` ends all of them."""

    def __init__(self, world):
        self.world = world
        self.url = f"http://127.0.0.1:{world.http}"
        self.as_token = world.relay_token
        self.folder = own(tempfile.mkdtemp(prefix="cryptic-", dir=world.folder))
        self.folder.chmod(0o755)
        self.clients = []
        # The unprivileged user may not be able to read the source tree; node looks for modules beside the script.
        self.script = Path(shutil.copy(TESTS / "e2e" / "js" / "client.mjs", self.folder))
        (self.folder / "node_modules").symlink_to(node_modules())

    def close(self):
        self.dismiss(0)

    def dismiss(self, first):
        """End the clients that were made from the number `first` on."""
        for client in self.clients[first:]:
            if client.running:
                client.close()
        del self.clients[first:]

    def take(self, client):
        self.clients.append(client)
        return client

    def account(self, name):
        """A fresh account, `name` or like it; its MXID."""
        path = "/_synapse/admin/v1/register"
        local = self.world.unique(name)
        nonce = request(self.url, "GET", path)["nonce"]
        words = "\0".join([nonce, local, PASSWORD, "notadmin"])
        mac = hmac.new(SECRET.encode(), words.encode(), hashlib.sha1).hexdigest()
        made = request(self.url, "POST", path, None, {"nonce": nonce, "username": local, "password": PASSWORD, "mac": mac, "inhibit_login": True})
        return made["user_id"]

    def ghost(self, name):
        """A fresh user of the tests' application service."""
        local = self.world.unique(f"_relay_{name}")
        body = {"type": "m.login.application_service", "username": local, "inhibit_login": True}
        return request(self.url, "POST", "/_matrix/client/v3/register", self.as_token, body)["user_id"]

    def js(self, name, **keywords):
        return self.take(JsClient(self, self.account(name), **keywords))

    def nio(self, name, **keywords):
        return self.take(NioClient(self, self.account(name), **keywords))

    def speaker(self, name, **keywords):
        """A ghost with a device of its own."""
        return self.take(Ghost(self, name, **keywords))

    def relay(self, client, ghost, room, body):
        """One device speaks for all: what `client` encrypts is sent by a ghost. Returns the event id."""
        kind, content = client.encrypt(room, {"msgtype": "m.text", "body": body})
        path = f"/_matrix/client/v3/rooms/{quote(room)}/send/{kind}/relay{time.time_ns()}"
        return request(self.url, "PUT", path, self.as_token, content, {"user_id": ghost})["event_id"]

    def ghost_joins(self, ghost, room):
        request(self.url, "POST", f"/_matrix/client/v3/join/{quote(room)}", self.as_token, {}, {"user_id": ghost})

    def room(self, owner, members=(), rotate_messages=None, rotate_ms=None, visibility=None, encrypted=True, **content):
        """A room of the owner's, encrypted from its first event on, all the members in it, and each knowing of each."""
        wanted = encryption(rotate_messages, rotate_ms) if encrypted else None
        room = owner.create_room("encrypted", wanted, visibility, **content)
        for member in members:
            member.join(room)
        everybody = [owner, *members]
        for person in everybody:
            person.wait_knows(room, {each.user for each in everybody}, encrypted)
        return room


def node_modules():
    """Where `packaging/deps` put what the client for node needs."""
    found = subprocess.run(["sh", TESTS.parent / "packaging" / "deps", "js"], capture_output=True, text=True)
    assert found.returncode == 0, "the client for node is not installed; run: sh packaging/deps test"
    return Path(found.stdout.strip()) / "node_modules"
