# SPDX-License-Identifier: Apache-2.0
"""The stage of a fault row: both servers, a crowd on each side, a pair of rooms, one daemon.

The servers, the daemon's surroundings and the reading XMPP client are those of the end-to-end tests
(world.py, clients.py); what is added here are many cheap accounts and the readers of both timelines.
"""

import os
import re
import signal
import sqlite3
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from clients import Loop, until  # noqa: E402
from fakehs import FakeHomeserver  # noqa: E402
from ledger import Ledger  # noqa: E402
from load import Crowd, Load, Natives, Watcher, matrix_senders, native_name, native_senders  # noqa: E402
from world import BOT, BOT_NICK, DOMAIN, PASSWORD, SECRET, Bridge, World, own  # noqa: E402

NATIVES = 100


class Stage(World):
    """Servers with a hundred XMPP accounts more, and cheap passwords on the homeserver."""

    def __init__(self, sourdine=None, keep=False):
        super().__init__(sourdine or "/bin/false", keep)
        self.bridged = bool(sourdine)
        extra = self.write(self.folder / "extra.yaml", "bcrypt_rounds: 4\n")
        self.synapse.env["EXTRA"] = str(extra)
        folder = self.folder / "prosody"
        for part in ("", "data", "data/localhost", "data/localhost/accounts"):
            (folder / part).mkdir(exist_ok=True)
            own(folder / part)
        for number in range(NATIVES):
            self.write(folder / f"data/localhost/accounts/{native_name(number)}.dat", f'return {{\n\t["password"] = "{PASSWORD}";\n}};\n', 0o640)
        self.crowd = None
        self.logs = []  # of the daemons of the present row

    def make_registration(self):
        if self.bridged:
            super().make_registration()
            return
        # Without a daemon (raw rates): an appservice that nobody serves.
        self.write(
            self.registration,
            "id: nobody\nurl: null\nas_token: raw-as\nhs_token: raw-hs\nsender_localpart: nobody\nrate_limited: false\n"
            'namespaces: { users: [{ exclusive: true, regex: "^@_xmpp_.*:hs\\\\.test$" }] }\n',
        )

    def open(self):
        super().open()
        try:
            self.crowd = Crowd(self.loop, f"http://127.0.0.1:{self.http}", SECRET)
            self.reader = self.crowd.account("reader")
            self.bob = self.xmpp("bob")
        except BaseException:
            self.close()
            raise
        return self

    def close(self):
        if self.crowd:
            self.crowd.close()
        super().close()


class FakeStage(Stage):
    """The same with a fake homeserver in Synapse's place."""

    def open(self):
        try:
            self.registration_said = self.make_registration()
            self.prosody.start()
            self.loop = Loop()
            self.hs = FakeHomeserver(self.loop, self.http, DOMAIN, self.tokens(), self.appservice, BOT)
            self.bob = self.xmpp("bob")
        except BaseException:
            self.close()
            raise
        return self

    def close(self):
        if getattr(self, "hs", None):
            self.hs.close()
        super().close()


class BareStage(World):
    """A folder and nothing else."""

    def __init__(self, sourdine, keep=False):
        super().__init__(sourdine, keep)
        self.logs = []

    def open(self):
        return self


