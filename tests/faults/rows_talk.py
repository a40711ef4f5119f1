# SPDX-License-Identifier: Apache-2.0
"""A room used as rooms are: talk, and everything that befalls devices and servers meanwhile. Nobody may ever miss a word."""

import asyncio
import itertools
import os
import sys
import time

from clients import until
from crypto_js import JsClient
from load import settled
from row import Result
from sealed import SealedPair, finish_sealed
from world import BOT

PAUSE = 2.0  # nobody speaks in the very second in which a device or a person appears: whoever does, is not read by him anywhere
PATIENCE = 90


class Member:
    """A person at two devices, of which the second is now and then replaced by a new one."""

    def __init__(self, pair, name, first):
        self.pair, self.name, self.first = pair, name, first
        self.numbers = itertools.count(1)
        self.second = None
        self.renew()

    def renew(self):
        """Another second device; the one before logs out once the new one is known."""
        before, signs = self.second, isinstance(self.first, JsClient)
        self.second = self.first.new_device(signed=True, strict=not self.first.strict) if signs else self.first.new_device()
        self.number = next(self.numbers)
        self.pair.people_know(self.second)
        if before:
            before.logout()

    def devices(self):
        return {f"{self.name}0": self.first, f"{self.name}{self.number}": self.second}


class Talk:
    def __init__(self, pair, options, result):
        self.pair, self.options, self.result = pair, options, result
        self.stage, self.dice = pair.stage, options.dice
        self.began = time.monotonic()
        self.before = []  # what Bob read before the XMPP server was started anew
        self.members = [Member(pair, name, client) for name, client in zip(pair.names, pair.readers)]
        self.counts = {}

    def tell(self, words):
        self.counts[words] = self.counts.get(words, 0) + 1
        if os.environ.get("FAULT_TELL"):
            said, came = len(self.pair.outward.messages) + len(self.pair.inward.messages), self.pair.undecryptable()
            print(f"{time.monotonic() - self.began:7.1f} {words}; {said} said, {len(came)} undecryptable", file=sys.stderr, flush=True)

    # -- speaking

    def voices(self, matrix, natives):
        voices = {}
        for member in self.members if matrix else ():
            for name, client in member.devices().items():
                voices[name] = self.pair.outward, self.pair.sender(client)
        for native in self.pair.natives.people if natives else ():
            voices[native.name] = self.pair.inward, native.say
        return voices

    def chat(self, count=6, matrix=True, natives=True):
        """One after the other, at random; then all at once."""
        voices = self.voices(matrix, natives)
        for name in self.dice.choices(sorted(voices), k=count):
            ledger, say = voices[name]
            self.stage.loop.run(say(ledger.message(name)), 60)
            time.sleep(self.dice.choice((0, 0, 0.2, 1)))

        async def chorus():
            await asyncio.gather(*(say(ledger.message(name)) for name, (ledger, say) in voices.items()))

        self.stage.loop.run(chorus(), 60)

    def seen_xmpp(self):
        return self.before + self.pair.seen_xmpp()

    def settle(self, what):
        """Until everybody read everything."""
        pair = self.pair
        readers = [device for member in self.members for device in member.devices().values()]
        last = pair.inward.messages[-1].text if pair.inward.messages else ""
        good = settled(pair.outward, self.seen_xmpp, PATIENCE)
        good = settled(pair.inward, pair.seen_matrix, PATIENCE) and good
        for reader in readers:
            until(lambda reader=reader: any(last in body for body in pair.bodies(reader)), PATIENCE, f"{reader!r} reading {last!r} after {what}")
        self.result.require(good, f"not everything came after {what}")
        unread = pair.undecryptable()
        self.result.require(not unread, f"after {what}: {'; '.join(f'{client!r}: {heard}' for client, heard in unread[:3])}")
        return good and not unread

    # -- what befalls

    def rotate(self):
        for member in self.dice.sample(self.members, 2):
            for client in member.devices().values():
                client.rotate(self.pair.room)

    def new_device(self):
        self.settle("what was said before it")
        self.members[self.counts.get("new_device", 0) % len(self.members)].renew()
        time.sleep(PAUSE)

    def client_away(self):
        """A device is off while others speak; what is meant for it waits at its homeserver."""
        member = self.dice.choice(self.members)
        member.second.stop()
        voices = self.voices(True, True)
        voices.pop(f"{member.name}{member.number}")
        for name in self.dice.sample(sorted(voices), 4):
            ledger, say = voices[name]
            self.stage.loop.run(say(ledger.message(name)), 60)
        member.second.start()

    def rejoin(self):
        """A person leaves, others speak (with new keys), he comes back."""
        member = self.members[1 + self.counts.get("rejoin", 0) % 2]
        pair = self.pair
        self.settle("what he still was to read")
        member.first.leave(pair.room)
        until(lambda: member.first.user not in pair.members(), 30, "his leaving")
        time.sleep(PAUSE)
        others = {n: v for n, v in self.voices(True, True).items() if not n.startswith(member.name)}
        for name in sorted(others):
            ledger, say = others[name]
            self.stage.loop.run(say(ledger.message(name)), 60)
        self.result.require(settled(pair.inward, pair.seen_matrix, PATIENCE), "what was said without him did not come")
        member.first.join(pair.room)
        for each in self.members:
            for device in each.devices().values():
                device.wait_knows(pair.room, pair.own_users | {BOT})
        time.sleep(PAUSE)

    def restart_daemon(self):
        status = self.pair.bridge.stop()
        self.result.require(status == 0, f"exit {status}")
        self.chat(2)
        self.pair.start()

    def kill_daemon(self):
        self.result.kills += 1
        self.result.caught.append(self.pair.flying())
        self.pair.bridge.kill()
        self.chat(2)
        self.pair.start()

    def restart_prosody(self):
        self.settle("what Bob still was to read")
        self.stage.prosody.stop()
        self.chat(4, natives=False)
        self.stage.prosody.start()
        self.stage.bob.connect()
        self.stage.bob.rejoin()
        self.pair.natives.enter()
        until(self.pair.joined, PATIENCE, "the bot in the MUC again")
        self.before = self.pair.archive_xmpp()

    def restart_synapse(self):
        self.stage.synapse.stop()
        self.chat(4, matrix=False)
        self.stage.synapse.start()
        clients = [device for member in self.members for device in member.devices().values()]
        until(lambda: all(getattr(client, "sync", "SYNCING") == "SYNCING" for client in clients), PATIENCE, "the clients' connections")
        time.sleep(PAUSE)

    DEEDS = ("rotate", "restart_daemon", "new_device", "client_away", "restart_prosody", "rejoin", "kill_daemon", "rotate", "new_device", "restart_synapse")

    def run(self, minutes):
        end = time.monotonic() + 60 * minutes
        for deed in itertools.cycle(self.DEEDS):
            self.chat()
            getattr(self, deed)()
            self.chat()
            good = self.settle(deed)
            self.tell(deed)
            if time.monotonic() > end or not good:
                break


class TalkingPair(SealedPair):
    def __init__(self, stage):
        super().__init__(stage, natives=2)
        self.judges = self.readers[:1]  # the others come and go, or leave the room

    def people_know(self, device):
        """The device knows the room, and everybody's devices know it."""
        device.wait_knows(self.room, self.own_users)
        for client in self.people.clients:
            if client.running and client is not device and client.user != device.user:
                client.wait_device(device.user, device.device)


def talk(stage, options):
    """Two natives, three people at two devices each, for --times minutes."""
    minutes = options.many(2, 60)
    pair = TalkingPair(stage)
    result = Result()
    try:
        talk = Talk(pair, options, result)
        pair.start()
        talk.run(minutes)
        done = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(talk.counts.items()))
        result.notes.append(f"{minutes} minutes, {len(pair.people.clients)} devices: {done}")
        return finish_sealed(result, pair, options, outward=pair.archive_xmpp)
    finally:
        pair.close()
