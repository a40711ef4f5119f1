# SPDX-License-Identifier: Apache-2.0
"""People at their clients: a Matrix user (matrix-nio) and an XMPP user (slixmpp), driven without async.

What a test says about delivery it reads here, from what these clients saw: never from Sourdine's
database or log. All clients share one event loop in a thread of its own. The lists that they fill only
ever grow, in the order of arrival, so that a test may look at them at any moment; `until` waits for
something to become true.
"""

import asyncio
import copy
import itertools
import threading
import time
from dataclasses import dataclass, field
from xml.etree import ElementTree

import nio
import slixmpp
from slixmpp.exceptions import IqError, PresenceError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

PATIENCE = 30.0


class Impatience(AssertionError):
    """Something that had to happen did not, in time."""


def until(ask, timeout=PATIENCE, what="it"):
    """Ask (a function) again and again until its answer is true; return that answer."""
    end = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Impatience(f"{what} did not happen in {timeout:.0f} s")
        time.sleep(0.05)


def never(ask, seconds=1.5, what="it"):
    """Watch for a while that something does not happen. Prefer a barrier (a later message) where one exists."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        assert not answer, f"{what} happened: {answer!r}"
        time.sleep(0.05)


@dataclass
class Said:
    """One message as a client saw it."""

    room: str  # room id or room JID; for private messages the other's JID
    who: str  # MXID, or the full JID that the stanza came from
    name: str  # display name at that moment, or nick
    body: str
    id: str  # event id, or the stanza's id
    kind: str  # m.text, m.notice...; groupchat, chat
    relates: dict = field(default_factory=dict)  # m.relates_to, or {"reply": id}
    stamp: str = ""  # XEP-0203 stamp if the stanza has one
    stanza_id: str = ""  # the room's XEP-0359 id
    raw: object = None  # the event as a dict, or the stanza as an Element
    seen: float = 0.0  # time.monotonic() of arrival

    def __str__(self):
        return f"{self.name}: {self.body}"


class Loop:
    """The event loop that all clients share, in a daemon thread."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine, timeout=PATIENCE):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise Impatience(f"no answer in {timeout:.0f} s") from error

    def call(self, function, *arguments, **keywords):
        async def once():
            return function(*arguments, **keywords)

        return self.run(once())

    def spawn(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self):
        async def cancel():
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        try:
            self.run(cancel(), 10)
        except Impatience:
            pass
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Refused(AssertionError):
    """A server said no; `.code` says why (errcode, or the XMPP condition)."""

    def __init__(self, what, code, text):
        super().__init__(f"{what}: {code} {text}")
        self.code = code


def _good(response, what):
    if isinstance(response, nio.ErrorResponse):
        raise Refused(what, response.status_code, response.message)
    return response


