# SPDX-License-Identifier: Apache-2.0
"""Direct rooms of the bot: encrypted for whoever can read that, never less than they were; and nobody waits for it to verify itself."""

import time

from checks import saying
from clients import until
from conftest import charter_of
from crypto_client import encryption
from world import BOT, Group, ghost

DIGEST = charter_of("marketing", "tz Europe/Paris\nhours mon-fri 08:30-18:30\ndigest at 17:30 mon-fri")
TRUST_ALL = "encryption:\n  trust: all\n"


def from_bot(client, room, words):
    """The bot's message with these words in a room, and that it was encrypted."""
    said = client.wait(room, lambda heard: heard.sender == BOT and words in heard.body)
    assert said.encrypted and said.colour in ("NONE", None) and said.why is None, str(said)
    return said


def ask(client, room, command, words):
    client.wait_knows(room, {client.user, BOT})
    client.send(room, command)
    return from_bot(client, room, words)


def stored_in_clear(client, room):
    """Messages that lie in the room as the homeserver can read them."""
    return [event["content"].get("body") for event in client.history(room) if event["type"] == "m.room.message"]


def subscribe(group, bridge, readers, plain):
    """All of them have a digest waiting."""
    for reader in readers:
        reader.join(group.room)
        reader.wait_knows(group.room, {reader.user}, encrypted=False)
        reader.send(group.room, "!sd mode digest")
        until(lambda reader=reader: reader.timeline(group.room)[-1].sender == BOT, what=f"an answer to {reader!r}")
    event = plain.send(group.room, "!sd mode digest")
    until(lambda: [m for m in plain.timeline(group.room) if m.who == BOT and event in str(m.relates)], what="an answer")
    group.host.send(group.muc, "the harvest is in")
    plain.wait(group.room, "the harvest is in")
    bridge.set_clock("2026-11-23 17:30")


def test_for_whom_can_read_it(make_group, make_bridge, them, alice, bob):
    """js-sdk: the digest by a room of the bot's own making, and commands there; a client without encryption: as ever."""
    anna, eric = them.anna, them.eric
    group = make_group("marketing", members=())
    group.host = bob
    bridge = make_bridge([group], {"marketing": DIGEST}).start()
    subscribe(group, bridge, [anna], alice)
    until(lambda: saying(alice.whispers(BOT), "harvest"), what="the plain digest")
    room = anna.accept()
    from_bot(anna, room, "the harvest is in")
    ask(anna, room, "!whoami", anna.user)
    assert stored_in_clear(anna, room) == []

    # A plain room of the person's own, which he encrypts: from then on nothing goes there in the clear.
    room = them.direct(eric, BOT, encrypted=False)
    eric.send(room, "!whoami")
    until(lambda: [h for h in eric.timeline(room) if h.sender == BOT and eric.user in h.body], what="a plain answer")
    eric.turn_on_encryption(room)
    ask(eric, room, "!status", "marketing")
    before = stored_in_clear(eric, room)
    # What is not encrypted there is not heeded, and he is told so.
    eric.send_plain(room, "!why")
    from_bot(eric, room, "was not encrypted, and this room is")
    # Another plain room does not take its place.
    again = eric.create_room("", invite=[BOT], public=False, is_direct=True)

    def went():
        return [e["content"]["membership"] for e in eric.history(again) if e["type"] == "m.room.member" and e["state_key"] == BOT]

    until(lambda: "leave" in went(), what="the bot leaving the plain room")
    assert "join" in went()
    bridge.restart()
    ask(eric, room, "!status", "marketing")
    assert stored_in_clear(eric, room) == [*before, "!why"]
    group.leave()


def test_nio(make_group, make_bridge, them, alice, bob):
    """The same with matrix-nio, whose devices nobody signs: in a room of its own, then as the bot's room for a digest."""
    bert, carl = them.bert, them.nio("carl")
    group = make_group("marketing", members=())
    group.host = bob
    bridge = make_bridge([group], {"marketing": DIGEST}, extra=TRUST_ALL).start()
    room = them.direct(bert, BOT)
    ask(bert, room, "!whoami", bert.user)
    subscribe(group, bridge, [carl], alice)
    room = carl.accept()
    from_bot(carl, room, "the harvest is in")
    ask(carl, room, "!whoami", carl.user)
    assert stored_in_clear(carl, room) == []
    group.leave()


def test_required(make_group, make_bridge, them, alice, bob):
    """encryption.require: what would be said in the clear is not said; who can read gets a room where it can be."""
    anna = them.anna
    group = make_group("marketing", members=())
    bridge = make_bridge([group], extra="encryption:\n  require: true\n").start()
    alice.direct(BOT)
    plain = them.direct(anna, BOT, encrypted=False)
    anna.invites.clear()
    anna.send(plain, "!whoami")
    from_bot(anna, anna.accept(), anna.user)
    mute = alice.direct(BOT)
    alice.send(mute, "!whoami")
    until(lambda: "encryption.require is true" in bridge.said(), what="a refusal")
    assert not [m for m in alice.timeline(mute) if m.who == BOT]
    group.leave()


def declined(client, user, **where):
    began = time.monotonic()
    end = client.verify(user, **where)
    assert (end["phase"], end["code"]) == ("Cancelled", "m.user"), end
    assert time.monotonic() - began < 10


def test_verification_is_declined(world, make_bridge, them, bob, carol):
    """In a direct room, encrypted or not, in a group's, and at a device; by the bot and by a ghost; nothing of it crosses."""
    anna = them.anna
    group = Group(world, "vault", anna, bob, [], [carol], encrypted=encryption())
    make_bridge([group], extra="    encrypted: allow\n").start()
    bob.send(group.muc, "good morning")
    anna.wait(group.room, "good morning")
    anna.wait_knows(group.room, {anna.user, BOT, ghost("bob@localhost")})
    for _ in range(2):
        declined(anna, ghost("bob@localhost"), room=group.room)
    declined(anna, BOT, room=them.direct(anna, BOT, encrypted=False))
    room = them.direct(anna, BOT)
    declined(anna, BOT, room=room)
    declined(anna, BOT, device=ask(anna, room, "!whoami", anna.user).device)
    anna.send(group.room, "the end")
    bob.wait(group.muc, "the end")
    assert not saying(carol.timeline(group.muc), "verif")
    assert not [event for event in anna.history(group.room) if event["type"].startswith("m.key.")]
    group.leave()
