# SPDX-License-Identifier: Apache-2.0
"""Who can read what is said in an encrypted room, and what of it crosses: cases T1, T4, T8, T9 and T20.

matrix-js-sdk, lax (Anna) and strict (Eric), and matrix-nio (Bert), on a real Synapse.
"""

import os
import threading

import pytest
from clients import never, until
from crypto_client import encryption
from crypto_stage import ALLOWED, BOB, STRICT, Stage
from crypto_wire import ciphers
from world import BOT, ghost


@pytest.fixture(scope="module")
def stage(world, cast, bob, carol):
    it = Stage(
        world,
        cast,
        bob,
        carol,
        {
            "talk": (ALLOWED, {}),
            "turning": (ALLOWED, {"encrypted": encryption(messages=3)}),
            "late": (ALLOWED, {"visibility": "invited"}),
            "signed": (STRICT, {}),
        },
    )
    yield it
    it.close()


def test_t1_t20_two_ghosts_at_once(stage):
    """Each by itself, in his order, none lost: two ghosts that say as much as they can at the same time."""
    group = stage.talk

    def talk(person, name):
        for n in range(20):
            person.send(group.muc, f"{name} {n}")

    both = [threading.Thread(target=talk, args=who) for who in ((stage.bob, "bob"), (stage.carol, "carol"))]
    for one in both:
        one.start()
    for one in both:
        one.join()
    for reader in stage.readers:
        for name in ("bob", "carol"):
            wanted = [f"{name} {n}" for n in range(20)]

            def said(reader=reader, name=name):
                return [heard for heard in reader.timeline(group.room) if heard.body.startswith(f"{name} ")]

            until(lambda said=said: len(said()) >= 20, what=f"what {name} said, at {reader!r}")
            assert [heard.body for heard in said()] == wanted
            assert {heard.sender for heard in said()} == {ghost(f"{name}@localhost")}
            assert all(heard.encrypted for heard in said())
            if reader is not stage.bert:
                assert {(heard.colour, heard.why) for heard in said()} == {("NONE", None)}
    assert len({each.device for each in ciphers(stage.anna, group.room) if each.sender != BOT}) == 2
    stage.check_wire(group)


def test_t4_what_clients_send(stage):
    """
    Texts and replies cross, of each client. Of an image and a file their names do, until there is a way for media; their
    ciphers are compared with vectors by tests/unit/test_attachment. An edit does not cross, encrypted or not.
    """
    group = stage.talk
    for person in stage.readers:
        said = person.send(group.room, f"a text of {person.user}")
        first = stage.hear(group, f"a text of {person.user}")
        person.edit(group.room, said, f"corrected by {person.user}")
        person.reply(group.room, said, f"an answer of {person.user}")
        assert stage.hear(group, f"an answer of {person.user}").relates.get("reply") == first.stanza_id
        person.send_image(group.room, os.urandom(2000), f"image of {person.user}")
        person.send_file(group.room, os.urandom(300_000), f"file of {person.user}")
        person.send(group.room, f"the end of {person.user}")
        stage.hear(group, f"the end of {person.user}")
        seen = [said.body for said in stage.bob.timeline(group.muc) if person.user in said.body]
        assert seen == [f"{what} of {person.user}" for what in ("a text", "an answer", "image", "file", "the end")]


