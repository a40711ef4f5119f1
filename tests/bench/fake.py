# SPDX-License-Identifier: Apache-2.0
"""Speed and instructions of the daemon between two servers that cost next to nothing.

The fakes (fake_homeserver.c, fake_component.c) check order and completeness themselves. Rates are measured
in real time with durable commits on a real disk; costs are counted in instructions by callgrind, in a run
of its own, beside a program without Sourdine's code that does the same work on the same bytes (raw.c).
"""

import argparse
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
import urllib.request
from pathlib import Path

DOMAIN, COMPONENT = "hs.test", "sourdine.localhost"
PATIENCE = 15  # seconds without anything new
BATCH = 100
OVERHEAD_MS = 4


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

    def __init__(self, people=5, natives=5, groups=1, sourdine=None, before=(), keys=()):
        self.folder = Path(tempfile.mkdtemp(prefix="sourdine-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.folder.chmod(0o755)
        self.people, self.natives, self.groups = people, natives, groups
        self.sourdine, self.before = sourdine or os.environ["SOURDINE"], list(before)
        self.http, self.appservice, self.port, self.metrics = free_ports(4)
        self.state = self.folder / "state"
        self.config = self.folder / "config.yaml"
        self.log = self.folder / "daemon.log"
        self.config.write_text(self.configuration())
        self.config.chmod(0o640)
        (self.folder / "charters").mkdir()
        for path in (self.folder, self.config, self.folder / "charters"):
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
        self.registration = self.folder / "registration.yaml"
        done = subprocess.run(unprivileged() + [self.sourdine, "-c", self.config, "registration", "-o", self.registration], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.token = re.search(r"hs_token: *\"?([^\"\s]+)", self.registration.read_text())[1]
        self.homeserver = Fake("fake_homeserver", self.http, self.appservice, self.token, groups, people, *keys)
        self.component = Fake("fake_component", self.port, natives)
        self.process = None

    def configuration(self):
        text = [
            f"homeserver: {{ address: 'http://127.0.0.1:{self.http}', domain: {DOMAIN} }}",
            f"appservice: {{ address: 'http://127.0.0.1:{self.appservice}', port: {self.appservice}, registration: registration.yaml }}",
            f"xmpp: {{ host: 127.0.0.1, port: {self.port}, component: {COMPONENT}, secret: s3cret }}",
            f"state: {self.state}",
            f"metrics: {{ hostname: 127.0.0.1, port: {self.metrics} }}",
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

    def cpu(self):
        """Seconds, user and system."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """(RssAnon, VmRSS) in KiB."""
        fields = dict(one.split(":", 1) for one in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        return tuple(int(fields[name].split()[0]) for name in ("RssAnon", "VmRSS"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=60) as answer:
            found = re.search(rf"^sourdine_{name} (\d+)", answer.read().decode(), re.M)
        return int(found[1])

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
            before, commits = bench.cpu(), bench.metric("db_commits_total")
            figures, rate = carry(count, rooms)
            good = good and figures.clean()
            commits = count / max(1, bench.metric("db_commits_total") - commits)
            used = (bench.cpu() - before) * 1000 / count
            name = f"  {words}, {rooms} room{'s' * (rooms > 1)}, {ghosts} ghosts in each"
            line(name, f"{rate:.0f}", figures.words(), f"{used:.3f}", f"{commits:.1f}")
        return good
    finally:
        bench.close()


def latency(seconds=30, rate=20):
    """Paced, each way: from the source's write to the target's reading."""
    bench = Bench(5, 5)
    try:
        bench.start()
        bench.warm()
        line(f"{seconds} s at {rate} a second, 5 ghosts", "p50", "p99", "lost/dup/order")
        good = True
        for words, carry in (("  Matrix to XMPP", bench.outward), ("  XMPP to Matrix", bench.inward)):
            figures, _ = carry(seconds * rate, rate=rate)
            line(words + f" (bar {OVERHEAD_MS} ms)", f"{figures.p50:.2f} ms", f"{figures.p99:.2f} ms", figures.words())
            good = good and figures.clean() and figures.p50 <= OVERHEAD_MS
        return good
    finally:
        bench.close()


# -- starts


def starts(groups=500):
    """From the start of the process to `ready:`, and to every room entered: a new database, then the same again."""
    bench = Bench(2, 2, groups)
    good = True
    try:
        line(f"start with {groups} groups", "ready", "everywhere", "RssAnon", "VmRSS")
        for words in ("  a new database", "  again", "  after kill -9"):
            begun = bench.launch()
            ready = bench.wait_ready() - begun
            until(bench.everywhere, 120, "every room entered")
            everywhere = time.monotonic() - begun
            line(words, f"{ready:.2f} s", f"{everywhere:.2f} s", *(f"{kib} KiB" for kib in bench.memory()))
            good = good and ready < 0.3
            if words == "  again":
                bench.process.kill()
                bench.process.wait()
            else:
                bench.stop()
        return good
    finally:
        bench.close()


# -- soak


def soak(minutes, rate=25):
    """Both ways at once, RATE a second each; memory, descriptors and database once a minute."""
    bench = Bench(20, 20)
    try:
        bench.start()
        bench.warm()
        line(f"soak, {rate} a second each way", "RssAnon", "VmRSS", "descriptors", "database", "lost/dup/order")
        samples, figures = [], []
        for minute in range(minutes + 1):
            memory, size = bench.memory(), sum(path.stat().st_size for path in bench.state.glob("sourdine.db*"))
            words = " ".join(one.words() for one in figures) or "-"
            line(f"  minute {minute}", *(f"{kib} KiB" for kib in memory), bench.descriptors(), f"{size >> 10} KiB", words)
            samples.append((minute, memory[0], bench.descriptors()))
            if minute < minutes:
                count = 60 * rate
                bench.component.tell("expect", count)
                bench.homeserver.tell("expect", count)
                bench.homeserver.tell("pace", count, rate, 1)
                bench.component.tell("pace", count, rate, 1)
                bench.homeserver.hear("pushed")
                bench.component.hear("pushed")
                figures = [Figures(count, bench.wait_for_all(fake)) for fake in (bench.component, bench.homeserver)]
                assert all(one.clean() for one in figures), " ".join(one.words() for one in figures)
        # What is reached in the first third is the working set.
        settled = samples[len(samples) // 3 :]
        mean_t, mean_m = (sum(one[i] for one in settled) / len(settled) for i in (0, 1))
        spread = sum((one[0] - mean_t) ** 2 for one in settled)
        slope = 60 * sum((one[0] - mean_t) * (one[1] - mean_m) for one in settled) / spread if spread else 0.0
        line(f"  slope of RssAnon over the last {len(settled) - 1} minutes", f"{slope:.1f} KiB/h")
        return True
    finally:
        bench.close()


# -- instructions

VALGRIND = ["valgrind", "--tool=callgrind"]


def instructions(folder):
    """The sum of what callgrind counted in a folder."""
    return sum(int(number) for path in folder.glob("callgrind.*") for number in re.findall(r"^totals: (\d+)", path.read_text(errors="replace"), re.M))


class Counted(Bench):
    """A daemon under callgrind; counting begins when it is told to."""

    def __init__(self, ghosts, natives, **more):
        self.counts = own_folder("sourdine-counts-")
        super().__init__(ghosts, natives, before=VALGRIND + [f"--callgrind-out-file={self.counts}/callgrind.%p", "--instr-atstart=no"], **more)

    def control(self, *words):
        done = subprocess.run(unprivileged() + ["callgrind_control", *words, str(self.process.pid)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def cost(self, way, count):
        """(instructions, commits, copies) of COUNT messages, and samples of what went over the wires."""
        self.start()
        self.warm()
        time.sleep(1)
        commits, copies = self.metric("db_commits_total"), int(self.component.ask("copies")[0])
        self.control("-i", "on")
        figures, _ = (self.outward if way == "out" else self.inward)(count)
        assert figures.clean(), f"{way}: lost / duplicated / reordered {figures.words()}"
        time.sleep(1)
        self.control("-i", "off")
        commits, copies = self.metric("db_commits_total") - commits, int(self.component.ask("copies")[0]) - copies
        self.homeserver.ask("sample", self.counts / "transaction", answer="sampled")
        self.component.ask("sample", self.counts / "stanzas", answer="sampled")
        self.stop()
        return instructions(self.counts), commits, copies

    def raw(self, way, count, commits, copies):
        """The same by a program without our code, with the same bytes, commits and copies."""
        batch = max(1, round(3 * count / commits))
        folder = own_folder("sourdine-raw-")
        command = unprivileged() + VALGRIND + [f"--callgrind-out-file={folder}/callgrind.%p", f"--toggle-collect=work_{way}"]
        words = [way, folder, self.counts / ("transaction" if way == "out" else "transaction.put"), self.counts / "stanzas", count]
        words += [BATCH] if way == "out" else []
        words += [round(copies / count), batch, f"http://127.0.0.1:{self.http}"] + ([] if way == "out" else ["token"])
        done = subprocess.run(command + [os.environ["BENCH_PROGRAMS"] + "/raw_way", *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        counted = instructions(folder)
        shutil.rmtree(folder, ignore_errors=True)
        return counted, batch

    def close(self):
        super().close()
        shutil.rmtree(self.counts, ignore_errors=True)


def own_folder(prefix):
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("TMPDIR", "/var/tmp")))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    return folder


def compare(way, count, ghosts):
    """(ours, raw) instructions a message, and copies a message."""
    bench = Counted(ghosts, 5)
    try:
        ours, commits, copies = bench.cost(way, count)
        raw, batch = bench.raw(way, count, commits, copies)
    finally:
        bench.close()
    words = {"out": "Matrix to XMPP", "in": "XMPP to Matrix"}[way]
    line(f"  {words}, {ghosts} ghosts, {batch} messages a commit", f"{ours / count:.0f}", f"{raw / count:.0f}", f"{ours / raw:.2f}")
    return ours / count, raw / count, copies / count


def costs(count):
    line("instructions a message, by callgrind", "ours", "raw", "ratio (bar 3)")
    good = True
    for way in ("out", "in"):
        ours, raw, _ = compare(way, count, 5)
        good = good and ours <= 3 * raw
    one = compare("in", count // 4, 1)
    many = compare("in", count // 4, 101)
    ours, raw = ((many[i] - one[i]) / (many[2] - one[2]) for i in (0, 1))
    line("  a copy for another ghost, thrown away", f"{ours:.0f}", f"{raw:.0f}", f"{ours / raw:.2f}")
    return good


def main(words):
    parser = argparse.ArgumentParser(prog="bench/run --fake", description=__doc__.splitlines()[0])
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--messages", type=int, default=10000)
    parser.add_argument("--no-costs", action="store_true", help="leave callgrind out")
    parser.add_argument("--no-rates", action="store_true", help="only callgrind")
    parser.add_argument("--starts", action="store_true", help="only the time that a start takes with 500 groups")
    parser.add_argument("--encrypted", action="store_true", help="only what encrypting for a room costs, by callgrind")
    parser.add_argument("--ghosts", type=int, default=50, help="who speak in the encrypted room")
    parser.add_argument("--devices", type=int, default=100, help="of those who read there")
    parser.add_argument("--soak", type=int, metavar="MINUTES", help="only this")
    wanted = parser.parse_args(words)
    if wanted.soak:
        return 0 if soak(wanted.soak) else 1
    if wanted.encrypted:
        import sealed

        return 0 if sealed.scene(wanted.ghosts, wanted.devices, not wanted.no_costs) else 1
    good = starts()
    if wanted.starts:
        return 0 if good else 1
    if not wanted.no_rates:
        good = latency() and good
        line(f"through the fakes, bursts of {wanted.messages}", "messages/s", "lost/dup/order", "CPU s per 1,000", "messages/commit")
        for rooms, ghosts in ((1, 5), (1, 100), (8, 5)):
            good = rates(wanted.messages, ghosts, rooms) and good
    if not wanted.no_costs:
        good = costs(1000) and good
    return 0 if good else 1
