# SPDX-License-Identifier: Apache-2.0
"""The clients that judge encryption, judged: without Sourdine, they see what is right as right and what is wrong as wrong.

Only then "no shield" means something when it is said of a ghost.
"""

import os

import pytest
from nio import EncryptionError

from clients import Refused, until
from crypto_device import Device, crowd
from crypto_wire import ciphers, used_twice


@pytest.fixture
def room(them):
    return them.room(them.anna, [them.eric, them.bert])


def readable(client, room):
    left = [str(heard) for heard in client.undecryptable(room, ever=True)]
    assert not left, f"{client!r} could not read, for a while at least:\n  " + "\n  ".join(left)


def test_signed_by_its_owner_no_shield(them, room):
    anna, eric, bert = them.anna, them.eric, them.bert
    said = anna.send(room, "good morning")
    for reader in (anna, eric):
        heard = reader.wait(room, said)
        assert (heard.body, heard.encrypted, heard.colour, heard.why) == ("good morning", True, "NONE", None), heard
    heard = bert.wait(room, said)
    assert heard.encrypted and heard.device == anna.device, heard
    assert not eric.identity(anna.user)["changed"]
    for reader in (anna, eric, bert):
        readable(reader, room)


def test_edit_reply_and_files(them, room):
    """In each direction between the implementations: the ciphertext's hash is compared by the reader."""
    anna, bert = them.anna, them.bert
    for writer, reader in ((anna, bert), (bert, anna)):
        said = writer.send(room, "first")
        edit, reply = writer.edit(room, said, "second"), writer.reply(room, said, "answer")
        picture, big = os.urandom(2000), os.urandom(300_000)
        sent = {writer.send_image(room, picture): picture, writer.send_file(room, big): big}
        assert reader.wait(room, edit).content["m.new_content"]["body"] == "second"
        assert reader.wait(room, edit).relates["event_id"] == said
        assert reader.wait(room, reply).relates["m.in_reply_to"]["event_id"] == said
        for event_id, data in sent.items():
            heard = reader.wait(room, event_id)
            assert reader.download(heard.content) == data
            spoilt = {**heard.content["file"], "hashes": {"sha256": "A" * 43}}
            with pytest.raises((Refused, EncryptionError), match="(?i)sha-?256"):
                reader.download({**heard.content, "file": spoilt})
        assert [heard.id for heard in reader.timeline(room)][-5:] == [said, edit, reply, *sent]


@pytest.mark.parametrize("identity", [False, True], ids=["no identity", "an identity"])
def test_unsigned_device_is_red(them, identity):
    """T2: a device that nobody signed, of an account without an identity, and of one with. It is given no key either."""
    first = them.js("urs", sign="new" if identity else None)
    writer = first.new_device(signed=False, strict=False) if identity else first
    room = them.room(them.anna, [them.eric, them.bert, first])
    writer.wait_knows(room, {them.eric.user, them.bert.user})
    said = writer.send(room, "who am I")
    lax = them.anna.wait(room, said)
    assert (lax.body, lax.colour, lax.why) == ("who am I", "RED", "UNSIGNED_DEVICE"), lax
    strict = them.eric.wait_failed(room, said)
    assert strict.reason == "UNSIGNED_SENDER_DEVICE" and strict.content == {}, strict
    assert [heard.id for heard in them.eric.undecryptable(room)] == [said], "what a client cannot read is counted"
    assert them.bert.wait(room, said).body == "who am I"
    them.eric.wait_device(writer.user, writer.device)
    kept = them.eric.send(room, "only for the signed")
    assert writer.wait_failed(room, kept).reason == "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE"
    assert them.bert.wait_failed(room, kept)
    assert them.anna.wait(room, kept).colour == "NONE"


def test_one_device_for_all_is_red(them):
    """T3: a relay with one device, itself signed and trusted, that speaks for ghosts; beside it a ghost with its own device."""
    relay, own = them.speaker("relay"), them.speaker("own")
    ghost = them.ghost("ghost")
    room = them.room(them.anna, [them.eric, them.bert, relay, own])
    them.ghost_joins(ghost, room)
    for person in (relay, own, them.anna):
        person.wait_knows(room, {ghost, them.eric.user, them.bert.user})
    wrong, right = them.relay(relay, ghost, room, "by the relay"), own.send(room, "by myself")
    lax = them.anna.wait(room, wrong)
    assert (lax.sender, lax.body, lax.colour, lax.why) == (ghost, "by the relay", "RED", "MISMATCHED_SENDER"), lax
    strict = them.eric.wait_failed(room, wrong)
    assert "does not match the owner of the device" in strict.text, strict
    for reader in (them.anna, them.eric):
        heard = reader.wait(room, right)
        assert (heard.body, heard.colour, heard.why) == ("by myself", "NONE", None), heard
    assert them.bert.wait(room, right).device == own.device