class Pair:
    """A fresh room and a fresh MUC with a crowd in each, a reader in each, and one daemon that joins them."""

    def __init__(self, stage, matrix=0, natives=0, charter=None, clock="2026-11-23T09:00:00Z", ports=None, extra="", **room):
        """`ports`: of proxies in front of servers, as World.config() takes them; `room`: settings of the MUC."""
        self.stage = stage
        self.vitals_at_start = None
        self.holds = bool(charter)  # what is released bears a stamp too
        name = stage.unique("load")
        self.matrix_count = matrix
        self.watcher = None
        self.make_room(name)
        self.muc = f"{name}@rooms.localhost"
        stage.bob.create_room(self.muc, "Bob", **room)
        self.natives = Natives(stage.loop, stage.c2s, self.muc, natives)
        self.outward, self.inward = Ledger("mx"), Ledger("xm")  # Matrix to XMPP, XMPP to Matrix
        self.own_nicks = {native.name for native in self.natives.people} | {"Bob"}
        charters = {"load": f'version 1\ngroup "load" {{\n{charter}\n}}\n'} if charter else {}
        self.bridge = self.make_bridge(charters, clock, extra, ports or {}) if stage.bridged else None

    def make_room(self, name):
        crowd, reader = self.stage.crowd, self.stage.reader
        crowd.grow(max(self.matrix_count, 1))
        self.room = crowd.room(reader, name)
        crowd.join(self.room, self.matrix_count)
        self.watcher = Watcher(crowd, reader, self.room)
        self.own_users = {account.user_id for account in crowd.accounts} | {reader.user_id}

    def make_bridge(self, charters, clock, extra, ports):
        bridge = Bridge(self.stage, {"load": (self.room, self.muc)}, charters, clock, extra, **ports)
        self.stage.logs.append(bridge.log)
        return bridge

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- the daemon

    def start(self, patience=60):
        self.bridge.start(patience)
        until(self.joined, patience, "the bot joining both rooms")
        self.vitals_at_start = self.vitals_at_start or self.vitals()

    def in_muc(self):
        """The daemon is in the MUC, by its own word: no client may be there to see it."""
        try:
            link = self.bridge.status()["xmpp"]
        except (OSError, ValueError, KeyError):
            return False
        return link["joined"] >= link["wanted"]

    def joined(self):
        return BOT in self.members() and BOT_NICK in self.stage.bob.occupants(self.muc)

    def members(self):
        stage = self.stage
        path = f"/_matrix/client/v3/rooms/{self.room}/joined_members"
        return stage.loop.run(stage.crowd.ask(stage.reader, "GET", path))["joined"]

    def vitals(self):
        """(RssAnon in kB, open descriptors) of the daemon, None when it does not run."""
        if not self.bridge.alive():
            return None
        process = Path(f"/proc/{self.bridge.process.pid}")
        try:
            anonymous = re.search(r"RssAnon:\s*(\d+)", (process / "status").read_text())
            return int(anonymous[1]), len(os.listdir(process / "fd"))
        except (OSError, TypeError):
            return None

    def ledger_check(self):
        """(whether it adds up, its words), by the daemon's own doctor, of a daemon that was stopped."""
        for area in ("database", "store"):  # the second looks at the file alone
            done = self.bridge.run("check", area, timeout=300)
            if done.returncode != 2:
                break
        words = " ".join((done.stdout + done.stderr).split())
        return done.returncode == 0, f"{area} clean" if done.returncode == 0 else f"{area}: exit {done.returncode}: {words[-300:]}"

    def flying(self):
        """How many rows were tried and not yet settled."""
        return self._count("state IN (1, 2)")

    def waiting(self):
        """How many rows are not settled, held ones among them."""
        return self._count("state IN (0, 1, 2)")

    def mean_size(self):
        """Bytes of what they will say, with the little that sealing adds."""
        return int(self._count("state IN (0, 1, 2)", "avg(length(payload))") or 0)

    def _count(self, which, what="count(*)"):
        """Evidence about an instant, never a verdict. The database is opened for reading only; the states are enum outbox_state."""
        try:
            base = sqlite3.connect(f"file:{self.bridge.state}/sourdine.db?mode=ro", uri=True, timeout=0.2)
        except sqlite3.Error:
            return 0
        try:
            return base.execute(f"SELECT {what} FROM outbox WHERE {which}").fetchone()[0]
        except sqlite3.Error:
            return 0
        finally:
            base.close()

    def aim(self, dice, aimed=True):
        """Stops the process (SIGSTOP) at a random instant; when aimed, at the first of many that finds rows in flight.

        The figure is that of the instant, which is returned.
        """
        pid = self.bridge.process.pid
        end = time.monotonic() + 4
        while True:
            os.kill(pid, signal.SIGSTOP)
            rows = self.flying()
            if rows or not aimed or time.monotonic() > end:
                return rows
            os.kill(pid, signal.SIGCONT)
            time.sleep(dice.uniform(0.001, 0.012))

    def strike(self, dice, aimed=True):
        """kill -9 at such an instant; how many rows were in flight."""
        rows = self.aim(dice, aimed)
        self.bridge.kill()
        return rows

    # -- speaking

    def say_matrix(self, count=None, rate=None, window=8):
        senders = matrix_senders(self.stage.crowd, self.room, self.matrix_count)
        return Load(self.stage.loop, self.outward, senders, count, rate, window)

    def say_xmpp(self, count=None, rate=None, window=16):
        return Load(self.stage.loop, self.inward, native_senders(self.natives), count, rate, window)

    # -- seeing

    def seen_xmpp(self):
        """The bodies that came into the MUC from the bridge, live, by slixmpp."""
        return [said.body for said in self.stage.bob.timeline(self.muc) if said.name not in self.own_nicks]

    def seen_matrix(self):
        return self.watcher.bodies(self.own_users)

    def archive_xmpp(self):
        """The same asked of the MUC's archive, which outlives a server that was killed."""
        return [said.body for said in self.stage.bob.archive(self.muc) if said.name not in self.own_nicks]

    def archive_matrix(self):
        return self.watcher.history(self.own_users)

    def stamped(self):
        """The keys of the messages that came into the MUC with the instant of their writing (XEP-0203)."""
        return {key for said in self.stage.bob.timeline(self.muc) if said.stamp for key in self.outward.keys_in(said.body)}

    def raw_story(self):
        """Every message of both rooms with its ids and its speaker, as the readers saw it: for a person who looks for a fault."""
        matrix = [f"{e['event_id']} {e['sender']} {e['content'].get('org.sourdine.id', '-')} {e['content'].get('body', '')[:24]!r}" for e in self.raw_matrix()]
        xmpp = [f"{said.stanza_id} {said.name} {said.id} {said.stamp or '-'} {said.body[:24]!r}" for said in self.stage.bob.timeline(self.muc)]
        return "\n".join(["", "Matrix:", *matrix, "", "XMPP:", *xmpp, ""])

    def raw_matrix(self):
        return list(self.watcher.events)

    def echoes(self):
        """How many messages came back into the room that they were written in."""
        back = self.outward.seen(self.seen_matrix())
        return back + self.inward.seen(self.seen_xmpp())

    def close(self):
        """Everybody leaves; what was wrong with the daemon, or ''."""
        wrong = self.bridge.close() if self.bridge else ""
        self.natives.leave()
        if self.watcher:
            self.watcher.close()
        try:
            self.stage.bob.leave(self.muc)
        except (KeyError, AssertionError):
            pass
        return wrong


