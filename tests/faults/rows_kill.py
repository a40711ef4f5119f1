# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed, stopped, started twice, or ends itself at a chosen point."""

import os
import re
import signal
import sqlite3
import time

from clients import Impatience, until
from proxy import Faults, Wire
from row import Result, finish, raw_rates, settle, strike, summary, terminate, warm
from rows_wire import between
from stage import HERE, FakePair, Pair
from world import BOT, BOT_JID, DOMAIN, Bridge, own


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
        strike(pair, options, result, aimed=number % 3 != 2 and not starting)
        time.sleep(dice.uniform(0.0, 0.6))
        pair.bridge.launch()
    pair.bridge.wait_ready()


def kill_out(stage, options):
    pair = Pair(stage, matrix=20)
    result = Result()
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
    result = Result()
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
    result = Result()
    try:
        pair.start()
        warm(pair, options)
        strike(pair, options, result, aimed=False)
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


# -- the daemon ends itself


def fault_points():
    """The names in the sources: whoever adds FAULT_POINT("x") adds a row here."""
    found = set()
    for file in (HERE.parent.parent / "bridge").rglob("*.c"):
        found |= set(re.findall(r'FAULT_POINT\("([a-z0-9_]+)"\)', file.read_text()))
    found = {name for name in found if not re.match("crypto_|matrix_(encrypted|room_key|keys)", name)}  # this row's room is plain
    return sorted(found, key=lambda name: ("ghost" not in name, name))  # ghosts are made once: their points come first


def points(stage, options):
    """At each named point the program ends as at a power cut, under load on both sides, and starts again."""
    result = Result()
    names, never = fault_points(), []
    with between(stage, component=(Wire, Faults(dice=options.dice))) as (ports, (_, component, _)):
        with Pair(stage, matrix=6, natives=6, ports=ports) as pair:
            pair.start()
            loads = pair.say_matrix(rate=6), pair.say_xmpp(rate=4)
            questions = Questions(pair)
            deeds = {"mid_loss": lambda: lose_component(pair, options, component), "xmpp_private_noted": questions.ask}
            # What is done by hand waits for a daemon in its rooms: before the MUC's archive is long, and slow to read.
            for name in sorted(names, key=lambda name: ("ghost" not in name, name not in deeds)):
                if name in ELSEWHERE:
                    continue
                if not sum(crash_at(pair, options, result, name, life, deeds.get(name)) for life in range(options.many(2, 20))):
                    never.append(name)
            pair.bridge.env.pop("CRASH_AT", None)
            if not pair.bridge.alive():
                pair.bridge.launch()
            pair.bridge.wait_ready()
            for load in loads:
                load.stop()
            elsewhere = [name for name in names if name in ELSEWHERE]
            reached = len(names) - len(never) - len(elsewhere)
            result.notes.append(f"{len(names)} points, {reached} reached; never: {' '.join(never) or 'none'}; in other rows: {' '.join(elsewhere)}")
            result.require(reached > 0, "no point was reached: is the daemon built with --enable-fault-points?")
            result.require(options.short or options.times or not never, "not every point was reached")
            questions.judge(result)
            return finish(result, pair, options)


POINT_PATIENCE = 6.0
ELSEWHERE = ("mid_release", "mid_digest")  # the rows held and digests pass them


def crash_at(pair, options, result, name, life, deed=None):
    """A life that ends at the n-th pass of a point (the first one at the first), or is killed when it never comes there. True: it came there.

    `deed`: done once the daemon is ready, for a point that is passed on no other occasion.
    """
    bridge = pair.bridge
    bridge.kill()
    bridge.env["CRASH_AT"] = f"{name}:{1 if deed or not life or 'ghost' in name else options.dice.randrange(1, 6)}"
    bridge.launch()
    if deed:
        until(lambda: not bridge.alive() or bridge.everywhere(), 120, f"a daemon in its rooms, for {name}")
        if bridge.alive():
            deed()
    end = time.monotonic() + POINT_PATIENCE
    while bridge.alive() and time.monotonic() < end:
        time.sleep(0.02)
    reached = not bridge.alive()
    if reached:
        status = bridge.process.process.wait()
        result.require(status == 70, f"{name}: exit {status}")
        result.kills += 1
        result.caught.append(pair.flying())
    return reached


def lose_component(pair, options, component):
    """The component's connection is reset while rows are in flight."""
    pair.aim(options.dice)
    component.cut()
    os.kill(pair.bridge.process.pid, signal.SIGCONT)


class Questions:
    """What Bob asks the bot by direct message, and its answers: private messages, which no archive keeps."""

    def __init__(self, pair):
        self.pair, self.bob, self.asked = pair, pair.stage.bob, 0
        self.before = len(self.answers())

    def ask(self):
        self.bob.chat(BOT_JID, "!whoami")
        self.asked += 1

    def answers(self):
        return [said for said in self.bob.private() if said.who.split("/")[0] == BOT_JID and "xmpp:bob@localhost" in said.body]

    def judge(self, result):
        """Each is answered once."""
        try:
            until(lambda: len(self.answers()) - self.before >= self.asked, 10, "all answers")
        except Impatience:
            pass
        answered = len(self.answers()) - self.before
        result.notes.append(f"{self.asked} asked privately, {answered} answers")
        result.require(answered == self.asked, f"{answered} answers to {self.asked} private questions")


# -- the daemon stands still, ends in order, or is there twice


