# SPDX-License-Identifier: Apache-2.0
"""A Synapse, a Prosody (or an ejabberd) and a Sourdine of their own: started on free ports, driven, and stopped again.

`World` owns both servers and one temporary folder; it makes the registration with the real
`sourdine registration`, because Synapse wants it at its start. `Bridge` is one daemon with a state
folder of its own. Only one bridge may run at a time: there is one component and one registration.

Everything runs as an unprivileged user: root becomes nobody. Every process dies with this one, however
it ends (PR_SET_PDEATHSIG, which follows the *thread* that started it: start from one that lasts).
"""

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from clients import Impatience, Loop, Matrix, Xmpp, until

TESTS = Path(__file__).resolve().parent.parent
DOMAIN, COMPONENT = "hs.test", "sourdine.localhost"
BOT, BOT_JID, BOT_NICK = f"@sourdine:{DOMAIN}", f"bot@{COMPONENT}", "Sourdine"
PASSWORD, SECRET = "pw", "s3cret"
NOBODY = 65534
XMPP_SERVER = os.environ.get("SOURDINE_XMPP") or "prosody"
assert XMPP_SERVER in ("prosody", "ejabberd"), f"SOURDINE_XMPP={XMPP_SERVER}: prosody or ejabberd"
MATRIX_ACCOUNTS = ("admin", "alice", "dave")
XMPP_ACCOUNTS = ("admin", "bob", "carol")
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:abort_on_error=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=98",
}


def unprivileged():
    """What to put before a command, so that it runs as nobody (when we are root) and dies with us."""
    command = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        command += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return command


def own(path):
    """Give a path to the user that the servers run as."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return Path(path)


def free_ports(count):
    """TCP ports that nothing listens on, below those that the kernel gives to outgoing connections."""
    held, ports = [], []
    while len(ports) < count:
        port = random.randrange(20000, 32000)
        sock = socket.socket()
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            continue
        held.append(sock)
        ports.append(port)
    for sock in held:
        sock.close()
    return ports


def paris(text):
    """'2026-11-23 19:04' of Paris as the instant that the test clock's file wants."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Paris"))
    return local.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")


def answers(port):
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A program in a process group of its own, its output in a file."""

    def __init__(self, command, log, env=None, cwd=None):
        self.log = Path(log)
        self.start_offset = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                unprivileged() + [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def said(self):
        """What it wrote since it was started."""
        with open(self.log, "rb") as log:
            log.seek(self.start_offset)
            return log.read().decode(errors="replace")

    def stop(self, timeout=15):
        """SIGTERM, SIGKILL when that takes too long; returns the exit status (negative: a signal)."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        return self.kill()

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.process.wait()


class Server:
    """A server that can be stopped and started again on the same ports and data."""

    def __init__(self, name, command, env, log, ready):
        self.name, self.command, self.env, self.log, self.ready = name, command, env, log, ready
        self.process = None

    def launch(self):
        """Start without waiting; `wait` does."""
        self.process = Process(self.command, self.log, self.env)

    def wait(self, timeout=60):
        def up():
            if not self.process.alive():
                raise AssertionError(f"{self.name} ended:\n{self.process.said()[-2000:]}")
            return self.ready()

        until(up, timeout, f"{self.name} starting")

    def start(self):
        self.launch()
        self.wait()

    def stop(self):
        if self.process:
            self.process.stop()

    def kill(self):
        if self.process:
            self.process.kill()


