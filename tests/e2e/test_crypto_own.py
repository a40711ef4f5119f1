# SPDX-License-Identifier: Apache-2.0
"""Sourdine's own devices, as a real homeserver shows them to clients that trust nobody."""

import vodozemac
from clients import until
from crypto_client import request
from crypto_device import Device, signed_bytes
from world import BOT


def check(content, user, public):
    """The object is signed by this key of the user's: raises when it is not."""
    signature = vodozemac.Ed25519Signature.from_base64(content["signatures"][user][f"ed25519:{public}"])
    vodozemac.Ed25519PublicKey.from_base64(public).verify_signature(signed_bytes(content), signature)


def only_key(content):
    (public,) = content["keys"].values()
    return public


def signed_device(client, user):
    """The one device of a user that his present identity signed, once its whole chain of signatures holds; None before that."""
    said = client.keys_of(user)
    master, self_signing = (said.get(part, {}).get(user) for part in ("master_keys", "self_signing_keys"))
    if not self_signing:
        return None
    check(self_signing, user, only_key(master))
    name = f"ed25519:{only_key(self_signing)}"
    # Databases of other tests had other keys.
    signed = [device for device in said["device_keys"].get(user, {}).values() if name in device["signatures"][user]]
    if len(signed) != 1:
        return None
    client.verify_signature(signed[0], signed[0])
    check(signed[0], user, only_key(self_signing))
    return signed[0]


def test_the_bot_is_cross_signed(team, people):
    reader = Device(people)
    device = until(lambda: signed_device(reader, BOT), what="the bot's device, signed")
    claimed = reader.claim(BOT, device["device_id"])
    assert claimed and not claimed.get("fallback"), claimed
    before = reader.keys_of(BOT)

    # After a restart, and a kill, the same device under the same identity.
    team.bridge.restart()
    until(team.group.bot_in, what="the bot")
    team.bridge.kill()
    team.bridge.start()
    said = team.alice.send(team.room, "still here")
    until(lambda: any(m.body == "still here" for m in team.bob.timeline(team.muc)), what=f"the message {said}")
    after = reader.keys_of(BOT)
    for part in ("device_keys", "master_keys", "self_signing_keys"):
        assert after[part][BOT] == before[part][BOT]


def test_a_deleted_device_gets_a_successor(team, people, world):
    """By the homeserver's admin, say: another device, and nobody is warned of a new identity."""
    reader = Device(people)
    device = until(lambda: signed_device(reader, BOT), what="the bot's device, signed")
    identity = reader.keys_of(BOT)["master_keys"][BOT]
    token = world.tokens()[0]
    request(people.url, "DELETE", f"/_matrix/client/v3/devices/{device['device_id']}", token, {}, {"user_id": BOT})
    team.bridge.restart()
    other = until(lambda: signed_device(reader, BOT), what="another device, signed")
    assert other["device_id"] != device["device_id"]
    assert reader.keys_of(BOT)["master_keys"][BOT] == identity
    team.alice.send(team.room, "and on")
    until(lambda: any(m.body == "and on" for m in team.bob.timeline(team.muc)), what="the message")