class FakePair(Pair):
    """The same over a fake homeserver, whose transactions the row itself gives; the timeline is the fake's."""

    def make_room(self, name):
        self.hs = self.stage.hs
        self.fake = self.hs.room(name)
        self.room = self.fake.id

    def members(self):
        return self.fake.members

    def tell(self, count, senders=4):
        """New messages of Matrix users in the room's timeline, not yet pushed: a list of (message, event)."""
        told = []
        for number in range(count):
            message = self.outward.message(f"u{number % senders}")
            told.append((message, self.hs.event(self.fake, f"@{message.sender}:{DOMAIN}", message.text)))
        return told

    async def hand(self, told, number=None, patience=60):
        """One transaction, until it is acknowledged."""
        now = time.monotonic()
        for message, _ in told:
            message.start = message.start or now
        await self.hs.deliver([event for _, event in told], number, patience)
        now = time.monotonic()
        for message, _ in told:
            message.end = message.end or now

    def hand_all(self, told, batch=20):
        async def every():
            for start in range(0, len(told), batch):
                await self.hand(told[start : start + batch])

        self.stage.loop.run(every(), 600)

    def seen_matrix(self):
        return self.hs.bodies(self.fake)

    archive_matrix = seen_matrix

    def raw_matrix(self):
        return [event for event in self.fake.events if event["type"] == "m.room.message"]
