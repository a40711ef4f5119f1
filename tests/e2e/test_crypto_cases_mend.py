# SPDX-License-Identifier: Apache-2.0
"""What is forged, lost or broken between a client and the daemon: cases T10, T11, T13, T14, T15 and T21."""

import pytest
from clients import never, until
from crypto_client import request
from crypto_device import Device
from crypto_stage import ALLOWED, BOB, Stage
from test_crypto_own import signed_device
from world import BOT, ghost


@pytest.fixture(scope="module")
def stage(world, cast, bob, carol):
    it = Stage(world, cast, bob, carol, {"mended": (ALLOWED, {}), "claimed": (ALLOWED, {})})
    yield it
    it.close()


def device_of(stage, user):
    """The one device that the user's identity signed."""
    reader = Device(stage.cast, "reader")
    return until(lambda: signed_device(reader, user), what=f"a signed device of {user}")["device_id"]


def wire_event(client, room, event_id):
    return next(event for event in client.history(room) if event["event_id"] == event_id)


def test_t10_a_replay(stage):
    """The homeserver brings the same ciphertext as another event: it is not said twice. Brought again as it was, neither."""
    group = stage.mended
    for person in stage.readers:
        body = f"pay {person.user}"
        said = person.send(group.room, body)
        stage.hear(group, body)
        event = {**wire_event(person, group.room, said), "room_id": group.room}
        for copy in ({**event, "event_id": f"{said}again"}, {**event, "event_id": f"{said}late", "origin_server_ts": event["origin_server_ts"] + 1}, event):
            assert stage.bridge.transaction([copy])[0] == 200
    assert stage.bridge.metric('sourdine_ignored_total{reason="replay"}') == 6
    never(lambda: sum(said.body.startswith("pay ") for said in stage.bob.timeline(group.muc)) != 3, what="a second time")


@pytest.mark.long
def test_t11_what_a_liar_says(stage):
    """Each lie alone costs the liar his message, and nobody else's; the same device without it is heard."""
    group = stage.mended
    liar, other = Device(stage.cast, "liar"), Device(stage.cast, "other")
    for device in (liar, other):
        device.join(group.room)
    stage.settle(group)
    liar.give(group.room, BOT)
    liar.say(group.room, "honest")
    stage.hear(group, "honest")
    lies = {
        "recipient": "@somebody:hs.test",
        "recipient_keys": {"ed25519": "A" * 43},
        "sender": "@somebody:hs.test",
        "keys": {"ed25519": "A" * 43},
        "sender_device_keys": {**liar.device_keys(), "user_id": other.user},
    }
    said = []
    for name, lie in lies.items():
        liar.rotate(group.room)
        liar.give(group.room, BOT, lie={name: lie})
        said.append(f"a lie about {name}")
        liar.say(group.room, said[-1])
    liar.rotate(group.room)
    liar.give(group.room, BOT)
    said.append("said in another room")
    liar.say(group.room, said[-1], lie={"room_id": "!elsewhere:hs.test"})
    said.append("another's words")
    other.send_wire(group.room, liar.encrypt(group.room, {"msgtype": "m.text", "body": said[-1]})[1], "m.room.encrypted")
    liar.say(group.room, "honest again")
    stage.hear(group, "honest again", 45)  # behind what nobody gave a key for
    never(lambda: [each for each in stage.bob.timeline(group.muc) if each.body in said], what="a lie")


def test_t11_a_key_that_another_claims(stage):
    """Somebody who was given Anna's key gives it to the bot before she does, as if it were his: her words stay hers, and cross."""
    group = stage.claimed
    squatter = Device(stage.cast, "squatter")
    squatter.join(group.room)
    stage.anna.wait_device(squatter.user, squatter.device)
    stage.settle(group)
    with stage.stopped():
        stage.anna.rotate(group.room)
        first = stage.anna.send(group.room, "mine")
        session = wire_event(stage.anna, group.room, first)["content"]["session_id"]
        squatter.receive()
        key = next(each["content"] for each in squatter.payloads if each["content"].get("session_id") == session)
        squatter.payloads.clear()
        # As if hers had not come yet.
    stage.hear(group, "mine")
    device = device_of(stage, BOT)
    with stage.stopped():
        assert stage.database("DELETE FROM c_mg_in WHERE session_id = ?", session) == 1
        squatter.tell(BOT, device, "m.room_key", key)
        stage.anna.send(group.room, "mine too")
    stage.hear(group, "mine too", 40)
    assert stage.heard(group, "mine too").name == stage.heard(group, "mine").name


