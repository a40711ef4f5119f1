# SPDX-License-Identifier: Apache-2.0
"""matrix-nio with encryption, driven."""

import asyncio
import itertools
import logging
import tempfile
import threading

import nio

from clients import PATIENCE, Refused
from crypto_client import Client


# What it could not read or reach is in the timeline, or awaited; it would say so on stderr as well.
logging.getLogger("nio").setLevel(logging.CRITICAL)


class NioClient(Client):
    """matrix-nio with its own implementation of the protocol around vodozemac. No cross-signing, no shields."""

    def __init__(self, people, user, **keywords):
        super().__init__(people, user, **keywords)
        self.loop = people.world.loop
        self.folder = tempfile.mkdtemp(prefix="nio-", dir=people.folder)
        self.run = 0
        self.faults = []
        self._spot = itertools.count()
        self._unread = {}  # event id -> what could not be decrypted
        self.start()

    def start(self):
        assert not self.running, f"{self!r} runs already"
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True, max_limit_exceeded=0, request_timeout=60)
        self.client = self.loop.call(nio.AsyncClient, self.url, self.user, device_id=self.device, store_path=self.folder, config=config)
        if self.device:
            self.loop.call(self.client.restore_login, self.user, self.device, self.token)
        else:
            self._good(self.loop.run(self.client.login(self.password, device_name="tests")), "login")
            self.device, self.token = self.client.device_id, self.client.access_token
        self.run += 1
        self.client.add_response_callback(self._synced, nio.SyncResponse)
        for kind in (nio.RoomKeyEvent, nio.ForwardedRoomKeyEvent):
            self.client.add_to_device_callback(self._keyed, kind)
        self._first = threading.Event()
        self._sync = self.loop.spawn(self._follow())
        assert self._first.wait(PATIENCE), f"{self!r}: the first sync never came"
        self.running = True
        return self

    def stop(self):
        if self.running:
            self.close()

    def close(self):
        self.running = False
        self._sync.cancel()
        self.loop.run(self.client.close())

    def logout(self):
        self._good(self.loop.run(self.client.logout()), "logout")
        self.close()

    def send_event(self, room, content, kind="m.room.message"):
        return self.loop.run(self._send(room, kind, content))

    async def say(self, room, body):
        """A text, said in a coroutine of the loop: the event id."""
        return await self._send(room, "m.room.message", {"msgtype": "m.text", "body": body})

    async def _send(self, room, kind, content, tries=3):
        try:
            sent = await self.client.room_send(room, kind, content, tx_id=self._number(), ignore_unverified_devices=True)
        except KeyError:
            # A /sync has ended the session while nio was sharing it (somebody came): nothing was sent.
            if tries == 1:
                raise
            return await self._send(room, kind, content, tries - 1)
        return self._good(sent, "send").event_id

    def knows(self, room, users, encrypted=True):
        known = self.client.rooms.get(room)
        if known is None or (encrypted and not known.encrypted):
            return False
        present = {user_id for user_id, user in list(known.users.items()) if not user.invited}
        return set(users) <= present and not set(users) & self.client.olm.users_for_key_query

    def known_devices(self, user):
        return {device.device_id for device in list(self.client.device_store.active_user_devices(user))}

    def rotate(self, room):
        self.loop.call(self.client.invalidate_outbound_session, room)

    def upload(self, data, mimetype, secret=True):
        key = {}
        if secret:
            data, key = nio.crypto.attachments.encrypt_attachment(data)
            mimetype = "application/octet-stream"

        async def go():
            return await self.client.upload(lambda *_: data, content_type=mimetype, filesize=len(data))

        answer, _ = self.loop.run(go())
        url = self._good(answer, "upload").content_uri
        return {"file": {**key, "url": url}} if secret else {"url": url}

    def download(self, content):
        where = content.get("file") or content
        data = self._good(self.loop.run(self.client.download(mxc=where["url"])), "download").body
        if "file" in content:
            file = content["file"]
            data = nio.crypto.attachments.decrypt_attachment(data, file["key"]["k"], file["hashes"]["sha256"], file["iv"])
        return data

    def sessions(self, room):
        store = self.client.olm.inbound_group_store
        return {session.id for session in list(store) if session.room_id == room}

    def forget_key(self, room, session):
        """Lose the key of a session, as if it had never come (until the client is stopped)."""
        assert session in self.sessions(room), f"{self!r} has no session {session}"
        entries = self.client.olm.inbound_group_store._entries
        for sessions in entries[room].values():
            sessions.pop(session, None)

    def take_forwards_from(self, user):
        """
        Whoever misses a key asks the sender for it, and nio does so by itself; but it takes an answer only from its own user's
        devices. From now on also from this user's.
        """
        olm = self.client.olm
        usual = olm._should_accept_forward

        def accept(sender, key, event):
            return (sender == user and event.session_id in olm.outgoing_key_requests) or usual(sender, key, event)

        olm._should_accept_forward = accept

    def new_device(self, signed=False, **_):
        assert not signed, "nio cannot sign"
        return self.people.take(NioClient(self.people, self.user))

    # -- inside (in the loop's thread)

    @staticmethod
    def _good(response, what):
        if isinstance(response, nio.ErrorResponse):
            raise Refused(what, response.status_code, response.message)
        return response

    async def _follow(self):
        everything = {"room": {"timeline": {"limit": 100}}, "presence": {"types": []}}
        while True:
            try:
                await self.client.sync_forever(timeout=20000, sync_filter=everything, full_state=True)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the server is away: tests stop it on purpose
                self.faults.append(repr(error))
                await asyncio.sleep(0.2)

    async def _synced(self, answer):
        for room_id, joined in answer.rooms.join.items():
            events = joined.timeline.events
            if joined.timeline.limited and any(heard.room == room_id for heard in self._events.values()):
                events = await self._missed(room_id, joined.timeline.prev_batch) + events
            for event in events:
                self._hear(room_id, event)
        self.invites.update(answer.rooms.invite)
        self._first.set()

    async def _missed(self, room_id, token):
        """What the server left out before this answer, oldest first."""
        found = []
        while token:
            page = self._good(await self.client.room_messages(room_id, token, limit=100, direction=nio.MessageDirection.back), "messages")
            fresh = [event for event in page.chunk if event.event_id not in self._events]
            found = fresh[::-1] + found
            token = page.end if page.chunk and len(fresh) == len(page.chunk) else None
        return found

    async def _keyed(self, key):
        """A key has come: what waited for it can be read, perhaps."""
        for event in list(self._unread.values()):
            if event.room_id == key.room_id and event.session_id == key.session_id:
                self._hear(event.room_id, event)

    def _hear(self, room_id, event):
        known = self._events.get(event.event_id)
        if known and known.state == "clear" and isinstance(event, nio.MegolmEvent):
            return  # shown again, as to somebody who comes back: it was read already
        source, reason, text = event.source, None, None
        if isinstance(event, nio.MegolmEvent):
            wire, event.room_id = source, room_id
            try:
                event = self.client.decrypt_event(event)
                source = event.source
                self._unread.pop(event.event_id, None)
            except nio.EncryptionError as error:
                self._unread[event.event_id] = event
                reason, text = type(error).__name__, str(error)
        else:
            wire = source
        self._take(
            room=room_id,
            id=event.event_id,
            sender=event.sender,
            kind=source["type"],
            content={} if reason else source["content"],
            ts=event.server_timestamp,
            order=(self.run, next(self._spot)),
            membership=(wire.get("unsigned") or {}).get("membership"),
            encrypted=event.decrypted or reason is not None,
            state="failed" if reason else "clear",
            reason=reason,
            text=text,
            session=event.session_id,
            device=self._device_of(event),
        )

    def _device_of(self, event):
        key = getattr(event, "sender_key", None)
        devices = self.client.device_store.active_user_devices(event.sender) if key else ()
        return next((device.device_id for device in devices if device.curve25519 == key), getattr(event, "device_id", None))
