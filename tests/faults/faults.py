# SPDX-License-Identifier: Apache-2.0
"""The fault runner: real servers, ordinary accounts, and a daemon that is killed. One line a row.

Exit status: 0 every row was right (with --break: every matching row turned red); 1 not; 2 usage.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import rows as catalogue  # noqa: E402
import test_ledger  # noqa: E402
from row import Options, Result, raw_rates  # noqa: E402
from stage import BareStage, FakeStage, Pair, Stage  # noqa: E402

BREAKS = {
    "ack-first": "answers the homeserver before anything is committed",
    "blind-resend": "sends again after a crash without asking the archive",
    "no-archive": "does not fill gaps from the archives",
    "encrypt-again": "encrypts anew what it sends again after a crash, and names it by that",
    "index-again": "does not save how far a room's key was used",
}
SHORT = {"messages": 120, "kills": 4, "raw": 60}


def arguments():
    parser = argparse.ArgumentParser(prog="faults/run", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="few messages and kills, for tests/run (under four minutes)")
    parser.add_argument("--only", action="append", metavar="NAME", help="this row (may be given again; a leading part of names will do)")
    parser.add_argument("--break", dest="broken", choices=BREAKS, help="run the matching rows with a daemon broken on purpose; they must turn red")
    parser.add_argument("--resume", action="store_true", help="skip rows that were right before, with this commit and these numbers")
    parser.add_argument("--kills", type=int, help="kills in a row of kills (20)")
    parser.add_argument("--messages", type=int, help="messages in a steady row (2000)")
    parser.add_argument("--times", type=int, help="how often each row does what it does, in place of its own number")
    parser.add_argument("--seed", type=int, help="of the random instants; printed")
    parser.add_argument("--raw", action="store_true", help="only measure what the servers give raw senders; needs no daemon")
    parser.add_argument("--keep", action="store_true", help="keep the folder of servers and daemons")
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    return parser.parse_args()


def options_of(wanted):
    options = Options(**(SHORT if wanted.short else {}), short=wanted.short, times=wanted.times or 0)
    if wanted.kills is not None:
        options.kills = wanted.kills
    if wanted.messages is not None:
        options.messages = wanted.messages
        options.raw = min(options.raw, max(40, wanted.messages // 2))
    options.seed = wanted.seed if wanted.seed is not None else random.randrange(1 << 30)
    if wanted.short or wanted.broken:
        options.patience = 25
    if wanted.broken and not wanted.times:
        options.times = 8
    return options


def names_of(wanted):
    names = [
        name
        for name, row in catalogue.ROWS.items()
        if (wanted.broken in row.breaks if wanted.broken else row.short or not wanted.short or wanted.only)
    ]
    if wanted.only:
        names = [name for name in names if any(name.startswith(only) for only in wanted.only)]
    return names


def commit():
    """The commit that is tested, with a + when the tree has changes."""

    def git(*words):
        done = subprocess.run(["git", "-C", HERE, *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "HEAD")
    return (head + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")) if head else "unknown"


class Memory:
    """Figures of finished rows beside the binary, a JSON object a line."""

    def __init__(self, sourdine, options, head):
        self.path = Path(os.environ.get("FAULT_FIGURES") or Path(sourdine).resolve().parent / "faults.jsonl")
        self.key = {"commit": head, "messages": options.messages, "kills": options.kills, "times": options.times}
        self.seed = options.seed

    def done(self, name):
        if not self.path.exists() or self.key["commit"] == "unknown":
            return None
        found = None
        for line in self.path.read_text().splitlines():
            entry = json.loads(line)
            if entry["name"] == name and entry["good"] and all(entry.get(key) == value for key, value in self.key.items()):
                found = entry
        return found

    def keep(self, result, line):
        entry = {**self.key, "seed": self.seed, "good": result.good(), "line": line, **asdict(result), "story": None}
        with open(self.path, "a") as file:
            file.write(json.dumps(entry) + "\n")


def run_row(stage, name, options):
    begun = time.monotonic()
    options.dice = random.Random(f"{options.seed}/{name}")
    try:
        result = catalogue.ROWS[name].run(stage, options)
    except Exception as error:
        result = Result(name, exit=f"none: {type(error).__name__}: {str(error)[-1500:]}")
        traceback.print_exc(limit=-4)
    result.name = name
    result.seconds = time.monotonic() - begun
    return result


def keep_logs(stage, memory, result):
    """Of a row that went wrong: the daemon's log, and what was seen when, beside the figures."""
    base = memory.path.parent / f"fault-{result.name}-{memory.seed}"
    base.with_suffix(".seen").write_text(result.story)
    for log in stage.logs:
        if log.exists():
            kept = base.with_suffix(".log")
            shutil.copyfile(log, kept)
            print(f"       see {kept} and .seen", flush=True)


