# SPDX-License-Identifier: Apache-2.0
"""A Matrix device made by hand on vodozemac: for what no decent client would send, and what none would show.

    device = Device(people)                     of a fresh ghost of the tests' own, signed by its owner
    device.give(room, anna.user)                the room's key, to all his devices
    device.say(room, "hello")                   an event encrypted with it
    device.give(room, bot, lie={"recipient": "@other:hs.test"})
    device.receive(); device.payloads           what came by Olm, decrypted, whole

There is no process behind it, so a hundred of them cost little: `crowd` makes them. Keys and identity are signed with
what Synapse itself uses for that, not with anything of ours. It has the vocabulary of the other clients; its timeline is
asked of the server anew each time.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import vodozemac
from canonicaljson import encode_canonical_json
from nacl.signing import SigningKey

from crypto_client import MEGOLM, Client, Heard, quote
from crypto_wire import from_base64, to_base64

OLM = "m.olm.v1.curve25519-aes-sha2"
V3 = "/_matrix/client/v3"


def signed_bytes(content):
    """What a signature over this object covers."""
    return encode_canonical_json({name: value for name, value in content.items() if name not in ("signatures", "unsigned")})


class Identity:
    """A user's cross-signing keys: a master and a self-signing one."""

    def __init__(self, user):
        self.user, self.master, self.signer = user, SigningKey.generate(), SigningKey.generate()

    @staticmethod
    def public(key):
        return to_base64(key.verify_key.encode())

    def sign(self, content, key):
        """The object with a signature by one of the two keys beside those that it has."""
        signature = to_base64(key.sign(signed_bytes(content)).signature)
        signatures = content.get("signatures", {})
        mine = {**signatures.get(self.user, {}), f"ed25519:{self.public(key)}": signature}
        return {**content, "signatures": {**signatures, self.user: mine}}

    def keys(self):
        def key(usage, which):
            public = self.public(which)
            return {"user_id": self.user, "usage": [usage], "keys": {f"ed25519:{public}": public}}

        return {
            "master_key": key("master", self.master),
            "self_signing_key": self.sign(key("self_signing", self.signer), self.master),
        }


