# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed, stopped, or given other keys: cases T5, T6, T7, T16 and T18. Nothing is lost, nothing comes twice."""

import hashlib
import os

import pytest
from clients import never, until
from crypto_device import Device
from crypto_stage import ALLOWED, BOB, Stage
from crypto_wire import ciphers
from test_crypto_own import signed_device
from world import BOT, own

# Of what is said: before it is encrypted, between the ratchet's commit and the request, and between the answer and the row's end.
OUTWARD = ("matrix_encrypted_row", "matrix_encrypted_row_kept", "before_put", "after_put_answer")
# Of a key that must be given first.
KEYS = ("matrix_keys_claimed", "matrix_room_key_queued", "matrix_room_key_kept", "matrix_room_key_sent")


@pytest.fixture(scope="module")
def stage(world, cast, bob, carol):
    it = Stage(world, cast, bob, carol, {"falling": (ALLOWED, {})})
    yield it
    it.close()


def test_t6_each_message_once(stage):
    """Killed at each step of a message's way: one event each, no index twice, the indices rise, and every client reads it."""
    group = stage.falling
    stage.say(group, "before")
    bodies = []
    for point in OUTWARD:
        bodies.append(f"killed at {point}")
        stage.crash(point, lambda body=bodies[-1]: stage.bob.send(group.muc, body))
        bodies.append(f"after {point}")
        stage.say(group, bodies[-1])
    for n, point in enumerate(KEYS):
        # A device that has no session with the ghost yet, so a key of it is claimed.
        Device(stage.cast, f"late{n}").join(group.room)
        bodies.append(f"killed at {point}")
        stage.crash(point, lambda body=bodies[-1]: stage.bob.send(group.muc, body))
        bodies.append(f"after {point}")
        stage.say(group, bodies[-1])
    for reader in stage.readers:

        def said(reader=reader):
            return [heard.body for heard in reader.timeline(group.room) if heard.body.startswith(("killed at", "after"))]

        until(lambda said=said: said() == bodies, what=f"{bodies} at {reader!r}")
    assert len([each for each in ciphers(stage.anna, group.room) if each.sender == BOB]) == 1 + len(bodies)
    stage.check_wire(group)


def test_t7_the_same_batch_again(stage):
    """Killed in the middle of what the homeserver has for the bot's device, and at its end: it is brought again, in silence."""
    group = stage.falling
    for point in ("crypto_event_taken:2", "crypto_batch_taken:1"):
        stage.bridge.stop()
        bodies = []
        for person in (stage.anna, stage.eric, stage.bert):
            person.rotate(group.room)
            bodies.append(f"{point} {person.user}")
            person.send(group.room, bodies[-1])
        stage.crash(point, lambda: None)
        stage.hear_all(group, bodies)
        assert not stage.bridge.metric('sourdine_ignored_total{reason="to_device"}')
        assert not stage.bridge.metric('sourdine_matrix_decrypted_total{result="undecryptable"}')
    assert not [said for said in stage.bob.timeline(group.muc) if "decrypt" in (said.body or "")]


def test_t5_away_while_everybody_rotates(stage):
    group = stage.falling
    bodies = []
    with stage.stopped():
        for turn in range(2):
            for person in stage.readers:
                person.rotate(group.room)
                for n in range(2):
                    bodies.append(f"away {turn} {n} {person.user}")
                    person.send(group.room, bodies[-1])
    stage.hear_all(group, bodies)


def test_t12_one_time_keys_run_out(stage):
    """All of them claimed: the fallback key serves, and is replaced; new ones are made."""
    group = stage.falling
    thief = Device(stage.cast, "thief")
    device = until(lambda: signed_device(thief, BOT), what="the bot's device")["device_id"]

    def drain():
        for _ in range(120):
            key = thief.claim(BOT, device)
            assert key, "neither a one-time key nor a fallback key"
            if key.get("fallback"):
                return key["key"]
        raise AssertionError("no end of one-time keys")

    with stage.stopped():
        first = drain()
        assert drain() == first, "until it is replaced it serves everybody"
        zoe = stage.cast.js("zoe")
        zoe.join(group.room)
        zoe.wait_knows(group.room, {BOT, stage.anna.user})
        zoe.send(group.room, "with the fallback key")
    stage.hear(group, "with the fallback key")
    until(lambda: not thief.claim(BOT, device).get("fallback"), what="new one-time keys")
    with stage.stopped():
        assert drain() != first, "the fallback key was used, and is replaced"
    stage.settle(group)


def test_t18_other_keys_under_the_same_names(stage):
    """A device's keys go back in time, and only they: the homeserver has others under the next names. One try, then a new device."""
    group = stage.falling
    reader = Device(stage.cast, "reader")
    before = until(lambda: signed_device(reader, BOT), what="the bot's device")["device_id"]
    identity = stage.identity(BOT)
    with stage.stopped():
        ((old,),) = stage.read("SELECT pickle FROM c_account WHERE user_id = ? AND device_id = ?", BOT, before)
        for _ in range(30):
            reader.claim(BOT, before)
    stage.settle(group)  # it has made new ones meanwhile
    with stage.stopped():
        assert stage.database("UPDATE c_account SET pickle = ? WHERE user_id = ? AND device_id = ?", old, BOT, before) == 1
        for _ in range(30):
            reader.claim(BOT, before)
    after = until(lambda: (signed_device(reader, BOT) or {}).get("device_id") not in (None, before), what="another device")
    assert after and stage.bridge.said().count("the homeserver has other one-time keys of it") == 1
    new = until(lambda: signed_device(reader, BOT), what="it")["device_id"]
    for client in (stage.anna, stage.witness):
        client.wait_device(BOT, new)
    assert stage.identity(BOT) == identity
    stage.settle(group)
    never(lambda: stage.bridge.said().count("is given up") > 1, what="a loop")
    stage.say(group, "and the ghosts go on")


def test_t16_a_wrong_key(stage):
    """Without the key that its secrets are sealed with, or with another, nothing is begun anew and nothing is written."""
    (path,) = [each for each in stage.bridge.state.iterdir() if each.name.endswith("key")]

    def written():
        return [hashlib.sha256(each.read_bytes()).hexdigest() for each in sorted(stage.bridge.state.glob("sourdine.db"))]

    with stage.stopped():
        kept, before = path.read_bytes(), written()
        for wrong in (None, os.urandom(len(kept))):
            path.unlink()
            if wrong:
                path.write_bytes(wrong)
                own(path).chmod(0o600)
            done = stage.bridge.run("run", timeout=30)
            assert done.returncode == 78, (done.returncode, done.stderr)
            assert written() == before
            path.unlink(missing_ok=True)
            path.write_bytes(kept)
            own(path).chmod(0o600)
    stage.say(stage.falling, "with the right key")
    stage.check_wire(stage.falling)