def judge(wanted, options, memory, stage, name):
    stage.logs.clear()
    result = run_row(stage, name, options)
    result.commit = memory.key["commit"]
    line = str(result)
    if wanted.broken:
        line = f"{'red' if result.red() else 'BLIND':6} {line[7:]}"
    print(line, flush=True)
    if not result.good() and not wanted.broken:
        keep_logs(stage, memory, result)
    if wanted.broken:
        return result.red()
    memory.keep(result, line)
    return result.good()


def run_rows(wanted, options, memory, names):
    """A row runs alone, with servers of its own; in the short form they share them while all goes well."""
    right, stage = [], None
    try:
        for name in names:
            before = memory.done(name) if wanted.resume and not wanted.broken else None
            if before:
                print(f"{before['line']} [before]", flush=True)
                right.append(True)
                continue
            row = catalogue.ROWS[name]
            kind = BareStage if row.alone else FakeStage if row.fake else Stage
            if stage and type(stage) is not kind:
                stage.close()
                stage = None
            if not stage:
                stage = kind(os.environ["SOURDINE"], wanted.keep).open()
            right.append(judge(wanted, options, memory, stage, name))
            if not (wanted.short and right[-1]):
                stage.close()
                stage = None
    finally:
        if stage:
            stage.close()
    return right


def raw(wanted, options):
    stage = Stage(None, wanted.keep)
    try:
        stage.open()
        for count in (5, 20, 100) if not wanted.short else (5,):
            pair = Pair(stage, matrix=count, natives=count)
            try:
                many, lane, muc = raw_rates(pair, options)
                print(f"raw: {count} members: Matrix {many:.1f}/s, in one lane {lane:.1f}/s; MUC {muc:.1f}/s", flush=True)
            finally:
                pair.close()
    finally:
        stage.close()
    return 0


def main():
    wanted = arguments()
    if wanted.list:
        for name, row in sorted(catalogue.ROWS.items(), key=lambda item: item[1].number):
            print(f"{row.number or '-':>3} {name:18}{' short' if row.short else ''}{''.join(f' red with {mode}' for mode in row.breaks)}")
        return 0
    options = options_of(wanted)
    print(f"ledger: {test_ledger.main()} tests passed: planted losses, repetitions, inversions and changes are seen", flush=True)
    if wanted.raw:
        return raw(wanted, options)
    names = names_of(wanted)
    if not names:
        print("faults/run: no such row", file=sys.stderr)
        return 2
    head = commit()
    memory = Memory(os.environ["SOURDINE"], options, head)
    print(f"commit {head[:12]}{head[40:]}, seed {options.seed}, {options.messages} messages, {options.kills} kills", flush=True)
    if wanted.broken:
        os.environ["SOURDINE_BREAK"] = wanted.broken
        print(f"broken on purpose: {wanted.broken} ({BREAKS[wanted.broken]})", flush=True)
    right = run_rows(wanted, options, memory, names)
    passed, failed = sum(right), len(right) - sum(right)
    print(f"{passed} passed, {failed} failed, 0 skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
