# SPDX-License-Identifier: Apache-2.0
"""The disk and the memory: power cuts, a full disk, errors of the kernel, damage, allocations that fail."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from clients import Impatience, until
from row import Result, finish, settle
from stage import HERE, FakePair
from world import own, unprivileged

STRACED = {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99"}  # leaks cannot be looked for under a tracer


def build_folder():
    """Where the daemon that is tested was built."""
    return Path(os.environ.get("FAULT_BUILD") or Path(os.environ["SOURDINE"]).resolve().parent)


def driver():
    """The C program tests/faults/lives, made when need be."""
    program = build_folder() / "tests/faults/lives"
    done = subprocess.run(["make", "-C", build_folder(), "tests/faults/lives"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert program.exists(), f"cannot make {program}: {done.stderr[-500:]}"
    return program


def drive(*arguments, timeout=7200, **keywords):
    return subprocess.run([driver(), *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **keywords)


def last_line(done):
    lines = (done.stdout.strip() or done.stderr.strip() or f"nothing said, exit {done.returncode}").splitlines()
    return lines[-1][:300]


# -- power


def power_cuts(stage, options):
    """Lives of the heart on a disk that forgets, tears and reorders what was not synced."""
    result = Result()
    done = drive("power", options.many(100, 10000), options.seed % 100000)
    result.notes.append(last_line(done))
    found = re.search(r"power: (\d+) cuts, .* (\d+) messages acknowledged, .* broken promises (\d+), bad ends (\d+)", done.stdout)
    result.require(found, "no figures")
    if found:
        result.kills, accepted, broken, bad = (int(word) for word in found.groups())
        result.caught = []
        result.figures.sent, result.figures.delivered, result.figures.lost = accepted, accepted - broken, broken
        result.require(not bad, f"{bad} lives ended badly")
        result.notes.insert(0, f"{result.kills} power cuts")
        result.kills = 0
    result.exit = str(done.returncode)
    return result


# -- a full disk


class Filler:
    """Takes all the space of a file system but a little, and gives it back."""

    def __init__(self, folder):
        self.path = folder / "filler"

    def fill(self, leave):
        disk = os.statvfs(self.path.parent)
        size = disk.f_bavail * disk.f_frsize - leave
        with open(self.path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(4096, size))

    def empty(self):
        self.path.unlink(missing_ok=True)


@contextmanager
def small_disk(folder, size):
    """A tmpfs over a folder, when we may mount."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700,uid=65534,gid=65534", "tmpfs", folder], capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", folder], capture_output=True)


class Scheduler:
    """Pushes transactions of three events as a homeserver does: the next one only when this one is taken."""

    def __init__(self, pair):
        self.pair, self.told, self.number = pair, None, 0
        self.taken = []  # ids of what was acknowledged

    def push(self, times):
        """So many attempts; the statuses."""
        statuses = []
        for _ in range(times):
            self.told = self.told or self._next()
            status = self.pair.stage.loop.run(self.pair.hs.transaction([event for _, event in self.told], self.number))
            statuses.append(status)
            if status == 200:
                self._took()
        return statuses

    def _took(self):
        for message, event in self.told:
            message.end = message.end or time.monotonic()
            self.taken.append(event["event_id"])
        self.told = None

    def _next(self):
        self.pair.hs.number += 1
        self.number = self.pair.hs.number
        told = self.pair.tell(3)
        for message, _ in told:
            message.start = time.monotonic()
        return told

    def end(self):
        """What was refused last, until it is taken."""
        if self.told:
            self.pair.stage.loop.run(self.pair.hand(self.told, self.number), 65)
            self._took()


def not_kept(pair, ids):
    """How many of these event ids the database of a dead daemon does not know: an acknowledgement without a commit."""
    with sqlite3.connect(f"file:{pair.bridge.state}/sourdine.db?mode=ro", uri=True) as base:
        return sum(not base.execute("SELECT 1 FROM inbox WHERE source_id = ?", (each,)).fetchone() for each in ids)


def disk_full(stage, options):
    """The disk of the state fills up under load, stays full for a while, and has room again."""
    result = Result()
    with FakePair(stage, natives=3) as pair:
        with small_disk(pair.bridge.state, "96m") as mounted:
            result.require(mounted, "cannot mount a tmpfs")
            pair.start()
            pair.hand_all(pair.tell(8))
            pair.say_xmpp(8).wait()
            settle(pair, options)
            filler, told = Filler(pair.bridge.state), []
            for _ in range(options.many(1, 10)):
                told += one_fill(pair, options, result, filler)
            result.notes.append(f"answers while full: {tally(told)}")
            result.require(503 in told, "never 503: was the disk full?")
            result.require(set(told) <= {200, 503, 0}, f"answers {set(told)}")
            return finish(result, pair, options)


