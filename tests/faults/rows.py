# SPDX-License-Identifier: Apache-2.0
"""The fault rows. Each runs alone, with rooms, a daemon and a ledger of its own, and gives one Result.

A row is right when every message that its sender's server acknowledged is in the other room's timeline
once, whole and in order, as an ordinary account reads it; when nothing came back into the room that it
was written in; and when the daemon, where it was not killed, ended with exit status 0 and without a word
from a sanitizer.
"""

import random
import time
from dataclasses import dataclass, field

from clients import until
from ledger import Figures, Ledger
from load import settled
from stage import Pair
from world import BOT, BOT_NICK

PATIENCE = 40  # seconds without anything new, after which the rest counts as lost
LINGER = 2.0  # watched after the last message, for repetitions
CHARTER = "tz Europe/Paris\nhours mon-fri 08:30-18:30\ntime 10 ferme when closed then hold until opening notice held"
FRIDAY_EVENING, MONDAY = "2026-11-27 19:04:00", "2026-11-30"


@dataclass
class Options:
    messages: int = 2000
    kills: int = 20
    raw: int = 200  # messages of a raw sender
    seed: int = 1
    patience: float = PATIENCE
    dice: random.Random = field(default_factory=random.Random)


@dataclass
class Result:
    name: str
    figures: Figures = field(default_factory=Figures)
    kills: int = 0
    caught: list = field(default_factory=list)  # rows in flight at each kill
    echoes: int = 0
    early: int = 0
    exit: str = "0"
    notes: list = field(default_factory=list)
    story: str = ""
    must_catch: bool = False  # at least half of the kills must find rows in flight
    seconds: float = 0.0

    def catching(self):
        return sum(1 for rows in self.caught if rows)

    def good(self):
        blind = self.must_catch and 2 * self.catching() < self.kills
        return self.figures.clean() and not self.echoes and not self.early and self.exit == "0" and not blind

    def red(self):
        """What a broken daemon must show: a loss, a repetition, an inversion."""
        return bool(self.figures.lost or self.figures.duplicated or self.figures.reordered)

    def __str__(self):
        f = self.figures
        words = [
            f"{'ok' if self.good() else 'FAILED':6} {self.name:18} sent {f.sent} delivered {f.delivered}",
            f"lost {f.lost} duplicated {f.duplicated} reordered {f.reordered}",
        ]
        for count, word in ((f.altered, "altered"), (f.unsent, "unsent"), (self.echoes, "echoed"), (self.early, "early")):
            if count:
                words.append(f"{word} {count}")
        if self.kills:
            words.append(f"in flight at {self.kills} kills: {' '.join(map(str, self.caught))} ({self.catching()} caught some)")
        words.append(f"exit {self.exit}")
        words += self.notes
        words.append(f"{self.seconds:.0f} s")
        return "; ".join(words) + ("" if f.clean() else f"\n       {', '.join(f.examples)}")


def finish(result, pair, options, outward=None, inward=None):
    """Wait for both directions, judge them, stop the daemon. `outward` and `inward` read what arrived (default: live)."""
    readers = ((pair.outward, outward or pair.seen_xmpp), (pair.inward, inward or pair.seen_matrix))
    whole = all([settled(ledger, read, options.patience) for ledger, read in readers if ledger.messages])
    if whole:
        time.sleep(LINGER)
    for ledger, read in readers:
        if ledger.messages:
            bodies = read()
            result.figures.add(ledger.verdict(bodies))
            result.story += ledger.story(bodies)
    result.echoes = pair.echoes()
    status = pair.bridge.stop()
    wrong = pair.bridge.faults()
    result.exit = str(status) if not wrong else f"{status} and {wrong.splitlines()[0]}"
    return result


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


def warm(pair, options):
    """Every speaker says one thing, so that all ghosts are there; then both directions are waited for."""
    if pair.matrix_count:
        pair.say_matrix(pair.matrix_count, rate=20).wait()
    if pair.natives.people:
        pair.say_xmpp(len(pair.natives.people), rate=20).wait()
    settled(pair.outward, pair.seen_xmpp, options.patience)
    settled(pair.inward, pair.seen_matrix, options.patience)


# -- no fault at all


