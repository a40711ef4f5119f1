# SPDX-License-Identifier: Apache-2.0
"""Speed and instructions of the daemon between two servers that cost next to nothing.

The fakes (fake_homeserver.c, fake_component.c) check order and completeness themselves. Rates are measured
in real time with durable commits on a real disk; costs are counted in instructions by callgrind, in a run
of its own, beside a program without Sourdine's code that does the same work on the same bytes (raw.c).
"""

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

DOMAIN, COMPONENT = "hs.test", "sourdine.localhost"
PATIENCE = 15  # seconds without anything new
BATCH = 100


def line(*cells):
    print(f"{cells[0]:52}" + "".join(f"{cell:>16}" for cell in cells[1:]), flush=True)


def unprivileged():
    command = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        command += ["--reuid=65534", "--regid=65534", "--clear-groups"]
    return command


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for sock in held:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports


def until(condition, patience, what):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {patience} s"
        time.sleep(0.005)


class Fake:
    """One of the fakes: commands in, lines out."""

    def __init__(self, name, *words):
        command = unprivileged() + [os.environ["BENCH_PROGRAMS"] + "/" + name, *map(str, words)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for said in self.process.stdout:
            self.lines.put(said.split())

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def hear(self, word, patience=600):
        """The next line that begins with a word; the others are dropped."""
        while True:
            said = self.lines.get(timeout=patience)
            if said[0] == word:
                return said[1:]

    def ask(self, word, *words, answer=None):
        self.tell(word, *words)
        return self.hear(answer or word)

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


class Figures:
    """What a fake counted: `got` lines."""

    def __init__(self, wanted, said):
        self.count = int(said[0])
        self.first, self.last, self.p50, self.p99 = map(float, said[1:5])
        self.duplicated, self.reordered = map(int, said[5:7])
        self.lost = wanted - self.count

    def clean(self):
        return not (self.lost or self.duplicated or self.reordered)

    def words(self):
        return f"{self.lost} / {self.duplicated} / {self.reordered}"


class Bench:
    """Both fakes and a daemon between them, in a folder on a disk."""

    def __init__(self, people=5, natives=5, groups=1, sourdine=None, before=()):
        self.folder = Path(tempfile.mkdtemp(prefix="sourdine-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.folder.chmod(0o755)
        self.people, self.natives, self.groups = people, natives, groups
        self.sourdine, self.before = sourdine or os.environ["SOURDINE"], list(before)
        self.http, self.appservice, self.port = free_ports(3)
        self.state = self.folder / "state"
        self.config = self.folder / "config.yaml"
        self.log = self.folder / "daemon.log"
        self.config.write_text(self.configuration())
        (self.folder / "charters").mkdir()
        for path in (self.folder, self.config, self.folder / "charters"):
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
        self.registration = self.folder / "registration.yaml"
        done = subprocess.run(unprivileged() + [self.sourdine, "-c", self.config, "registration", "-o", self.registration], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.token = re.search(r"hs_token: *\"?([^\"\s]+)", self.registration.read_text())[1]
        self.homeserver = Fake("fake_homeserver", self.http, self.appservice, self.token, groups, people)
        self.component = Fake("fake_component", self.port, natives)
        self.process = None

    def configuration(self):
        text = [
            f"homeserver: {{ address: 'http://127.0.0.1:{self.http}', domain: {DOMAIN} }}",
            f"appservice: {{ address: 'http://127.0.0.1:{self.appservice}', port: {self.appservice}, registration: registration.yaml }}",
            f"xmpp: {{ host: 127.0.0.1, port: {self.port}, component: {COMPONENT}, secret: s3cret }}",
            f"state: {self.state}",
            "groups:",
        ]
        for i in range(self.groups):
            text += [f"  g{i}:", f'    matrix: "!r{i}:{DOMAIN}"', f"    xmpp: r{i}@rooms.localhost"]
        return "\n".join(text) + "\n"

    # -- the daemon

    def launch(self):
        """Begins it; gives the instant."""
        with open(self.log, "ab") as log:
            self.said_from = log.tell()
            begun = time.monotonic()
            command = unprivileged() + self.before + [self.sourdine, "-c", str(self.config), "run"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        return begun

    def said(self):
        with open(self.log, "rb") as log:
            log.seek(self.said_from)
            return log.read().decode(errors="replace")

    def status(self):
        try:
            with socket.socket(socket.AF_UNIX) as ask:
                ask.settimeout(60)
                ask.connect(str(self.state / "control"))
                ask.sendall(b"status\n")
                said = b""
                while piece := ask.recv(65536):
                    said += piece
            return json.loads(said)
        except (OSError, ValueError):
            return None

    def everywhere(self):
        status = self.status()
        return status and all(status[side]["joined"] >= status[side]["wanted"] for side in ("matrix", "xmpp"))

    def wait_ready(self):
        until(lambda: "ready: " in self.said(), 120, "ready")
        return time.monotonic()

    def start(self):
        self.launch()
        self.wait_ready()
        until(self.everywhere, 120, "every room entered")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.homeserver.close()
        self.component.close()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- messages

    def outward(self, count, rooms=1, rate=0):
        """COUNT messages from Matrix to XMPP; (figures, messages a second)."""
        return self.carry(self.homeserver, self.component, count, rooms, rate, [BATCH])

    def inward(self, count, rooms=1, rate=0):
        return self.carry(self.component, self.homeserver, count, rooms, rate, [])

    def carry(self, source, target, count, rooms, rate, batch):
        target.tell("expect", count)
        if rate:
            source.tell("pace", count, rate, rooms)
        else:
            source.tell("push", count, *batch, rooms)
        begun = float(source.hear("pushed")[1])
        figures = Figures(count, self.wait_for_all(target))
        return figures, figures.count / (figures.last - begun)

    def wait_for_all(self, target):
        """Until everything arrived, or nothing did for a while."""
        before = None
        while True:
            try:
                return target.hear("got", PATIENCE)
            except queue.Empty:
                said = target.ask("report")
                if said[0] == before:
                    return said
                before = said[0]

    def warm(self):
        """Everybody says something, so that every ghost is there."""
        self.outward(self.people * self.groups, self.groups)
        self.inward(self.natives * self.groups, self.groups)
        # What follows the last message: reflections, commits.
        time.sleep(0.3)


def rates(count, ghosts, rooms):
    bench = Bench(ghosts, ghosts, rooms)
    try:
        bench.start()
        bench.warm()
        good = True
        for words, carry in (("Matrix to XMPP", bench.outward), ("XMPP to Matrix", bench.inward)):
            figures, rate = carry(count, rooms)
            good = good and figures.clean()
            line(f"  {words}, {rooms} rooms, {ghosts} ghosts in each", f"{rate:.0f}", figures.words(), f"{figures.p50:.0f} ms", f"{figures.p99:.0f} ms")
        return good
    finally:
        bench.close()


def main(wanted):
    good = True
    line(f"through the fakes, bursts of {wanted.messages}", "messages/s", "lost/dup/order", "p50", "p99")
    for rooms, ghosts in ((1, 5), (1, 100), (8, 5)):
        good = rates(wanted.messages, ghosts, rooms) and good
    return 0 if good else 1