def test_away_while_others_rotate(them, room):
    """A client that was stopped goes on with the same store: all of it, in order, more than the server gives at once."""
    anna, eric, bert = them.anna, them.eric, them.bert
    before = anna.send(room, "before")
    for reader in (eric, bert):
        reader.wait(room, before)
        reader.stop()
    texts = [f"{n} meanwhile" for n in range(1, 111)]
    for n, text in enumerate(texts):
        if n in (0, 5):
            anna.rotate(room)
        anna.send(room, text)
    for reader in (eric, bert):
        reader.start()
        reader.wait_bodies(room, ["before", *texts])
        assert len({heard.session for heard in reader.timeline(room)}) == 4, "one before, two rotations, one after 100 messages"
        readable(reader, room)


def test_first_words_to_a_client_that_was_away(them):
    """
    A client that gets somebody's first key and first words with one answer does not know yet who signed his device: lax it shows a
    warning, until it is asked again; strict it refuses the words, and keeps to that. No more can be asked of ghosts.
    """
    anna, eric = them.anna, them.eric
    room = them.room(anna, [eric])
    newcomer = them.js("newcomer")
    for reader in (anna, eric):
        reader.stop()
    newcomer.join(room)
    newcomer.wait_knows(room, {anna.user, eric.user})
    newcomer.send(room, "first words")
    for reader in (anna, eric):
        reader.start()
    heard = anna.wait(room, "first words")
    assert (heard.colour, heard.why) == ("RED", "UNSIGNED_DEVICE"), heard
    until(lambda: anna.shield(heard) == ("NONE", None), what="the warning gone when it is asked again")
    until(lambda: eric.identity(newcomer.user)["exists"], what="Eric knowing whose identity that is")
    newcomer.send(room, "second words")
    assert eric.wait(room, "second words").colour == "NONE"
    assert "UNSIGNED_SENDER_DEVICE" in [str(each) for each in eric.undecryptable(room)][0]


def test_rotation_and_who_gets_a_key(them):
    """Every second message a new session; who comes later reads from then on, who was sent away nothing more."""
    anna, eric, bert = them.anna, them.eric, them.bert
    room = them.room(anna, [eric], rotate_messages=2, visibility="joined")
    early = [anna.send(room, f"early {n}") for n in range(3)]
    eric.wait(room, early[-1])
    assert len({eric.event(each).session for each in early}) == 2
    bert.join(room)
    anna.wait_knows(room, {bert.user})
    both = anna.send(room, "welcome")
    assert bert.wait(room, both).body == "welcome"
    assert not [each for each in early if bert.event(each)]
    anna.kick(room, bert.user)
    until(lambda: not anna.knows(room, {bert.user}), what="Anna seeing him go")
    after = anna.send(room, "without him")
    session = eric.wait(room, after).session
    assert session not in bert.sessions(room) and eric.event(both).session in bert.sessions(room)


def test_a_lost_key_is_asked_for(them, room):
    """What T14 stands on: who sent the key gives it again to the device that had it."""
    anna, eric, bert = them.anna, them.eric, them.bert
    session = bert.wait(room, anna.send(room, "kept")).session
    bert.take_forwards_from(anna.user)
    bert.forget_key(room, session)
    lost = bert.wait(room, anna.send(room, "lost"))
    assert lost.body == "lost" and lost.session == session and lost.failed_once, lost
    eric.wait(room, lost.id)
    eric.forget_key(room, session)
    assert eric.wait_failed(room, anna.send(room, "also lost")).reason == "MEGOLM_UNKNOWN_INBOUND_SESSION_ID"


def test_new_devices_and_lost_ones(them, room):
    """A second device reads from its log-in on, under the same identity; a device that logged out gets no more keys."""
    anna, eric, bert = them.anna, them.eric, them.bert
    before = anna.send(room, "before it was there")
    second = eric.new_device(strict=False)
    for writer in (anna, bert):
        writer.wait_device(eric.user, second.device)
    said = anna.send(room, "for both")
    assert [second.wait(room, said).colour, eric.wait(room, said).colour] == ["NONE", "NONE"]
    assert second.event(before).state == "failed" and not second.undecryptable(room), "its history is none of its business"
    answer = anna.wait(room, second.send(room, "from the second"))
    assert (answer.colour, answer.device) == ("NONE", second.device)
    assert not anna.identity(eric.user)["changed"]
    assert second.wait(room, bert.send(room, "also by nio")).device == bert.device
    second.logout()
    until(lambda: second.device not in anna.known_devices(eric.user), what="Anna seeing the device go")
    after = eric.wait(room, anna.send(room, "only for the first"))
    assert after.session != eric.event(said).session, "the device that is gone has the key of the old one"


