# SPDX-License-Identifier: Apache-2.0
"""matrix-js-sdk, driven: js/client.mjs says how it is spoken to."""

import asyncio
import base64
import json
import subprocess
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

from clients import PATIENCE, Impatience, Refused
from crypto_client import Client
from world import TESTS, own, unprivileged


def node_modules():
    """Where `packaging/deps` put what the client for node needs."""
    found = subprocess.run(["sh", TESTS.parent / "packaging" / "deps", "js"], capture_output=True, text=True)
    assert found.returncode == 0, "the client for node is not installed; run: sh packaging/deps test"
    return Path(found.stdout.strip()) / "node_modules"


class JsClient(Client):
    """
    matrix-js-sdk in a process of its own. `sign`: "new" makes the account's identity (once an account), a bundle that
    `secrets` gave makes a further device its owner's, None leaves the device unsigned. With `token` and `device` it acts
    for a user of an application service instead of logging in.
    """

    def __init__(self, people, user, strict=False, sign="new", token=None, device=None, **keywords):
        super().__init__(people, user, **keywords)
        self.strict, self.sign = strict, sign
        self.token, self.device, self.masquerade = token, device, token is not None
        self.folder = own(tempfile.mkdtemp(prefix="js-", dir=people.folder))
        self.log = self.folder / "log"
        self.faults = []  # errors that nobody caught
        self.sync = None
        self.run = 0
        self._waiting = {}
        self.start()

    def start(self, forget=()):
        """Begin, or go on with what `stop` kept, without the keys of the sessions in `forget`."""
        assert not self.running, f"{self!r} runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), "node", str(self.people.script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.running = True
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        self.run += 1
        made = self.do(
            "create",
            url=self.url,
            user=self.user,
            password=self.password,
            token=self.token,
            device=self.device,
            masquerade=self.masquerade,
            strict=self.strict,
            sign=self.sign if self.run == 1 else None,
            store=str(self.folder / "store"),
            run=self.run,
            forget=list(forget),
        )
        self.device, self.token = made["device"], made["token"]
        return self

    def stop(self):
        """End its process; the device stays, and what is sent to it waits at the server."""
        if self.running:
            self.do("stop")
            self.close()

    def close(self):
        """End its process without ceremony."""
        self.running = False
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def logout(self):
        """The device ceases to be."""
        self.do("logout")
        self.close()

    # -- commands

    def post(self, what, **words):
        """A command without waiting for its answer: a Future."""
        answer = Future()
        number = next(self._numbers)
        self._waiting[number] = answer
        try:
            self.process.stdin.write(json.dumps({"id": number, "do": what, **words}).encode() + b"\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            self._waiting.pop(number)
            raise AssertionError(f"{self!r} is gone{self.complaints()}") from None
        return answer

    def do(self, what, timeout=60, **words):
        """A command's answer; Refused when it could not."""
        try:
            return self.post(what, **words).result(timeout)
        except TimeoutError as error:
            raise Impatience(f"{self!r} did not answer {what} in {timeout:.0f} s{self.complaints()}") from error

    def send_event(self, room, content, kind="m.room.message"):
        return self.do("send", room=room, kind=kind, content=content)

    async def say(self, room, body):
        """A text, said in a coroutine: the event id."""
        content = {"msgtype": "m.text", "body": body}
        return await asyncio.wrap_future(self.post("send", room=room, kind="m.room.message", content=content))

    def join(self, room):
        return self.do("join", room=room)

    def leave(self, room):
        self.do("leave", room=room)

    def knows(self, room, users, encrypted=True):
        said = self.do("knows", room=room)
        return set(users) <= set(said["members"]) and (said["encrypted"] or not encrypted)

    def rotate(self, room):
        """The next message has a new session."""
        self.do("rotate", room=room)

    def upload(self, data, mimetype, secret=True):
        """The part of a message's content that says where its file lies."""
        return self.do("upload", data=base64.b64encode(data).decode(), mimetype=mimetype, secret=secret)

    def download(self, content):
        """The bytes behind a message's content, decrypted, their hash compared."""
        return base64.b64decode(self.do("download", content=content))

    def shield(self, heard):
        """(colour, why) as it would be shown now: who signed what may have become known since."""
        said = self.do("shield", room=heard.room, event=heard.id)
        return said["colour"], said["why"]

    def identity(self, user):
        """Somebody's identity as seen from here: exists, changed (a client warns of it), verified."""
        return self.do("identity", user=user)

    def devices(self, user):
        """Somebody's devices: list of {device, keys, signed}."""
        return self.do("devices", user=user)

    def known_devices(self, user):
        return {each["device"] for each in self.devices(user)}

    def verify(self, user, room=None, device=None, timeout=PATIENCE):
        """Ask somebody, in a room or at a device, to verify himself: {phase, code} once that came to something."""
        return self.do("verify", timeout, user=user, room=room, device=device)

    def sessions(self, room):
        """The ids of the room's sessions that this device can read."""
        return {key["session"] for key in self.do("keys") if key["room"] == room}

    def forget_key(self, room, session):
        """Lose the key of a session, as if it had never come; the client is started anew for it."""
        assert session in self.sessions(room), f"{self!r} has no session {session}"
        self.stop()
        self.start(forget=[session])

    def encrypt(self, room, content, kind="m.room.message"):
        """What would be sent, with the room's key given to all: (type, content)."""
        said = self.do("encrypt", room=room, kind=kind, content=content)
        return said["kind"], said["content"]

    def new_device(self, signed=True, strict=None):
        """The account at another device, which this one signs (or not)."""
        return self.people.take(
            JsClient(
                self.people,
                self.user,
                strict=self.strict if strict is None else strict,
                sign=self.do("secrets") if signed else None,
            )
        )

    def complaints(self):
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "".join(f"\n  fault: {fault}" for fault in self.faults[-3:]) + (f"\n  log: {log[-1500:]}" if log else "")

    # -- inside (in the reader's thread)

    def _read(self, process):
        for line in process.stdout:
            said = json.loads(line)
            if "event" in said:
                self._take(**said["event"])
            elif "fault" in said:
                self.faults.append(said["fault"])
            elif "sync" in said:
                self.sync = said["sync"]
            elif "invite" in said:
                self.invites.add(said["invite"])
            else:
                self._answer(said)
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(AssertionError(f"{self!r} ended{self.complaints()}"))
        self._waiting.clear()

    def _answer(self, said):
        answer = self._waiting.pop(said["id"])
        if "ok" in said:
            answer.set_result(said["ok"])
        else:
            answer.set_exception(Refused(str(self), said["error"]["code"], said["error"]["text"] + self.complaints()))
