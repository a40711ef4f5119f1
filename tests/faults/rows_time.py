# SPDX-License-Identifier: Apache-2.0
"""What waits for its hour: holds and digests around kills, and the calendar in fast motion."""

import re
import time
from datetime import datetime, timedelta
from datetime import time as dtime
from zoneinfo import ZoneInfo

from clients import Impatience, until
from load import settled
from row import LINGER, Result, end, finish
from row import strike as strike_once
from rows_disk import drive
from stage import Pair
from world import BOT, BOT_NICK

CHARTER = "tz Europe/Paris\nhours mon-fri 08:30-18:30\ntime 10 ferme when closed then hold until opening notice held"
FRIDAY_EVENING, MONDAY = "2026-11-27 19:04:00", "2026-11-30"


def held(stage, options):
    """Messages held over a week-end; kill -9 before, in and after the instant at which they are due.

    The clock stands on Friday evening, comes close to Monday 8:30, and runs over it. Each message must
    arrive once, whole, and not before the clock passed 8:30.
    """
    pair = Pair(stage, matrix=5, natives=5, charter=CHARTER, clock=FRIDAY_EVENING)
    result = Result()
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
        end_within(pair, options, result, "mid_release", due)
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
        strike_once(pair, options, result, aimed)


def run_on(pair, due, hour):
    """Start the daemon again with the test clock where it would be had it run on."""
    passed = time.monotonic() - due
    seconds = 30 * 60 + passed
    pair.bridge.set_clock(f"{MONDAY} {hour:02d}:{int(seconds // 60):02d}:{int(seconds % 60):02d}")
    pair.bridge.launch()


def resume(pair, due, hour=8):
    run_on(pair, due, hour)
    pair.bridge.wait_ready()


def end_within(pair, options, result, point, due, hour=8):
    """A life that ends itself at a named point, in the middle of what the instant brings; then one that does not."""
    pair.bridge.kill()
    pair.bridge.env["CRASH_AT"] = f"{point}:1"
    time.sleep(max(0.0, due + 0.1 - time.monotonic()))
    run_on(pair, due, hour)
    try:
        until(lambda: not pair.bridge.alive(), 8, f"the end at {point}")
        result.notes.append(f"ended at {point}: {pair.bridge.process.process.wait()}")
    except Impatience:
        result.notes.append(f"never came to {point}")
    pair.bridge.env.pop("CRASH_AT")
    pair.bridge.kill()
    resume(pair, due, hour)


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
    result = Result()
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
        end_within(pair, options, result, "mid_digest", due, 17)
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
        end(result, pair)
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


# -- the calendar in fast motion

ZONES = ("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "Asia/Kathmandu")
HALF_HOUR = timedelta(minutes=30)
SETTLE = timedelta(minutes=2)  # a digest holds what was there two minutes before its slot
SLOTS = (dtime(2, 30), dtime(12, 0))
UTC = ZoneInfo("UTC")


def calendar(stage, options):
    """400 days in each of six zones, changes of the clock, a change of zone, ten years at once: nothing early, each digest once.

    What must be is computed here with Python's own zones; the half-hours are those of the C program.
    """
    result = Result()
    zones = ZONES[:2] if options.short else ZONES
    count = options.many(40, 400)
    slots = messages = 0
    for number, zone in enumerate(zones):
        start = datetime(2026, 3, 10, tzinfo=UTC) if options.short else datetime(2027, 12, 1, tzinfo=UTC)  # 2028: a leap day
        later = ZONES[(number + 1) % len(ZONES)]
        done = drive("days", zone, start.strftime("%Y-%m-%dT%H:%M:%SZ"), count, later)
        result.require(done.returncode == 0, f"{zone}: exit {done.returncode}")
        change = start + timedelta(days=count / 2)
        said, seen, digests = read_days(done.stdout)
        messages += len(said)
        slots += judge_days(result, said, seen, digests, ((start, ZoneInfo(zone)), (change, ZoneInfo(later))), start + timedelta(days=count))
    result.notes.append(f"{count} days in {len(zones)} zones, {messages} messages, {slots} digests, each compared with its slot")
    return result


def instant(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def read_days(text):
    """(what was said, where each mark went out in the room, the marks of each digest by instant)."""
    said, seen, digests = [], {}, {}
    for line in text.splitlines():
        when, lane, *rest = line.split(" ", 2)
        marks = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rest[0]) if rest else []
        if lane == "said":
            said.append(when)
        elif lane == "m@rooms.x":
            for mark in marks:
                seen.setdefault(mark, []).append(instant(when))
        elif lane == "carol@x":
            digests.setdefault(instant(when), []).extend(marks)
    return said, seen, digests


def first_at(day, clock, zone):
    """The first instant of a local day at which the clock shows this time or, where that is missing, the end of the gap."""
    local = datetime.combine(day, clock, tzinfo=zone)
    there = local.astimezone(UTC)
    if there.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return there
    # In a gap: the two readings of the missing time lie before and after it.
    step = there - timedelta(hours=3)
    before = step.astimezone(zone).utcoffset()
    while step.astimezone(zone).utcoffset() == before:
        step += timedelta(minutes=1)
    return step


def due(said, zone):
    """When a message said at this instant may go out."""
    local = said.astimezone(zone)
    if local.weekday() < 5 and dtime(8, 30) <= local.time().replace(tzinfo=None) < dtime(18, 30):
        return said
    day = local.date()
    while True:
        opening = first_at(day, dtime(8, 30), zone)
        if day.weekday() < 5 and opening >= said:
            return opening
        day += timedelta(days=1)


def slot_of(at, zone):
    """The slot whose digest holds what counts from this instant on."""
    day = at.astimezone(zone).date()
    while True:
        for clock in SLOTS if day.weekday() < 5 else ():
            slot = first_at(day, clock, zone)
            if slot - SETTLE >= at:
                return slot
        day += timedelta(days=1)


def judge_days(result, said, seen, digests, zones, until_day):
    """Compare; how many digests were expected exactly."""
    figures, wanted, vague = result.figures, {}, set()
    (start, first), (change, second) = zones
    in_digests = {}
    for when, marks in digests.items():
        for mark in marks:
            in_digests.setdefault(mark, []).append(when)
    for mark in said:
        at = instant(mark)
        zone = first if at < change else second
        figures.sent += 1
        places = seen.get(mark, [])
        figures.delivered += bool(places)
        figures.lost += not places
        figures.duplicated += max(0, len(places) - 1) + max(0, len(in_digests.get(mark, [])) - 1)
        release = due(at, zone)
        slot = slot_of(release, zone)
        if abs(at - change) < timedelta(days=5) or abs(slot - change) < timedelta(days=2) or slot > until_day - timedelta(days=1):
            vague.add(mark)  # about the change of zone and the great leap only "once" is certain
            continue
        result.early += any(place < release for place in places)
        result.require(all(place <= release + 3 * HALF_HOUR for place in places), f"{mark} came late in {zone}")
        wanted.setdefault(slot, set()).add(mark)
    clear = {when: set(marks) - vague for when, marks in digests.items()}
    found = {}
    for when, marks in clear.items():
        if marks:
            slot = max((s for s in wanted if s <= when), default=None)
            result.require(slot not in found, f"two digests for {slot}")
            found[slot] = marks
    for slot, marks in wanted.items():
        if found.get(slot) != marks:
            result.require(False, f"{first} {slot}: {len(marks)} messages wanted, {len(found.get(slot, ()))} found")
    return len(wanted)