def test_t8_a_new_session_when_it_must_be(stage):
    """Every cause of e2ee.md 3.7, seen on the wire; and who is gone gets no key, nor does his client find one."""
    group, cast = stage.turning, stage.cast
    kim, nils = cast.js("kim"), cast.nio("nils")
    for person in (kim, nils):
        person.join(group.room)
    stage.know(group, kim, nils)
    everybody = (*stage.readers, kim, nils)
    stage.settle(group)
    first = [stage.say(group, f"number {n}", everybody)[0].session for n in range(4)]
    assert first[0] == first[1] == first[2] != first[3], "three messages a session"
    sessions = {first[0], first[3]}

    def turned(body):
        fresh = stage.session(group, body)
        assert fresh not in sessions, f"{body}: still with a session from before"
        sessions.add(fresh)
        return fresh

    stage.anna.turn_on_encryption(group.room, messages=80)
    stage.settle(group)
    turned("after the room's rules were changed")
    assert stage.session(group, "and once more") in sessions, "without a cause it goes on"

    # A device that comes is given the key as it is now; one that goes takes it along.
    second = stage.eric.new_device()
    stage.anna.wait_device(stage.eric.user, second.device)
    stage.settle(group)
    assert stage.say(group, "with a second device", (*stage.readers, second))[0].session in sessions
    assert second.timeline(group.room)[-1].colour == "NONE"
    second.logout()
    until(lambda: second.device not in stage.anna.known_devices(stage.eric.user), what="Anna seeing the device go")
    stage.settle(group)
    turned("after a device was logged out")

    stage.anna.kick(group.room, kim.user)
    stage.anna.ban(group.room, nils.user)
    stage.settle(group)
    fresh = turned("after two were sent away")
    for person in (kim, nils):
        assert fresh not in person.sessions(group.room) and first[3] in person.sessions(group.room)

    stage.anna.put_state(group.room, "m.room.history_visibility", {"history_visibility": "joined"})
    stage.settle(group)
    turned("after the history was closed")

    with stage.stopped():
        assert stage.database("UPDATE c_mg_out SET created_ms = created_ms - ?", 8 * 86400_000)
    turned("after a week")
    for person in (kim, nils):
        read = {heard.session for heard in person.timeline(group.room) if heard.state == "clear"}
        assert sessions & person.sessions(group.room) == sessions & read, "a key of what was said without him"
    stage.check_wire(group)


def test_t9_from_the_invitation_or_the_joining_on(stage):
    """Who comes later reads nothing from before: with this history from his invitation on, with the other from his joining."""
    group, cast = stage.late, stage.cast
    stage.settle(group)
    early = [stage.say(group, "before anybody was invited")[0].id]
    ivy, ines = cast.js("ivy"), cast.nio("ines")
    for person in (ivy, ines):
        stage.anna.invite(group.room, person.user)
    stage.settle(group)
    stage.say(group, "said to the invited")
    # Not strict: nobody tells a client that is only invited of a ghost's identity, and a strict one does not look again later.
    for person in (ivy, ines):
        assert person.accept() == group.room
        assert person.wait(group.room, "said to the invited").sender == BOB
    until(lambda: ivy.shield(ivy.wait(group.room, "said to the invited")) == ("NONE", None), what="Ivy seeing no shield")
    stage.know(group, ivy, ines)
    stage.say(group, "said to all", (*stage.readers, ivy, ines))

    stage.anna.put_state(group.room, "m.room.history_visibility", {"history_visibility": "joined"})
    lea, leo = cast.js("lea", strict=True), cast.nio("leo")
    for person in (lea, leo):
        stage.anna.invite(group.room, person.user)
    stage.settle(group)
    early.append(stage.say(group, "not for who is only invited")[0].id)
    for person in (lea, leo):
        person.accept()
    stage.know(group, ivy, ines, lea, leo)
    stage.settle(group)
    stage.say(group, "now for everybody", (*stage.readers, ivy, ines, lea, leo))
    for person in (ivy, ines, lea, leo):
        old = [heard for heard in person.timeline(group.room) if heard.id in early and heard.state == "clear"]
        assert [heard.id for heard in old] == (early[1:] if person in (ivy, ines) else []), old


def test_a_group_that_trusts_only_what_is_signed(stage):
    """Beside one that trusts all: who is not signed is not read there, and is told, and gets no key."""
    group = stage.signed
    stage.settle(group)
    stage.eric.rotate(group.room)
    stage.eric.send(group.room, "from a signed device")
    stage.hear(group, "from a signed device")
    refused = stage.bert.send(group.room, "from an unsigned device")
    stage.say(group, "only for the signed", (stage.anna, stage.eric))
    stage.bert.wait_failed(group.room, lambda heard: heard.sender == BOB)
    never(lambda: stage.heard(group, "from an unsigned device"), what="what an unsigned device said")
    told = stage.anna.wait(group.room, lambda heard: heard.sender == BOT and "not verified by your account" in heard.body, 40)
    assert told and stage.anna.wait(group.room, refused)
    assert stage.bridge.alive()
