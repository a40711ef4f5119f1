# SPDX-License-Identifier: Apache-2.0
"""What a room does to us: kicks, bans, closed doors, taken nicks, an end; and a room without a memory."""

import json
import time

import slixmpp
from clients import Impatience, until
from row import Result, end, finish, raw_rates, settle, strike, warm
from stage import FakePair, Pair
from world import BOT, DOMAIN

CPU_LIMIT = 0.5  # seconds of processor in three seconds of quiet


class Writer:
    """A Matrix user of the row and his ghost in the MUC."""

    def __init__(self, pair, number):
        self.pair, self.name = pair, f"w{number}"
        self.user = f"@{self.name}:{DOMAIN}"
        self.nick = self.name  # until he is seen

    def say(self, body):
        event = self.pair.hs.event(self.pair.fake, self.user, body)
        self.pair.stage.loop.run(self.pair.hs.deliver([event]))
        return event["event_id"]

    def arrived(self, body):
        there = [said for said in self.pair.stage.bob.timeline(self.pair.muc) if body in said.body]
        self.nick = there[0].name if there else self.nick
        return len(there) == 1

    def told(self, event_id, before):
        """The bot said something to him, or about this message, since then."""
        for room in list(self.pair.hs.rooms.values()):
            mine = room is not self.pair.fake and self.user in room.members
            for event in room.events:
                if event["sender"] == BOT and event["type"] == "m.room.message" and int(event["event_id"][5:]) > before:
                    if mine or event_id in json.dumps(event["content"]):
                        return event["content"]["body"]
        return ""


def outcome(writer, body, patience=20.0):
    """Says it; 'delivered', 'told: why', or 'waits'."""
    before = writer.pair.hs.next_event
    event_id = writer.say(body)
    try:
        until(lambda: writer.arrived(body) or writer.told(event_id, before), patience)
    except Impatience:
        return "waits"
    return "delivered" if writer.arrived(body) else "told"


def kick(pair, writer):
    pair.stage.bob.kick(pair.muc, writer.nick)
    until(lambda: writer.nick not in pair.stage.bob.occupants(pair.muc), what="the kick")


def ban(pair, writer):
    jid = pair.stage.bob.occupants(pair.muc)[writer.nick]["jid"].split("/")[0]
    pair.stage.bob.set_affiliation(pair.muc, jid, "outcast")
    until(lambda: writer.nick not in pair.stage.bob.occupants(pair.muc), what="the ban")


def take_nick(pair, writer):
    """Carol sits there under his name before his ghost comes."""
    pair.carol.join(pair.muc, writer.name)


def mute(pair, writer):
    pair.stage.bob.configure(pair.muc, moderatedroom=True)
    jid = pair.stage.bob.occupants(pair.muc)[writer.nick]["jid"].split("/")[0]
    pair.stage.bob.loop.run(pair.stage.bob._muc.set_role(slixmpp.JID(pair.muc), writer.nick, "visitor"))
    until(lambda: pair.stage.bob.occupants(pair.muc).get(writer.nick, {}).get("role") == "visitor", what="the lost voice")
    return jid


def unmute(pair, writer):
    pair.stage.bob.configure(pair.muc, moderatedroom=False)


def close_door(pair, writer):
    """Members only: the server sends everybody else away, our bot among them."""
    pair.stage.bob.configure(pair.muc, membersonly=True)


def open_door(pair, writer):
    pair.stage.bob.configure(pair.muc, membersonly=False)


def destroy(pair, writer):
    stanza = f"<iq type='set' to='{pair.muc}' id='destroy{time.time_ns()}'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>"
    pair.stage.bob.raw(stanza)
    until(lambda: "Bob" not in pair.stage.bob.occupants(pair.muc), what="the end of the room")


def nothing(pair, writer):
    pass


# name -> (what is done, how it is undone, the outcomes that are right)
DEEDS = {
    "kick": (kick, nothing, {"told"}),
    "ban": (ban, nothing, {"told"}),
    "nick taken": (take_nick, lambda pair, writer: pair.carol.leave(pair.muc), {"delivered"}),
    "no voice": (mute, unmute, {"told"}),
    "members only": (close_door, open_door, {"told", "waits"}),
    "destroyed": (destroy, nothing, {"told"}),  # Prosody keeps a tombstone: the room stays gone
}


SHUT_OUT = ("members only", "destroyed")  # our bot is sent away, and does not come back at once


def processor(pair):
    """Seconds of processor that the daemon has used."""
    fields = open(f"/proc/{pair.bridge.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def muc_deeds(stage, options):
    """Each deed a few times, each against another writer: the message goes, waits, or its writer is told; nobody runs in circles."""
    result = Result()
    carol = stage.xmpp("carol")
    times, number = options.many(1, 10), 0
    try:
        for name, deed in DEEDS.items():
            tally, busiest = {}, 0.0
            for some in [1] * times if name in SHUT_OUT else [times]:
                with FakePair(stage) as pair:
                    pair.carol = carol
                    pair.start()
                    for _ in range(some):
                        number += 1
                        came, busy = one_deed(pair, Writer(pair, number), name, deed, result)
                        tally[came] = tally.get(came, 0) + 1
                        busiest = max(busiest, busy)
                    end(result, pair)
            result.notes.append(f"{name}: {', '.join(f'{what} x {count}' for what, count in tally.items())}, {busiest:.2f} s of processor")
            result.require(busiest <= CPU_LIMIT, f"{name}: {busiest:.1f} s of processor in 3 s")
        return result
    finally:
        stage.people.remove(carol)
        carol.close()


def one_deed(pair, writer, name, deed, result):
    """(what became of the message after it, seconds of processor in three seconds of quiet)."""
    do, undo, right = deed
    if do is take_nick:
        do(pair, writer)
    result.require(outcome(writer, f"before {name} {writer.name}") == "delivered", f"{name}: not even before")
    if do is take_nick:
        result.require(writer.nick != writer.name, "two under one nick")
    else:
        do(pair, writer)
    came = outcome(writer, f"after {name} {writer.name}", 12)
    began = processor(pair)
    time.sleep(3)
    busy = processor(pair) - began
    undo(pair, writer)
    result.figures.sent += 2
    result.figures.delivered += 1 + (came == "delivered")
    result.require(came in right, f"{name}: {came}")
    if came == "waits":
        await_end(pair, writer, f"after {name} {writer.name}", result)
    return came, busy


def await_end(pair, writer, body, result):
    """What waited must come, or its writer must hear, once the deed is undone."""
    try:
        until(lambda: writer.arrived(body) or writer.told("", 0), 700)
        result.figures.delivered += writer.arrived(body)
    except Impatience:
        result.figures.lost += 1


def no_archive(stage, options):
    """Neither archive nor history: at least once, at most 16 repetitions at each kill, each counted."""
    result = Result()
    with Pair(stage, matrix=8, enablearchiving=False, historylength="0") as pair:
        raw = raw_rates(pair, options, lanes=False)[0]
        pair.start()
        warm(pair, options)
        load = pair.say_matrix(rate=raw / 2)
        for number in range(options.kills):
            time.sleep(options.dice.uniform(0.2, 1.0))
            strike(pair, options, result, aimed=number % 3 != 2)
            pair.start()
        load.stop()
        settle(pair, options)
        result.bound = 16 * result.kills
        result.notes.append(f"at most {result.bound} repetitions are documented")
        return finish(result, pair, options)