def frozen(stage, options):
    """SIGSTOP for longer than the homeserver waits for an answer, then SIGCONT."""
    result = Result()
    still = 15 if options.short or options.times else 90
    with Pair(stage, matrix=8, natives=8) as pair:
        pair.start()
        warm(pair, options)
        for _ in range(options.many(1, 3)):
            outward, inward = pair.say_matrix(rate=4), pair.say_xmpp(rate=4)
            time.sleep(options.dice.uniform(0.5, 2))
            os.kill(pair.bridge.process.pid, signal.SIGSTOP)
            result.kills += 1
            result.caught.append(pair.flying())
            time.sleep(still)
            os.kill(pair.bridge.process.pid, signal.SIGCONT)
            outward.stop(), inward.stop()
            settle(pair, options)
        result.notes.append(f"stood still for {still} s each time")
        return finish(result, pair, options)


def ended(stage, options):
    """SIGTERM under load, again and again; then a database of a later version is refused."""
    result = Result()
    with Pair(stage, matrix=8, natives=8) as pair:
        pair.start()
        warm(pair, options)
        loads = pair.say_matrix(rate=8), pair.say_xmpp(rate=4)
        terminate(pair, options, result, options.many(5, 50))
        for load in loads:
            load.stop()
        finish(result, pair, options)
        raise_version(pair)
        done = pair.bridge.run("run", timeout=30)
        result.notes.append(f"a later database: exit {done.returncode}, \"{done.stderr.strip().splitlines()[-1][:160] if done.stderr.strip() else ''}\"")
        result.require(done.returncode == 78, f"a later database was not refused: {done.returncode}")
        return result


def raise_version(pair):
    with sqlite3.connect(pair.bridge.state / "sourdine.db") as base:
        (version,) = base.execute("PRAGMA user_version").fetchone()
        base.execute(f"PRAGMA user_version = {version + 1}")
    for file in pair.bridge.state.iterdir():
        own(file)


def twice(stage, options):
    """A second daemon on the same state is refused; when the first dies the next one, tried every second, takes over."""
    result = Result()
    with Pair(stage, matrix=8, natives=8) as pair:
        pair.start()
        warm(pair, options)
        loads = pair.say_matrix(rate=6), pair.say_xmpp(rate=4)
        took = []
        for _ in range(options.many(1, 5)):
            done = pair.bridge.run("run", timeout=30)
            result.require(done.returncode not in (0, -9), f"a second one ran: {done.returncode}")
            strike(pair, options, result, aimed=False)
            began = time.monotonic()
            pair.start()
            took.append(time.monotonic() - began)
        for load in loads:
            load.stop()
        words = done.stderr.strip().splitlines()
        result.notes.append(f"the second: exit {done.returncode}, \"{words[-1][:160] if words else ''}\"; taken over after {max(took):.1f} s at most")
        result.require(max(took) <= 15, f"{max(took):.0f} s to take over")
        return finish(result, pair, options)


def stranger(stage, options):
    """A second daemon with a state of its own takes the component's name: the first must not fight for it."""
    result = Result()
    with Pair(stage, matrix=8, natives=8) as pair:
        pair.start()
        warm(pair, options)
        before = accepted(stage)
        other = Bridge(stage, {}, listen=stage.spare)
        try:
            other.launch()
            time.sleep(8)
        finally:
            other.kill()
            stage.bridges.remove(other)
        fights = accepted(stage) - before
        pair.say_matrix(20, rate=10).wait()
        pair.say_xmpp(20, rate=10).wait()
        options.patience = max(options.patience, 60)
        result.notes.append(f"{fights} component connections while there were two")
        result.require(fights <= 4, f"{fights} connections: they evicted each other")
        return finish(result, pair, options)


def accepted(stage):
    """How many component streams Prosody has seen authenticated."""
    log = stage.folder / "prosody" / "prosody.log"
    return log.read_text(errors="replace").count("External component successfully authenticated") if log.exists() else 0


# -- a message that ends us

MARKER = "poisonpill"


def pill(stage, options):
    """A message at which the program aborts: set aside after three times, its author is told, everything else crosses."""
    result = Result()
    with FakePair(stage, natives=2) as pair:
        pair.bridge.env["CRASH_AT"] = f"text:{MARKER}"
        pair.start()
        for _ in range(options.many(1, 10)):
            restarts = swallow(pair, result, options)
            result.require(1 <= restarts <= 4, f"{restarts} restarts")
            result.caught.append(restarts)
        said = stage.bob.timeline(pair.muc)
        result.require(not [m for m in said if MARKER in m.body], "the pill crossed")
        told = [e for room in pair.hs.rooms.values() for e in room.events if e["sender"] == BOT and e["type"] == "m.room.message"]
        result.require(len(told) >= len(result.caught), f"its author heard {len(told)} times of {len(result.caught)}")
        result.notes.append(f"restarts {summary(result.caught)}; its author was told: \"{told[-1]['content']['body'][:100] if told else ''}\"")
        return finish(result, pair, options)


def swallow(pair, result, options):
    """Hand over the pill between good messages; start again whatever ends; how often."""
    before, after = pair.tell(3), pair.tell(3)
    event = pair.hs.event(pair.fake, f"@u0:{DOMAIN}", f"a {MARKER}")
    events = [e for _, e in before] + [event] + [e for _, e in after]
    now = time.monotonic()
    for message, _ in before + after:
        message.start = now

    async def push():
        await pair.hs.deliver(events, patience=120)

    pushed, restarts = pair.stage.loop.spawn(push()), 0
    end = time.monotonic() + 60
    while time.monotonic() < end and restarts < 8:
        if not pair.bridge.alive():
            restarts += 1
            pair.bridge.launch()
        if pushed.done() and pair.outward.seen(pair.seen_xmpp()) >= len(pair.outward.messages):
            break
        time.sleep(0.05)
    pushed.result(60)
    for message, _ in before + after:
        message.end = time.monotonic()
    return restarts
