# SPDX-License-Identifier: Apache-2.0
"""An old database put back under a running homeserver: nothing of it may be used again."""

import shutil

from crypto_device import Device
from row import Result, settle
from rows_sealed import warm
from sealed import SealedPair, finish_sealed
from world import BOT, own


def copy_database(bridge, to):
    """As somebody would who knows no better: the files of a daemon that is stopped."""
    to.mkdir()
    for file in bridge.state.glob("sourdine.db*"):
        shutil.copy2(file, to / file.name)


def put_back(bridge, copy):
    for file in bridge.state.glob("sourdine.db*"):
        file.unlink()
    for file in copy.iterdir():
        own(shutil.copy2(file, bridge.state / file.name))


def claims(device, count):
    """One-time keys of the bot's devices, as somebody who wants to write to them gets them: (device, key)."""
    found = []
    for name in sorted(device.devices_of(BOT)):
        for _ in range(count):
            key = device.claim(BOT, name)
            if key and not key.get("fallback"):
                found.append((name, key["key"]))
    return found


def talk(pair, options, count):
    pair.say_matrix(count, rate=6).wait()
    pair.say_xmpp(count, rate=6).wait()
    settle(pair, options)


def restored(stage, options):
    """Copied by hand, talked on, put back; then the same with `sourdine backup` and `sourdine restore`."""
    pair = SealedPair(stage, natives=4)
    result = Result()
    try:
        stranger = Device(pair.people)
        pair.start()
        warm(pair, options)
        settle(pair, options)
        result.require(pair.bridge.stop() == 0, "its exit status")
        copy_database(pair.bridge, pair.bridge.folder / "copy")
        pair.start()
        talk(pair, options, 20)
        claimed, devices = claims(stranger, 3), set(stranger.devices_of(BOT))
        result.require(pair.bridge.stop() == 0, "its exit status")

        put_back(pair.bridge, pair.bridge.folder / "copy")
        pair.start()
        talk(pair, options, 20)
        result.require("the database is an old copy" in pair.bridge.said(), "the guard did not notice")
        later = set(stranger.devices_of(BOT))
        result.require(later and not later & devices, f"the bot's devices: {devices}, then {later}")
        claimed += claims(stranger, 3)
        by_hand = again(pair)

        file = pair.bridge.folder / "backup"
        done = pair.bridge.run("backup", file)
        result.require(done.returncode == 0, f"backup: {done.stdout}{done.stderr}")
        talk(pair, options, 20)
        result.require(pair.bridge.stop() == 0, "its exit status")
        done = pair.bridge.run("restore", file)
        result.require(done.returncode == 0, f"restore: {done.stdout}{done.stderr}")
        pair.start(180)
        talk(pair, options, 20)
        last = set(stranger.devices_of(BOT))
        result.require(last and not last & (devices | later), f"the bot's devices: {devices}, {later}, then {last}")
        claimed += claims(stranger, 3)
        keys = [key for _, key in claimed]
        result.require(len(keys) == len(set(keys)) and len(keys) >= 9, f"one-time keys given twice: {len(keys)}, {len(set(keys))} different")
        # A copy by hand does not say that it is one before something was sent; sourdine(8) says so.
        result.bound = 40
        result.require(again(pair) == by_hand, f"said again after `sourdine restore`: {again(pair) - by_hand}")
        result.notes.append(f"{len(set(keys))} of {len(keys)} claimed keys different; said again after the copy: {by_hand}, after the backup: {again(pair) - by_hand}")
        return finish_sealed(result, pair, options)
    finally:
        pair.close()


def again(pair):
    """How many messages stand in a room more than once so far."""
    return pair.outward.verdict(pair.seen_xmpp()).duplicated + pair.inward.verdict(pair.seen_matrix()).duplicated
