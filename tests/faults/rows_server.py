# SPDX-License-Identifier: Apache-2.0
"""A server is killed, or stops and comes back."""

import time

from clients import until
from proxy import Faults, Web
from row import Result, finish, settle, warm
from rows_wire import between
from stage import Pair


def prosody_away(stage, options):
    """Prosody is killed under load and stays away for 10 s, while 200 messages are said on Matrix."""
    pair = Pair(stage, matrix=20, natives=20)
    result = Result()
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
    result = Result()
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


def prosody_loop(stage, options):
    """Prosody is stopped or killed again and again under load from Matrix; between two times the MUC speaks too."""
    result = Result()
    with Pair(stage, matrix=8, natives=4) as pair:
        pair.start()
        warm(pair, options)
        load = pair.say_matrix(rate=15)
        for number in range(options.many(3, 30)):
            time.sleep(options.dice.uniform(0.2, 1.5))
            result.kills += 1
            result.caught.append(pair.flying())
            getattr(stage.prosody, "stop" if number % 3 == 2 else "kill")()
            time.sleep(options.dice.uniform(0.0, 1.0))
            stage.prosody.start()
            pair.natives.enter()
            until(pair.in_muc, 90, "the bot in the MUC again")
            pair.say_xmpp(8, rate=20).wait()
        load.stop()
        stage.bob.connect()
        stage.bob.rejoin()
        return finish(result, pair, options, outward=pair.archive_xmpp)


def synapse_forgets(stage, options):
    """F3: while we do not answer, the homeserver keeps what it took in memory only; it is killed, and forgets it."""
    result = Result()
    count = min(options.messages, options.many(60, 1000))
    faults = Faults(dice=options.dice)
    with between(stage, appservice=(Web, faults)) as (ports, (_, _, appservice)):
        with Pair(stage, matrix=20, natives=2, ports=ports) as pair:
            pair.start()
            warm(pair, options)
            faults.hold = True
            pair.say_matrix(count).wait()
            held = appservice.counts.get("held", 0)
            stage.synapse.kill()
            before = pair.outward.seen(pair.seen_xmpp())
            appservice.drop_held()
            stage.synapse.start()
            began = time.monotonic()
            settle(pair, options)
            took = time.monotonic() - began
            recovered = pair.outward.seen(pair.seen_xmpp()) - before
            result.notes.append(f"{held} transactions held, {len(pair.outward.messages) - before} events not brought, {recovered} recovered within {took:.0f} s")
            result.require(recovered >= 0.9 * count, "too few were held back: the row is blind")
            result.require(took <= 60, f"{took:.0f} s to recover")
            pair.say_matrix(20, rate=10).wait()
            pair.say_xmpp(10, rate=10).wait()
            return finish(result, pair, options, inward=pair.archive_matrix)
