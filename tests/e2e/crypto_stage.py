# SPDX-License-Identifier: Apache-2.0
"""What the files of cases (test_crypto_cases*.py) stand on: one daemon for a file, its groups, and who talks in them.

    stage.talk                  a group: .room (encrypted), .muc
    stage.say(group, "hello")   Bob says it; [what each reader saw], each without a warning
    stage.hear(group, "hello")  until Bob sees that, once
    stage.settle(group)         all that Anna caused before this, the daemon has taken, in both its channels
"""

import sqlite3
from contextlib import closing

from clients import until
from crypto_client import encryption
from crypto_device import Device
from crypto_wire import ciphers, used_twice
from world import BOT, Bridge, Group, ghost

# nio's devices are signed by nobody: this group, and not the whole site, trusts them.
ALLOWED = "\n    encrypted: allow\n    trust: all"
STRICT = "\n    encrypted: allow"
BOB = ghost("bob@localhost")


class Stage:
    def __init__(self, world, cast, bob, carol, groups, homeserver=None):
        """`groups`: name -> (what is added to it in the configuration, keywords of its room)."""
        self.world, self.cast, self.bob, self.carol = world, cast, bob, carol
        self.anna, self.eric, self.bert = cast.anna, cast.eric, cast.bert
        self.readers = (cast.anna, cast.eric, cast.bert)
        # The others have seen bots of other tests, each with a database and so an identity of its own.
        self.made = len(cast.clients)
        self.witness = cast.js("witness", strict=True)
        self.groups, wiring, self.count = [], {}, 0
        for name, (words, room) in groups.items():
            group = Group(world, name, cast.anna, bob, [cast.eric, cast.bert, self.witness], [carol], **{"encrypted": encryption(), **room})
            wiring[name] = (group.alias, group.muc + words)
            setattr(self, name, group)
            self.groups.append(group)
        self.bridge = Bridge(world, wiring, None, "2026-11-23 10:00", homeserver=homeserver)
        self.bridge.start()
        for group in self.groups:
            self.know(group)

    def know(self, group, *more):
        everybody = (*self.readers, self.witness, *more)
        for reader in everybody:
            reader.wait_knows(group.room, {BOT, *(each.user for each in everybody)})

    def say(self, group, body, readers=None):
        self.bob.send(group.muc, body)
        heard = [reader.wait(group.room, body) for reader in readers or self.readers]
        for reader, each in zip(readers or self.readers, heard):
            assert (each.sender, each.encrypted) == (BOB, True), each
            assert reader is self.bert or (each.colour, each.why) == ("NONE", None) or reader not in (self.anna, self.eric), each
        return heard

    def session(self, group, body):
        """The session that Bob's ghost says this with."""
        return self.say(group, body)[0].session

    def hear(self, group, body, timeout=30):
        return until(lambda: self.heard(group, body), timeout, f"{body!r} in {group.muc}")

    def heard(self, group, body):
        found = [said for said in self.bob.timeline(group.muc) if said.body == body]
        assert len(found) < 2, f"{body!r} crossed {len(found)} times"
        return found[0] if found else None

    def hear_all(self, group, bodies, timeout=30):
        """These, each once, in this order, and nothing of them doubled."""

        def seen():
            return [said.body for said in self.bob.timeline(group.muc) if said.body in bodies]

        until(lambda: len(seen()) >= len(bodies), timeout, f"{bodies} in {group.muc}")
        assert seen() == bodies

    def settle(self, group, writer=None):
        """Room events come by one channel, keys and lists of devices by the other: a message with a new key needs both."""
        writer = writer or self.anna
        self.count += 1
        body = f"settled {self.count}"
        writer.rotate(group.room)
        writer.send(group.room, body)
        self.hear(group, body)

    def identity(self, user):
        """
        (his master key, whether a client that is new here warns of another). It may, of one who has spoken in other tests, whose
        databases made him another: what counts is that nothing changes.
        """
        until(lambda: self.witness.identity(user)["exists"], what=f"the identity of {user}")
        return Device(self.cast, "asker").keys_of(user)["master_keys"][user]["keys"], self.witness.identity(user)["changed"]

    def database(self, words, *values):
        """One statement in the daemon's database, while it is stopped; the number of rows that it touched."""
        assert not self.bridge.alive()
        with closing(sqlite3.connect(self.bridge.state / "sourdine.db")) as database, database:
            return database.execute(words, values).rowcount

    def read(self, words, *values):
        assert not self.bridge.alive()
        with closing(sqlite3.connect(self.bridge.state / "sourdine.db")) as database:
            return database.execute(words, values).fetchall()

    def stopped(self):
        """with stage.stopped(): the daemon is not running meanwhile."""
        return Stopped(self.bridge)

    def crash(self, point, act, timeout=30):
        """Start the daemon so that it ends at a fault point, as by kill -9; `act` makes it come there. Then start it again."""
        self.bridge.stop()
        self.bridge.env["CRASH_AT"] = point
        try:
            self.bridge.launch()
            act()
            until(lambda: not self.bridge.process.alive(), timeout, f"the daemon ending at {point}")
            assert self.bridge.process.process.returncode == 70, "it ended, but not at the point"
        finally:
            self.bridge.env.pop("CRASH_AT")
        self.bridge.start()

    def check_wire(self, group):
        """Every index of every session was used for one event, and they rise."""
        seen = ciphers(self.anna, group.room)
        assert not used_twice(seen)
        last = {}
        for each in seen:
            assert each.index > last.get(each.session, -1), f"{each.id}: index {each.index} after {last[each.session]}"
            last[each.session] = each.index

    def close(self):
        wrong = self.bridge.close()
        for group in self.groups:
            group.leave()
        self.cast.dismiss(self.made)
        assert not wrong, wrong


class Stopped:
    def __init__(self, bridge):
        self.bridge = bridge

    def __enter__(self):
        self.bridge.stop()

    def __exit__(self, kind, value, trace):
        self.bridge.start()
