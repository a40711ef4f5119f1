# SPDX-License-Identifier: Apache-2.0
"""A fault proxy: stands in front of a server and does to what passes what networks and servers do.

`Wire` relays bytes (a component's stream, or HTTP left alone): delay and jitter, stalls as a lost packet makes
them, one byte at a time, connections cut or half-open. `Web` understands HTTP and relays whole requests, one
a connection: answers of its own (5xx, 429), resets before or after the server has processed a request, answers
that come late or a few bytes at a time. What happens is drawn from `Faults`, which may be changed at any moment.

Everything runs in the thread of clients.Loop; the public functions are called from outside of it.
"""

import asyncio
import itertools
import random
import re
import socket
import struct
import time
from dataclasses import dataclass, field

HUGE_MS = 10**12
# What a 429 says: (name, body, header, the wait in seconds that it asks for).
LIMITS = (
    ("body", '{"errcode":"M_LIMIT_EXCEEDED","error":"slow","retry_after_ms":700}', "", 0.7),
    ("header", '{"errcode":"M_LIMIT_EXCEEDED","error":"slow"}', "Retry-After: 1\r\n", 1.0),
    ("neither", '{"errcode":"M_LIMIT_EXCEEDED","error":"slow"}', "", 0.5),
    ("zero", '{"errcode":"M_LIMIT_EXCEEDED","error":"slow","retry_after_ms":0}', "Retry-After: 0\r\n", 0.5),
    ("no JSON", "slow down", "", 0.5),
)
HUGE = ("huge", '{"errcode":"M_LIMIT_EXCEEDED","error":"slow","retry_after_ms":%d}' % HUGE_MS, "", 540.0)


@dataclass
class Faults:
    """Probabilities are of a request, or of a piece of a stream."""

    status: float = 0.0  # answered 500, 502 or 503, half of them after the server has processed it
    before: float = 0.0  # reset, the server never saw it
    after: float = 0.0  # reset after the server has processed it
    hang: float = 0.0  # no answer for some seconds, then a reset, after the server has processed it
    slow: float = 0.0  # the answer a few bytes at a time
    limit: float = 0.0  # answered 429, in the forms of LIMITS by turns
    limits: tuple = LIMITS
    only: str = ""  # a pattern that the request line must match, for all of the above
    hold: bool = False  # requests wait, unseen by the server, and are dropped when it ends
    chunk: int = 0  # at most so many bytes at a time
    delay: float = 0.0  # seconds, each way
    jitter: float = 0.0
    stall: float = 0.0  # a piece comes a second late, as after a lost packet
    dice: random.Random = field(default_factory=random.Random)

    def lag(self):
        """How long the next piece is under way."""
        late = 1.0 if self.dice.random() < self.stall else 0.0
        return max(0.0, self.delay + self.dice.uniform(-self.jitter, self.jitter)) + late


class Link:
    """One connection through a proxy."""

    def __init__(self, client):
        self.writers = [client]
        self.moving = asyncio.Event()
        self.moving.set()

    def reset(self):
        for writer in self.writers:
            reset(writer)