class Matrix:
    """A Matrix account. Joins every room that it is invited to, unless shy."""

    def __init__(self, loop, url, user_id, password, shy=False):
        self.loop = loop
        self.user_id = user_id
        self.shy = shy
        self._events = {}  # room id -> list of raw events, oldest first
        self._said = {}  # room id -> list of Said
        self._seen = set()
        self._numbers = itertools.count()
        self._tag = f"{time.time_ns():x}"
        self.client = loop.call(nio.AsyncClient, url, user_id)
        _good(loop.run(self.client.login(password, device_name="tests")), "login")
        self._first = threading.Event()
        self._sync = loop.spawn(self._follow())
        assert self._first.wait(PATIENCE), f"{user_id}: the first sync never came"

    def close(self):
        self._sync.cancel()
        self.loop.run(self.client.close())

    # -- rooms

    def create_room(self, name, alias=None, invite=(), public=True, users=None, direct=False, version=None):
        """A room of mine; `alias` is a localpart, `users` maps MXID to power. Returns the room id."""
        power = {"users": {self.user_id: 100, **users}} if users else None
        return _good(
            self.loop.run(
                self.client.room_create(
                    name=name,
                    alias=alias,
                    invite=list(invite),
                    is_direct=direct,
                    room_version=version,
                    preset=nio.RoomPreset.public_chat if public else nio.RoomPreset.private_chat,
                    power_level_override=power,
                )
            ),
            "create room",
        ).room_id

    def join(self, room):
        return _good(self.loop.run(self.client.join(room)), "join").room_id

    def leave(self, room):
        _good(self.loop.run(self.client.room_leave(room)), "leave")

    def invite(self, room, user_id):
        _good(self.loop.run(self.client.room_invite(room, user_id)), "invite")

    def kick(self, room, user_id, reason=""):
        _good(self.loop.run(self.client.room_kick(room, user_id, reason)), "kick")

    def ban(self, room, user_id, reason=""):
        _good(self.loop.run(self.client.room_ban(room, user_id, reason)), "ban")

    def put_state(self, room, kind, content, key=""):
        return _good(self.loop.run(self.client.room_put_state(room, kind, content, key)), "state").event_id

    def get_state(self, room, kind, key=""):
        return _good(self.loop.run(self.client.room_get_state_event(room, kind, key)), "state").content

    def set_power(self, room, user_id, level):
        content = self.get_state(room, "m.room.power_levels")
        content.setdefault("users", {})[user_id] = level
        self.put_state(room, "m.room.power_levels", content)

    def set_name(self, name):
        _good(self.loop.run(self.client.set_displayname(name)), "display name")

    def members(self, room):
        """Who is in the room, asked of the server: MXID -> display name."""
        answer = _good(self.loop.run(self.client.joined_members(room)), "members")
        return {member.user_id: member.display_name for member in answer.members}

    # -- saying

    def send(self, room, body, **content):
        """A message; other fields of the content as keywords. Returns the event id."""
        return self.send_raw(room, "m.room.message", {"msgtype": "m.text", "body": body, **content})

    def send_raw(self, room, kind, content):
        number = f"{self._tag}.{next(self._numbers)}"
        return _good(self.loop.run(self.client.room_send(room, kind, content, tx_id=number)), "send").event_id

    def reply(self, room, to, body):
        return self.send(room, body, **{"m.relates_to": {"m.in_reply_to": {"event_id": to}}})

    def react(self, room, to, key):
        relation = {"rel_type": "m.annotation", "event_id": to, "key": key}
        return self.send_raw(room, "m.reaction", {"m.relates_to": relation})

    def redact(self, room, event_id, reason=None):
        _good(self.loop.run(self.client.room_redact(room, event_id, reason)), "redact")

    # -- seeing

    def events(self, room):
        """Every event of the room's timeline since log-in, as it came."""
        return list(self._events.get(room, ()))

    def timeline(self, room):
        """The messages of the room since log-in, as Said, oldest first."""
        return list(self._said.get(room, ()))

    def reactions(self, room, event_id):
        """The keys of the reactions to an event that still stand: list of (sender, key)."""
        gone = {e.get("redacts") or e["content"].get("redacts") for e in self.events(room) if e["type"] == "m.room.redaction"}
        found = []
        for event in self.events(room):
            relation = event["content"].get("m.relates_to", {})
            if event["type"] == "m.reaction" and relation.get("event_id") == event_id and event["event_id"] not in gone:
                found.append((event["sender"], relation.get("key")))
        return found

    def history(self, room, limit=100000):
        """The room's messages asked of the server anew, page by page, as Said, oldest first."""

        async def pages():
            found, token = [], ""
            while len(found) < limit:
                page = _good(
                    await self.client.room_messages(room, token or None, limit=500, direction=nio.MessageDirection.back), "messages"
                )
                found += [event.source for event in page.chunk]
                if not page.end or not page.chunk:
                    break
                token = page.end
            return found

        events = self.loop.run(pages(), 120)
        return [said for said in map(lambda e: self._say(room, e), reversed(events)) if said]

    def wait(self, room, test, timeout=PATIENCE, what=None):
        """The first message of the room that passes; `test` is a function, or words that the body contains."""
        ask = test if callable(test) else (lambda said: test in said.body)

        def look():
            return next((said for said in self.timeline(room) if ask(said)), None)

        try:
            return until(look, timeout)
        except Impatience:
            seen = "\n  ".join(map(str, self.timeline(room)[-10:])) or "nothing"
            raise Impatience(f"{self.user_id} never saw {what or test!r} in {room}; saw\n  {seen}") from None

    # -- the bot

    def direct(self, user_id):
        """
        A new direct room with somebody, who has joined it when this returns. Not an older one: a daemon with a new database
        looks at the rooms that it finds itself in one by one, and hears nothing in them before.
        """
        room_id = self.create_room("", invite=[user_id], public=False, direct=True)
        until(lambda: user_id in self.members(room_id), PATIENCE, f"{user_id} joining a direct room")
        return room_id

    def rooms_with(self, user_id):
        """The ids of the rooms where nobody is but me and him."""
        return [
            room_id
            for room_id, room in list(self.client.rooms.items())
            if set(room.users) == {self.user_id, user_id} and not room.canonical_alias
        ]

    def whispers(self, user_id):
        """What somebody told me in direct rooms."""
        return [said for room in self.rooms_with(user_id) for said in self.timeline(room) if said.who == user_id]

    # -- inside (in the loop's thread)

    async def _follow(self):
        wanted = {"room": {"timeline": {"limit": 500}}, "presence": {"types": []}}
        since, wait = None, 0
        while True:
            try:
                answer = await self.client.sync(timeout=wait, sync_filter=wanted, since=since)
            except asyncio.CancelledError:
                raise
            except Exception:  # the server is away: tests stop it on purpose
                await asyncio.sleep(0.2)
                continue
            if isinstance(answer, nio.SyncError):
                await asyncio.sleep(0.2)
                continue
            await self._take(answer, since)
            since, wait = answer.next_batch, 20000
            self._first.set()

    async def _take(self, answer, since):
        for room_id, joined in answer.rooms.join.items():
            events = [event.source for event in joined.timeline.events]
            if joined.timeline.limited and since and room_id in self._events:
                events = await self._missed(room_id, joined.timeline.prev_batch) + events
            for event in events:
                if event["event_id"] in self._seen:
                    continue
                self._seen.add(event["event_id"])
                self._events.setdefault(room_id, []).append(event)
                said = self._say(room_id, event)
                if said:
                    self._said.setdefault(room_id, []).append(said)
        if not self.shy:
            for room_id in answer.rooms.invite:
                await self.client.join(room_id)

    async def _missed(self, room_id, token):
        events = []
        while token:
            page = await self.client.room_messages(room_id, token, limit=500, direction=nio.MessageDirection.back)
            if isinstance(page, nio.ErrorResponse):
                break
            fresh = [event.source for event in page.chunk if event.source["event_id"] not in self._seen]
            events = fresh[::-1] + events
            if len(fresh) < len(page.chunk) or not page.chunk:
                break
            token = page.end
        return events

    def _say(self, room_id, event):
        if event["type"] != "m.room.message" or not isinstance(event["content"].get("body"), str):
            return None
        room = self.client.rooms.get(room_id)
        user = room.users.get(event["sender"]) if room else None
        return Said(
            room=room_id,
            who=event["sender"],
            name=(user.display_name if user else None) or event["sender"],
            body=event["content"]["body"],
            id=event["event_id"],
            kind=event["content"].get("msgtype", ""),
            relates=event["content"].get("m.relates_to") or {},
            raw=event,
            seen=time.monotonic(),
        )


