# SPDX-License-Identifier: Apache-2.0
"""A fake homeserver: the part of the client-server and application service APIs that the daemon speaks, in memory.

It does what a real one cannot be made to do: transactions again, late, in other batches or under used numbers, and
bytes that no homeserver would let through. It keeps what a homeserver keeps: a transaction id of a device is one event for
ever. Its rooms' timelines are what tests read: nothing of the daemon's is asked.

It runs in the thread of clients.Loop; the public functions are called from outside of it. Coroutines begin with `async`.
"""

import asyncio
import json
import re
import time
import urllib.parse

import aiohttp
from aiohttp import web

CLIENT = "/_matrix/client/v3"
BATCH = 100  # events of a transaction, as Synapse


class Room:
    def __init__(self, room_id, creator):
        self.id, self.creator = room_id, creator
        self.events = []  # oldest first
        self.members = {}  # user -> display name or None


class FakeHomeserver:
    """Listens on `port`; pushes to the application service at `appservice`."""

    def __init__(self, loop, port, domain, tokens, appservice, sender):
        self.loop, self.domain, self.sender = loop, domain, sender
        self.as_token, self.hs_token = tokens
        self.push_url = f"http://127.0.0.1:{appservice}/_matrix/app/v1"
        self.rooms, self.users, self.names = {}, set(), {}
        self.sent = {}  # (user, device, transaction) -> event id
        self.calls = {}  # what was asked how often
        self.statuses = []  # of every transaction that we pushed
        self.refuse = None  # a function of (method, path) that may answer (status, body)
        self.number = 0
        self.next_event = 0
        self.echo = True  # our own ghosts' events are pushed too, as a homeserver does
        self._queue, self._wake, self._pinged = [], None, None
        loop.run(self._open(port))

    async def _open(self, port):
        self._wake, self._pinged = asyncio.Event(), asyncio.Event()
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        application = web.Application(client_max_size=1 << 26)
        application.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, shutdown_timeout=0.2).start()
        self._pusher = asyncio.create_task(self._push_on())

    def close(self):
        async def end():
            self._pusher.cancel()
            await self.session.close()
            await self._runner.cleanup()

        self.loop.run(end())

    # -- for tests

    def room(self, name):
        """A room with its creator and a reader in it."""
        room = Room(f"!{name}:{self.domain}", f"@owner:{self.domain}")
        self.rooms[room.id] = room
        room.members[room.creator] = "Owner"
        return room

    def event(self, room, user, body, **content):
        """A message of an ordinary user, in the room's timeline and not yet pushed."""
        room.members.setdefault(user, user[1:].split(":")[0].capitalize())
        return self._append(room, user, "m.room.message", {"msgtype": "m.text", "body": body, **content})

    async def transaction(self, events, number=None):
        """One push of one transaction; its status, 0 when there was no answer. `events` may be raw bytes of a body."""
        if number is None:
            self.number += 1
            number = self.number
        body = events if isinstance(events, bytes) else json.dumps({"events": events}).encode()
        headers = {"Authorization": f"Bearer {self.hs_token}", "Content-Type": "application/json"}
        try:
            async with self.session.put(f"{self.push_url}/transactions/{number}", data=body, headers=headers) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        self.statuses.append(status)
        return status

    async def deliver(self, events, number=None, patience=60):
        """The same transaction until it is acknowledged, as the scheduler of a homeserver does."""
        if number is None:
            self.number += 1
            number = self.number
        delay, end = 0.1, time.monotonic() + patience
        while (status := await self.transaction(events, number)) != 200:
            assert time.monotonic() < end, f"transaction {number} was never taken, last status {status}"
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)

    def push(self, events):
        """Queue events for the scheduler."""

        def add():
            self._queue.extend(events)
            self._wake.set()

        self.loop.call(add)

    def pushed(self):
        return not self._queue

    def bodies(self, room):
        """What ghosts and the bot said, oldest first."""
        ours = self.rooms[room.id].events
        return [e["content"]["body"] for e in list(ours) if e["type"] == "m.room.message" and self._is_ours(e["sender"])]

    # -- the scheduler

    async def _push_on(self):
        delay = 0.1
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = self._queue[:BATCH]
                self.number += 1
                number = self.number
                while await self.transaction(batch, number) != 200:
                    self._pinged.clear()
                    try:
                        await asyncio.wait_for(self._pinged.wait(), delay)
                    except TimeoutError:
                        delay = min(delay * 2, 4.0)
                delay = 0.1
                del self._queue[: len(batch)]

    # -- inside

    def _is_ours(self, user):
        return user == self.sender or user.startswith("@_xmpp_")

    def _append(self, room, user, kind, content, state_key=None):
        self.next_event += 1
        event = {
            "type": kind,
            "event_id": f"$fake{self.next_event}",
            "room_id": room.id,
            "sender": user,
            "origin_server_ts": int(time.time() * 1000),
            "content": content,
            **({"state_key": state_key} if state_key is not None else {}),
        }
        room.events.append(event)
        return event

    def _echo(self, event):
        if self.echo:
            self._queue.append(event)
            self._wake.set()

    async def _answer(self, request):
        path = request.rel_url.raw_path
        if request.headers.get("Authorization") != f"Bearer {self.as_token}" and path != "/_matrix/client/versions":
            return web.json_response({"errcode": "M_UNKNOWN_TOKEN", "error": "no"}, status=401)
        raw = await request.read()
        if self.refuse and (refusal := self.refuse(request.method, path)):
            return web.json_response(refusal[1], status=refusal[0])
        user = request.query.get("user_id", self.sender)
        for method, pattern, function in ROUTES:
            match = re.fullmatch(pattern, path) if method == request.method else None
            if match:
                self.calls[function] = self.calls.get(function, 0) + 1
                words = [urllib.parse.unquote(word) for word in match.groups()]
                body = json.loads(raw) if raw else {}
                return await getattr(self, function)(request, user, body, *words)
        self.calls[f"{request.method} {path}"] = 1
        return refused(404, "M_UNRECOGNIZED", f"{request.method} {path}")

    async def versions(self, *_):
        return web.json_response({"versions": ["v1.1", "v1.11", "v1.13"], "unstable_features": {}})

    async def whoami(self, request, user, body):
        return web.json_response({"user_id": user})

    async def register(self, request, user, body):
        name = f"@{body.get('username')}:{self.domain}"
        if name in self.users:
            return refused(400, "M_USER_IN_USE", "taken")
        self.users.add(name)
        return web.json_response({"user_id": name})

    async def device(self, request, user, body, device):
        return web.json_response({})

    async def displayname(self, request, user, body, of):
        if request.method == "PUT":
            self.names[of] = body.get("displayname")
            return web.json_response({})
        return web.json_response({"displayname": self.names.get(of)} if of in self.names else {})

    async def joined_rooms(self, request, user, body):
        return web.json_response({"joined_rooms": [room.id for room in self.rooms.values() if user in room.members]})

    async def ping(self, request, user, body, of):
        self._pinged.set()
        headers = {"Authorization": f"Bearer {self.hs_token}"}
        try:
            async with self.session.post(f"{self.push_url}/ping", json=body, headers=headers) as answer:
                if answer.status == 200:
                    return web.json_response({"duration_ms": 1})
        except (aiohttp.ClientError, OSError):
            pass
        return refused(502, "M_CONNECTION_FAILED", "no answer")

    async def sync(self, request, user, body):
        await asyncio.sleep(min(int(request.query.get("timeout", "0")) / 1000, 30))
        return web.json_response({"next_batch": f"s{self.next_event}", "rooms": {}})

    async def join(self, request, user, body, room_id):
        room = self.rooms.get(room_id)
        if not room:
            return refused(404, "M_NOT_FOUND", "no such room")
        if user not in room.members:
            room.members[user] = self.names.get(user)
            content = {"membership": "join", "displayname": self.names.get(user)}
            self._echo(self._append(room, user, "m.room.member", content, user))
        return web.json_response({"room_id": room_id})

    async def invite(self, request, user, body, room_id):
        return web.json_response({})

    async def leave(self, request, user, body, room_id):
        self.rooms[room_id].members.pop(user, None)
        return web.json_response({})

    async def joined_members(self, request, user, body, room_id):
        members = self.rooms[room_id].members
        return web.json_response({"joined": {member: {"display_name": name} for member, name in members.items()}})

    async def state(self, request, user, body, room_id, kind):
        room = self.rooms[room_id]
        if kind == "m.room.create":
            content = {"room_version": "11"}
            return web.json_response({"type": kind, "sender": room.creator, "content": content, "state_key": "", "room_id": room_id})
        if kind == "m.room.power_levels":
            return web.json_response({"users": {room.creator: 100}, "state_default": 50, "users_default": 0, "events_default": 0})
        return refused(404, "M_NOT_FOUND", "no such state")

    async def messages(self, request, user, body, room_id):
        """Backwards only; a token is the index of the oldest event that was shown."""
        events = self.rooms[room_id].events
        end = int(request.query.get("from", f"t{len(events)}")[1:])
        start = max(0, end - int(request.query.get("limit", "10")))
        more = {"end": f"t{start}"} if start else {}
        return web.json_response({"start": f"t{end}", "chunk": events[start:end][::-1], **more})

    async def send(self, request, user, body, room_id, kind, transaction):
        room, device = self.rooms.get(room_id), request.query.get("device_id")
        if not room or user not in room.members:
            return refused(403, "M_FORBIDDEN", "not in the room")
        # Synapse: without a device the id alone counts, whoever sends (delivery.md F1).
        key = (user, device, transaction) if device else transaction
        if key not in self.sent:
            event = self._append(room, user, kind, body)
            self.sent[key] = event["event_id"]
            self._echo(event)
        return web.json_response({"event_id": self.sent[key]})

    async def alias(self, request, user, body, alias):
        return refused(404, "M_NOT_FOUND", "no such alias")

    async def create(self, request, user, body):
        room = self.room(f"made{len(self.rooms)}")
        room.creator = user
        for member in (user, *body.get("invite", ())):
            room.members[member] = self.names.get(member)
        return web.json_response({"room_id": room.id})

    async def account_data(self, request, user, body, of, kind):
        key = ("account", of, kind)
        if request.method == "PUT":
            self.names[key] = body
            return web.json_response({})
        return web.json_response(self.names[key]) if key in self.names else refused(404, "M_NOT_FOUND", "none")


