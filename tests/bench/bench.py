# SPDX-License-Identifier: Apache-2.0
"""Speed, delay, processor time and memory of the daemon between real servers, beside what they give a raw program.

Ratios and counts compare; absolute times are this machine's. CPU is the daemon's own, user and system, from
/proc. The homeserver is slower than either side: so a burst to XMPP is what the charter held over night, all due
at the same instant, and a paced load goes at half the rate that the servers give a raw sender, at most PACE (above
it, bench/run --fake). The delay holds what the homeserver takes between its answer and its push: what is ours of it,
and its bar, is measured between the fakes. The raw program is raw.c, with the same ghosts, window and bytes, in the same run. What
arrived is read by ordinary accounts of both servers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
if "--fake" in sys.argv:
    import fake

    sys.exit(fake.main(sys.argv[1:]))
if "--many" in sys.argv:
    import ghosts

    sys.exit(ghosts.main(sys.argv[1:]))
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent / "e2e")]

import stage as stage_module  # noqa: E402
from load import Watcher, settled  # noqa: E402
from row import Options, raw_rates, warm  # noqa: E402
from clients import until  # noqa: E402
from stage import Pair, Stage  # noqa: E402
from world import COMPONENT, SECRET, own, unprivileged  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
WINDOW = 32
PACE = 20
RATIO = 0.9
TIMES = 3  # of a burst to XMPP, which is over in seconds; the middle one counts, of ours as of the raw ones
HELD_PATIENCE = 120  # seconds; a busy homeserver pushes late
CHARTER = "tz Europe/Paris\nhours mon-fri 08:30-18:30\ntime 10 ferme when closed then hold until opening notice none"


class QuickWatcher(Watcher):
    """Reads each event as soon as the homeserver gives it."""

    async def _follow(self):
        self._query["timeout"] = "10000"
        while True:
            await self._once()


stage_module.Watcher = QuickWatcher


def memory(pid):
    """(RssAnon, VmRSS) in KiB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) for name in ("RssAnon", "VmRSS"))


