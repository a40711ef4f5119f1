# SPDX-License-Identifier: Apache-2.0
"""The pair of an encrypted row: members who encrypt by matrix-js-sdk and matrix-nio, and what is counted beside messages.

Everything is read by those clients; in front of the homeserver stands a witness who writes down which message index and
which one-time key the daemon ever sent out, also what the homeserver dropped as a repetition.
"""

import hashlib
import json
import re
import time
from collections import defaultdict

from crypto_clients import Cryptic
from crypto_nio import NioClient
from crypto_wire import ciphers, index_of, used_twice
from load import Load, settled
from proxy import Web
from row import LINGER, end
from stage import Pair
from world import BOT, free_ports

# Added to the last group, and after it: no moderator is asked; the devices of nio are signed by nobody.
ALLOWED = "    encrypted: allow\n    trust: all\nencryption:\n  trust: all\n"
SEND = re.compile(r"^PUT \S*/rooms/[^/]+/send/m\.room\.encrypted/")
UPLOAD = re.compile(r"^POST \S*/keys/upload\?\S*device_id=(\w+)")


class Witness(Web):
    """Passes requests on to the homeserver and remembers what may be said only once."""

    def __init__(self, *arguments):
        self.indices = defaultdict(set)  # (session, index) -> what was encrypted with it, as hashes
        self.keys = defaultdict(set)  # the public part of a one-time or fallback key -> (device, id)
        super().__init__(*arguments)

    async def _do_pass(self, link, writer, line, head, body):
        upload = UPLOAD.match(line)
        if SEND.match(line):
            said = json.loads(body)
            self.indices[said["session_id"], index_of(said["ciphertext"])].add(hashlib.sha256(said["ciphertext"].encode()).digest())
        elif upload:
            said = json.loads(body)
            for name, key in {**said.get("one_time_keys", {}), **said.get("fallback_keys", {})}.items():
                self.keys[key["key"]].add((upload[1], name))
        await super()._do_pass(link, writer, line, head, body)

    def twice(self):
        """How many indices were used for two texts, and how many keys were offered by two devices or under two names."""
        return sum(len(texts) > 1 for texts in self.indices.values()), sum(len(places) > 1 for places in self.keys.values())


