# SPDX-License-Identifier: Apache-2.0
"""Half an hour of everything at a low rate: memory and descriptors must stay where they are."""

import time

from clients import until
from proxy import Faults, Web, Wire
from row import Result, finish, settle, warm
from rows_wire import between
from stage import Pair



def slope(samples):
    """Least squares: units of the value per hour of the time."""
    n = len(samples)
    mean_t, mean_v = sum(t for t, _ in samples) / n, sum(v for _, v in samples) / n
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    return 3600 * sum((t - mean_t) * (v - mean_v) for t, v in samples) / spread if spread else 0.0


def soak(stage, options):
    result = Result()
    minutes = options.many(1, 30)
    ours = Faults(status=0.01, before=0.005, after=0.01, slow=0.01, limit=0.01, dice=options.dice)
    theirs = Faults(status=0.01, before=0.005, after=0.01, dice=options.dice)
    link = Faults(delay=0.01, jitter=0.01, stall=0.002, dice=options.dice)
    with between(stage, (Web, ours), (Wire, link), (Web, theirs)) as (ports, (_, component, _)):
        with Pair(stage, matrix=10, natives=10, ports=ports) as pair:
            pair.start()
            warm(pair, options)
            samples, events, begun = [], 0, time.monotonic()
            cut_at = begun + 60
            while time.monotonic() - begun < minutes * 60:
                outward, inward = pair.say_matrix(rate=3), pair.say_xmpp(rate=2)
                until(lambda since=time.monotonic(): time.monotonic() - since > 60 or time.monotonic() - begun > minutes * 60, 90)
                outward.stop(), inward.stop()
                if time.monotonic() > cut_at:
                    events += 1
                    cut_at = time.monotonic() + 240
                    trouble(stage, pair, component, events)
                settle(pair, options)
                time.sleep(1)
                vitals = pair.vitals()
                result.require(vitals is not None, "the daemon ended")
                samples.append((time.monotonic() - begun, *(vitals or (0, 0))))
            half = [s for s in samples if s[0] > samples[-1][0] / 2]
            memory, fds = slope([(t, m) for t, m, _ in half]), sorted({f for _, _, f in half})
            result.notes.append(f"{minutes} minutes, {events} greater troubles; second half: RssAnon {half[0][1]}..{half[-1][1]} kB, slope {memory:.0f} kB/h, fds {fds}")
            if minutes >= 20:
                result.require(memory < 600, f"RssAnon grows by {memory:.0f} kB/h")
            result.require(fds[-1] - fds[0] <= 4, f"descriptors between {fds[0]} and {fds[-1]}")
            return finish(result, pair, options, outward=pair.archive_xmpp)


def trouble(stage, pair, component, number):
    """By turns the stream is cut, and Prosody is killed."""
    if number % 3:
        component.cut()
    else:
        stage.prosody.kill()
        stage.prosody.start()
        stage.bob.connect()
        stage.bob.rejoin()
        pair.natives.enter()
    until(pair.in_muc, 90, "the bot in the MUC again")