def one_fill(pair, options, result, filler):
    filler.fill(options.dice.choice((0, 4096, 65536, 1 << 20)))
    own(filler.path)
    scheduler, statuses, natives = Scheduler(pair), [], pair.say_xmpp(rate=10)
    since = time.monotonic()
    while time.monotonic() - since < 8 or (503 not in statuses and time.monotonic() - since < 30):
        statuses += scheduler.push(4)
        time.sleep(0.2)
    natives.stop()
    result.require(pair.bridge.alive(), "the daemon ended on a full disk")
    filler.empty()
    began = time.monotonic()
    scheduler.end()
    result.notes.append(f"taking again {time.monotonic() - began:.0f} s after there was room")
    settle(pair, options)
    return statuses


def size_limit(stage, options):
    """RLIMIT_FSIZE: a write beyond it fails with another error than a full disk (F19)."""
    result = Result()
    with FakePair(stage, natives=3) as pair:
        pair.start()
        pair.hand_all(pair.tell(8))
        pair.say_xmpp(8).wait()
        settle(pair, options)
        answers = []
        for _ in range(options.many(1, 10)):
            pid = str(pair.bridge.process.pid)
            log = (pair.bridge.state / "sourdine.db-wal").stat().st_size
            limit = [*unprivileged(), "prlimit", "--pid", pid]
            scheduler = Scheduler(pair)
            subprocess.run([*limit, f"--fsize={log + options.dice.choice((0, 1, 5000, 20000))}:unlimited"], check=True)
            answers += scheduler.push(30)
            result.require(pair.bridge.alive(), "the daemon ended at its size limit")
            subprocess.run([*limit, "--fsize=unlimited:unlimited"], check=True)
            scheduler.end()
            settle(pair, options)
        result.notes.append(f"answers at the limit: {tally(answers)}")
        result.require(503 in answers, "never 503: was there a limit?")
        return finish(result, pair, options)


# -- errors of the kernel


def traced(pair, what):
    """The daemon under strace, which makes system calls fail."""
    calls = what.split(":", 1)[0]
    pair.bridge.prefix = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={what}"]
    pair.bridge.env = {**pair.bridge.env, **STRACED}


def plain(pair):
    pair.bridge.prefix = []
    for name in STRACED:
        pair.bridge.env.pop(name, None)


def faulty_life(pair, what, pushes):
    """A life with a system call that fails from some moment on, then one without: (whether it became ready, statuses,
    exit status, events acknowledged and not kept)."""
    bridge, scheduler = pair.bridge, Scheduler(pair)
    bridge.kill()
    traced(pair, what)
    bridge.launch()
    try:
        until(lambda: "ready:" in bridge.process.said() or not bridge.alive(), 20, "ready, or an end")
        ready = bridge.alive()
    except Impatience:
        ready = False
    statuses = []
    for _ in range(pushes if ready else 0):
        statuses += scheduler.push(1)
        if not bridge.alive():
            break
    time.sleep(0.05)
    exit_status = bridge.process.process.poll()
    bridge.kill()
    plain(pair)
    lost = not_kept(pair, scheduler.taken)
    pair.start()
    scheduler.end()
    return ready, statuses, exit_status, lost


def faulty_lives(stage, options, injection, steps, pushes, judge):
    """One life for each N, each with its fault at another call; at the end everything is there."""
    result = Result()
    with FakePair(stage, natives=1) as pair:
        pair.start()
        pair.hand_all(pair.tell(4))
        statuses, started, exits, lost = [], 0, [], 0
        for n in steps:
            ready, some, status, missing = faulty_life(pair, injection.format(n), pushes(n))
            started += ready
            lost += missing
            statuses += some
            exits.append(status)
        result.notes.append(f"N in {steps[0]}..{steps[-1]}, {len(steps)} of them, {started} became ready, answers {tally(statuses)}, exits {tally(exits)}")
        result.require(set(statuses) <= {200, 503, 0}, f"answers {set(statuses)}")
        result.require(not lost, f"{lost} events were acknowledged and are not in the database")
        judge(result, statuses, exits)
        return finish(result, pair, options)