def steady_out(stage, options, ghosts):
    """Matrix to XMPP at half of what eight raw senders get from this homeserver in this room."""
    pair = Pair(stage, matrix=ghosts)
    result = Result("")
    try:
        raw = raw_rates(pair, options, lanes=False)[0]
        pair.start()
        load = pair.say_matrix(options.messages, rate=raw / 2).wait()
        result.notes.append(f"raw {raw:.1f}/s, paced {raw / 2:.1f}/s, sent {load.speed():.1f}/s")
        return finish(result, pair, options)
    finally:
        pair.close()


def steady_in(stage, options, ghosts):
    """XMPP to Matrix at half of what one raw lane gets from this homeserver in a room of as many members."""
    pair = Pair(stage, matrix=ghosts, natives=ghosts)
    result = Result("")
    try:
        _, lane, muc = raw_rates(pair, options)
        pair.start()
        load = pair.say_xmpp(options.messages, rate=lane / 2).wait()
        result.notes.append(f"raw lane {lane:.1f}/s, raw MUC {muc:.0f}/s, paced {lane / 2:.1f}/s, sent {load.speed():.1f}/s")
        return finish(result, pair, options)
    finally:
        pair.close()


# -- the daemon is killed


def killing(pair, options, result, load):
    """kill -9 at random instants while `load` runs; two of three wait until something is in flight."""
    dice = options.dice
    result.must_catch = True
    for number in range(options.kills):
        starting = number % 4 == 3  # now and then also before the daemon is ready
        if not starting:
            pair.bridge.wait_ready()
        time.sleep(dice.uniform(0.2, 1.5))
        if not load.running():
            break
        rows = pair.strike(dice, aimed=number % 3 != 2 and not starting)
        result.kills += 1
        result.caught.append(rows)
        time.sleep(dice.uniform(0.0, 0.6))
        pair.bridge.launch()
    pair.bridge.wait_ready()


def kill_out(stage, options):
    pair = Pair(stage, matrix=20)
    result = Result("")
    try:
        raw = raw_rates(pair, options, lanes=False)[0]
        pair.start()
        load = pair.say_matrix(rate=raw / 2)
        killing(pair, options, result, load)
        load.stop()
        result.notes.append(f"paced {raw / 2:.1f}/s")
        return finish(result, pair, options)
    finally:
        pair.close()


def kill_in(stage, options):
    pair = Pair(stage, matrix=20, natives=20)
    result = Result("")
    try:
        lane = raw_rates(pair, options)[1]
        pair.start()
        load = pair.say_xmpp(rate=lane / 2)
        killing(pair, options, result, load)
        load.stop()
        result.notes.append(f"paced {lane / 2:.1f}/s")
        return finish(result, pair, options)
    finally:
        pair.close()


def away(stage, options):
    """The daemon is killed; 100 messages are said on each side; it comes back."""
    pair = Pair(stage, matrix=20, natives=20)
    result = Result("")
    try:
        pair.start()
        warm(pair, options)
        result.kills = 1
        result.caught.append(pair.strike(options.dice, aimed=False))
        count = min(100, options.messages)
        outward, inward = pair.say_matrix(count), pair.say_xmpp(count)
        outward.wait(), inward.wait()
        pair.start()
        pair.say_matrix(20, rate=10).wait()
        pair.say_xmpp(20, rate=10).wait()
        result.notes.append(f"{count} said on each side meanwhile")
        return finish(result, pair, options)
    finally:
        pair.close()


# -- a server is killed


def prosody_away(stage, options):
    """Prosody is killed under load and stays away for 10 s, while 200 messages are said on Matrix."""
    pair = Pair(stage, matrix=20, natives=20)
    result = Result("")
    try:
        pair.start()
        warm(pair, options)
        burst = pair.say_matrix(40)
        time.sleep(options.dice.uniform(0.1, 0.6))
        stage.prosody.kill()
        gone = time.monotonic()
        burst.wait()
        pair.say_matrix(min(200, options.messages)).wait()
        time.sleep(max(0.0, gone + 10 - time.monotonic()))
        result.notes.append(f"away {time.monotonic() - gone:.1f} s, {min(200, options.messages)} said meanwhile")
        stage.prosody.start()
        stage.bob.connect()
        stage.bob.rejoin()
        pair.natives.enter()
        until(pair.joined, 90, "the bot in the MUC again")
        pair.say_matrix(60, rate=20).wait()
        pair.say_xmpp(60, rate=10).wait()
        return finish(result, pair, options, outward=pair.archive_xmpp)
    finally:
        pair.close()


