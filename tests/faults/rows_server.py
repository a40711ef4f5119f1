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


HELD_AT_MOST = 40  # seconds; Synapse gives a transaction up after 60, and what comes behind it is then written down
ROUNDS = 4  # a loaded machine says fewer within that time: the rest is said in another round


class Postman(Web):
    """Keeps what the homeserver brought in transactions that passed."""

    def __init__(self, *arguments):
        self.brought = []
        super().__init__(*arguments)

    async def _do_pass(self, link, writer, line, head, body):
        self.brought.append(body.decode(errors="replace"))
        await super()._do_pass(link, writer, line, head, body)


def synapse_forgets(stage, options):
    """F3: while we do not answer, the homeserver keeps what it took in memory only; it is killed, and forgets it."""
    result = Result()
    count = min(options.messages, options.many(60, 1000))
    recovered, held, took = 0, 0, []
    faults = Faults(dice=options.dice)
    with between(stage, appservice=(Postman, faults)) as (ports, (_, _, postman)):
        with Pair(stage, matrix=20, natives=2, ports=ports) as pair:
            pair.start()
            warm(pair, options)
            whole = True
            while whole and recovered < count and len(took) < ROUNDS:
                known = hold_back(pair, faults, count - recovered)
                held += len(pair.outward.messages) - len(known)
                stage.synapse.kill()
                # What an early look of ours at the archive had found is still said, and is nobody's recovery.
                until(lambda: not pair.waiting(), 60, "everything that was known being said")
                known = keys_of(pair, pair.seen_xmpp())
                postman.drop_held()
                stage.synapse.start()
                began = time.monotonic()
                whole = settle(pair, options)
                took.append(time.monotonic() - began)
                recovered += len(keys_of(pair, pair.seen_xmpp()) - known - keys_of(pair, postman.brought))
            result.notes.append(f"{postman.counts.get('held', 0)} requests held, {held} events behind them, {recovered} of them forgotten by the homeserver and recovered, within {max(took):.0f} s, in {len(took)} rounds")
            result.require(recovered >= count, f"only {recovered} of {count} were forgotten and recovered: the row is blind, or the daemon")
            result.require(max(took) <= 60, f"{max(took):.0f} s to recover")
            pair.say_matrix(20, rate=10).wait()
            pair.say_xmpp(10, rate=10).wait()
            return finish(result, pair, options, inward=pair.archive_matrix)


def hold_back(pair, faults, count):
    """Holds the transactions and says `count` messages of which we know none, or as many as there is time for; the keys of those that came."""
    first = len(pair.outward.messages)
    faults.hold = True
    end = time.monotonic() + HELD_AT_MOST
    while True:
        known = keys_of(pair, pair.seen_xmpp())
        # Soon after its arrival the daemon looks at the archive once more, and finds what was said by then.
        missing = count - sum(message.key not in known for message in pair.outward.messages[first:])
        if missing <= 0 or time.monotonic() > end:
            return known
        pair.say_matrix(min(missing, 50)).wait()


def keys_of(pair, bodies):
    return {key for body in bodies for key in pair.outward.keys_in(body)}
