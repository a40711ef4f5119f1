# SPDX-License-Identifier: Apache-2.0
"""Memory, processor time and speed of the daemon, in one run with what the servers give a raw program.

Ratios and counts compare; absolute times are this machine's. CPU is the daemon's own, user and system,
from /proc. A burst to XMPP is a backlog: the daemon stands still (SIGSTOP) while it is said, since the
homeserver is slower than either side. The raw program is raw.c.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
if "--fake" in sys.argv:
    import fake

    sys.exit(fake.main(sys.argv[1:]))
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent / "e2e")]

from load import settled  # noqa: E402
from row import Options, raw_rates, warm  # noqa: E402
from stage import Pair, Stage  # noqa: E402
from world import COMPONENT, SECRET, own, unprivileged  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
WINDOW = 16


def memory(pid):
    """(RssAnon, VmRSS) in KiB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) for name in ("RssAnon", "VmRSS"))


def cpu(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICK


def line(*cells):
    print(f"{cells[0]:44}" + "".join(f"{cell:>16}" for cell in cells[1:]), flush=True)


def wait_for_all(pair, options):
    assert settled(pair.outward, pair.seen_xmpp, options.patience), "messages to XMPP are missing"
    assert settled(pair.inward, pair.seen_matrix, options.patience), "messages to Matrix are missing"


def check(pair):
    for ledger, bodies in ((pair.outward, pair.seen_xmpp()), (pair.inward, pair.seen_matrix())):
        figures = ledger.verdict(bodies)
        assert figures.clean(), f"not a bench of something that works: {figures}"


def measure_memory(stage, options, ghosts):
    pair = Pair(stage, matrix=ghosts, natives=ghosts)
    try:
        pair.start()
        pid = pair.bridge.process.pid
        time.sleep(3)
        line("memory", "RssAnon", "VmRSS")
        idle = memory(pid)
        line("  idle, one group", *(f"{kib} KiB" for kib in idle))
        pair.say_matrix(ghosts, rate=15).wait()
        wait_for_all(pair, options)
        time.sleep(2)
        first = memory(pid)
        line(f"  {ghosts} ghosts in the MUC", *(f"{kib} KiB" for kib in first))
        line("    each", *(f"{(b - a) / ghosts:.1f} KiB" for a, b in zip(idle, first)))
        pair.say_xmpp(ghosts, rate=10).wait()
        wait_for_all(pair, options)
        time.sleep(2)
        second = memory(pid)
        line(f"  {ghosts} ghosts on Matrix too", *(f"{kib} KiB" for kib in second))
        line("    each", *(f"{(b - a) / ghosts:.1f} KiB" for a, b in zip(first, second)))
        check(pair)
    finally:
        pair.close()


def measured(pair, options, say, read, ledger):
    """Say something, wait until it is read; the daemon's CPU seconds for it."""
    pid = pair.bridge.process.pid
    before = cpu(pid)
    say()
    assert settled(ledger, read, options.patience), "messages are missing"
    time.sleep(1)
    return cpu(pid) - before


def measure_speed(stage, options, ghosts, count):
    """One pair of rooms: paced for CPU, then bursts, then the same servers without a bridge."""
    pair = Pair(stage, matrix=ghosts, natives=ghosts)
    figures = {}
    try:
        many, lane, muc = raw_rates(pair, options)
        pair.start()
        warm(pair, options)
        per_thousand = 1000 / count
        figures["cpu out"] = per_thousand * measured(pair, options, lambda: pair.say_matrix(count, rate=many / 2).wait(), pair.seen_xmpp, pair.outward)
        figures["cpu in"] = per_thousand * measured(pair, options, lambda: pair.say_xmpp(count, rate=lane / 2).wait(), pair.seen_matrix, pair.inward)
        figures["rate out"], figures["burst cpu out"] = burst_out(pair, options, count)
        figures["rate in"], figures["burst cpu in"] = burst_in(pair, options, count)
        check(pair)
        pair.bridge.stop()
        figures["paced"] = many / 2, lane / 2
        figures.update(raw_figures(stage, pair, ghosts, count))
    finally:
        pair.close()
    return figures


def burst_out(pair, options, count):
    pid = pair.bridge.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        pair.say_matrix(count).wait()
        before = cpu(pid)
    finally:
        os.kill(pid, signal.SIGCONT)
    begun = time.monotonic()
    assert settled(pair.outward, pair.seen_xmpp, options.patience), "messages to XMPP are missing"
    ended = max(said.seen for said in pair.stage.bob.timeline(pair.muc) if pair.outward.keys_in(said.body))
    time.sleep(1)
    return count / (ended - begun), (cpu(pid) - before) * 1000 / count


def burst_in(pair, options, count):
    pid = pair.bridge.process.pid
    before, begun = cpu(pid), time.monotonic()
    pair.say_xmpp(count).wait()
    assert settled(pair.inward, pair.seen_matrix, options.patience), "messages to Matrix are missing"
    ended = max(pair.watcher.times)
    time.sleep(1)
    return count / (ended - begun), (cpu(pid) - before) * 1000 / count


def raw(*words):
    """One run of raw.c: (messages a second, CPU seconds for 1,000)."""
    done = subprocess.run(unprivileged() + [os.environ["RAW"], *map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    count, wall, used = map(float, done.stdout.split())
    return count / wall, used * 1000 / count


def raw_figures(stage, pair, ghosts, count):
    folder = own(tempfile.mkdtemp(dir=stage.folder))
    event = stage.write(folder / "event.json", json.dumps(pair.watcher.events[-1]))
    size = event.stat().st_size
    found = {"parse": raw("parse", count, event)}
    for batch in (1, 100):
        found[f"commit {batch}"] = raw("commit", folder, count, batch, size)
        for leftover in folder.glob("raw.db*"):
            leftover.unlink()
    found["put"] = raw("put", f"http://127.0.0.1:{stage.http}", stage.reader.token, pair.room, count)
    found["muc"] = raw("muc", stage.component, COMPONENT, SECRET, pair.muc, count, WINDOW, ghosts)
    return found


def table(figures, ghosts, count):
    line(f"{count} messages, {ghosts} ghosts", "messages/s", "CPU s per 1,000")
    out, back = figures["paced"]
    line("  Matrix to XMPP, paced", f"{out:.1f}", f"{figures['cpu out']:.3f}")
    line("  XMPP to Matrix, paced", f"{back:.1f}", f"{figures['cpu in']:.3f}")
    line("  Matrix to XMPP, backlog", f"{figures['rate out']:.1f}", f"{figures['burst cpu out']:.3f}")
    line("  XMPP to Matrix, burst", f"{figures['rate in']:.1f}", f"{figures['burst cpu in']:.3f}")
    line("raw, the same servers and the same minute")
    for name, words in (
        ("muc", f"  MUC, {ghosts} occupants, {WINDOW} unconfirmed"),
        ("put", "  PUT to the homeserver, one lane"),
        ("parse", "  an event parsed (jansson)"),
        ("commit 1", "  a row committed (SQLite, FULL), one by one"),
        ("commit 100", "  a row committed, by hundreds"),
    ):
        rate, used = figures[name]
        line(words, f"{rate:.1f}", f"{used:.3f}")
    line("ratios, of the raw rate")
    line("  Matrix to XMPP, backlog / raw MUC", f"{figures['rate out'] / figures['muc'][0]:.2f}")
    line("  XMPP to Matrix, burst / raw PUT", f"{figures['rate in'] / figures['put'][0]:.2f}")


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--ghosts", type=int, default=20, help="of the speed rows")
    parser.add_argument("--crowd", type=int, default=100, help="ghosts of the memory rows, at most 100")
    wanted = parser.parse_args()
    options = Options(raw=200)
    stage = Stage(os.environ["SOURDINE"])
    try:
        stage.open()
        measure_memory(stage, options, wanted.crowd)
        table(measure_speed(stage, options, wanted.ghosts, wanted.messages), wanted.ghosts, wanted.messages)
    finally:
        stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