class SealedPair(Pair):
    """An encrypted room with Anna (js, lax), Eric (js, strict) and Bert (nio), a MUC with natives, one daemon."""

    def __init__(self, stage, natives=0, rotation=20, people=("anna", "eric", "bert"), **keywords):
        self.rotation, self.names = rotation, people
        self.witness = None
        port = free_ports(1)[0]
        super().__init__(stage, matrix=len(people), natives=natives, ports={"homeserver": port}, extra=ALLOWED, **keywords)
        self.witness = Witness(stage.loop, port, stage.http)

    def make_room(self, name):
        self.people = Cryptic(self.stage)
        made = {"anna": self._js, "eric": self._strict, "bert": self._nio}
        self.readers = [made[who](who) for who in self.names]
        self.anna = self.readers[0]
        self.room = self.people.room(self.anna, self.readers[1:], rotate_messages=self.rotation)
        for reader in self.readers:
            for other in self.readers:
                if other is not reader:
                    reader.wait_device(other.user, other.device)
        self.judges = self.readers  # who must have read everything, once, in order
        self.own_users = {reader.user for reader in self.readers}

    def _js(self, name):
        return self.people.js(name)

    def _strict(self, name):
        return self.people.js(name, strict=True)

    def _nio(self, name):
        return self.people.nio(name)

    def members(self):
        return self.anna.members(self.room)

    def start(self, patience=60):
        super().start(patience)
        # Whoever does not know of the bot gives it no key.
        for reader in self.readers:
            reader.wait_knows(self.room, {BOT})

    # -- speaking

    def sender(self, client):
        async def say(message):
            message.start = time.monotonic()
            message.remote = await client.say(self.room, message.text)
            message.end = time.monotonic()

        return say

    def senders(self):
        return {name: self.sender(client) for name, client in zip(self.names, self.readers)}

    def say_matrix(self, count=None, rate=None, window=8):
        return Load(self.stage.loop, self.outward, self.senders(), count, rate, window)

    # -- seeing

    def bodies(self, client):
        """What came from XMPP, as this client could read it."""
        heard = client.timeline(self.room)
        return [each.body for each in heard if each.state == "clear" and each.sender not in self.own_users]

    def seen_matrix(self):
        return self.bodies(self.anna)

    archive_matrix = seen_matrix

    def raw_matrix(self):
        """As Pair has it: the events as they lie on the server, with the body that Anna read."""
        story = []
        for event in self.anna.history(self.room):
            heard = self.anna.event(event["event_id"])
            if event["type"] == "m.room.encrypted" and heard:
                story.append({**event, "content": {**event["content"], "body": heard.body}})
        return story

    def undecryptable(self):
        """
        (client, message) of what a device could not read at some moment, though it could expect to. Who is strict reads
        nothing of a device that its owner did not sign, and gives it no keys: so it is between Eric and Bert.
        """
        strict = {client.device for client in self.people.clients if getattr(client, "strict", False)}
        unsigned = {client.device for client in self.people.clients if isinstance(client, NioClient)}
        found = ((client, heard) for client in self.people.clients for heard in client.undecryptable(self.room, ever=True))
        ways = ((client, heard, client.device, heard.device) for client, heard in found)
        return [(c, heard) for c, heard, to, by in ways if not (to in strict and by in unsigned or to in unsigned and by in strict)]

    def reused(self):
        """(indices used twice, keys offered twice, events, sessions) of us and of our ghosts."""
        seen = [each for each in ciphers(self.anna, self.room) if each.sender not in self.own_users]
        indices, keys = self.witness.twice()
        return len(used_twice(seen)) + indices, keys, len(seen), len({each.session for each in seen})

    def flying_to(self, matrix):
        return self._count(f"state IN (1, 2) AND lane {'LIKE' if matrix else 'NOT LIKE'} '!%'")

    def close(self):
        try:
            return super().close()
        finally:
            self.people.close()
            if self.witness:
                self.witness.close()


def finish_sealed(result, pair, options, outward=None):
    """As row.finish, with every client as a reader, and with what must never be said twice."""
    out = (pair.outward, outward or pair.seen_xmpp)
    ins = [(client, lambda client=client: pair.bodies(client)) for client in pair.judges]
    whole = not out[0].messages or settled(*out, options.patience)
    for _, read in ins:
        whole = (not pair.inward.messages or settled(pair.inward, read, options.patience)) and whole
    if whole:
        time.sleep(LINGER)
    judge(result, pair, out, ins)
    result.echoes += pair.echoes()
    result.story += pair.raw_story()
    end(result, pair)
    return result


def judge(result, pair, out, ins):
    if pair.outward.messages:
        bodies = out[1]()
        result.figures.add(pair.outward.verdict(bodies, stamped=pair.stamped()))
        result.story += pair.outward.story(bodies)
    words = []
    for number, (client, read) in enumerate(ins if pair.inward.messages else []):
        bodies = read()
        figures = pair.inward.verdict(bodies)
        result.story += f"{client!r}\n" + pair.inward.story(bodies)
        words.append(f"{client!r}".split()[1] + f" {figures.delivered}/{figures.sent}")
        # Several readers of one timeline: the figures are the first one's, the others' must be as clean.
        if number == 0:
            result.figures.add(figures)
        else:
            result.require(figures.clean(), f"at {client!r}: {figures}")
    unread = pair.undecryptable()
    indices, keys, events, sessions = pair.reused()
    result.undecryptable, result.reused = len(unread), indices + keys
    result.notes.append(
        f"read by {', '.join(words) or 'nobody'}; undecryptable {len(unread)}; "
        f"indices used twice {indices}, keys offered twice {keys} ({events} events in {sessions} sessions of ours, {len(pair.witness.keys)} keys)"
    )
    result.story += "".join(f"undecryptable {heard.id} at {client!r}: {heard}, session {heard.session}\n" for client, heard in unread)
    for client, heard in unread[:4]:
        words = f"{heard.id} of {heard.sender}, session {heard.session}, now {heard.state}: {heard.reason} {heard.text}"
        result.wrong.append(f"undecryptable at some moment at {client!r}: {words}")