def reset(writer):
    """Ends a connection by RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()


class Relay:
    """Listens on `port` and passes on to `target`."""

    def __init__(self, loop, port, target, faults=None):
        self.loop, self.port, self.target = loop, port, target
        self.faults = faults or Faults()
        self.links = set()
        self.accepted = []  # time.monotonic() of each connection
        self.counts = {}
        self._tasks = set()
        self._server = loop.run(self._listen())

    async def _listen(self):
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader, writer):
        link = Link(writer)
        self.links.add(link)
        self.accepted.append(time.monotonic())
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self.serve(link, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            self._tasks.discard(task)
            self.links.discard(link)
            for each in link.writers:
                each.close()

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def freeze(self):
        """Half-open: what is connected stays connected, and nothing passes any more. Returns how many connections."""

        def stop():
            for link in self.links:
                link.moving.clear()
            return len(self.links)

        return self.loop.call(stop)

    def cut(self):
        self.loop.call(lambda: [link.reset() for link in list(self.links)])

    def close(self):
        async def end():
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            for link in list(self.links):
                link.reset()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self.loop.run(end())

    async def dial(self, link):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        link.writers.append(writer)
        return reader, writer

    async def trickle(self, writer, data):
        """Writes in pieces of `chunk` bytes, each a segment of its own."""
        size = self.faults.chunk or len(data)
        sock = writer.get_extra_info("socket")
        if self.faults.chunk and sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            if self.faults.chunk:
                await asyncio.sleep(0)


class Wire(Relay):
    """Bytes, both ways, in order."""

    async def serve(self, link, reader, writer):
        far_reader, far_writer = await self.dial(link)
        await asyncio.gather(self._pump(link, reader, far_writer), self._pump(link, far_reader, writer))

    async def _pump(self, link, reader, writer):
        """Reads at once and writes when it is time, so that a delay does not cost throughput."""
        queue = asyncio.Queue(4096)
        late = asyncio.create_task(self._late(link, queue, writer))
        due = 0.0
        try:
            while data := await reader.read(65536):
                due = max(due, time.monotonic() + self.faults.lag())
                await queue.put((due, data))
            await queue.put((due, b""))
            await late
        finally:
            late.cancel()

    async def _late(self, link, queue, writer):
        while True:
            due, data = await queue.get()
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            await link.moving.wait()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            await self.trickle(writer, data)


class Web(Relay):
    """HTTP, one request a connection."""

    def __init__(self, *arguments):
        self.turn = itertools.count()
        self.waits = []  # of 429: (form, seconds asked for, seconds until the same request came again)
        self._limited = {}  # request line -> (form, seconds, when)
        self.released = asyncio.Event()
        super().__init__(*arguments)

    async def serve(self, link, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0].decode("latin-1")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self._note_return(line)
        if self.faults.hold:
            self.count("held")
            await self.released.wait()
            link.reset()
            return
        fault = self._draw(line)
        self.count(fault or "passed")
        await getattr(self, f"_do_{fault}" if fault else "_do_pass")(link, writer, line, head, body)

    def drop_held(self):
        """Ends `hold`: those that waited are reset, those that come pass."""

        def end():
            self.faults.hold = False
            self.released.set()
            self.released = asyncio.Event()

        self.loop.call(end)

    def _draw(self, line):
        faults = self.faults
        if faults.only and not re.search(faults.only, line):
            return None
        at = faults.dice.random()
        for name in ("status", "before", "after", "hang", "slow", "limit"):
            at -= getattr(faults, name)
            if at < 0:
                return name
        return None

    def _note_return(self, line):
        if line in self._limited:
            form, asked, when = self._limited.pop(line)
            self.waits.append((form, asked, time.monotonic() - when))

    async def _ask(self, link, head, body):
        """The server's whole answer."""
        head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
        reader, writer = await self.dial(link)
        writer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        await writer.drain()
        return await reader.read(-1)

    async def _do_pass(self, link, writer, line, head, body):
        answer = await self._ask(link, head, body)
        await asyncio.sleep(self.faults.lag())
        await link.moving.wait()
        await self.trickle(writer, answer)

    async def _do_status(self, link, writer, line, head, body):
        if self.faults.dice.random() < 0.5:
            await self._ask(link, head, body)
        status = self.faults.dice.choice(("500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"))
        text = self.faults.dice.choice(('{"errcode":"M_UNKNOWN","error":"broken"}', "<html>Bad Gateway</html>", ""))
        await self._answer(writer, status, text)

    async def _do_before(self, link, writer, line, head, body):
        link.reset()

    async def _do_after(self, link, writer, line, head, body):
        await self._ask(link, head, body)
        link.reset()

    async def _do_hang(self, link, writer, line, head, body):
        await self._ask(link, head, body)
        await asyncio.sleep(self.faults.dice.uniform(2, 6))
        link.reset()

    async def _do_slow(self, link, writer, line, head, body):
        answer = await self._ask(link, head, body)
        size = max(1, len(answer) // 20)
        for start in range(0, len(answer), size):
            writer.write(answer[start : start + size])
            await writer.drain()
            await asyncio.sleep(0.05)

    async def _do_limit(self, link, writer, line, head, body):
        form, text, header, asked = self.faults.limits[next(self.turn) % len(self.faults.limits)]
        self._limited[line] = form, asked, time.monotonic()
        await self._answer(writer, "429 Too Many Requests", text, header)

    @staticmethod
    async def _answer(writer, status, text, header=""):
        raw = text.encode()
        kind = "application/json" if text[:1] == "{" else "text/html"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\n{header}Connection: close\r\n\r\n".encode() + raw
        )
        await writer.drain()