@pytest.mark.long
def test_t13_a_broken_session(stage):
    """
    The Olm sessions with a device are lost: it is told so once, and gives its keys through a new one from then on. What it said
    before that stays unread, since a client counts a key as given from its last giving on; its author is told.
    """
    group = stage.mended
    stage.settle(group)
    with stage.stopped():
        broken = stage.database(
            "UPDATE c_olm SET pickle = 'broken' WHERE account = (SELECT id FROM c_account WHERE user_id = ?)"
            " AND peer_curve IN (SELECT curve FROM c_device WHERE user_id = ?)",
            BOT,
            stage.anna.user,
        )
        assert broken
        stage.anna.rotate(group.room)
        stage.anna.send(group.room, "into the void")
    until(lambda: "a new session with a device that lost step" in stage.bridge.said(), what="m.dummy")
    stage.anna.send(group.room, "heard again")
    stage.anna.wait(group.room, lambda heard: heard.sender == BOT and "could not be decrypted" in heard.body, 40)
    stage.hear(group, "heard again")
    stage.settle(group)
    assert stage.bridge.said().count("a new session with a device that lost step") == 1
    assert stage.bridge.said().count("an Olm session is damaged") <= broken, "each is complained of once"


def notices(stage, group):
    return [heard for heard in stage.anna.timeline(group.room) if heard.sender == BOT and "could not be decrypted" in heard.body]


def test_t14_a_lost_room_key(stage):
    """Asked for, and given again by the device that had given it: in order, and before anybody is told of it."""
    group = stage.mended
    stage.settle(group)
    session = wire_event(stage.anna, group.room, stage.anna.send(group.room, "with the key"))["content"]["session_id"]
    stage.hear(group, "with the key")
    with stage.stopped():
        assert stage.database("DELETE FROM c_mg_in WHERE session_id = ?", session) == 1
    told = len(notices(stage, group))
    stage.anna.send(group.room, "without the key")
    stage.anna.send(group.room, "and the next")
    stage.hear_all(group, ["without the key", "and the next"], 20)
    assert len(notices(stage, group)) == told
    assert "a room key is missing and was asked for" in stage.bridge.said()


def test_t15_devices_deleted_by_the_admin(stage, world):
    """The bot's and a ghost's: each gets a successor under the same identity, which no client warns of."""
    group = stage.mended
    stage.say(group, "before the device was deleted")
    token = world.tokens()[0]
    old = {user: device_of(stage, user) for user in (BOT, BOB)}
    identities = {user: stage.identity(user) for user in old}
    for user, device in old.items():
        request(stage.cast.url, "DELETE", f"/_matrix/client/v3/devices/{device}", token, {}, {"user_id": user})
    with stage.stopped():
        pass
    stage.say(group, "after the device was deleted")
    for user, device in old.items():
        new = device_of(stage, user)
        assert new != device
        for client in (stage.anna, stage.witness):
            client.wait_device(user, new)
        assert stage.identity(user) == identities[user]
    stage.settle(group)
    # While it runs: noticed at the next message. (Nobody gets a third device within the hour.)
    carol = ghost("carol@localhost")
    stage.carol.send(group.muc, "from Carol")
    for reader in stage.readers:
        reader.wait(group.room, "from Carol")
    known = stage.identity(carol)
    request(stage.cast.url, "DELETE", f"/_matrix/client/v3/devices/{device_of(stage, carol)}", token, {}, {"user_id": carol})
    stage.carol.send(group.muc, "deleted under way")
    for reader in stage.readers:
        heard = reader.wait(group.room, "deleted under way")
        assert heard.encrypted and (reader is stage.bert or heard.colour == "NONE"), heard
    assert stage.identity(carol) == known
    stage.check_wire(group)


@pytest.mark.long
def test_t21_keys_by_two_channels(stage, world):
    """A homeserver with both experimental switches on brings to-device messages by transactions as well: nothing is doubled."""
    group = stage.mended
    flags = world.write(
        world.folder / "flags.yaml",
        "experimental_features: { msc2409_to_device_messages_enabled: true, msc3202_transaction_extensions: true }\n",
    )
    registration = world.write(world.folder / "experimental.yaml", world.registration.read_text() + "org.matrix.msc3202: true\n")
    usual = world.synapse.command
    # Clients are away for a while after this restart: nobody's first words may fall into it (test_crypto_controls.py).
    stage.say(group, "before")
    stage.bridge.stop()
    world.synapse.stop()
    world.synapse.command = [registration if each == world.registration else each for each in usual]
    world.synapse.env["EXTRA"] = str(flags)
    try:
        world.synapse.start()
        stage.bridge.start()
        for person in stage.readers:
            until(lambda person=person: person.request("GET", "/_matrix/client/v3/account/whoami"), what="the homeserver")
        bodies = []
        for turn in range(3):
            for person in stage.readers:
                person.rotate(group.room)
                bodies.append(f"twice {turn} {person.user}")
                person.send(group.room, bodies[-1])
            stage.say(group, f"and back {turn}")
        stage.hear_all(group, bodies)
        assert not stage.bridge.metric('sourdine_matrix_decrypted_total{result="undecryptable"}')
        assert stage.bridge.metric("sourdine_matrix_room_keys_total") == len(bodies)
        stage.check_wire(group)
    finally:
        stage.bridge.stop()
        world.synapse.stop()
        world.synapse.command = usual
        world.synapse.env.pop("EXTRA")
        world.synapse.start()