def cpu(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICK


def line(*cells):
    print(f"{cells[0]:50}" + "".join(f"{cell:>15}" for cell in cells[1:]), flush=True)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


class Way:
    """One direction of a pair: how it is said, where it is seen, with the instants of both."""

    def __init__(self, name, pair):
        self.name, self.pair, self.outward = name, pair, name == "Matrix to XMPP"
        self.ledger = pair.outward if self.outward else pair.inward
        self.read = pair.seen_xmpp if self.outward else pair.seen_matrix
        self.say = pair.say_matrix if self.outward else pair.say_xmpp

    def seen(self):
        """{key: instant} of the first time that each message was seen."""
        if self.outward:
            said = ((one.body, one.seen) for one in self.pair.stage.bob.timeline(self.pair.muc))
        else:
            said = zip((e["content"].get("body") or "" for e in list(self.pair.watcher.events)), list(self.pair.watcher.times))
        found = {}
        for body, at in said:
            for key in self.ledger.keys_in(body):
                found.setdefault(key, at)
        return found

    def wait(self, options):
        assert settled(self.ledger, self.read, options.patience), f"{self.name}: messages are missing"

    def delays(self, first):
        """(of messages, of their senders' own requests) in ms, of the ledger's messages from index `first` on."""
        seen = self.seen()
        messages = [m for m in self.ledger.messages[first:] if m.key in seen]
        return [(seen[m.key] - m.start) * 1000 for m in messages], [(m.end - m.start) * 1000 for m in messages]

    def words(self):
        f = self.ledger.verdict(self.read(), stamped=self.pair.stamped() if self.outward and not self.pair.holds else ())
        return f"{f.lost} / {f.duplicated} / {f.reordered}"

    def paced(self, seconds, rate, options):
        """(messages a second, p50, p99, p50 of the own request, CPU seconds per 1,000)."""
        pid, first = self.pair.bridge.process.pid, len(self.ledger.messages)
        before = cpu(pid)
        count = max(1, int(seconds * rate))
        self.say(count, rate=rate).wait()
        self.wait(options)
        used = (cpu(pid) - before) * 1000 / count
        delays, own_delays = self.delays(first)
        return rate, percentile(delays, 0.5), percentile(delays, 0.99), percentile(own_delays, 0.5), used

    def burst(self, count, options, day=23):
        """(messages a second, CPU seconds per 1,000). To XMPP on the evening of that day, and released on the next."""
        bridge, first = self.pair.bridge, len(self.ledger.messages)
        pid = bridge.process.pid
        if self.outward:
            bridge.set_clock(f"2026-11-{day} 19:04")
            self.say(count).wait()
            until(lambda: self.pair.waiting() >= count, HELD_PATIENCE, f"all {count} being held")
            self.bytes = self.pair.mean_size()
        before, begun = cpu(pid), time.monotonic()
        if self.outward:
            bridge.set_clock(f"2026-11-{day + 1} 10:00")
        else:
            self.say(count).wait()
            begun = self.ledger.messages[first].start
        self.wait(options)
        ended = max(self.seen().values())
        time.sleep(1)
        return count / (ended - begun), (cpu(pid) - before) * 1000 / count


def raw(*words):
    """One run of raw.c: (messages a second, CPU seconds for 1,000)."""
    done = subprocess.run(unprivileged() + [os.environ["RAW"], *map(str, words)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    count, wall, used = map(float, done.stdout.split())
    return count / wall, used * 1000 / count


def raw_figures(stage, pair, count):
    folder = own(tempfile.mkdtemp(dir=stage.folder))
    event = stage.write(folder / "event.json", json.dumps(pair.watcher.events[-1]))
    users = [user for user in pair.members() if user.startswith("@_xmpp_")]
    listed = stage.write(folder / "users", "\n".join(users) + "\n")
    found = {"parse": raw("parse", count, event)}
    for batch in (1, 100):
        found[f"commit {batch}"] = raw("commit", folder, count, batch, event.stat().st_size)
        for leftover in folder.glob("raw.db*"):
            leftover.unlink()
    found["put"] = raw("put", f"http://127.0.0.1:{stage.http}", stage.tokens()[0], pair.room, count // 2, listed)
    return found


def burst_line(way, count, rate, used, figure):
    line(f"  burst of {count}", "messages/s", "raw", "ratio", "CPU s/1,000", "lost/dup/order")
    line(f"    {way.name}", f"{rate:.1f}", f"{figure[0]:.1f}", f"{rate / figure[0]:.2f}", f"{used:.3f}", way.words())


def measure_release(stage, options, ghosts, wanted):
    """A burst to XMPP. One client listens: a crowd of them, in one Python, would be slower than the bridge."""
    pair = Pair(stage, matrix=ghosts, charter=CHARTER)
    try:
        pair.start()
        warm(pair, options)
        way = Way("Matrix to XMPP", pair)
        bursts = [way.burst(wanted.messages, options, 23 + n) for n in range(TIMES)]
        pair.bridge.stop()
        # Rooms of their own: the ghosts are still in the other one, and would get copies too.
        rooms = [f"raw{n}-{pair.muc}" for n in range(TIMES)]
        figures = []
        for room in rooms:
            stage.bob.create_room(room, "Bob")
            figures.append(raw("muc", stage.component, COMPONENT, SECRET, room, wanted.messages, WINDOW, ghosts, way.bytes))
        figure = sorted(figures)[TIMES // 2]
        rate, used = sorted(bursts)[TIMES // 2]
        burst_line(way, wanted.messages, rate, used, figure)
        line("      each", *(f"{ours[0]:.1f} / {theirs[0]:.1f}" for ours, theirs in zip(bursts, figures)))
        return rate >= RATIO * figure[0] and way.words() == "0 / 0 / 0"
    finally:
        pair.close()


def measure(stage, options, ghosts, wanted):
    """One pair of rooms: memory, a paced minute each way and a burst to Matrix, then the same servers without a bridge."""
    pair = Pair(stage, matrix=ghosts, natives=ghosts)
    good = True
    try:
        _, put, muc = raw_rates(pair, options)
        pair.start()
        pid = pair.bridge.process.pid
        time.sleep(3)
        idle = memory(pid)
        warm(pair, options)
        time.sleep(2)
        full = memory(pid)
        line(f"{ghosts} ghosts on each side", "RssAnon", "VmRSS")
        line("  idle, nobody has spoken (bar 6144 KiB)", *(f"{kib} KiB" for kib in idle))
        line("  everybody has spoken", *(f"{kib} KiB" for kib in full))
        line("    each ghost (bar 70 kB)", *(f"{(b - a) / ghosts / 2:.1f} KiB" for a, b in zip(idle, full)))
        ways = [Way("Matrix to XMPP", pair), Way("XMPP to Matrix", pair)]
        paces = [min(PACE, rate / 2) for rate in (put, min(put, muc))]
        paced = [way.paced(wanted.seconds, pace, options) for way, pace in zip(ways, paces)]
        rate, used = ways[1].burst(wanted.messages, options)
        verdicts = [way.words() for way in ways]
        after = memory(pid)
        pair.bridge.stop()
        figures = raw_figures(stage, pair, wanted.messages)
        line("  after all of it", *(f"{kib} KiB" for kib in after))
        line(f"  {wanted.seconds} s at half the raw rate", "messages/s", "p50", "p99", "own request", "CPU s/1,000", "lost/dup/order")
        for way, (pace, p50, p99, own_p50, spent), words in zip(ways, paced, verdicts):
            line(f"    {way.name}", f"{pace:.1f}", f"{p50:.1f} ms", f"{p99:.1f} ms", f"{own_p50:.1f} ms", f"{spent:.3f}", words)
        put_ms = 1000 / figures["put"][0]
        line("    a PUT by a ghost, raw, one after the other", f"{put_ms:.1f} ms")
        burst_line(ways[1], wanted.messages, rate, used, figures["put"])
        line("  raw, CPU seconds for 1,000", *(f"{name} {spent:.3f}" for name, (_, spent) in figures.items()))
        good = good and rate >= RATIO * figures["put"][0]
        good = good and all(words == "0 / 0 / 0" for words in verdicts)
        return good and idle[0] <= 6144 and (full[0] - idle[0]) / ghosts / 2 <= 70
    finally:
        pair.close()


def measure_kills(stage, options, kills=3):
    """kill -9 under load both ways: from the start of the next process to the first message on each side."""
    pair = Pair(stage, matrix=5, natives=5)
    try:
        pair.start()
        warm(pair, options)
        ways = [Way("Matrix to XMPP", pair), Way("XMPP to Matrix", pair)]
        loads = [way.say(rate=10) for way in ways]
        took = []
        for _ in range(kills):
            time.sleep(3)
            pair.bridge.kill()
            begun = time.monotonic()
            pair.bridge.launch()
            firsts = []
            for way in ways:
                end = begun + 30
                while not (later := [at for at in way.seen().values() if at > begun]) and time.monotonic() < end:
                    time.sleep(0.01)
                firsts.append(min(later) - begun if later else float("inf"))
            took.append(firsts)
        for load in loads:
            load.stop()
        for way in ways:
            way.wait(options)
        line("kill -9 under load, until it delivers again", *(f"{out:.2f} / {back:.2f} s" for out, back in took), "(bar 1 s)")
        line("    lost/dup/order", *(way.words() for way in ways))
        return all(first < 1 for firsts in took for first in firsts) and all(way.words() == "0 / 0 / 0" for way in ways)
    finally:
        pair.close()


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=2000, help="of a burst")
    parser.add_argument("--seconds", type=int, default=60, help="of a paced load")
    parser.add_argument("--ghosts", type=int, nargs="*", default=[5, 20, 100], help="0: only the kills")
    wanted = parser.parse_args()
    options = Options(raw=200)
    stage = Stage(os.environ["SOURDINE"])
    good = True
    try:
        stage.open()
        good = measure_kills(stage, options)
        for ghosts in filter(None, wanted.ghosts):
            good = measure(stage, options, ghosts, wanted) and good
            good = measure_release(stage, options, ghosts, wanted) and good
    finally:
        stage.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