def refused(status, code, error):
    return web.json_response({"errcode": code, "error": error}, status=status)


ROUTES = [
    ("GET", "/_matrix/client/versions", "versions"),
    ("GET", f"{CLIENT}/account/whoami", "whoami"),
    ("POST", f"{CLIENT}/register", "register"),
    ("PUT", f"{CLIENT}/devices/([^/]+)", "device"),
    ("PUT", f"{CLIENT}/profile/([^/]+)/displayname", "displayname"),
    ("GET", f"{CLIENT}/profile/([^/]+)/displayname", "displayname"),
    ("GET", f"{CLIENT}/joined_rooms", "joined_rooms"),
    ("POST", "/_matrix/client/v1/appservice/([^/]+)/ping", "ping"),
    ("GET", f"{CLIENT}/sync", "sync"),
    ("POST", f"{CLIENT}/join/([^/]+)", "join"),
    ("POST", f"{CLIENT}/rooms/([^/]+)/join", "join"),
    ("POST", f"{CLIENT}/rooms/([^/]+)/invite", "invite"),
    ("POST", f"{CLIENT}/rooms/([^/]+)/leave", "leave"),
    ("GET", f"{CLIENT}/rooms/([^/]+)/joined_members", "joined_members"),
    ("GET", f"{CLIENT}/rooms/([^/]+)/state/([^/]+)/?", "state"),
    ("GET", f"{CLIENT}/rooms/([^/]+)/messages", "messages"),
    ("PUT", f"{CLIENT}/rooms/([^/]+)/send/([^/]+)/([^/]+)", "send"),
    ("GET", f"{CLIENT}/directory/room/([^/]+)", "alias"),
    ("POST", f"{CLIENT}/createRoom", "create"),
    ("GET", f"{CLIENT}/user/([^/]+)/account_data/([^/]+)", "account_data"),
    ("PUT", f"{CLIENT}/user/([^/]+)/account_data/([^/]+)", "account_data"),
]
