# SPDX-License-Identifier: Apache-2.0
"""What the admin sees of encryption: `check encryption`, `fingerprints`, `status` and metrics, at a real Synapse."""

import json
import os
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time

from checks import saying
from clients import until
from crypto_client import request
from crypto_device import V3, Device, Identity
from test_check import CONFIGURATION, FINE, PROBLEM, fails, finding, say
from test_configuration import change
from test_crypto_own import only_key, signed_device
from world import BOT, ghost, own

ENCRYPTION = {"algorithm": "m.megolm.v1.aes-sha2"}
ACCOUNT_DATA = f"{V3}/user/{BOT}/account_data/org.sourdine.generation"


def content(bridge):
    """`check encryption` finds nothing wrong; what it says."""
    code, said = say(bridge, "encryption")
    assert code == FINE and not re.search("^(warn|FAIL)", said, re.M), said
    return said


def fingerprints(bridge, *arguments):
    done = bridge.run("fingerprints", *arguments)
    assert done.returncode == FINE, done.stdout + done.stderr
    return done.stdout


class Stub:
    """A homeserver that knows no devices of appservices, an hour ahead of us."""

    def __init__(self):
        class Answer(BaseHTTPRequestHandler):
            def date_time_string(self, timestamp=None):
                return formatdate(time() + 3600, usegmt=True)

            def do_GET(self):
                body = json.dumps({"user_id": BOT}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_what_the_admin_sees(world, make_group, make_bridge, alice, bob, people):
    token = world.tokens()[0]

    def as_bot(method, path, body=None, query=None):
        return request(people.url, method, path, token, body, {"user_id": BOT, **(query or {})})

    group = make_group("looked-at")
    alice.put_state(group.room, "m.room.encryption", ENCRYPTION)
    bridge = make_bridge([group], extra="    encrypted: allow\n")
    reader = Device(people)

    # Nothing there yet; looking makes nothing.
    said = content(bridge)
    assert "libolm 3." in said and "the first start makes it" in said and "clock and the homeserver's agree" in said
    assert "lets us act as devices" in said or f"{BOT} is not registered yet" in said  # by a test before this one
    assert not (bridge.state / "sourdine.db").exists()
    done = bridge.run("fingerprints")
    assert done.returncode == PROBLEM and "there are no keys yet" in done.stderr

    # Running, with a ghost that has spoken.
    bridge.start()
    bob.send(group.muc, "under lock and key")
    device = until(lambda: signed_device(reader, BOT), what="the bot's device, signed")
    shown = ghost("bob@localhost")
    until(lambda: signed_device(reader, shown), what="the ghost's device, signed")
    said = until(lambda: content(bridge) if "shows 1 ghosts" in say(bridge, "encryption")[1] else None, what="the ghost in the doctor's eyes")
    for words in ("the keys of 2 devices are in use", f"the bot's device {device['device_id']}: the homeserver shows it with the same keys",
                  "can read what its device is sent", " one-time keys of the bot and an unused fallback key, which is enough"):
        assert words in said, said
    status = bridge.status()
    assert status["problems"] == []
    encryption = status["encryption"]
    assert (encryption["ready"], encryption["device"], encryption["trust"]) == (True, device["device_id"], "cross-signed"), encryption
    assert encryption["identity"] == only_key(reader.keys_of(BOT)["master_keys"][BOT])
    assert encryption["device_key"] == device["keys"][f"ed25519:{device['device_id']}"]
    assert encryption["one_time_keys"] == 50 and encryption["fallback_key"] and 0 <= encryption["synced_s"] < 40, encryption
    assert encryption["devices"] == 2 and encryption["rooms"] == 1 and encryption["waiting_for_keys"] == 0, encryption
    told = status["groups"][0]
    assert (told["encrypted"], told["consent"], told["consent_by"], told["trust"], told["waiting_for_keys"]) == (
        True, "given", "the configuration", "cross-signed", 0), told
    assert bridge.metric("sourdine_olm_devices") == 2 and bridge.metric("sourdine_encrypted_rooms") == 1
    assert time() - bridge.metric("sourdine_last_matrix_sync_timestamp_seconds") < 60
    until(lambda: bridge.metric('sourdine_megolm_sessions{direction="out"}') == 2, what="the bot's greeting and Bob's words")

    # What people compare is what the homeserver shows; and none of it is secret.
    keys = {each["user"]: each for each in json.loads(fingerprints(bridge, "--json"))}
    assert set(keys) == {BOT, shown}
    for user, each in keys.items():
        assert each["master"] == only_key(reader.keys_of(user)["master_keys"][user])
        assert set(each) == {"user", "device", "state", "ed25519", "curve25519", "master", "self_signing"}
    text = fingerprints(bridge, BOT)
    assert shown not in text and encryption["identity"] in text.replace(" ", "") and re.search(r"identity +(\S{4} ){10}\S{3}\n", text), text
    done = bridge.run("fingerprints", "@nobody:hs.test")
    assert done.returncode == PROBLEM and "has no keys" in done.stderr

    # A message whose key never comes is waited for, and shown.
    stranger = Device(people)
    stranger.join(group.room)
    stranger.rotate(group.room)
    stranger.send_wire(group.room, stranger.encrypt(group.room, {"msgtype": "m.text", "body": "nobody has the key"})[1], "m.room.encrypted")
    until(lambda: bridge.status()["groups"][0]["waiting_for_keys"] == 1, what="the message that waits for its key")
    assert bridge.metric('sourdine_undecrypted_messages{state="waiting"}') == 1
    bob.send(group.muc, "!sd status")
    until(lambda: saying(bob.whispers(group.muc, "Sourdine"), "because their key has not come: 1."), what="the status in chat")

    # Stopped: the database tells the same. What the device was sent meanwhile is left to it.
    bridge.stop()
    reader.send_to_device(BOT, device["device_id"], {"for": "the daemon"}, "org.sourdine.test")
    said = content(bridge)
    assert "the keys of 2 devices, under the master key" in said and "shows 1 ghosts with the same keys" in said
    inbox = as_bot("GET", f"{V3}/sync", query={"device_id": device["device_id"], "timeout": "0", "set_presence": "offline"})
    assert [event["content"] for event in inbox["to_device"]["events"] if event["type"] == "org.sourdine.test"] == [{"for": "the daemon"}]
    assert {each["user"] for each in json.loads(fingerprints(bridge, "--json"))} == {BOT, shown}

    # All its one-time keys are claimed, the fallback key too.
    while not reader.claim(BOT, device["device_id"]).get("fallback"):
        pass
    finding(bridge, "encryption", "warn", FINE, ["has 0 one-time keys of the bot and no unused fallback key"], ["start the daemon"])

    # Somebody deletes the device; the next start mends it.
    bridge.stop()
    request(people.url, "DELETE", f"{V3}/devices/{device['device_id']}", token, {}, {"user_id": BOT})
    fails(bridge, "encryption", PROBLEM, f"the bot's device {device['device_id']}", "does not know it", fix=["start the daemon", "successor"])
    bridge.start()
    other = until(lambda: signed_device(reader, BOT), what="another device, signed")
    assert other["device_id"] != device["device_id"] and other["device_id"] in content(bridge)

    # An old copy of the database.
    bridge.stop()
    as_bot("PUT", ACCOUNT_DATA, {"generation": as_bot("GET", ACCOUNT_DATA)["generation"] + 1})
    fails(bridge, "encryption", PROBLEM, "the database is an old copy", fix=["put that back"])
    as_bot("PUT", ACCOUNT_DATA, {"generation": 1})
    assert content(bridge)

    # Another master key.
    key = bridge.state / "master.key"
    kept = key.read_bytes()
    key.write_bytes(os.urandom(32))
    own(key)
    fails(bridge, "encryption", CONFIGURATION, "does not open the keys of our devices", fix=["put the key back"])
    key.write_bytes(kept)
    assert content(bridge)

    # A homeserver that cannot do it.
    stub = Stub()
    change(bridge, f"address: http://127.0.0.1:{world.http}", f"address: http://127.0.0.1:{stub.port}")
    fails(bridge, "encryption", PROBLEM, "does not let us act as a device of", "MSC4326", fix=["Synapse 1.141"])
    finding(bridge, "encryption", "warn", PROBLEM, ("our clock is 3", "s behind the homeserver's"), ("NTP",))
    stub.close()
    change(bridge, f"address: http://127.0.0.1:{stub.port}", f"address: http://127.0.0.1:{world.http}")
    assert content(bridge)

    # Somebody else's identity in the place of the bot's. Synapse takes none back that was replaced, so the bot gets another one.
    as_bot("POST", f"{V3}/keys/device_signing/upload", Identity(BOT).keys(), {"device_id": other["device_id"]})
    fails(bridge, "encryption", PROBLEM, "has other cross-signing keys for its owner", fix=["start the daemon"])
    bridge.start()
    mended = until(lambda: signed_device(reader, BOT), what="an identity of the bot's again")
    assert mended["device_id"] == other["device_id"]
    assert content(bridge)
    renewed = only_key(reader.keys_of(BOT)["master_keys"][BOT])
    assert renewed != encryption["identity"] and bridge.status()["encryption"]["identity"] == renewed
    bridge.restart()
    assert only_key(signed_device(reader, BOT) and reader.keys_of(BOT)["master_keys"][BOT]) == renewed and content(bridge)
    change(bridge, "    encrypted: allow\n", "    encrypted: allow\nencryption:\n  allow: false\n")
    assert "as encryption.allow says" in content(bridge)
