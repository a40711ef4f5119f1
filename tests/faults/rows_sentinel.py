# SPDX-License-Identifier: Apache-2.0
"""What is said in an encrypted room lies nowhere in the clear, except where it has to for a moment: in memory."""

import base64
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from row import Result, settle
from sealed import SealedPair, finish_sealed

SENTINEL = "xyzzy-nobody-may-ever-find-this-4711"


def forms(text):
    """The bytes of a text as files might hold them: plain, in base64 at each of three places, in hexadecimal, in UTF-16."""
    data = text.encode()
    found = {data, data.hex().encode(), data.hex().upper().encode(), text.encode("utf-16-le")}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + data)
        found.add(coded[4 if shift else 0 : -4])  # without the ends, which depend on what stands around it
    return found


def holds(data):
    return sum(data.count(form) for form in forms(SENTINEL))


def search(folder):
    """The files below a folder that hold it."""
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and not file.is_socket() and holds(file.read_bytes()))


def plant(pair):
    """The search sees what is there, also sealed in the middle of other things: how many it found of how many."""
    state = pair.bridge.state
    pieces = {
        "planted-text": b"\0" * 4097 + SENTINEL.encode() + b"\xff",
        "planted-base64": base64.b64encode(b"some words before " + SENTINEL.encode() + b" and some after"),
        "planted-hex": SENTINEL.encode().hex().encode(),
    }
    for name, data in pieces.items():
        (state / name).write_bytes(data)
    found = search(state)
    for name in pieces:
        (state / name).unlink()
    return sum(name in found for name in pieces), len(pieces)


def metrics(stage):
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.metrics}/metrics", timeout=10) as answer:
        return answer.read()


def memory(pair, folder):
    """How often a core of the living process holds it: (times, of which in XMPP's own words, bytes of the core), or None, None and why there is none."""
    size = int(re.search(r"VmSize:\s*(\d+)", Path(f"/proc/{pair.bridge.process.pid}/status").read_text())[1])
    if size > 1 << 26:
        return None, None, f"{size >> 20} GB of addresses: built with a sanitizer"
    done = subprocess.run(["gcore", "-o", folder / "core", str(pair.bridge.process.pid)], capture_output=True, text=True)
    cores = list(folder.glob("core.*"))
    if not cores:
        return None, None, (done.stderr.strip().splitlines() or ["no core"])[-1]
    data = cores[0].read_bytes()
    cores[0].unlink()
    return holds(data), data.count(b"<body>" + SENTINEL.encode()), len(data)


def need_gdb():
    if not shutil.which("gcore"):
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "gdb"], capture_output=True, check=False)
    return shutil.which("gcore") is not None


def say(pair, count):
    """The same in both directions: in encrypted rooms, and in the MUC for them."""
    for number in range(count):
        for client in pair.readers:
            pair.stage.loop.run(client.say(pair.room, f"{SENTINEL} out {number} of {client.user}"), 60)
        pair.stage.bob.send(pair.muc, f"{SENTINEL} in {number}")


def sentinel(stage, options):
    """Said both ways, looked for everywhere, also after an abort; then what memory still holds after a minute of silence."""
    pair = SealedPair(stage, natives=2)
    result = Result()
    idle = 5 if options.short else 60
    try:
        pair.start()
        say(pair, 5)
        for client in pair.readers:
            client.wait(pair.room, f"{SENTINEL} in 4")
        pair.stage.bob.wait(pair.muc, f"{SENTINEL} out 4 of {pair.readers[-1].user}")
        pair.say_matrix(6, rate=6).wait()
        pair.say_xmpp(6, rate=6).wait()
        settle(pair, options)
        seen, planted = plant(pair)
        result.require(seen == planted, f"the search found {seen} of {planted} that were planted")
        result.require(holds(metrics(stage)) == 0, "a metric holds it")
        for area in ("status", "audit"):
            done = pair.bridge.run(*([area, "load"] if area == "audit" else [area]))
            result.require(holds((done.stdout + done.stderr).encode()) == 0, f"`sourdine {area}` prints it")
        time.sleep(idle)
        times, stanzas, size = memory(pair, pair.bridge.folder) if need_gdb() else (None, None, "no gdb")
        found = f"a core of {size} bytes holds it {times} times, {stanzas} of them in stanzas of the stream" if times is not None else f"no core: {size}"
        result.notes.append(f"search found {seen} of {planted} planted; after {idle} idle s {found}")

        # In the midst of it, as a bug would.
        say(pair, 3)
        os.kill(pair.bridge.process.pid, signal.SIGABRT)
        status = pair.bridge.process.process.wait()
        result.require(status == -signal.SIGABRT, f"exit {status} after SIGABRT")
        cores = [file.name for file in pair.bridge.folder.rglob("*core*")]
        result.require(not cores, f"a core was left: {cores}")
        found = search(pair.bridge.folder)
        result.require(not found, f"found in {', '.join(found)}")
        pair.start()
        for client in pair.readers:
            client.wait(pair.room, f"{SENTINEL} in 2")
        pair.say_matrix(6, rate=6).wait()
        pair.say_xmpp(6, rate=6).wait()
        finish_sealed(result, pair, options)
        found = search(pair.bridge.folder)
        result.require(not found, f"found after its end in {', '.join(found)}")
        files = sum(1 for file in pair.bridge.folder.rglob("*") if file.is_file())
        result.notes.append(f"{files} files of state, log and configuration searched, before and after an abort and an end")
        return result
    finally:
        pair.close()
