# SPDX-License-Identifier: Apache-2.0
"""What a fault row is. Each runs alone, with rooms, a daemon and a ledger of its own, and gives one Result.

A row is right when every message that its sender's server acknowledged is in the other room's timeline
once, whole and in order, as an ordinary account reads it; when nothing came back into the room that it
was written in; when the daemon, where it was not killed, ended with exit status 0 and without a word
from a sanitizer; and when its own ledger adds up.
"""

import random
import signal
import time
from dataclasses import dataclass, field

from ledger import Figures, Ledger
from load import settled

PATIENCE = 40  # seconds without anything new, after which the rest counts as lost
SHOWN = 20  # numbers in a line
LINGER = 2.0  # watched after the last message, for repetitions


@dataclass
class Options:
    messages: int = 2000
    kills: int = 20
    raw: int = 200  # messages of a raw sender
    seed: int = 1
    patience: float = PATIENCE
    short: bool = False
    times: int = 0  # of --times
    dice: random.Random = field(default_factory=random.Random)

    def many(self, short, long):
        """How often something is done: in the short form, in the long one, or as --times says."""
        return self.times or (short if self.short else long)


@dataclass
class Result:
    name: str = ""
    figures: Figures = field(default_factory=Figures)
    kills: int = 0
    caught: list = field(default_factory=list)  # rows in flight at each kill
    echoes: int = 0
    early: int = 0
    exit: str = "0"
    notes: list = field(default_factory=list)
    wrong: list = field(default_factory=list)  # what else must not have happened: the row fails
    memory: list = field(default_factory=list)  # RssAnon of the daemon in kB: at its first readiness, and before its end
    fds: list = field(default_factory=list)
    ledger: str = ""  # what the daemon says of its own ledger
    story: str = ""
    must_catch: bool = False  # at least half of the kills must find rows in flight
    undecryptable: int = 0  # of an encrypted row: messages that a client could not read at some moment
    reused: int = 0  # message indices and one-time keys that were used twice
    bound: int = 0  # so many repetitions are documented (delivery 1.1, clause 3)
    seconds: float = 0.0
    commit: str = ""

    def catching(self):
        return sum(1 for rows in self.caught if rows)

    def clean(self):
        f = self.figures
        return f.clean() or not (f.lost or f.reordered or f.altered or f.unsent or f.duplicated > self.bound)

    def good(self):
        blind = self.must_catch and 2 * self.catching() < self.kills
        return self.clean() and not (self.echoes or self.early or self.undecryptable or self.reused or self.wrong or blind) and self.exit == "0"

    def red(self):
        """What a broken daemon must show: a loss, a repetition, an inversion, an index used twice."""
        return bool(self.figures.lost or self.figures.duplicated or self.figures.reordered or self.reused)

    def require(self, good, what):
        if not good:
            self.wrong.append(what)

    def __str__(self):
        f = self.figures
        words = [
            f"{'ok' if self.good() else 'FAILED':6} {self.name:18} sent {f.sent} delivered {f.delivered}",
            f"lost {f.lost} duplicated {f.duplicated} reordered {f.reordered}",
        ]
        for count, word in ((f.late, "late, and marked so,"), (f.altered, "altered"), (f.unsent, "unsent"), (self.echoes, "echoed"), (self.early, "early"), (self.undecryptable, "undecryptable"), (self.reused, "reused")):
            if count:
                words.append(f"{word} {count}")
        if self.kills:
            words.append(f"in flight at {self.kills} kills: {summary(self.caught)} ({self.catching()} caught some)")
        if self.memory:
            words.append(f"RssAnon {self.memory[0]} -> {self.memory[-1]} kB, fds {self.fds[0]} -> {self.fds[-1]}")
        if self.ledger:
            words.append(f"ledger {self.ledger}")
        words.append(f"exit {self.exit}")
        words += self.notes
        words += [f"WRONG: {what}" for what in self.wrong[:4]]
        words += [f"{self.seconds:.0f} s", f"commit {self.commit[:12]}{self.commit[40:]}"]
        return "; ".join(words) + ("" if f.clean() else f"\n       {', '.join(f.examples)}")


