# SPDX-License-Identifier: Apache-2.0
"""The network between us and the servers: a proxy that answers wrongly, late, in pieces or not at all."""

import time
from contextlib import contextmanager

from clients import until
from proxy import HUGE, LIMITS, Faults, Web, Wire
from row import Result, finish, settle, warm
from stage import Pair
from world import free_ports


@contextmanager
def between(stage, homeserver=None, component=None, appservice=None):
    """Proxies before the homeserver, the component port, and our own listener: (what Pair wants as `ports`, the three relays).

    Each argument is (class, faults) or None.
    """
    ports, relays = {}, []
    listens = dict(zip(("homeserver", "component", "listen"), free_ports(3)))
    targets = {"homeserver": stage.http, "component": stage.component}
    try:
        for name, wanted in (("homeserver", homeserver), ("component", component)):
            relays.append(wanted and wanted[0](stage.loop, listens[name], targets[name], wanted[1]))
            if wanted:
                ports[name] = listens[name]
        # The homeserver knows one address of ours: there the proxy listens, and the daemon elsewhere.
        relays.append(appservice and appservice[0](stage.loop, stage.appservice, listens["listen"], appservice[1]))
        if appservice:
            ports["listen"] = listens["listen"]
        yield ports, relays
    finally:
        for relay in relays:
            if relay:
                relay.close()


def counts(relay):
    return " ".join(f"{name} {number}" for name, number in sorted(relay.counts.items()))


def quiet(*all_faults):
    """Calm while the daemon starts and while the end is waited for: the same values, all probabilities zero."""
    kept = [(faults, faults.status, faults.before, faults.after, faults.hang, faults.slow, faults.limit) for faults in all_faults]
    for faults in all_faults:
        faults.status = faults.before = faults.after = faults.hang = faults.slow = faults.limit = 0.0

    def again():
        for faults, *values in kept:
            faults.status, faults.before, faults.after, faults.hang, faults.slow, faults.limit = values

    return again


def http_faults(stage, options):
    """Three of ten requests go wrong, ours to the homeserver and its transactions to us."""
    result = Result()
    ours = Faults(status=0.12, before=0.05, after=0.07, hang=0.02, slow=0.04, dice=options.dice)
    theirs = Faults(status=0.12, before=0.05, after=0.07, hang=0.02, slow=0.04, dice=options.dice)
    count = min(options.messages, options.many(40, 1000))
    with between(stage, (Web, ours), None, (Web, theirs)) as (ports, (homeserver, _, appservice)):
        with Pair(stage, matrix=8, natives=8, ports=ports) as pair:
            again = quiet(ours, theirs)
            pair.start()
            warm(pair, options)
            again()
            outward, inward = pair.say_matrix(count, rate=10), pair.say_xmpp(count, rate=2 if not options.short else 5)
            outward.wait(), inward.wait(3600)
            faulty = settle(pair, options)  # most of it under faults, the rest in calm
            quiet(ours, theirs)
            result.notes.append(f"to the homeserver: {counts(homeserver)}; to us: {counts(appservice)}; all came under faults: {faulty}")
            result.require(homeserver.counts.get("after", 0) + homeserver.counts.get("status", 0) > 0, "no request went wrong")
            result.require(appservice.counts.get("after", 0) + appservice.counts.get("status", 0) > 0, "no transaction went wrong")
            return finish(result, pair, options)


