# SPDX-License-Identifier: Apache-2.0
"""What a homeserver may do and a real one cannot be made to: transactions again, late, in other batches, under used
numbers; and bytes that no client could send through a real one."""

import json
import time

from poison import EVENTS, STANZAS, TRANSACTIONS
from row import Result, finish, settle
from rows_kill import accepted
from stage import FakePair
from world import DOMAIN


def late_again(stage, options):
    """F4: an acknowledged transaction comes again, under its number, after fifty later ones."""
    result = Result()
    times, behind = options.many(20, 100), 50 if not options.short else 10
    with FakePair(stage, natives=2) as pair:
        pair.start()
        told = [pair.tell(2) for _ in range(times + behind)]

        async def every():
            for number, some in enumerate(told, 1000):
                await pair.hand(some, number)
                if number - 1000 >= behind:
                    await pair.hand(told[number - 1000 - behind], number - behind)

        stage.loop.run(every(), 600)
        result.notes.append(f"{times} transactions again after {behind} later ones")
        return finish(result, pair, options)


def thrice(stage, options):
    """Every event three times: in its transaction, in the same one again, and in other batches under new numbers."""
    result = Result()
    count = options.many(400, 10000)
    with FakePair(stage, natives=2) as pair:
        pair.start()
        told = pair.tell(count, senders=8)

        async def every():
            for start in range(0, count, 50):
                some = told[start : start + 50]
                pair.hs.number += 1
                await pair.hand(some, pair.hs.number)
                await pair.hand(some, pair.hs.number)
                again = told[max(0, start - 30) : start + 50]
                options.dice.shuffle(again)
                for first in range(0, len(again), 17):
                    await pair.hand(again[first : first + 17])

        stage.loop.run(every(), 3600)
        result.notes.append(f"{count} events, {len(pair.hs.statuses)} transactions")
        return finish(result, pair, options)


def numbers_again(stage, options):
    """The homeserver's database was restored: its transactions have used numbers and new events."""
    result = Result()
    count = options.many(100, 500)
    with FakePair(stage, natives=2) as pair:
        pair.start()
        first = pair.hs.number
        pair.hand_all(pair.tell(count), 10)
        used = pair.hs.number - first
        pair.hs.number = first
        pair.hand_all(pair.tell(count), 10)
        result.notes.append(f"{used} numbers used twice, {count} new events under them")
        return finish(result, pair, options)


def poison(stage, options):
    """Each poison with a good message beside it: 200, the good one crosses, the component stream stays."""
    result = Result()
    with FakePair(stage, natives=2) as pair:
        pair.start()
        mallory = stage.xmpp("carol")
        try:
            mallory.join(pair.muc, "Mallory")
            streams = accepted(stage)
            good = 0
            for number, bad in enumerate(EVENTS):
                good += give_event(pair, result, number, bad)
            for bad in TRANSACTIONS:
                good += give_transaction(pair, result, bad)
            for number, bad in enumerate(STANZAS):
                mallory.raw(bad.replace("MUC", pair.muc).replace("ID", f"poison{number}"))
                pair.say_xmpp(1).wait()
                good += 1
            pair.hand_all(pair.tell(4))
            settle(pair, options)
            result.require(accepted(stage) == streams, "the component stream was opened again")
            result.require(mallory.connected(), "the server closed a client's stream: a stanza was not well-formed")
            result.notes.append(f"{good} of {len(EVENTS) + len(TRANSACTIONS) + len(STANZAS)} taken with 200 or ignored")
            return finish(result, pair, options)
        finally:
            stage.people.remove(mallory)
            mallory.close()


def give_event(pair, result, number, bad):
    """A transaction of a poisonous event and a good one."""
    (message, event) = pair.tell(1)[0]
    base = {"event_id": f"$poison{number}", "room_id": pair.room, "sender": f"@u0:{DOMAIN}", "origin_server_ts": int(time.time() * 1000)}
    raw = bad.replace("BASE", json.dumps(base)[1:-1]).replace("ROOM", pair.room)
    body = f'{{"events":[{raw},{json.dumps(event)}]}}'.encode("utf-8", "surrogatepass").replace(b"BADBYTES", b"\xff\xfe\xc0\x80")
    return push(pair, result, message, body, f"event {number}")


def give_transaction(pair, result, bad):
    (message, event) = pair.tell(1)[0]
    return push(pair, result, message, bad.replace("GOOD", json.dumps(event)).encode(), bad[:40])


def push(pair, result, message, body, what):
    message.start = time.monotonic()
    pair.hs.number += 1
    statuses = [pair.stage.loop.run(pair.hs.transaction(body, pair.hs.number))]
    while statuses[-1] == 500 and len(statuses) < 4:
        statuses.append(pair.stage.loop.run(pair.hs.transaction(body, pair.hs.number)))
    result.require(statuses[-1] == 200, f"{what}: {statuses}")
    message.end = time.monotonic()
    return statuses[-1] == 200
