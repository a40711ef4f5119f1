# SPDX-License-Identifier: Apache-2.0
"""Encrypted rooms: what the daemon's death, a long absence and an old database do to keys."""

import time

from clients import until
from row import Result, raw_rates, settle, strike, terminate
from sealed import SealedPair, finish_sealed
from world import BOT


def warm(pair, options):
    """Everybody says one thing, so that all have keys of all."""
    pair.say_matrix(len(pair.readers), rate=5).wait()
    if pair.natives.people:
        pair.say_xmpp(len(pair.natives.people), rate=5).wait()


def killing(pair, options, result, kills, to_matrix):
    """kill -9 at random instants under load; two of three wait until a row of that way is in flight."""
    dice = options.dice
    result.must_catch = True
    pair.flying = lambda: pair.flying_to(to_matrix)
    for number in range(kills):
        starting = number % 5 == 4  # now and then also before the daemon is ready
        if not starting:
            pair.bridge.wait_ready()
        time.sleep(dice.uniform(0.1, 1.2))
        strike(pair, options, result, aimed=number % 3 != 2 and not starting)
        time.sleep(dice.uniform(0.0, 0.4))
        pair.bridge.launch()
    pair.bridge.wait_ready()


def kill(stage, options, to_matrix):
    """Both ways at once; the way that the kills are aimed at at half of what a raw sender gets, the other at a fifth of that."""
    pair = SealedPair(stage, natives=6)
    result = Result()
    try:
        options.raw = min(options.raw, 40)
        _, lane, _ = raw_rates(pair, options)
        pair.start()
        warm(pair, options)
        fast, slow = lane / 2, lane / 10
        loads = pair.say_xmpp(rate=fast if to_matrix else slow), pair.say_matrix(rate=slow if to_matrix else fast)
        killing(pair, options, result, options.many(3, 100), to_matrix)
        for load in loads:
            load.stop()
        result.notes.append(f"raw lane {lane:.1f}/s, paced {fast:.1f}/s and {slow:.1f}/s")
        return finish_sealed(result, pair, options)
    finally:
        pair.close()


def kill_out(stage, options):
    return kill(stage, options, to_matrix=False)


def kill_in(stage, options):
    return kill(stage, options, to_matrix=True)


# -- away


class Absence:
    """What clients do while nobody listens: a hundred messages, and between them every reason to make new keys."""

    def __init__(self, pair):
        self.pair = pair
        self.voices = dict(zip(pair.names, pair.readers))

    def say(self, count):
        pair, names = self.pair, sorted(self.voices)
        for number in range(count):
            name = names[number % len(names)]
            message = pair.outward.message(name)
            pair.stage.loop.run(pair.sender(self.voices[name])(message), 60)

    def rotate(self):
        for client in self.voices.values():
            client.rotate(self.pair.room)

    def new_device(self, name, fresh, **keywords):
        """A further device of a person, which speaks from now on as well."""
        pair, old = self.pair, self.voices[name]
        new = self.voices[fresh] = old.new_device(**keywords)
        new.wait_knows(pair.room, pair.own_users | {BOT})
        for client in self.voices.values():
            if client.user != new.user:
                client.wait_device(new.user, new.device)

    def rejoin(self, name):
        pair, client = self.pair, self.voices[name]
        client.leave(pair.room)
        until(lambda: client.user not in pair.members(), what="his leaving")
        voices, self.voices = self.voices, {n: c for n, c in self.voices.items() if c.user != client.user}
        self.say(6)
        self.voices = voices
        client.join(pair.room)
        for each in self.voices.values():
            each.wait_knows(pair.room, pair.own_users | {BOT})

    def pass_time(self, count):
        """In all `count` messages, of which twelve fall into two absences."""
        share = (count - 12) // 6
        self.rotate()
        self.say(share)
        self.new_device("anna", "anna2", signed=True)
        self.say(share)
        self.rejoin("eric")
        self.say(share)
        self.new_device("bert", "bert2")
        self.rotate()
        self.say(share)
        self.rejoin("bert")
        self.say(share)
        self.new_device("eric", "eric2", signed=True)
        self.voices.pop("anna2").logout()
        self.rotate()
        self.say(count - 12 - 5 * share)


def away(stage, options):
    """The daemon is stopped while clients rotate, get new devices, leave and rejoin, and say 100 messages, and natives 20."""
    pair = SealedPair(stage, natives=4)
    result = Result()
    try:
        pair.start()
        warm(pair, options)
        settle(pair, options)
        result.require(pair.bridge.stop() == 0, "its exit status")
        Absence(pair).pass_time(count := 40 if options.short else 100)
        pair.say_xmpp(20).wait()
        began = time.monotonic()
        pair.start()
        settle(pair, options)
        took = time.monotonic() - began
        pair.say_matrix(6, rate=5).wait()
        pair.say_xmpp(4, rate=5).wait()
        devices = len(pair.people.clients)
        result.notes.append(f"{count} said encrypted meanwhile and 20 in the MUC, {devices} devices; all there {took:.1f} s after the start")
        return finish_sealed(result, pair, options)
    finally:
        pair.close()


def ended(stage, options):
    """SIGTERM under load, again and again: always status 0, and no word from a sanitizer."""
    pair = SealedPair(stage, natives=4)
    result = Result()
    try:
        pair.start()
        warm(pair, options)
        loads = pair.say_matrix(rate=2), pair.say_xmpp(rate=2)
        terminate(pair, options, result, options.many(3, 100))
        for load in loads:
            load.stop()
        return finish_sealed(result, pair, options)
    finally:
        pair.close()