def rate_limited(stage, options):
    """Every fifth send is answered 429, in every form; the order is kept, and nobody comes back too early."""
    result = Result()
    faults = Faults(limit=0.2, only=r"^PUT .*/send/", dice=options.dice)
    with between(stage, (Web, faults)) as (ports, (homeserver, _, _)):
        with Pair(stage, matrix=1, natives=8, ports=ports) as pair:
            again = quiet(faults)
            pair.start()
            warm(pair, options)
            again()
            pair.say_xmpp(min(options.messages, options.many(30, 600)), rate=5).wait()
            settle(pair, options)
            if not options.short:
                wait_ten_minutes(pair, faults, homeserver)
            early = [wait for wait in homeserver.waits if wait[2] < wait[1]]
            forms = sorted({wait[0] for wait in homeserver.waits})
            least = min((waited - asked for _, asked, waited in homeserver.waits), default=0.0)
            longest = max((waited for _, _, waited in homeserver.waits), default=0.0)
            result.notes.append(f"{len(homeserver.waits)} answers 429 ({', '.join(forms)}), {least:.2f} s above what they asked at least, {longest:.0f} s at most")
            result.require(not early, f"came back early: {early[:2]}")
            result.require(len(forms) >= len(LIMITS) or options.times, f"only {forms} were met")
            result.require(longest < 660, f"waited {longest:.0f} s")
            return finish(result, pair, options)


def wait_ten_minutes(pair, faults, homeserver):
    """An answer that asks for thirty years is waited for ten minutes, once."""
    before = len(homeserver.waits)
    faults.limits, faults.limit = (HUGE,), 1.0
    pair.say_xmpp(1).wait()
    until(lambda: homeserver._limited, 60, "the huge 429")
    faults.limit = 0.0
    until(lambda: len(homeserver.waits) > before, 700, "the end of ten minutes")


def one_byte(stage, options):
    """Everything comes and goes a byte at a time: the component stream, our requests, their transactions."""
    result = Result()
    slow = [Faults(chunk=1, dice=options.dice) for _ in range(3)]
    count = min(options.messages, options.many(20, 500))
    with between(stage, (Wire, slow[0]), (Wire, slow[1]), (Wire, slow[2])) as (ports, _):
        with Pair(stage, matrix=3, natives=3, ports=ports) as pair:
            pair.start(120)
            outward, inward = pair.say_matrix(count, rate=8), pair.say_xmpp(count, rate=8)
            outward.wait(), inward.wait()
            return finish(result, pair, options)


def half_open(stage, options):
    """The network goes away without a word: what is connected stays so, and nothing passes any more."""
    result = Result()
    calm = [Faults(dice=options.dice) for _ in range(2)]
    with between(stage, (Wire, calm[0]), (Wire, calm[1])) as (ports, (homeserver, component, _)):
        with Pair(stage, matrix=5, natives=5, ports=ports) as pair:
            pair.start()
            warm(pair, options)
            took = []
            for number in range(options.many(1, 20)):
                load = pair.say_matrix(rate=4), pair.say_xmpp(rate=2)
                time.sleep(options.dice.uniform(0.5, 2))
                (homeserver if number % 4 == 3 else component).freeze()
                since, relay = time.monotonic(), homeserver if number % 4 == 3 else component
                until(lambda: relay.accepted and relay.accepted[-1] > since, 180, "a new connection")
                took.append(time.monotonic() - since)
                time.sleep(1)
                for each in load:
                    each.stop()
                settle(pair, options)
            result.notes.append(f"noticed after {', '.join(f'{s:.0f}' for s in took)} s")
            result.require(max(took) <= 90, f"noticed only after {max(took):.0f} s")
            return finish(result, pair, options)


def slow_network(stage, options):
    """300 ms each way, a third more or less, and every twentieth piece a second late."""
    result = Result()
    links = [Faults(delay=0.3, jitter=0.1, stall=0.05, dice=options.dice) for _ in range(3)]
    count = min(options.messages, options.many(20, 1000))
    with between(stage, (Wire, links[0]), (Wire, links[1]), (Wire, links[2])) as (ports, _):
        with Pair(stage, matrix=8, natives=8, ports=ports) as pair:
            pair.start(120)
            warm(pair, options)
            began = time.monotonic()
            outward, inward = pair.say_matrix(count), pair.say_xmpp(count // 4, rate=1)
            outward.wait()
            inward.wait()
            whole = settle(pair, options)
            result.notes.append(f"{count} out and {count // 4} in within {time.monotonic() - began:.0f} s, all seen: {whole}")
            return finish(result, pair, options)