class World:
    """Both servers, the registration and the people; `close` removes everything."""

    def __init__(self, sourdine=None, keep=False):
        self.keep = keep
        self.folder = own(tempfile.mkdtemp(prefix="sourdine-"))
        self.folder.chmod(0o755)
        self.loop = None
        self.people = []
        self.registration_said = ""  # what `sourdine registration` printed
        self.names = {}
        self.bridges = []
        self.sourdine = sourdine or os.environ.get("SOURDINE") or shutil.which("sourdine")
        assert self.sourdine, "which sourdine is to be tested? set SOURDINE to its path"
        ports = free_ports(7)
        self.http, self.c2s, self.component, self.upload, self.appservice, self.metrics, self.spare = ports
        # The unprivileged user may not be able to read the source tree.
        scripts = self.folder / "servers"
        shutil.copytree(TESTS / "servers", scripts)
        self.registration = self.folder / "registration.yaml"
        self.relay_registration, self.relay_token = self.folder / "relay.yaml", secrets.token_hex(16)
        self._synapse_ready = self.folder / "synapse" / "ready"
        python = shutil.which(os.environ.get("SYNAPSE_PYTHON") or os.sys.executable)
        self.synapse = Server(
            "Synapse",
            ["sh", scripts / "run-synapse.sh", self.folder / "synapse", self.registration, self.relay_registration],
            {"HTTP_PORT": str(self.http), "SYNAPSE_PYTHON": python, "ACCOUNTS": " ".join(MATRIX_ACCOUNTS)},
            self.folder / "synapse.log",
            lambda: self._synapse_ready.exists() and answers(self.http),  # the mark may be that of an earlier run
        )
        settings = {
            "C2S_PORT": str(self.c2s),
            "COMPONENT_PORT": str(self.component),
            "HTTP_PORT": str(self.upload),
            "STANZA_LIMIT": "4194304",
            "ACCOUNTS": " ".join(XMPP_ACCOUNTS),
        }
        self.xmpp_server = Server(
            XMPP_SERVER,
            ["sh", scripts / f"run-{XMPP_SERVER}.sh", self.folder / XMPP_SERVER],
            settings,
            self.folder / f"{XMPP_SERVER}.log",
            self._xmpp_ready,
        )

    def _xmpp_ready(self):
        """ejabberd's ports are open before its accounts are made; its mark may be that of an earlier run."""
        made = XMPP_SERVER == "prosody" or (self.folder / XMPP_SERVER / "ready").exists()
        return made and answers(self.component) and answers(self.c2s)

    @property
    def prosody(self):
        """The XMPP server, whichever it is."""
        return self.xmpp_server

    def open(self):
        """Make the registration, start both servers, log everybody in."""
        try:
            self.registration_said = self.make_registration()
            self.make_relay_registration()
            self.xmpp_server.launch()
            self.synapse.launch()
            self.xmpp_server.wait()
            self.synapse.wait()
            self.loop = Loop()
        except BaseException:
            self.close()
            raise
        return self

    def make_registration(self):
        config = self.write(self.folder / "registration-config.yaml", self.config(self.folder / "unused-state", {}))
        done = self.run("-c", config, "registration", "-o", self.registration)
        assert done.returncode == 0, f"sourdine registration: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def make_relay_registration(self):
        """An application service of the tests' own, beside ours: it only sends."""
        words = {
            "id": "relay",
            "url": None,
            "as_token": self.relay_token,
            "hs_token": secrets.token_hex(16),
            "sender_localpart": "_relay",
            "rate_limited": False,
            "namespaces": {"users": [{"exclusive": True, "regex": f"^@_relay_.*:{DOMAIN}$"}], "aliases": [], "rooms": []},
        }
        self.write(self.relay_registration, json.dumps(words))  # which is YAML

    def close(self):
        for bridge in self.bridges:
            bridge.kill()
        for person in self.people:
            try:
                person.close()
            except (AssertionError, OSError):
                pass
        if self.loop:
            self.loop.stop()
        self.synapse.stop()
        self.xmpp_server.stop()
        if self.keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- people

    def matrix(self, name, shy=False):
        person = Matrix(self.loop, f"http://127.0.0.1:{self.http}", f"@{name}:{DOMAIN}", PASSWORD, shy)
        self.people.append(person)
        person.set_name(name.capitalize())
        return person

    def xmpp(self, name):
        person = Xmpp(self.loop, f"{name}@localhost", PASSWORD, self.c2s)
        self.people.append(person)
        return person

    # -- the daemon's surroundings

    def write(self, path, text, mode=0o644):
        path = Path(path)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return own(path)

    def run(self, *arguments, timeout=60, **environment):
        """One sub-command to its end, as the daemon's user; gives subprocess.CompletedProcess with text."""
        return subprocess.run(
            unprivileged() + [self.sourdine] + [str(a) for a in arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**os.environ, **SANITIZERS, **environment},
            cwd=self.folder,
        )

    def config(self, state, groups, extra="", secret=SECRET, registration=None, language="en", homeserver=None, component=None, listen=None):
        """A configuration file's text; `groups` maps a name to (Matrix room, MUC). Ports: of a proxy in front of a server, or of us."""
        lines = [
            "homeserver:",
            f"  address: http://127.0.0.1:{homeserver or self.http}",
            f"  domain: {DOMAIN}",
            "appservice:",
            f"  address: http://127.0.0.1:{self.appservice}",
            "  hostname: 127.0.0.1",
            f"  port: {listen or self.appservice}",
            f"  registration: {registration or self.registration}",
            "  bot: sourdine",
            "  ghosts: _xmpp_",
            "xmpp:",
            "  host: 127.0.0.1",
            f"  port: {component or self.component}",
            f"  component: {COMPONENT}",
            f'  secret: "{secret}"',
            f"  nick: {BOT_NICK}",
            f"state: {state}",
            "charters: charters",
            f"language: {language}",
            "permissions:",
            f'  "@admin:{DOMAIN}": admin',
            f"metrics: {{ hostname: 127.0.0.1, port: {self.metrics} }}",
        ]
        if groups:
            lines.append("groups:")
        for name, (room, muc) in groups.items():
            lines += [f"  {name}:", f'    matrix: "{room}"', f"    xmpp: {muc}"]
        return "\n".join(lines) + "\n" + extra

    def tokens(self):
        """as_token and hs_token out of the registration."""
        import yaml

        registration = yaml.safe_load(self.registration.read_text())
        return registration["as_token"], registration["hs_token"]

    def unique(self, name):
        """A name that no room has had yet: the name itself, then name-2, name-3..."""
        self.names[name] = self.names.get(name, 0) + 1
        return name if self.names[name] == 1 else f"{name}-{self.names[name]}"