def no_space(stage, options):
    """Every write from the N-th on says ENOSPC, for many N."""

    def judge(result, statuses, exits):
        result.require(503 in statuses, "nothing was refused: was anything injected?")

    steps = spread(options.many(4, 100), 60 if options.short else 300)
    return faulty_lives(stage, options, "pwrite64:error=ENOSPC:when={}+", steps, lambda n: 3 + n // 8, judge)


def no_sync(stage, options):
    """The N-th sync says EIO: the program aborts, for it cannot know what the disk kept; the transaction has no 200."""

    def judge(result, statuses, exits):
        result.require(exits.count(-signal.SIGABRT) * 2 > len(exits), "few aborts: was anything injected?")

    steps = spread(options.many(4, 100), 16 if options.short else 200)
    return faulty_lives(stage, options, "fdatasync,fsync:error=EIO:when={}", steps, lambda n: 4 + n, judge)


def spread(count, most):
    """`count` numbers from 1 to `most`, each once, denser at the beginning."""
    return sorted({max(1, round(most * (number / count) ** 1.5)) for number in range(1, count + 1)})


def tally(statuses):
    return ", ".join(f"{status} x {statuses.count(status)}" for status in sorted(set(statuses), key=str)) or "none"


# -- damage


def damage(stage, options):
    """Flipped bits, cuts and zeroes in the database or its log: refused with a word, or read; never a crash, never silently wrong."""
    result = Result()
    done = drive("corrupt", options.many(60, 1000), options.seed % 100000)
    result.notes.append(last_line(done))
    result.exit = str(done.returncode)
    result.require("SILENT 0" in done.stdout and "CRASHED 0" in done.stdout, "see the line")
    return result


# -- memory


def no_memory(stage, options):
    """The n-th allocation fails, for every seventh n of a life until one passes (--times 1: for all): an orderly end, or one line and an abort; nothing acknowledged is lost."""
    result = Result()
    shim = stage.folder / "malloc.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "malloc.c", "-ldl"], check=True)
    step = options.times or (400 if options.short else 7)
    counts, n, wrong, spared = {}, 1, 0, 0
    while n < 200000:
        folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None, prefix="sourdine-"))
        try:
            done = drive("work", folder, 8, env={**os.environ, "LD_PRELOAD": str(shim), "FAIL_MALLOC_AT": str(n)})
            if "malloc: spared" in done.stderr:
                spared += 1
            elif "malloc: failed" not in done.stderr:
                result.require(done.returncode == 0, f"a life without a failure ended with {done.returncode}")
                break
            counts[done.returncode] = counts.get(done.returncode, 0) + 1
            words = [line for line in done.stderr.splitlines() if not line.startswith("malloc:")]
            result.require(done.returncode in (0, 78, -signal.SIGABRT), f"n = {n}: exit {done.returncode}")
            result.require(done.returncode == 0 or words, f"n = {n}: exit {done.returncode} without a word")
            accepted = done.stdout.count("\nA") + done.stdout.startswith("A")
            result.figures.sent += accepted
            again = drive("work", folder, 1) if accepted else None  # the next life opens what the first one left
            kept = drive("verify", folder, input=done.stdout) if accepted else None
            lost = kept.stdout.count("lost:") if kept else 0
            result.figures.lost += lost
            result.figures.delivered += accepted - lost
            wrong += bool(again and again.returncode)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        n += step
    result.require(n > 1, "nothing failed: is this a build with sanitizers?")
    result.require(not wrong, f"{wrong} databases could not be opened afterwards")
    result.notes.append(f"n = 1..{n} by {step}, {spared} spared in libcrypto, exits {counts}")
    return result


# -- descriptors


def few_descriptors(stage, options):
    """RLIMIT_NOFILE=32, and more connections to our listener than that."""
    result = Result()
    with FakePair(stage, natives=4) as pair:
        pair.bridge.prefix = ["prlimit", "--nofile=32"]
        pair.start()
        natives, strangers = pair.say_xmpp(rate=6), []
        for _ in range(60):
            sock = socket.socket()
            sock.settimeout(0.2)
            try:
                sock.connect(("127.0.0.1", stage.appservice))
                sock.send(b"GET / HTTP/1.1\r\n")
            except OSError:
                pass
            strangers.append(sock)
        told = [pair.tell(2) for _ in range(4)]
        time.sleep(3)
        vitals = pair.vitals()
        result.require(vitals is not None, "the daemon ended")
        for sock in strangers:
            sock.close()
        for some in told:
            stage.loop.run(pair.hand(some), 65)
        natives.stop()
        result.notes.append(f"{vitals and vitals[1]} descriptors of 32 with 60 strangers at the door")
        return finish(result, pair, options)