def test_the_same_ciphertext_twice(them, room):
    """
    T6 and T10 stand on this: a message index that was used for two events is found on the wire. nio refuses the second event,
    Element's crypto does not.
    """
    anna, eric, bert = them.anna, them.eric, them.bert
    anna.rotate(room)
    for n in range(3):
        eric.wait(room, anna.send(room, f"index {n}"))
    seen = ciphers(eric, room)
    assert [(each.sender, each.device, each.index) for each in seen] == [(anna.user, anna.device, n) for n in range(3)]
    assert len({each.session for each in seen}) == 1 and not used_twice(seen)
    kind, content = anna.encrypt(room, {"msgtype": "m.text", "body": "replayed"})
    first, second = anna.send_wire(room, content, kind), anna.send_wire(room, content, kind)
    assert used_twice(ciphers(eric, room)) == {(seen[0].session, 3): [first, second]}
    assert eric.wait(room, first).body == "replayed"
    assert bert.wait_failed(room, second)
    assert eric.wait(room, second).colour == "NONE", "so it cannot be left to this client to notice"


def test_a_verification_that_is_declined(them):
    """Who asks for a verification learns that it was cancelled, and why."""
    anna, gina = them.anna, them.speaker("gina")
    room = them.direct(anna, gina)
    assert anna.identity(gina.user)["exists"]
    answer = anna.post("verify", user=gina.user, room=room)
    asked = gina.wait(room, lambda heard: heard.content.get("msgtype") == "m.key.verification.request")
    relation = {"rel_type": "m.reference", "event_id": asked.id}
    gina.send_event(room, {"code": "m.user", "reason": "no", "m.relates_to": relation}, "m.key.verification.cancel")
    assert answer.result(30) == {"phase": "Cancelled", "code": "m.user"}


def test_many_devices_get_a_key(them):
    """Devices by hand, two a member, signed: a strict client gives each of them its key."""
    eric = them.eric
    room = them.room(eric)
    devices = crowd(them, room, 4, devices=2)
    eric.wait_knows(room, {device.user for device in devices})
    said = eric.send(room, "to all of you")
    for device in devices:
        assert device.wait(room, said).body == "to all of you"
        (key,) = [payload for payload in device.payloads if payload["type"] == "m.room_key"]
        assert (key["sender"], key["recipient"]) == (eric.user, device.user)
    answer = devices[0].say(room, "thank you")
    assert (eric.wait(room, answer).body, eric.event(answer).colour) == ("thank you", "NONE")
    assert devices[1].wait(room, answer)


LIES = {
    "recipient": "@somebody:hs.test",
    "recipient_keys": {"ed25519": "A" * 43},
    "sender": "@somebody:hs.test",
    "keys": {"ed25519": "A" * 43},
}


def test_what_a_hostile_device_says_of_itself(them):
    """T11: each of these is a lie that a good client does not take; the same device without it is read."""
    anna, liar, other = them.anna, Device(them, "liar"), Device(them, "other")
    room = them.room(anna)
    for device in (liar, other):
        device.join(room)
    anna.wait_knows(room, {liar.user, other.user})
    honest = anna.wait(room, liar.say(room, "honest"))
    assert (honest.body, honest.colour) == ("honest", "NONE"), honest
    lies = {**LIES, "sender_device_keys": {**liar.device_keys(), "user_id": other.user}}
    for name, lie in lies.items():
        liar.rotate(room)
        liar.give(room, anna.user, lie={name: lie})
        failed = anna.wait_failed(room, liar.say(room, f"a lie about {name}"))
        assert failed.reason == "MEGOLM_UNKNOWN_INBOUND_SESSION_ID", (name, failed)
    liar.rotate(room)
    liar.give(room, anna.user)
    elsewhere = liar.say(room, "said in another room", lie={"room_id": "!elsewhere:hs.test"})
    assert anna.wait_failed(room, elsewhere)
    stolen = liar.encrypt(room, {"msgtype": "m.text", "body": "not mine"})[1]
    taken = anna.wait(room, other.send_wire(room, stolen, "m.room.encrypted"))
    assert (taken.colour, taken.why) == ("RED", "MISMATCHED_SENDER"), taken
    assert anna.wait(room, liar.say(room, "honest again")).colour == "NONE"


def test_direct_rooms(them):
    """Who is invited to an encrypted room, joins, and reads from the first word on."""
    for owner, other in ((them.bert, them.anna), (them.anna, them.bert)):
        room = them.direct(owner, other)
        other.wait(room, owner.send(room, "just for you"))
        owner.wait(room, other.send(room, "and back"))
        readable(owner, room)
        readable(other, room)