class Bridge:
    """One daemon: configuration, charters, test clock and state in a folder of its own."""

    def __init__(self, world, groups, charters=None, clock="2026-11-23T09:00:00Z", extra="", **config):
        self.world = world
        self.folder = own(tempfile.mkdtemp(prefix="bridge-", dir=world.folder))
        self.state = own_folder(self.folder / "state", 0o700)
        self.charters = own_folder(self.folder / "charters")
        self.log = self.folder / "daemon.log"
        self.clock_file = self.folder / "clock"
        self.config = world.write(self.folder / "config.yaml", world.config(self.state, groups, extra, **config), 0o640)
        for name, text in (charters or {}).items():
            self.write_charter(name, text)
        self.set_clock(clock)
        self.process = None
        self.prefix, self.env = [], {}  # before the command, and beside the environment
        self.statuses = []  # exit statuses of the daemons that were stopped (not killed)
        world.bridges.append(self)

    def write_charter(self, name, text):
        """The file NAME.charter; `text` is the whole file."""
        return self.world.write(self.charters / f"{name}.charter", text)

    def set_clock(self, instant):
        """Replace the test clock's file: '2026-11-23T18:04:00Z', or '2026-11-23 19:04' of Paris."""
        if "T" not in instant:
            instant = paris(instant)
        fresh = self.world.write(self.folder / "clock.new", instant + "\n")
        os.replace(fresh, self.clock_file)

    # -- running

    def command(self):
        return [*self.prefix, self.world.sourdine, "-c", self.config, "run", "--test-clock", self.clock_file]

    def launch(self):
        assert not self.alive(), "this bridge runs already"
        self.process = Process(self.command(), self.log, {**SANITIZERS, **self.env}, cwd=self.folder)

    def wait_ready(self, timeout=60):
        def ready():
            said = self.process.said()
            if any(line.split("ready: ", 1)[0].strip("<>0123456789 ") == "" for line in said.splitlines() if "ready: " in line):
                return True
            if not self.process.alive():
                raise AssertionError(f"sourdine ended with {self.process.process.poll()} before it was ready:\n{said[-3000:]}")
            return False

        until(ready, timeout, "the line `ready:`")
        until(self.everywhere, timeout, "every room entered")

    def everywhere(self):
        """Rooms are entered after `ready:`; a test that says something at once wants them all."""
        try:
            links = self.status()
        except (OSError, ValueError):
            return False
        return all(links[side]["joined"] >= links[side]["wanted"] for side in ("matrix", "xmpp"))

    def status(self):
        """What `sourdine status` reads from the control socket."""
        return self.ask("status")

    def ask(self, request, timeout=5):
        """One request over the control socket, and its JSON."""
        with socket.socket(socket.AF_UNIX) as ask:
            ask.settimeout(timeout)
            ask.connect(str(self.state / "control"))
            ask.sendall(request.encode() + b"\n")
            said = b""
            while piece := ask.recv(65536):
                said += piece
        return json.loads(said)

    def start(self, timeout=60):
        self.launch()
        self.wait_ready(timeout)
        return self

    def alive(self):
        return self.process is not None and self.process.alive()

    def stop(self, timeout=15):
        """SIGTERM; returns the exit status. 0 is expected of every daemon that was not killed."""
        if not self.process:
            return None
        was_alive = self.alive()
        status = self.process.stop(timeout)
        if was_alive:
            self.statuses.append(status)
        return status

    def kill(self):
        """kill -9, at whatever it is doing."""
        if self.process:
            self.process.kill()

    def restart(self):
        self.stop()
        return self.start()

    def hangup(self):
        os.kill(self.process.pid, signal.SIGHUP)

    def run(self, *arguments, **keywords):
        """A sub-command with this bridge's configuration."""
        return self.world.run("-c", self.config, *arguments, **keywords)

    def said(self):
        """The whole log, of all its runs."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def faults(self):
        """What the sanitizers complained about, else ''."""
        words = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")
        said = self.said()
        at = min((said.find(word) for word in words if word in said), default=-1)
        return said[at : at + 6000] if at >= 0 else ""

    def metric(self, name):
        """The value of the first line of /metrics that begins with `name`, else None."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.world.metrics}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name) and not line.startswith("#"):
                    return float(line.rsplit(" ", 1)[1])
        return None

    def transaction(self, body, token=None, number=None, timeout=15):
        """Give the daemon an appservice transaction as the homeserver would; returns (status, answer).

        `body` is a list of events, or bytes that go out as they are.
        """
        if not isinstance(body, bytes):
            body = json.dumps({"events": body}).encode()
        number = number or f"test{time.time_ns()}"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.world.appservice}/_matrix/app/v1/transactions/{number}",
            data=body,
            method="PUT",
            headers={"Authorization": f"Bearer {token or self.world.tokens()[1]}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def close(self):
        """Stop it and say what was wrong with it: '' when nothing was."""
        self.stop()
        self.world.bridges.remove(self)
        wrong = [f"exit status {status} after SIGTERM" for status in self.statuses if status != 0]
        if self.faults():
            wrong.append(self.faults())
        return "\n".join(wrong)


def own_folder(path, mode=0o755):
    path.mkdir()
    path.chmod(mode)
    return own(path)


class Group:
    """A Matrix room and a MUC that belong together, with people in both.

    `owner` (Matrix) makes the room under an alias, `host` (XMPP) makes the MUC, where everybody sees
    real JIDs; both have fresh names. The bot is invited to neither: the room is public.
    """

    def __init__(self, world, name, owner, host, members=(), guests=(), nicks=None, muc=None, **room):
        self.name = name
        fresh = world.unique(name)
        self.alias = f"#{fresh}:{DOMAIN}"
        self.muc = f"{fresh}@rooms.localhost"
        self.owner, self.host = owner, host
        self.room = owner.create_room(name, alias=fresh, **room)
        for member in members:
            member.join(self.alias)
        nicks = nicks or {}
        host.create_room(self.muc, self.nick(host, nicks), **(muc or {}))
        for guest in guests:
            guest.join(self.muc, self.nick(guest, nicks))
        self.guests = list(guests)

    @staticmethod
    def nick(person, nicks):
        return nicks.get(person.jid) or person.jid.split("@")[0].capitalize()

    @property
    def wiring(self):
        """What stands in `groups:` of the configuration."""
        return self.alias, self.muc

    def bot_in(self):
        """The bot is in both rooms, and its greeting is said: what it says from now on answers somebody."""
        if BOT not in self.owner.members(self.room) or BOT_NICK not in self.host.occupants(self.muc):
            return False
        greeted = any(m.who == BOT and self.muc in m.body for m in self.owner.timeline(self.room))
        return greeted and any(
            m.name == BOT_NICK and (self.alias in m.body or self.room in m.body) for m in self.host.timeline(self.muc)
        )

    def leave(self):
        for person in [*self.guests, self.host]:
            try:
                person.leave(self.muc)
            except (KeyError, Impatience):
                pass


def ghost(jid):
    """The MXID of a native whose real JID is seen."""
    local, domain = jid.split("@")
    return f"@_xmpp_{local}=40{domain}:{DOMAIN}"