def summary(numbers):
    """All of them, or of many only the span."""
    return " ".join(map(str, numbers)) if len(numbers) <= SHOWN else f"{min(numbers)} to {max(numbers)}"


def finish(result, pair, options, outward=None, inward=None):
    """Wait for both directions, judge them, stop the daemon. `outward` and `inward` read what arrived (default: live)."""
    readers = ((pair.outward, outward or pair.seen_xmpp), (pair.inward, inward or pair.seen_matrix))
    whole = all([settled(ledger, read, options.patience) for ledger, read in readers if ledger.messages])
    if whole:
        time.sleep(LINGER)
    for ledger, read in readers:
        if ledger.messages:
            bodies = read()
            result.figures.add(ledger.verdict(bodies, stamped=pair.stamped() if ledger is pair.outward and not pair.holds else ()))
            result.story += ledger.story(bodies)
    result.echoes += pair.echoes()
    result.story += pair.raw_story()
    end(result, pair)
    return result


def end(result, pair):
    """Stop the daemon, and what it leaves: memory, descriptors, its ledger, its exit status."""
    vitals = [pair.vitals_at_start, pair.vitals()]
    if all(vitals):
        result.memory, result.fds = [v[0] for v in vitals], [v[1] for v in vitals]
    status = pair.bridge.stop()
    wrong = pair.bridge.faults()
    result.exit = str(status) if not wrong else f"{status} and {wrong.splitlines()[0]}"
    good, result.ledger = pair.ledger_check()
    result.require(good, f"the daemon's ledger: {result.ledger}")


def raw_rates(pair, options, lanes=True):
    """What both servers give raw senders in these rooms, without a bridge: messages a second.

    (Matrix from eight senders at once, Matrix from one at a time, XMPP). The messages stay out of the ledgers.
    """
    kept = pair.outward, pair.inward
    pair.outward, pair.inward = Ledger("rawm"), Ledger("rawx")
    try:
        rates = [0.0, 0.0, 0.0]
        if pair.matrix_count:
            rates[0] = pair.say_matrix(options.raw).wait().speed()
            if lanes:
                rates[1] = pair.say_matrix(max(options.raw // 2, 20), window=1).wait().speed()
        if pair.natives.people:
            rates[2] = pair.say_xmpp(options.raw).wait().speed()
        return rates
    finally:
        pair.outward, pair.inward = kept


def settle(pair, options):
    """Wait for what was said so far, each way; true when all of it came."""
    return settled(pair.outward, pair.seen_xmpp, options.patience) & settled(pair.inward, pair.seen_matrix, options.patience)


def warm(pair, options):
    """Every speaker says one thing, so that all ghosts are there; then both directions are waited for."""
    if pair.matrix_count:
        pair.say_matrix(pair.matrix_count, rate=20).wait()
    if pair.natives.people:
        pair.say_xmpp(len(pair.natives.people), rate=20).wait()
    settle(pair, options)


def strike(pair, options, result, aimed):
    """One kill -9, counted with the rows that it found in flight."""
    rows = pair.strike(options.dice, aimed)
    result.kills += 1
    result.caught.append(rows)


def terminate(pair, options, result, times):
    """SIGTERM at random instants while loads run, at every fourth also before the daemon is ready: status 0, and soon."""
    took = []
    for number in range(times):
        time.sleep(options.dice.uniform(0.0, 1.0))
        result.caught.append(pair.flying())
        result.kills += 1
        began = time.monotonic()
        status = pair.bridge.stop()
        took.append(time.monotonic() - began)
        unborn = status == -signal.SIGTERM and not pair.bridge.process.said()  # not even our program yet
        result.require(status == 0 or unborn, f"exit {status} at {number}: {pair.bridge.process.said()[-600:]}")
        pair.bridge.launch()
        if number % 4 != 3:
            pair.bridge.wait_ready()
    pair.bridge.wait_ready()
    result.notes.append(f"SIGTERM to exit: {max(took):.2f} s at most")
    result.require(max(took) <= 5, f"{max(took):.1f} s to stop")