def as_ejabberd(values):
    """A room's configuration in ejabberd's own words, which are mostly the standard's."""
    values = dict(values)
    if "muc#roomconfig_enablearchiving" in values:
        values["mam"] = values.pop("muc#roomconfig_enablearchiving")
    if values.get("muc#roomconfig_moderatedroom"):
        values["members_by_default"] = False  # else everybody has a voice in a moderated room
    return values


SID = "{urn:xmpp:sid:0}stanza-id"
DELAY = "{urn:xmpp:delay}delay"
REPLY = "{urn:xmpp:reply:0}reply"
MUC_USER = "{http://jabber.org/protocol/muc#user}x"


class Xmpp:
    """An XMPP account, without TLS, on a server of this machine."""

    def __init__(self, loop, jid, password, port, host="127.0.0.1"):
        self.loop = loop
        self.jid = jid
        self.password, self.host, self.port = password, host, port
        self._said = {}  # room JID -> list of Said (groupchat)
        self._private = []  # Said of type chat or normal, from anybody
        self._errors = []  # error stanzas
        self._rooms = {}  # room JID -> nick, to join again after a loss
        self._joining = {}  # room JID -> future, done with the room's subject, which ends a join
        self._present = {}  # room JID -> nick -> {jid, affiliation, role}
        self.client = None
        self.connect()

    def connect(self, timeout=PATIENCE):
        """Log in (again); rooms are not joined again, `rejoin` does that."""

        def make():
            client = slixmpp.ClientXMPP(self.jid, self.password)
            client.enable_starttls = client.enable_direct_tls = False
            client.enable_plaintext = True
            client.plugin["feature_mechanisms"].unencrypted_plain = True
            client.plugin["feature_mechanisms"].unencrypted_scram = True
            for plugin in ("xep_0030", "xep_0004", "xep_0045", "xep_0050", "xep_0059", "xep_0199", "xep_0203", "xep_0313"):
                client.register_plugin(plugin)
            client.add_event_handler("session_start", lambda _: self._up.set())
            client.register_handler(Callback("messages", MatchXPath("{jabber:client}message"), self._hear))
            # Not the "presence" event: slixmpp swallows some of a room's presences on the way to it.
            client.register_handler(Callback("tests", MatchXPath("{jabber:client}presence"), self._meet))
            return client

        self._up = threading.Event()
        self.client = self.loop.call(make)
        self.loop.call(self.client.connect, self.host, self.port)
        assert self._up.wait(timeout), f"{self.jid}: no session"
        self.loop.call(self.client.send_presence)

    def connected(self):
        return self.client.is_connected() and self._up.is_set()

    def close(self):
        async def leave():
            self.client.disconnect(wait=0.5, ignore_send_queue=True)
            self.client.cancel_connection_attempt()

        self.loop.run(leave())

    # -- rooms

    def create_room(self, room, nick, **config):
        """A room of mine: everybody sees real JIDs, persistent; more `muc#roomconfig_` fields as keywords."""
        self.join(room, nick)
        self.configure(room, **{"whois": "anyone", "persistentroom": True, **config})

    def configure(self, room, **fields):
        async def submit():
            form = await self._muc.get_room_config(slixmpp.JID(room))
            known = form.get_fields()
            values = {f"muc#roomconfig_{name}": value for name, value in fields.items()}
            if "members_by_default" in known:
                values = as_ejabberd(values)
            assert not set(values) - set(known), f"the server has no {set(values) - set(known)}"
            form.set_values(values)
            form["type"] = "submit"
            await self._muc.set_room_config(slixmpp.JID(room), form)

        self.loop.run(self._iq(submit(), "configure"))

    def join(self, room, nick, history=0):
        async def enter():
            self._rooms[room] = nick
            self._present[room] = {}
            self._said.setdefault(room, [])
            self._joining[room] = asyncio.get_running_loop().create_future()
            self._muc.make_join_stanza(slixmpp.JID(room), nick, maxstanzas=history).send()
            await self._joining[room]

        self.loop.run(self._iq(enter(), "join"))

    def rejoin(self):
        for room, nick in list(self._rooms.items()):
            self.join(room, nick)

    def leave(self, room):
        nick = self._rooms.pop(room)
        self.loop.call(self.client.send_presence, pto=f"{room}/{nick}", ptype="unavailable")
        until(lambda: nick not in self._present[room], what="leaving")

    def rename(self, room, nick):
        self.loop.call(self.client.send_presence, pto=f"{room}/{nick}")
        until(lambda: nick in self._present[room], what="the new nick")
        self._rooms[room] = nick

    def set_affiliation(self, room, jid, affiliation):
        self.loop.run(self._iq(self._muc.set_affiliation(slixmpp.JID(room), affiliation, jid=slixmpp.JID(jid)), "affiliation"))

    def kick(self, room, nick):
        self.loop.run(self._iq(self._muc.set_role(slixmpp.JID(room), nick, "none"), "kick"))

    def occupants(self, room):
        """nick -> {jid, affiliation, role}, by the presences seen."""
        return dict(self._present.get(room, {}))

    # -- saying

    def send(self, room, body):
        """To a room; returns the stanza's id."""
        return self._say(slixmpp.JID(room), body, "groupchat")

    def whisper(self, room, nick, body):
        """A private message to an occupant."""
        return self._say(slixmpp.JID(f"{room}/{nick}"), body, "chat", muc=True)

    def chat(self, jid, body):
        """To an account."""
        return self._say(slixmpp.JID(jid), body, "chat")

    def raw(self, text):
        """Bytes as they are, for hostile tests; they must be well-formed or the server hangs up."""
        self.loop.call(self.client.send_raw, text)

    # -- seeing

    def timeline(self, room, history=False):
        """The room's messages with a body, as seen live; with `history` those replayed at joining too."""
        said = list(self._said.get(room, ()))
        return said if history else [m for m in said if not m.raw.get("history")]

    def private(self):
        """Everything that came outside rooms' conversations: from accounts and from occupants."""
        return list(self._private)

    def whispers(self, room, nick):
        """The private messages of one occupant."""
        return [m for m in self._private if m.who == f"{room}/{nick}"]

    def errors(self):
        return list(self._errors)

    def archive(self, room):
        """The room's messages asked of its archive (XEP-0313), as Said, oldest first."""

        async def pages():
            found = []
            pages = self.client.plugin["xep_0313"].iterate(jid=slixmpp.JID(room), rsm={"max": 50})
            async for message in pages:
                inner = message["mam_result"]["forwarded"]["stanza"]
                if inner["body"]:
                    said = self._made(room, inner)
                    said.stanza_id = message["mam_result"]["id"]
                    found.append(said)
            return found

        return self.loop.run(self._iq(pages(), "archive"), 900)

    def wait(self, room, test, timeout=PATIENCE, what=None):
        """The first message of the room that passes; `test` is a function, or words that the body contains."""
        return self._wait(lambda: self.timeline(room), test, timeout, what)

    def wait_private(self, test, timeout=PATIENCE, what=None):
        return self._wait(self.private, test, timeout, what)

    # -- inside

    @property
    def _muc(self):
        return self.client.plugin["xep_0045"]

    @staticmethod
    async def _iq(coroutine, what):
        try:
            return await coroutine
        except (IqError, PresenceError) as error:
            raise Refused(what, error.condition, error.text) from error

    def _wait(self, look, test, timeout, what):
        ask = test if callable(test) else (lambda said: test in said.body)
        try:
            return until(lambda: next((said for said in look() if ask(said)), None), timeout)
        except Impatience:
            seen = "\n  ".join(map(str, look()[-10:])) or "nothing"
            raise Impatience(f"{self.jid} never saw {what or test!r}; saw\n  {seen}") from None

    def _say(self, to, body, kind, muc=False):
        def build():
            message = self.client.make_message(mto=to, mbody=body, mtype=kind)
            message["id"] = self.client.new_id()
            if muc:
                message.xml.append(ElementTree.Element(MUC_USER))
            message.send()
            return message["id"]

        return self.loop.call(build)

    def _made(self, room, message):
        xml = copy.deepcopy(message.xml)
        delay, reply = xml.find(DELAY), xml.find(REPLY)
        ids = [e.get("id") for e in xml.findall(SID) if e.get("by") == room]
        if delay is not None and delay.get("from") == room:
            xml.set("history", "yes")
        return Said(
            room=room,
            who=xml.get("from"),
            name=message["from"].resource or message["from"].bare,
            body=message["body"],
            id=xml.get("id", ""),
            kind=message["type"],
            relates={"reply": reply.get("id")} if reply is not None else {},
            stamp=delay.get("stamp", "") if delay is not None else "",
            stanza_id=ids[0] if ids else "",
            raw=xml,
            seen=time.monotonic(),
        )

    def _hear(self, message):
        if message["type"] == "error":
            self._errors.append(copy.deepcopy(message.xml))
        elif not message["body"]:
            if message.xml.find("{jabber:client}subject") is not None:
                self._joined(message["from"].bare)
        elif message["type"] == "groupchat":
            room = message["from"].bare
            self._said.setdefault(room, []).append(self._made(room, message))
        else:
            self._private.append(self._made(message["from"].bare, message))

    def _meet(self, presence):
        room, nick = presence["from"].bare, presence["from"].resource
        if room not in self._rooms and room not in self._present:
            return
        item = presence.xml.find(f"{MUC_USER}/{{http://jabber.org/protocol/muc#user}}item")
        if presence["type"] == "error":
            self._joined(room, PresenceError(presence))
        elif presence["type"] == "unavailable":
            self._present.setdefault(room, {}).pop(nick, None)
        elif item is not None:
            self._present.setdefault(room, {})[nick] = dict(item.attrib)

    def _joined(self, room, error=None):
        future = self._joining.pop(room, None)
        if future and not future.done():
            if error:
                future.set_exception(error)
            else:
                future.set_result(True)
