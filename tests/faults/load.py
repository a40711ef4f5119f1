# SPDX-License-Identifier: Apache-2.0
"""Many light clients: ordinary Matrix accounts over plain HTTP, ordinary XMPP accounts over plain TCP.

They only speak; what arrived is read by others (Watcher below, an ordinary account that follows /sync and
pages through /messages, and slixmpp in clients.py). Every sender has one message under way at most, so
that its own order is beyond doubt; a message counts as sent when the sender's own server acknowledged it:
with the event id on Matrix, with the room's reflection on XMPP. A Matrix sender whose server is away tries
again under the same transaction id.

Everything here runs in the thread of clients.Loop; the public functions are called from outside of it.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import time
from xml.sax.saxutils import escape

import aiohttp
from clients import Impatience

PREFIX = "/_matrix/client/v3"
ROOM_WINDOW = 8  # sends under way at once, for the rate of a raw sender


class Account:
    def __init__(self, user_id, token):
        self.user_id, self.token = user_id, token
        self.headers = {"Authorization": f"Bearer {token}"}


class Crowd:
    """N ordinary Matrix accounts, made with the homeserver's shared secret."""

    def __init__(self, loop, url, secret):
        self.loop, self.url, self.secret = loop, url, secret
        self.accounts = []
        self._number = 0

        async def session():
            connector = aiohttp.TCPConnector(limit=0)
            return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))

        self.session = loop.run(session())

    def close(self):
        self.loop.run(self.session.close())

    async def ask(self, account, method, path, body=None):
        """One request that must succeed."""
        headers = account.headers if account else {}
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            data = await answer.json(content_type=None)
            assert answer.status == 200, f"{method} {path}: {answer.status} {data}"
            return data

    async def _register(self, name):
        path = "/_synapse/admin/v1/register"
        nonce = (await self.ask(None, "GET", path))["nonce"]
        text = "\0".join((nonce, name, "pw", "notadmin")).encode()
        mac = hmac.new(self.secret.encode(), text, hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": "pw", "admin": False, "mac": mac}
        data = await self.ask(None, "POST", path, body)
        return Account(data["user_id"], data["access_token"])

    def account(self, name):
        return self.loop.run(self._register(name), 60)

    def grow(self, count):
        """At least `count` accounts, m000, m001..."""

        async def more():
            while len(self.accounts) < count:
                self.accounts.append(await self._register(f"m{len(self.accounts):03d}"))

        self.loop.run(more(), 300)

    def room(self, owner, name):
        body = {"name": name, "preset": "public_chat"}
        return self.loop.run(self.ask(owner, "POST", f"{PREFIX}/createRoom", body))["room_id"]

    def join(self, room, count):
        """The first `count` accounts enter."""

        async def all_of_them():
            for first in range(0, count, 4):
                some = self.accounts[first : min(first + 4, count)]
                await asyncio.gather(*(self.ask(a, "POST", f"{PREFIX}/join/{room}", {}) for a in some))

        self.loop.run(all_of_them(), 300)

    async def say(self, account, room, message):
        """Until it is acknowledged, however often that takes."""
        self._number += 1
        path = f"{PREFIX}/rooms/{room}/send/m.room.message/{message.sender}.{self._number}.{time.time_ns():x}"
        body = {"msgtype": "m.text", "body": message.text}
        message.start = time.monotonic()
        while True:
            try:
                async with self.session.put(self.url + path, json=body, headers=account.headers) as answer:
                    if answer.status == 200:
                        message.remote = (await answer.json())["event_id"]
                        message.end = time.monotonic()
                        return
                    refusal = await answer.text()
                    assert answer.status == 429 or answer.status >= 500, f"send: {answer.status} {refusal}"
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(0.2)


class Watcher:
    """An ordinary account that reads a room: live by /sync, and anew by /messages."""

    def __init__(self, crowd, account, room):
        self.crowd, self.account, self.room = crowd, account, room
        self.events = []  # m.room.message events as they came, each once
        self.times = []  # time.monotonic() of each
        self._ids = set()
        filters = '{"presence":{"types":[]},"account_data":{"types":[]},"room":{"rooms":["%s"],"timeline":{"limit":1000,"types":["m.room.message"]},"state":{"types":[]},"ephemeral":{"types":[]}}}'
        self._query = {"filter": filters % room, "timeout": "0"}
        self._first = crowd.loop.run(self._once(), 60)
        self._task = crowd.loop.spawn(self._follow())

    def close(self):
        self._task.cancel()

    def bodies(self, skip=()):
        return [e["content"]["body"] for e in list(self.events) if isinstance(e["content"].get("body"), str) and e["sender"] not in skip]

    async def _once(self):
        url = f"{self.crowd.url}{PREFIX}/sync"
        async with self.crowd.session.get(url, params=self._query, headers=self.account.headers) as answer:
            data = await answer.json(content_type=None)
            assert answer.status == 200, f"sync: {answer.status}"
        timeline = data.get("rooms", {}).get("join", {}).get(self.room, {}).get("timeline", {})
        events = timeline.get("events", [])
        if timeline.get("limited") and "since" in self._query:
            events = await self._page(timeline["prev_batch"]) + events
        for event in events:
            if event["event_id"] not in self._ids:
                self._ids.add(event["event_id"])
                self.events.append(event)
                self.times.append(time.monotonic())
        self._query["since"] = data["next_batch"]

    async def _follow(self):
        self._query["timeout"] = "10000"
        while True:
            try:
                await self._once()
                await asyncio.sleep(0.1)  # several events at once cost less
            except asyncio.CancelledError:
                raise
            except Exception:  # the homeserver is away: tests stop it on purpose
                await asyncio.sleep(0.3)

    async def _page(self, token=None):
        """Backwards from a token (default: the end) to what is known, oldest first."""
        found = []
        while True:
            query = {"dir": "b", "limit": "250", "filter": '{"types":["m.room.message"]}', **({"from": token} if token else {})}
            url = f"{self.crowd.url}{PREFIX}/rooms/{self.room}/messages"
            async with self.crowd.session.get(url, params=query, headers=self.account.headers) as answer:
                data = await answer.json(content_type=None)
                assert answer.status == 200, f"messages: {answer.status} {data}"
            found += data["chunk"]
            token = data.get("end")
            if not token or not data["chunk"]:
                return found[::-1]

    def history(self, skip=()):
        """The bodies of the whole room, asked of the homeserver anew, oldest first."""
        events = self.crowd.loop.run(self._page(), 120)
        return [e["content"]["body"] for e in events if isinstance(e["content"].get("body"), str) and e["sender"] not in skip]


class Native(asyncio.Protocol):
    """One ordinary XMPP account in one room. It reads nothing but the room's answers to its own messages."""

    def __init__(self, name, room, host="localhost"):
        self.name, self.room, self.host = name, room, host
        self.buffer = b""
        self.waiting = None  # (pattern, future)
        self.pending = {}  # stanza id -> future
        self.transport = None
        self.own = re.compile(rb"<message\b[^>]*\bid=['\"](" + name.encode() + rb"-[0-9]+)['\"][^>]*>")

    async def enter(self, port):
        """Log in and join; the nick is the name."""
        loop = asyncio.get_running_loop()
        self.buffer, self.pending = b"", {}
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        header = f"<stream:stream to='{self.host}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
        await self._talk(header, rb"</stream:features>")
        secret = base64.b64encode(f"\0{self.name}\0pw".encode()).decode()
        await self._talk(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>", rb"<success")
        await self._talk(header, rb"</stream:features>")
        await self._talk("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", rb"</iq>")
        join = f"<presence to='{self.room}/{self.name}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
        # The subject ends a join. An empty one may be serialised as <subject/>.
        await self._talk(join, rb"<subject\b|<presence[^>]*type=['\"]error")

    async def _talk(self, text, pattern):
        future = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.waiting = re.compile(pattern), future
        self.transport.write(text.encode())
        await asyncio.wait_for(future, 30)

    async def say(self, message):
        """Until the room reflects it."""
        stanza = f"{self.name}-{message.number}"
        future = asyncio.get_running_loop().create_future()
        self.pending[stanza] = future
        message.start = time.monotonic()
        self.transport.write(
            f"<message type='groupchat' to='{self.room}' id='{stanza}'><body>{escape(message.text)}</body></message>".encode()
        )
        await asyncio.wait_for(future, 60)
        message.remote, message.end = stanza, time.monotonic()

    def leave(self):
        if self.transport:
            self.transport.write(b"</stream:stream>")
            self.transport.close()
            self.transport = None

    # -- called by asyncio

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        self.transport = None
        futures = [*self.pending.values(), *([self.waiting[1]] if self.waiting else [])]
        for future in futures:
            if not future.done():
                future.set_exception(ConnectionError(f"{self.name}: the server closed the connection"))

    def data_received(self, data):
        self.buffer += data
        if self.waiting:
            pattern, future = self.waiting
            if pattern.search(self.buffer):
                self.waiting = None
                if not future.done():
                    future.set_result(None)
        for match in self.own.finditer(self.buffer):
            future = self.pending.pop(match[1].decode(), None)
            if future and not future.done():
                if b"error" in match[0]:
                    future.set_exception(ConnectionError(f"{self.name}: the room refused {match[1]}"))
                else:
                    future.set_result(None)
        if not self.waiting:
            # A start tag may be cut in two: keep what follows the last '>'.
            self.buffer = self.buffer[self.buffer.rfind(b">") + 1 :]


class Natives:
    """N of them in one room."""

    def __init__(self, loop, port, room, count):
        self.loop, self.port, self.room = loop, port, room
        self.people = [Native(native_name(number), room) for number in range(count)]
        self.enter()

    def enter(self):
        async def all_of_them():
            for first in range(0, len(self.people), 10):
                await asyncio.gather(*(native.enter(self.port) for native in self.people[first : first + 10]))

        self.loop.run(all_of_them(), 120)

    def leave(self):
        async def all_of_them():
            for native in self.people:
                native.leave()

        self.loop.run(all_of_them())


def native_name(number):
    return f"n{number:03d}"


class Load:
    """Messages said at a pace, round the senders, until `count` were said or `stop` is called.

    `senders` maps a name to a coroutine function that says one message. `rate` is in messages a second;
    None: as fast as `window` of them at once will go.
    """

    def __init__(self, loop, ledger, senders, count=None, rate=None, window=ROOM_WINDOW):
        self.loop, self.ledger = loop, ledger
        self.rate, self.window, self.count = rate, window, count
        self.names = list(senders)
        self.senders = senders
        self.first = len(ledger.messages)
        self.took = 0.0
        self._stopping = False
        self._future = loop.spawn(self._run())

    def stop(self):
        self._stopping = True
        return self.wait()

    def running(self):
        return not self._future.done()

    def wait(self, timeout=900):
        """Until everything is acknowledged."""
        try:
            self._future.result(timeout)
        except TimeoutError as error:
            self._future.cancel()
            raise Impatience(f"the senders did not finish in {timeout} s") from error
        return self

    def speed(self):
        """Messages a second, from the first begun to the last acknowledged."""
        return (len(self.ledger.messages) - self.first) / self.took

    async def _run(self):
        begun = time.monotonic()
        queues = {name: asyncio.Queue() for name in self.names}
        window = asyncio.Semaphore(self.window if self.rate is None else len(self.names))
        workers = [asyncio.create_task(self._work(name, queues[name], window)) for name in self.names]
        try:
            number = 0
            while not self._stopping and (self.count is None or number < self.count):
                if self.rate:
                    await asyncio.sleep(max(0.0, begun + number / self.rate - time.monotonic()))
                    for worker in workers:
                        if worker.done():
                            worker.result()
                name = self.names[number % len(self.names)]
                queues[name].put_nowait(self.ledger.message(name))
                number += 1
            for queue in queues.values():
                queue.put_nowait(None)
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        self.took = time.monotonic() - begun

    async def _work(self, name, queue, window):
        while (message := await queue.get()) is not None:
            async with window:
                await self.senders[name](message)


def matrix_senders(crowd, room, count):
    def sayer(account):
        return lambda message: crowd.say(account, room, message)

    return {account.user_id[1:].split(":")[0]: sayer(account) for account in crowd.accounts[:count]}


def native_senders(natives):
    return {native.name: native.say for native in natives.people}


def settled(ledger, bodies, patience, deadline=600):
    """Wait until a reader saw every message, or saw nothing new for `patience` seconds."""
    best, since, end = -1, time.monotonic(), time.monotonic() + deadline
    while time.monotonic() < end:
        seen = ledger.seen(bodies())
        if seen >= len(ledger.messages):
            return True
        if seen > best:
            best, since = seen, time.monotonic()
        elif time.monotonic() - since > patience:
            return False
        time.sleep(0.3)
    return False