class Device(Client):
    """
    `signed`: by its owner's identity. `of`: a further device of that one's user, under the same identity. `keys`: how many
    one-time keys it offers. With `publish` false nobody hears of its keys before `publish` is called.
    """

    def __init__(self, people, name="hand", signed=True, of=None, keys=5, publish=True):
        super().__init__(people, of.user if of else people.ghost(name))
        self.token, self.masquerade = people.as_token, True
        self.device = people.ghost_device(self.user)
        self.identity = of.identity if of else Identity(self.user) if signed else None
        self.signed = signed
        self.account = vodozemac.Account()
        self.payloads = []  # what came by Olm: the whole plaintext, "sender_key" beside it
        self.plain = []  # what came to this device in clear: withheld, requests, cancelled verifications
        self.failed = []  # (event, error) of what came by Olm and could not be read
        self.sessions = {}  # (user, device) -> the Olm session that we made
        self.outbound = {}  # room -> GroupSession
        self.inbound = {}  # (room, session) -> InboundGroupSession
        self._olm = {}  # sender_key -> every session with it
        self._since = None
        if publish:
            if self.identity and not of:
                self.request("POST", f"{V3}/keys/device_signing/upload", self.identity.keys())
            self.publish(keys)

    # -- our keys

    def _sign(self, content):
        signature = self.account.sign(signed_bytes(content)).to_base64()
        return {**content, "signatures": {self.user: {f"ed25519:{self.device}": signature}}}

    def device_keys(self, **other):
        """Our keys, signed by us and, when that is so, by our owner; `other` fields in place of the right ones."""
        own = self.account
        content = {
            "user_id": self.user,
            "device_id": self.device,
            "algorithms": [OLM, MEGOLM],
            "keys": {f"curve25519:{self.device}": own.curve25519_key.to_base64(), f"ed25519:{self.device}": own.ed25519_key.to_base64()},
            **other,
        }
        content = self._sign(content)
        return self.identity.sign(content, self.identity.signer) if self.signed and self.identity else content

    def publish(self, count=5):
        """Upload our keys, that many fresh one-time keys, and what our owner signed."""
        self.account.generate_one_time_keys(count)
        fresh = {
            f"signed_curve25519:{name.rstrip('=')}": self._sign({"key": key.to_base64()})
            for name, key in self.account.one_time_keys.items()
        }
        mine = self._sign({name: value for name, value in self.device_keys().items() if name != "signatures"})
        self.request("POST", f"{V3}/keys/upload", {"device_keys": mine, "one_time_keys": fresh})
        self.account.mark_keys_as_published()
        if self.signed and self.identity:
            body = {self.user: {self.device: self.device_keys()}}
            said = self.request("POST", f"{V3}/keys/signatures/upload", body)
            assert not said.get("failures"), said

    # -- others' keys

    def keys_of(self, user):
        """What the server says of somebody's keys: the answer to /keys/query, whole."""
        return self.request("POST", f"{V3}/keys/query", {"device_keys": {user: []}})

    def devices_of(self, user):
        return self.keys_of(user)["device_keys"].get(user, {})

    def known_devices(self, user):
        return set(self.devices_of(user))

    def claim(self, user, device):
        """One of somebody's one-time keys, or his fallback key, its signature verified: {"key":..., "fallback":...}; None: none left."""
        said = self.request("POST", f"{V3}/keys/claim", {"one_time_keys": {user: {device: "signed_curve25519"}}})
        found = said["one_time_keys"].get(user, {}).get(device, {})
        for key in found.values():
            self.verify_signature(key, self.devices_of(user)[device])
            return key
        return None

    @staticmethod
    def verify_signature(content, keys):
        """An object is signed by the device whose keys these are."""
        user, name = keys["user_id"], f"ed25519:{keys['device_id']}"
        public = vodozemac.Ed25519PublicKey.from_base64(keys["keys"][name])
        public.verify_signature(signed_bytes(content), vodozemac.Ed25519Signature.from_base64(content["signatures"][user][name]))

    # -- Olm

    def _session(self, user, keys):
        device = keys["device_id"]
        if (user, device) not in self.sessions:
            claimed = self.claim(user, device)
            assert claimed, f"{user} {device} has no key left"
            curve = vodozemac.Curve25519PublicKey.from_base64
            peer = keys["keys"][f"curve25519:{device}"]
            session = self.account.create_outbound_session(curve(peer), curve(claimed["key"]))
            self.sessions[user, device] = session
            self._olm.setdefault(peer, []).append(session)
        return self.sessions[user, device]

    def sealed(self, user, device, kind, content, lie=None):
        """Something for one device, encrypted; `lie` stands in place of fields of the plaintext (None: without that field)."""
        keys = self.devices_of(user)[device]
        plain = {
            "type": kind,
            "content": content,
            "sender": self.user,
            "recipient": user,
            "recipient_keys": {"ed25519": keys["keys"][f"ed25519:{device}"]},
            "keys": {"ed25519": self.account.ed25519_key.to_base64()},
            "sender_device_keys": self.device_keys(),
            **(lie or {}),
        }
        plain = {name: value for name, value in plain.items() if value is not None}
        number, body = self._session(user, keys).encrypt(json.dumps(plain).encode()).to_parts()
        return {
            "algorithm": OLM,
            "sender_key": self.account.curve25519_key.to_base64(),
            "ciphertext": {keys["keys"][f"curve25519:{device}"]: {"type": number, "body": to_base64(body)}},
        }

    def send_to_device(self, user, device, content, kind="m.room.encrypted"):
        path = f"{V3}/sendToDevice/{kind}/{self._number()}"
        self.request("PUT", path, {"messages": {user: {device: content}}})

    def tell(self, user, device, kind, content, lie=None):
        self.send_to_device(user, device, self.sealed(user, device, kind, content, lie))

    # -- Megolm

    def rotate(self, room):
        self.outbound[room] = vodozemac.GroupSession()
        # What we say ourselves we can read.
        self.inbound[room, self.outbound[room].session_id] = vodozemac.InboundGroupSession(self.outbound[room].session_key)

    def give(self, room, *users, lie=None, **other):
        """The room's key as it is now, to every device of these users; `other` fields of the key's content, `lie` as in `sealed`."""
        if room not in self.outbound:
            self.rotate(room)
        session = self.outbound[room]
        content = {
            "algorithm": MEGOLM,
            "room_id": room,
            "session_id": session.session_id,
            "session_key": session.session_key.to_base64(),
            **other,
        }
        for user in users:
            for device in self.devices_of(user):
                if (user, device) != (self.user, self.device):
                    self.tell(user, device, "m.room_key", content, lie)

    def encrypt(self, room, content, kind="m.room.message", lie=None):
        """(type, content) of an event encrypted with the room's key; `lie` in place of fields of the plaintext."""
        plain = {"type": kind, "content": content, "room_id": room, **(lie or {})}
        session = self.outbound[room]
        said = {
            "algorithm": MEGOLM,
            "sender_key": self.account.curve25519_key.to_base64(),
            "device_id": self.device,
            "session_id": session.session_id,
            "ciphertext": session.encrypt(json.dumps(plain).encode()).to_base64(),
        }
        if "m.relates_to" in content:
            said["m.relates_to"] = content["m.relates_to"]
        return "m.room.encrypted", said

    def send_event(self, room, content, kind="m.room.message", lie=None):
        """To those that have the key; without one, to all who are in the room."""
        if room not in self.outbound:
            self.give(room, *self.members(room))
        kind, content = self.encrypt(room, content, kind, lie)
        return self.send_wire(room, content, kind)

    def say(self, room, body, lie=None):
        return self.send_event(room, {"msgtype": "m.text", "body": body}, lie=lie)

    # -- receiving

    def receive(self):
        """Take what came for this device."""
        query = {"timeout": "0", "filter": json.dumps({"room": {"rooms": []}, "presence": {"not_types": ["*"]}})}
        while True:
            if self._since:
                query["since"] = self._since
            answer = self.request("GET", f"{V3}/sync", query=query)
            self._since = answer["next_batch"]
            events = answer.get("to_device", {}).get("events", [])
            for event in events:
                self._take_to_device(event)
            if not events:
                return self

    def _take_to_device(self, event):
        if event["type"] != "m.room.encrypted":
            self.plain.append(event)
            return
        try:
            payload = json.loads(self._open(event["content"]))
        except (ValueError, KeyError) as error:
            self.failed.append((event, error))
            return
        self.payloads.append({**payload, "sender_key": event["content"]["sender_key"], "from": event["sender"]})
        content = payload["content"]
        if payload["type"] == "m.room_key":
            key = vodozemac.InboundGroupSession(vodozemac.SessionKey(content["session_key"]))
            assert key.session_id == content["session_id"], content
            self.inbound[content["room_id"], content["session_id"]] = key
        elif payload["type"] == "m.forwarded_room_key":
            key = vodozemac.InboundGroupSession.import_session(vodozemac.ExportedSessionKey(content["session_key"]))
            self.inbound.setdefault((content["room_id"], content["session_id"]), key)

    def _open(self, content):
        sender = content["sender_key"]
        sealed = content["ciphertext"][self.account.curve25519_key.to_base64()]
        known = self._olm.setdefault(sender, [])
        message = vodozemac.AnyOlmMessage.from_parts(sealed["type"], from_base64(sealed["body"]))
        first = message.to_pre_key()
        for session in known:
            if first is None or session.session_matches(first):
                try:
                    return session.decrypt(message)
                except vodozemac.OlmDecryptionException:
                    continue
        if first is None:
            raise KeyError("no session for this message")
        session, plain = self.account.create_inbound_session(vodozemac.Curve25519PublicKey.from_base64(sender), first)
        known.append(session)
        return plain

    def ask_key(self, user, room, session, sender_key, device="*"):
        """m.room_key_request to somebody's devices."""
        body = {"algorithm": MEGOLM, "room_id": room, "session_id": session, "sender_key": sender_key}
        content = {"action": "request", "body": body, "request_id": self._number(), "requesting_device_id": self.device}
        self.send_to_device(user, device, content, "m.room_key_request")

    # -- seeing

    def timeline(self, room, kind="m.room.message"):
        self.receive()
        found = [self._heard(room, number, event) for number, event in enumerate(self.history(room))]
        return [heard for heard in found if kind is None or heard.kind in (kind, "m.room.encrypted")]

    def event(self, event_id):
        raise NotImplementedError("a device by hand remembers no events; look at its timeline")

    undecryptable = event

    def knows(self, room, users, encrypted=True):
        return set(users) <= self.members(room)

    def _heard(self, room, number, event):
        wire = event["content"]
        heard = Heard(
            room=room,
            id=event["event_id"],
            sender=event["sender"],
            kind=event["type"],
            content=wire,
            ts=event["origin_server_ts"],
            order=(number,),
            membership=(event.get("unsigned") or {}).get("membership"),
            encrypted=event["type"] == "m.room.encrypted" and "ciphertext" in wire,
            state="clear",
            session=wire.get("session_id"),
            device=wire.get("device_id"),
        )
        if heard.encrypted:
            self._read(heard, wire)
        return heard

    def _read(self, heard, wire):
        heard.content, heard.state = {}, "failed"
        key = self.inbound.get((heard.room, heard.session))
        if key is None:
            heard.reason = "no key"
            return
        try:
            plain = json.loads(key.decrypt(vodozemac.MegolmMessage.from_base64(wire["ciphertext"])).plaintext)
        except ValueError as error:
            heard.reason, heard.text = type(error).__name__, str(error)
            return
        heard.kind, heard.content, heard.state = plain["type"], plain["content"], "clear"
        if plain["room_id"] != heard.room:
            heard.state, heard.reason = "failed", f"said for {plain['room_id']}"

    def logout(self):
        self.request("DELETE", f"{V3}/devices/{quote(self.device)}", {})


def crowd(people, room, count, devices=1):
    """Many members of a room, each with so many signed devices: the list of all devices."""

    def member(number):
        first = Device(people, f"crowd{number}")
        first.join(room)
        return [first, *(Device(people, of=first) for _ in range(devices - 1))]

    with ThreadPoolExecutor(4) as several:
        return [device for made in several.map(member, range(count)) for device in made]