def synapse_away(stage, options, how):
    """Synapse is stopped right behind a burst and stays away for 10 s, while 200 messages are said in the MUC."""
    pair = Pair(stage, matrix=20, natives=20)
    result = Result("")
    try:
        pair.start()
        warm(pair, options)
        busy = pair.say_xmpp(20)
        pair.say_matrix(60).wait()
        getattr(stage.synapse, how)()
        gone = time.monotonic()
        busy.wait()
        pair.say_xmpp(min(200, options.messages)).wait()
        time.sleep(max(0.0, gone + 10 - time.monotonic()))
        result.notes.append(f"away {time.monotonic() - gone:.1f} s, {min(200, options.messages)} said meanwhile")
        stage.synapse.start()
        pair.say_matrix(60, rate=10).wait()
        pair.say_xmpp(60, rate=10).wait()
        return finish(result, pair, options, inward=pair.archive_matrix)
    finally:
        pair.close()


# -- what waits for its hour


def held(stage, options):
    """Messages held over a week-end; kill -9 before, in and after the instant at which they are due.

    The clock stands on Friday evening, comes close to Monday 8:30, and runs over it. Each message must
    arrive once, whole, and not before the clock passed 8:30.
    """
    pair = Pair(stage, matrix=5, natives=5, charter=CHARTER, clock=FRIDAY_EVENING)
    result = Result("")
    count = min(40, options.messages)
    try:
        pair.start()
        pair.say_matrix(count, rate=20).wait()
        pair.say_xmpp(count, rate=20).wait()
        until(lambda: pair.waiting() >= 2 * count, 60, "all of them being held")
        strikes(pair, options, result, [0.0])  # before: held rows, hours to go
        pair.bridge.set_clock(f"{MONDAY} 08:29:40")
        pair.bridge.launch()
        pair.bridge.wait_ready()
        # Near: the last seconds are counted from here.
        pair.bridge.set_clock(f"{MONDAY} 08:29:57")
        near = time.monotonic()
        time.sleep(2.0)
        early = len(arrived(pair))
        due = near + 3.0
        # In: the first at the very instant, the others while rows are going out.
        time.sleep(max(0.0, due - time.monotonic() - 0.05))
        for number in range(max(2, options.kills // 4)):
            strikes(pair, options, result, [options.dice.uniform(0.0, 0.3)], aimed=number > 0)
            resume(pair, due)
        settled(pair.outward, pair.seen_xmpp, options.patience)
        settled(pair.inward, pair.seen_matrix, options.patience)
        result.early = early + before(pair, due)
        # After.
        strikes(pair, options, result, [0.5])
        resume(pair, due)
        result.notes.append(f"{count} held each way, {result.kills} kills around the due instant")
        return finish(result, pair, options)
    finally:
        pair.close()


def strikes(pair, options, result, delays, aimed=False):
    for delay in delays:
        time.sleep(delay)
        rows = pair.strike(options.dice, aimed)
        result.kills += 1
        result.caught.append(rows)


def resume(pair, due, hour=8):
    """Start the daemon again with the test clock where it would be had it run on."""
    passed = time.monotonic() - due
    seconds = 30 * 60 + passed
    pair.bridge.set_clock(f"{MONDAY} {hour:02d}:{int(seconds // 60):02d}:{int(seconds % 60):02d}")
    pair.bridge.launch()
    pair.bridge.wait_ready()


def arrived(pair):
    """The marked messages that came through, either way."""
    return [b for b in pair.seen_xmpp() if pair.outward.keys_in(b)] + [b for b in pair.seen_matrix() if pair.inward.keys_in(b)]


def before(pair, due):
    """How many arrived before their instant."""
    early = sum(1 for said in pair.stage.bob.timeline(pair.muc) if pair.outward.keys_in(said.body) and said.seen < due - 0.2)
    watcher = pair.watcher
    for event, seen in zip(list(watcher.events), list(watcher.times)):
        body = event["content"].get("body", "")
        early += bool(event["sender"] not in pair.own_users and pair.inward.keys_in(body) and seen < due - 0.2)
    return early


DIGESTS = "tz Europe/Paris\nhours mon-fri 08:30-18:30\ndigest at 17:30 mon-fri"


def digests(stage, options):
    """Two members, one on each network, take the digest of 17:30; kill -9 before, in and after that instant.

    Each gets one private message, and every message of the day is in it once.
    """
    pair = Pair(stage, matrix=3, natives=3, charter=DIGESTS, clock=f"{MONDAY} 16:00:00")
    result = Result("")
    alice = stage.matrix("alice")
    try:
        alice.join(pair.room)
        pair.own_users.add(alice.user_id)
        pair.start()
        for told, ask in ((lambda: bot_words_matrix(alice, pair), lambda: alice.send(pair.room, "!sd mode digest")),
                          (lambda: bot_words_xmpp(pair), lambda: stage.bob.send(pair.muc, "!sd mode digest"))):
            before_asking = len(told())
            ask()
            until(lambda: len(told()) > before_asking, 30, "the answer to !sd mode digest")
        pair.say_matrix(9, rate=20).wait()
        pair.say_xmpp(9, rate=20).wait()
        settled(pair.outward, pair.seen_xmpp, options.patience)
        settled(pair.inward, pair.seen_matrix, options.patience)
        # Whatever was private before: answers to the command.
        old = {id(said) for said in privates(alice, pair)}

        def fresh(which):
            return [said for said in privates(alice, pair) if id(said) not in old and (said.room.startswith("!") == (which == "matrix"))
                    and (pair.outward.keys_in(said.body) or pair.inward.keys_in(said.body))]

        strikes(pair, options, result, [0.0])
        pair.bridge.set_clock(f"{MONDAY} 17:29:40")
        pair.bridge.launch()
        pair.bridge.wait_ready()
        pair.bridge.set_clock(f"{MONDAY} 17:29:57")
        due = time.monotonic() + 3.0
        time.sleep(2.5)
        result.early = len(fresh("matrix")) + len(fresh("xmpp"))
        time.sleep(max(0.0, due - time.monotonic() - 0.05))
        for number in range(max(2, options.kills // 4)):
            strikes(pair, options, result, [options.dice.uniform(0.0, 0.2)], aimed=number > 0)
            resume(pair, due, 17)
        until(lambda: fresh("matrix") and fresh("xmpp"), options.patience, "both digests")
        strikes(pair, options, result, [0.5])
        resume(pair, due, 17)
        time.sleep(LINGER + 3)
        for which in ("matrix", "xmpp"):
            got = fresh(which)
            if len(got) != 1:
                result.figures.duplicated += max(0, len(got) - 1)
                result.figures.lost += not got
                result.figures.examples.append(f"{len(got)} digests on {which}")
            for ledger in (pair.outward, pair.inward):
                result.figures.add(ledger.verdict([said.body for said in got], between_senders=False))
        result.notes.append(f"2 members, {len(pair.outward.messages) + len(pair.inward.messages)} messages, {result.kills} kills around 17:30")
        status, wrong = pair.bridge.stop(), pair.bridge.faults()
        result.exit = str(status) if not wrong else f"{status} and {wrong.splitlines()[0]}"
        return result
    finally:
        pair.close()
        alice.close()
        stage.people.remove(alice)


def privates(alice, pair):
    return alice.whispers(BOT) + pair.stage.bob.private()


def bot_words_matrix(alice, pair):
    return [said for said in alice.timeline(pair.room) if said.who == BOT] + alice.whispers(BOT)


def bot_words_xmpp(pair):
    bob = pair.stage.bob
    return [said for said in bob.timeline(pair.muc) if said.name == BOT_NICK] + bob.private()


# name -> (row, the --break modes that must turn it red, whether it belongs to the short form)
ROWS = {
    "steady-out-5": (lambda s, o: steady_out(s, o, 5), (), True),
    "steady-in-5": (lambda s, o: steady_in(s, o, 5), (), True),
    "steady-out-20": (lambda s, o: steady_out(s, o, 20), (), False),
    "steady-in-20": (lambda s, o: steady_in(s, o, 20), (), False),
    "steady-out-100": (lambda s, o: steady_out(s, o, 100), (), False),
    "steady-in-100": (lambda s, o: steady_in(s, o, 100), (), False),
    "kill-out": (kill_out, ("ack-first", "blind-resend"), True),
    "kill-in": (kill_in, (), True),
    "away": (away, ("no-archive",), True),
    "prosody-killed": (prosody_away, (), True),
    "synapse-killed": (lambda s, o: synapse_away(s, o, "kill"), (), True),
    "synapse-stopped": (lambda s, o: synapse_away(s, o, "stop"), (), False),
    "held": (held, (), True),
    "digests": (digests, (), True),
}
