# SPDX-License-Identifier: Apache-2.0
"""Many ghosts in an encrypted room of a real Synapse (case T19 of e2ee): how fast they come, what they weigh.

Each native says one thing, so each gets a user, a device, keys, an identity and a session, and gives its key to the device
that reads: matrix-js-sdk, which refuses what is not signed. The XMPP side is the fake component, which costs next to nothing.
"""

import argparse
import os
import re
import sys
import time
from datetime import datetime
from pathlib import Path

from fake import Fake, line

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from clients import Loop, until  # noqa: E402
from crypto_client import encryption  # noqa: E402
from crypto_clients import Cryptic  # noqa: E402
from world import BOT, Bridge, World, free_ports  # noqa: E402


class Stage(World):
    """A Synapse, and the fake in Prosody's place."""

    def open(self, natives):
        self.synapse.env["LOG_LEVEL"] = "INFO"  # requests
        self.registration_said = self.make_registration()
        self.make_relay_registration()
        self.synapse.start()
        self.loop = Loop()
        (self.fake_port,) = free_ports(1)
        self.fake = Fake("fake_component", self.fake_port, natives)
        return self

    def drained(self):
        """{ghost: instants at which its inbox was read}, as the homeserver saw it."""
        found = {}
        for said in (self.folder / "synapse" / "synapse.log").read_text().splitlines():
            read = re.search(r"^(\S+ \S+) INFO synapse\.access.*\{(@_xmpp[^}]+)\}.*\"GET \S+/sync\?", said)
            if read:
                found.setdefault(read[2], []).append(datetime.strptime(read[1], "%Y-%m-%d %H:%M:%S,%f").timestamp())
        return found

    def close(self):
        super().close()
        if getattr(self, "fake", None):
            self.fake.close()


def memory(pid):
    """RssAnon in KiB."""
    fields = dict(one.split(":", 1) for one in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0])


def cpu(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def say(stage, reader, room, count, patience):
    """Everybody says one thing: (seconds until the last has arrived, CPU seconds, how many the reader refused)."""
    pid, known = stage.bridge.process.pid, len(heard(reader, room))
    before, begun = cpu(pid), time.monotonic()
    stage.fake.tell("push", count, 1)
    until(lambda: len(heard(reader, room)) >= known + count, patience, f"{count} messages")
    took, used = max(one.seen for one in heard(reader, room)) - begun, cpu(pid) - before
    wrong = [one for one in heard(reader, room)[known:] if one.state != "clear" or one.colour != "NONE"]
    return took, used, len(wrong)


def heard(reader, room):
    return [one for one in reader.timeline(room) if one.sender != BOT and one.encrypted and one.state != "waiting"]


def measure(stage, count, patience):
    people = Cryptic(stage)
    try:
        reader = people.js("reader", strict=True)
        room = reader.create_room("many", encryption())
        stage.bridge = Bridge(stage, {"many": (room, "r0@rooms.localhost\n    encrypted: allow")}, component=stage.fake_port)
        stage.bridge.start()
        reader.wait_knows(room, {BOT})
        pid = stage.bridge.process.pid
        time.sleep(3)
        idle = memory(pid)
        took, used, wrong = say(stage, reader, room, count, patience)
        time.sleep(3)
        full = memory(pid)
        users = {one.sender for one in heard(reader, room)}
        assert len(users) == count, f"{len(users)} ghosts"
        line(f"{count} ghosts that encrypt, from nothing", f"{took:.1f} s", f"{count / took:.1f} a second", f"CPU {used:.2f} s")
        line("  first words that a strict client refused", wrong)
        line("  RssAnon before, after, each", f"{idle} KiB", f"{full} KiB", f"{(full - idle) / count:.1f} KiB")
        took, used, wrong = say(stage, reader, room, count, patience)
        line("  their second messages", f"{took:.1f} s", f"{count / took:.1f} a second", f"CPU {used:.2f} s", f"{wrong} refused")
        assert not wrong, "known by now, and refused all the same"
        until(lambda: len(stage.drained()) == count, patience, "every inbox having been read")
        reads = sorted(at for each in stage.drained().values() for at in each)
        busiest = max(sum(at <= other < at + 1 for other in reads) for at in reads)
        line("  inboxes read", f"{len(stage.drained())} ghosts", f"{len(reads)} reads", f"{busiest} in a second")
        line("  RssAnon at the end", f"{memory(pid)} KiB")
        return not stage.bridge.close()
    finally:
        people.close()


def main(arguments):
    parser = argparse.ArgumentParser(prog="bench/run --many", description=__doc__.splitlines()[0])
    parser.add_argument("--many", type=int, default=500, help="ghosts")
    parser.add_argument("--patience", type=int, default=900, help="seconds for each step")
    wanted = parser.parse_args(arguments)
    stage = Stage(os.environ["SOURDINE"])
    try:
        stage.open(wanted.many)
        return 0 if measure(stage, wanted.many, wanted.patience) else 1
    finally:
        stage.close()
