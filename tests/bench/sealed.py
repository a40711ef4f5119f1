# SPDX-License-Identifier: Apache-2.0
"""What encrypting for a room costs: many of ours speak there, and many devices of others are to read it.

First in real time, with durable commits; then in instructions, by callgrind, beside raw_seal.c, which makes the libolm
calls, the signatures and their checks, the pickles and the commits that nobody can leave out, on the same keys, and
nothing else: no HTTP, no JSON. `first` is from the first message of everybody until all have left, our devices and their keys
included; the others' lists are known by then, for the bot has greeted before. `each` is a message once that is done.
`rotation` is when everybody's session has one message left: that one, a new one for everybody, given to all devices, and
the message that begins it.
"""

import os
import re
import shutil
import subprocess
import time

from fake import VALGRIND, Bench, Counted, line, own_folder, unprivileged, until

MESSAGES = 10  # of a session
BAR = 2
PER_PERSON = 2


def steps(ghosts):
    """(name, messages) of what is measured, in this order."""
    return ("first", ghosts), ("each", ghosts * (MESSAGES - 2)), ("rotation", 2 * ghosts)


class Sealed:
    """Added to a bench: its rooms are encrypted, and natives speak in them."""

    def configuration(self):
        return super().configuration() + "    encrypted: allow\nencryption: { allow: true }\n"

    def start(self):
        """Until the bot has greeted, for which it asked for everybody's devices."""
        super().start()
        until(lambda: int(self.homeserver.ask("sealed")[0]) == 1, 1200, "the bot's greeting")
        time.sleep(1)
        self.greeted = int(self.homeserver.ask("sealed")[2])

    def say(self, count, patience=1800):
        """Everybody's next messages, COUNT in all: (seconds, sessions, keys given so far, requests, bytes)."""
        requests, size = map(int, self.homeserver.ask("traffic"))
        self.homeserver.tell("expect-sealed", count)
        self.component.tell("push", count, 1)
        begun = float(self.component.hear("pushed")[1])
        sealed, sessions, _, plain, ended = self.homeserver.hear("sealed", patience)
        assert (int(sealed), int(plain)) == (count, 0), f"{sealed} encrypted, {plain} plain"
        # What follows the last message: commits.
        time.sleep(1)
        keys = int(self.homeserver.ask("sealed")[2]) - self.greeted
        now, size_now = map(int, self.homeserver.ask("traffic"))
        return float(ended) - begun, int(sessions), keys, now - requests, size_now - size

    def check(self, name, told, devices):
        _, sessions, keys, _, _ = told
        of_each = 2 if name == "rotation" else 1
        assert sessions == of_each * self.natives, f"{name}: {sessions} sessions of {self.natives}"
        assert keys == of_each * self.natives * devices, f"{name}: {keys} keys given to {devices} devices"


class SealedBench(Sealed, Bench):
    pass


class SealedCounted(Sealed, Counted):
    pass


def make_keys(people, ghosts):
    folder = own_folder("sourdine-keys-")
    words = [folder, people, PER_PERSON, ghosts + 1]
    done = subprocess.run(unprivileged() + [os.environ["BENCH_PROGRAMS"] + "/devices", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def in_time(ghosts, devices, folder):
    bench = SealedBench(devices // PER_PERSON, ghosts, keys=(folder, MESSAGES))
    try:
        bench.start()
        line(f"{ghosts} speak, {devices} devices read", "seconds", "requests", "KiB", "keys so far", "CPU s", "commits")
        for name, count in steps(ghosts):
            cpu, commits = bench.cpu(), bench.metric("db_commits_total")
            told = bench.say(count)
            bench.check(name, told, devices)
            seconds, _, keys, requests, size = told
            words = f"{seconds:.2f}", requests, size >> 10, keys, f"{bench.cpu() - cpu:.2f}", bench.metric("db_commits_total") - commits
            line(f"  {name}, {count} messages", *words)
        line("  memory afterwards", *(f"{kib} KiB" for kib in bench.memory()))
    finally:
        bench.close()


def totals(folder):
    """What callgrind counted, a number for each of its files, oldest first."""
    files = sorted(folder.glob("callgrind.*"), key=lambda path: path.stat().st_mtime_ns)
    return [int(found[1]) for path in files if (found := re.search(r"^totals: (\d+)", path.read_text(errors="replace"), re.M)) and int(found[1])]


def ours(ghosts, devices, folder):
    """Instructions of each step."""
    bench = SealedCounted(devices // PER_PERSON, ghosts, keys=(folder, MESSAGES))
    try:
        bench.start()
        time.sleep(2)
        for name, count in steps(ghosts):
            bench.control("-i", "on")
            bench.check(name, bench.say(count), devices)
            bench.control("-i", "off")
            bench.control("-d", name)
        if os.environ.get("KEEP"):
            print(f"kept: {bench.counts}", flush=True)
        return totals(bench.counts)
    finally:
        bench.stop()
        if not os.environ.get("KEEP"):
            bench.close()
        bench.homeserver.close()
        bench.component.close()


def raw(ghosts, folder):
    out = own_folder("sourdine-raw-")
    words = [f"--{what}={name}" for name in ("first", "each", "rotate") for what in ("toggle-collect", "dump-after")]
    command = unprivileged() + VALGRIND + [f"--callgrind-out-file={out}/callgrind.%p", *words]
    words = [out, folder, ghosts, MESSAGES - 2]
    done = subprocess.run(command + [os.environ["BENCH_PROGRAMS"] + "/raw_seal", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counted = totals(out)
    shutil.rmtree(out, ignore_errors=True)
    return counted


def in_instructions(ghosts, devices, folder):
    good = True
    line("millions of instructions, by callgrind", "ours", "raw", "ratio")
    for (name, count), mine, least in zip(steps(ghosts), ours(ghosts, devices, folder), raw(ghosts, folder)):
        if name == "each":
            line("  each, a message", f"{mine / count / 1e6:.3f}", f"{least / count / 1e6:.3f}", f"{mine / least:.2f}")
            continue
        line(f"  {name} (bar {BAR})", f"{mine / 1e6:.0f}", f"{least / 1e6:.0f}", f"{mine / least:.2f}")
        good = good and mine <= BAR * least
    return good


def scene(ghosts, devices, costs):
    folder = make_keys(devices // PER_PERSON, ghosts)
    try:
        in_time(ghosts, devices, folder)
        return in_instructions(ghosts, devices, folder) if costs else True
    finally:
        shutil.rmtree(folder, ignore_errors=True)
