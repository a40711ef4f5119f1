# SPDX-License-Identifier: Apache-2.0
"""Matrix clients that encrypt, none of them ours: matrix-js-sdk (Rust crypto, as in Element) and matrix-nio (vodozemac).

    people = Cryptic(world)                 owns them; `close` ends them all
    anna = people.js("anna")                a fresh account and device, cross-signed; lax: decrypts whatever it can
    eric = people.js("eric", strict=True)   nothing from a device that its owner did not sign
    bert = people.nio("bert")               a device that is signed by nobody: nio has no cross-signing
    room = people.room(anna, [eric, bert], rotate_messages=3, visibility="joined")
    said = anna.send(room, "hello")
    eric.wait(room, "hello").colour         NONE, GREY, RED; `.why` gives the reason; bert's is None

Both kinds have the same methods, and what they saw only grows. `timeline` is in the server's order, also where a client
was away or a sync left something out. A message that could not be read is in it from the moment the client saw it, with
`state` "waiting" or "failed", and changes when its key comes; `failed_once` remembers.
"""

import hashlib
import hmac
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from crypto_client import encryption, quote, request
from crypto_js import JsClient, node_modules
from crypto_nio import NioClient
from world import PASSWORD, SECRET, TESTS, own


class Cryptic:
    """The people of a test that encrypt: accounts, clients, rooms; `close` ends all of them."""

    def __init__(self, world):
        self.world = world
        self.url = f"http://127.0.0.1:{world.http}"
        self.as_token = world.relay_token
        self.folder = own(tempfile.mkdtemp(prefix="cryptic-", dir=world.folder))
        self.folder.chmod(0o755)
        self.clients = []
        # The unprivileged user may not be able to read the source tree; node looks for modules beside the script.
        self.script = Path(shutil.copy(TESTS / "e2e" / "js" / "client.mjs", self.folder))
        (self.folder / "node_modules").symlink_to(node_modules())

    def close(self):
        self.dismiss(0)

    def dismiss(self, first):
        """End the clients that were made from the number `first` on."""
        for client in self.clients[first:]:
            if client.running:
                client.close()
        del self.clients[first:]

    def take(self, client):
        self.clients.append(client)
        return client

    def account(self, name):
        """A fresh account, `name` or like it; its MXID."""
        path = "/_synapse/admin/v1/register"
        local = self.world.unique(name)
        nonce = request(self.url, "GET", path)["nonce"]
        words = "\0".join([nonce, local, PASSWORD, "notadmin"])
        mac = hmac.new(SECRET.encode(), words.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": local, "password": PASSWORD, "mac": mac, "inhibit_login": True}
        return request(self.url, "POST", path, None, body)["user_id"]

    def ghost(self, name):
        """A fresh user of the tests' application service."""
        local = self.world.unique(f"_relay_{name}")
        body = {"type": "m.login.application_service", "username": local, "inhibit_login": True}
        return request(self.url, "POST", "/_matrix/client/v3/register", self.as_token, body)["user_id"]

    def js(self, name, **keywords):
        return self.take(JsClient(self, self.account(name), **keywords))

    def nio(self, name, **keywords):
        return self.take(NioClient(self, self.account(name), **keywords))

    def ghost_device(self, user):
        """A device of a ghost, made without logging in, as a bridge makes them: its id."""
        device = f"TEST{secrets.token_hex(4).upper()}"
        path = f"/_matrix/client/v3/devices/{device}"
        request(self.url, "PUT", path, self.as_token, {"display_name": "tests"}, {"user_id": user})
        return device

    def speaker(self, name, **keywords):
        """A ghost with a device of its own, at matrix-js-sdk."""
        user = self.ghost(name)
        return self.take(JsClient(self, user, token=self.as_token, device=self.ghost_device(user), **keywords))

    def relay(self, client, ghost, room, body):
        """One device speaks for all: what `client` encrypts is sent by a ghost. Returns the event id."""
        kind, content = client.encrypt(room, {"msgtype": "m.text", "body": body})
        path = f"/_matrix/client/v3/rooms/{quote(room)}/send/{kind}/relay{time.time_ns()}"
        return request(self.url, "PUT", path, self.as_token, content, {"user_id": ghost})["event_id"]

    def ghost_joins(self, ghost, room):
        request(self.url, "POST", f"/_matrix/client/v3/join/{quote(room)}", self.as_token, {}, {"user_id": ghost})

    def room(self, owner, members=(), rotate_messages=None, rotate_ms=None, visibility=None, encrypted=True, **content):
        """A room of the owner's, encrypted from its first event on, all the members in it, and each knowing of each."""
        wanted = encryption(rotate_messages, rotate_ms) if encrypted else None
        room = owner.create_room("encrypted", wanted, visibility, **content)
        for member in members:
            member.join(room)
        everybody = [owner, *members]
        for person in everybody:
            person.wait_knows(room, {each.user for each in everybody}, encrypted)
        return room

    def direct(self, owner, other, encrypted=True):
        """A direct room of two; `other` is a client, or the MXID of somebody who accepts by himself."""
        user = getattr(other, "user", other)
        wanted = encryption() if encrypted else None
        room = owner.create_room("", wanted, invite=[user], public=False, is_direct=True)
        if other is not user:
            assert other.accept() == room
            other.wait_knows(room, {owner.user, user}, encrypted)
        owner.wait_knows(room, {owner.user, user}, encrypted)
        return room
