# SPDX-License-Identifier: Apache-2.0
"""`sourdine check` against real servers: each fault that an admin makes gets its own sentence, and no other."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from test_configuration import change
from world import BOT, COMPONENT, DOMAIN, SECRET, XMPP_SERVER, Server, answers, free_ports, own

FINE, PROBLEM, UNREACHABLE, CONFIGURATION = 0, 1, 69, 78


def say(bridge, *arguments):
    done = bridge.run("check", *arguments)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr
    return done.returncode, done.stdout


def finding(bridge, area, level, status, sentence, fix=()):
    """One finding of this level in this area, with these words in its sentence and in its fix: in text and as JSON."""
    code, said = say(bridge, area)
    assert code == status, said
    found = re.findall(rf"^{level} +{area}: (.*)\n      Fix: (.*)", said, re.M)
    assert len(found) == 1, said
    for word in sentence:
        assert word in found[0][0], said
    for word in fix:
        assert word in found[0][1], said
    code, said = say(bridge, area, "--json")
    document = json.loads(said)
    assert code == status and document["status"] == status
    same = [one for one in document["findings"] if one["level"] == level and one["area"] == area]
    assert [(re.sub(r"after \d+ ms", "", one["sentence"]), one["fix"]) for one in same] == [
        (re.sub(r"after \d+ ms", "", found[0][0]), found[0][1])
    ]
    return found[0]


def fails(bridge, area, status, *words, fix=()):
    """One FAIL of this area, with its Fix line, and these words in the sentence; nothing else fails."""
    return finding(bridge, area, "FAIL", status, words, fix)


def registration_of(bridge, **replace):
    """A registration of the bridge's own, which the homeserver does not know; `replace` maps its keys to new values."""
    text = bridge.world.registration.read_text()
    for key, value in replace.items():
        text, count = re.subn(rf"^{key}: .*$", f'{key}: "{value}"', text, flags=re.M)
        assert count == 1
    path = bridge.world.write(bridge.folder / "other.yaml", text, 0o640)
    change(bridge, str(bridge.world.registration), str(path))


@pytest.fixture
def folder(make_group, make_bridge):
    """A bridge that was never started, with one group."""
    return make_bridge([make_group()])


def test_before_the_first_start(folder):
    code, said = say(folder)
    assert code == FINE, said
    assert "FAIL" not in said
    for area in ("config", "machine", "rules", "database", "homeserver", "xmpp", "rooms"):
        assert re.search(rf"^(ok|warn) +{area}: ", said, re.M), said
    assert "it reaches us at" in said and "the bot can enter " in said and "gives our people upload slots" in said
    assert not (folder.state / "sourdine.db").exists(), "check makes nothing"


def test_a_wrong_as_token(folder):
    registration_of(folder, as_token="0" * 64)
    fails(folder, "homeserver", PROBLEM, "does not know our as_token", "Invalid access token", fix=["app_service_config_files", "restart it"])


def test_a_wrong_hs_token(folder):
    registration_of(folder, hs_token="0" * 64)
    fails(folder, "homeserver", PROBLEM, "another hs_token", fix=["load this very registration", "restart it"])


def test_an_unloaded_registration(folder):
    """Made by us, and never loaded by the homeserver."""
    other = folder.folder / "fresh.yaml"
    assert folder.run("registration", "-o", other).returncode == 0
    change(folder, str(folder.world.registration), str(other))
    fails(folder, "homeserver", PROBLEM, "does not know our as_token", fix=["app_service_config_files", "restart it"])


def test_a_wrong_id(folder):
    registration_of(folder, id="somebody")
    fails(folder, "homeserver", PROBLEM, "another id")


def test_a_wrong_domain(folder):
    change(folder, f"domain: {DOMAIN}", "domain: elsewhere.test")
    fails(folder, "homeserver", PROBLEM, f"it calls itself {DOMAIN}", "elsewhere.test", fix=["server_name under homeserver.domain"])


def test_a_wrong_prefix(folder):
    change(folder, "ghosts: _xmpp_", "ghosts: _other_")
    fails(folder, "homeserver", PROBLEM, "we may not act as @_other_check", "does not cover this name", fix=["sourdine registration", "restart"])


def test_a_wrong_bot(folder):
    change(folder, "bot: sourdine", "bot: somebody")
    fails(folder, "homeserver", PROBLEM, "we may not act as @somebody", "does not cover this name")


def test_listening_where_nobody_calls(world, folder):
    change(folder, f"  port: {world.appservice}", f"  port: {world.spare}")
    fails(folder, "homeserver", PROBLEM, "cannot reach us at the registration's url", fix=["appservice.address", "port"])


def test_a_port_that_is_taken(world, folder):
    change(folder, f"  port: {world.appservice}", f"  port: {world.c2s}")
    fails(folder, "homeserver", PROBLEM, f"we cannot listen on 127.0.0.1 port {world.c2s}")


def test_no_homeserver(world, folder):
    change(folder, f"address: http://127.0.0.1:{world.http}", f"address: http://127.0.0.1:{world.spare}")
    fails(folder, "homeserver", UNREACHABLE, "cannot be reached")


def test_something_that_is_no_homeserver(world, folder):
    change(folder, f"address: http://127.0.0.1:{world.http}", f"address: http://127.0.0.1:{world.upload}")
    fails(folder, "homeserver", UNREACHABLE, "is no homeserver")


def test_no_xmpp_server(world, folder):
    change(folder, f"port: {world.component}", f"port: {world.spare}")
    fails(folder, "xmpp", UNREACHABLE, "nobody listens there", fix=["only when a Component is configured"])


def test_the_port_for_clients(world, folder):
    change(folder, f"port: {world.component}", f"port: {world.c2s}")
    fails(folder, "xmpp", PROBLEM, "port for clients", fix=["port for components", "5347"])


def test_the_port_for_files(world, folder):
    change(folder, f"port: {world.component}", f"port: {world.upload}")
    fails(folder, "xmpp", UNREACHABLE, "says nothing to us", fix=["5347"])


def test_an_unknown_component(folder):
    change(folder, f"component: {COMPONENT}", "component: nobody.localhost")
    # ejabberd gives one answer to a wrong secret and to an unknown component.
    if XMPP_SERVER == "prosody":
        fails(folder, "xmpp", PROBLEM, "knows no component nobody.localhost", fix=["Component block"])
    else:
        fails(folder, "xmpp", PROBLEM, "refuses our secret for the component nobody.localhost", fix=["ejabberd_service"])


def test_a_wrong_secret(folder):
    change(folder, "s3cret", "SENTINEL")
    fails(folder, "xmpp", PROBLEM, "refuses our secret", fix=["component_secret" if XMPP_SERVER == "prosody" else "ejabberd_service"])
    assert "SENTINEL" not in say(folder)[1]


def test_an_alias_that_does_not_exist(folder):
    text = folder.config.read_text()
    folder.world.write(folder.config, re.sub(r'matrix: ".*"', f'matrix: "#nothing:{DOMAIN}"', text), 0o640)
    fails(folder, "rooms", PROBLEM, f"there is no room #nothing:{DOMAIN}")


def test_a_private_room_that_the_bot_made(team):
    """Its power is in no list: from room version 12 on a creator's never ends."""
    bridge = team.bridge
    asked = urllib.request.Request(
        f"http://127.0.0.1:{bridge.world.http}/_matrix/client/v3/createRoom?user_id={quote(BOT)}",
        json.dumps({"preset": "private_chat", "room_version": "12", "power_level_content_override": {"invite": 50}}).encode(),
        {"Authorization": f"Bearer {bridge.world.tokens()[0]}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:
        room = json.load(answer)["room_id"]
    text = bridge.config.read_text()
    bridge.world.write(bridge.config, re.sub(r'matrix: ".*"', f'matrix: "{room}"', text), 0o640)
    code, said = say(bridge, "rooms")
    assert f"ok    rooms: marketing: the bot is in {room}" in said, said


def test_a_muc_service_that_does_not_exist(folder):
    text = folder.config.read_text()
    folder.world.write(folder.config, re.sub(r"(\n    xmpp: ).*", r"\1team@nowhere.invalid", text), 0o640)
    fails(folder, "rooms", PROBLEM, "team@nowhere.invalid", "no such service for rooms", fix=["must end with its domain"])


def test_a_host_that_does_not_exist(folder):
    change(folder, "host: 127.0.0.1", "host: nowhere.invalid")
    fails(folder, "xmpp", UNREACHABLE, "no such host" if "no such host" in say(folder, "xmpp")[1] else "no name server answers", fix=["xmpp.host"])


def test_a_daemon_that_cannot_be_asked(team):
    """One that hangs is no other Sourdine, and health checks end however many went before them."""
    bridge = team.bridge
    os.kill(bridge.process.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(12) as threads:
            asked = [threads.submit(bridge.run, "status", "-q", timeout=30) for _ in range(12)]
            assert {one.result().returncode for one in asked} == {UNREACHABLE}
        done = bridge.run("check")
    finally:
        os.kill(bridge.process.pid, signal.SIGCONT)
    assert re.search(r"^FAIL  config: .*control: the running daemon cannot be asked: Connection timed out", done.stdout, re.M), done.stdout
    assert done.stdout.count("FAIL") == 1 and "refuses us" not in done.stdout, done.stdout
    left = re.findall(r"^warn  (\w+): not looked at", done.stdout, re.M)
    assert left == ["database", "homeserver", "encryption", "xmpp", "rooms"], done.stdout
    team.alice.send(team.room, "still there?")
    team.bob.wait(team.muc, "still there?")


def test_a_broken_charter(folder):
    folder.write_charter("marketing", "version 1\ngroup marketing {")
    fails(folder, "rules", CONFIGURATION, "marketing.charter:2:")


def test_a_charter_of_another_group(folder):
    folder.write_charter("marketing", 'version 1\ngroup "seo" {\n}\n')
    fails(folder, "rules", PROBLEM, 'its block is for group "seo"')


def test_a_lost_key(team):
    bridge = team.bridge
    bridge.stop()
    code, said = say(bridge, "database")
    assert code == FINE and "the database is whole" in said and "every one is accounted for" in said, said
    (bridge.state / "master.key").unlink()
    fails(bridge, "database", CONFIGURATION, "the master key is missing")


def test_while_the_daemon_runs(team):
    """It does not throw the daemon out."""
    bridge = team.bridge
    code, said = say(bridge)
    assert code == FINE, said
    assert "seen from its status" in said and "test clock" in said
    team.alice.send(team.room, "still there?")
    team.bob.wait(team.muc, "still there?")


def test_a_state_directory_that_cannot_be_written(folder):
    folder.state.mkdir(mode=0o700, exist_ok=True)
    own(folder.state)
    folder.state.chmod(0o500)
    try:
        fails(folder, "database", CONFIGURATION, str(folder.state), "Permission denied", fix=["the user that the daemon runs as"])
    finally:
        folder.state.chmod(0o700)


def test_a_file_instead_of_a_state_directory(folder):
    folder.world.write(folder.folder / "file", "x")
    change(folder, f"state: {folder.state}", f"state: {folder.folder / 'file'}")
    fails(folder, "database", CONFIGURATION, "is no directory")


def test_a_secret_that_everybody_may_read(folder):
    folder.config.chmod(0o644)
    fails(folder, "config", PROBLEM, "everybody on this machine may read it", fix=["chmod o-rwx", "give the component another secret"])


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *out)
{
	int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int r = real(id, out);
	if (id == CLOCK_REALTIME)
		out->tv_sec = 1000000000;
	return r;
}
"""


def test_a_clock_before_the_build(folder):
    """The computer's clock is that of 2001, as after an empty battery."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler")
    folder.world.write(folder.folder / "clock.c", CLOCK)
    library = folder.folder / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder.folder / "clock.c", "-ldl"], check=True)
    done = folder.run("check", "machine", "--json", LD_PRELOAD=str(library), ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
    document = json.loads(done.stdout)
    wrong = [one for one in document["findings"] if one["level"] == "FAIL"]
    assert done.returncode == PROBLEM == document["status"] and len(wrong) == 1, done.stdout + done.stderr
    assert "the clock says 2001-09-09T01:46:40Z, but this program was built on 20" in wrong[0]["sentence"]
    assert "timedatectl set-ntp true" in wrong[0]["fix"]


def test_another_daemon(team):
    """A second state directory, the same tokens: the check says so, and does not throw the other one out."""
    bridge = team.bridge
    other = bridge.folder / "other-state"
    text = bridge.config.read_text()
    path = bridge.world.write(bridge.folder / "second.yaml", text.replace(str(bridge.state), str(other)), 0o640)
    done = bridge.world.run("-c", path, "check")
    assert done.returncode == PROBLEM, done.stdout
    assert re.search(r"^FAIL  homeserver: another Sourdine with our tokens answers .*\n      Fix: end it", done.stdout, re.M), done.stdout
    assert "warn  xmpp: not looked at" in done.stdout
    team.alice.send(team.room, "still there?")
    team.bob.wait(team.muc, "still there?")


def test_a_room_without_an_archive_and_without_a_voice(folder, make_group, make_bridge):
    group = make_group(muc={"enablearchiving": False, "moderatedroom": True})
    bridge = make_bridge([group])
    code, said = say(bridge, "rooms")
    assert code == PROBLEM, said
    assert re.search(r"^warn  rooms: .* keeps no archive: .* may come twice\n      Fix: .*muc_mam", said, re.M), said
    assert re.search(r"^FAIL  rooms: .*the bot has no voice in .*\n      Fix: .*affiliation member", said, re.M), said


# ---- other servers ----


@pytest.fixture
def strict_prosody(world):
    """A Prosody whose upload service takes the users of its own host, and nobody else."""
    c2s, component, http = free_ports(3)
    folder = world.folder / "strict-prosody"
    folder.mkdir()
    own(folder)
    scripts = folder / "servers"
    shutil.copytree(world.folder / "servers", scripts)
    template = scripts / "prosody.cfg.lua.in"
    text, count = re.subn(r'^(\thttp_file_share_access = ).*$', r'\1{ "localhost" }', template.read_text(), flags=re.M)
    assert count == 1
    template.write_text(text)
    server = Server(
        "strict Prosody",
        ["sh", scripts / "run-prosody.sh", folder / "data"],
        {"C2S_PORT": str(c2s), "COMPONENT_PORT": str(component), "HTTP_PORT": str(http), "ACCOUNTS": "admin"},
        folder / "log",
        lambda: answers(component),
    )
    server.start()
    server.component = component
    yield server
    server.stop()
    shutil.rmtree(folder)


def test_a_prosody_that_refuses_uploads(world, folder, strict_prosody):
    change(folder, f"port: {world.component}", f"port: {strict_prosody.component}")
    lines = f'http_file_share_access = {{ "localhost", "{COMPONENT}" }}'
    finding(folder, "xmpp", "warn", FINE, ["upload.localhost refuses our people's uploads", "forbidden"], [lines, '"http_file_share"'])


@pytest.fixture(scope="module")
def ejabberd(world):
    if not any(os.path.isdir(f"/usr/lib/{triple}/ejabberd-23.01-1") for triple in os.listdir("/usr/lib")) and not shutil.which("ejabberdctl"):
        pytest.skip("no ejabberd")
    c2s, component, http = free_ports(3)
    folder = world.folder / "strict-ejabberd"
    folder.mkdir()
    own(folder)
    scripts = folder / "servers"
    shutil.copytree(world.folder / "servers", scripts)
    template = scripts / "ejabberd.yml.in"
    text, count = re.subn(r"^  upload:\n    - allow: local\n    - allow: bridge$", "  upload:\n    - allow: local", template.read_text(), flags=re.M)
    assert count == 1
    template.write_text(text)
    server = Server(
        "ejabberd",
        ["sh", scripts / "run-ejabberd.sh", folder / "data"],
        {"C2S_PORT": str(c2s), "COMPONENT_PORT": str(component), "HTTP_PORT": str(http)},
        folder / "log",
        (folder / "data" / "ready").exists,
    )
    server.start()
    server.c2s, server.component, server.http = c2s, component, http
    yield server
    server.stop()


def test_ejabberd(world, folder, ejabberd):
    """Its words differ: an unknown component and a wrong secret are the same to it."""
    change(folder, f"port: {world.component}", f"port: {ejabberd.component}")
    code, said = say(folder, "xmpp")
    assert code == FINE and "connected and accepted" in said, said
    finding(folder, "xmpp", "warn", FINE, ["upload.localhost refuses our people's uploads", "forbidden"], ["mod_http_upload", COMPONENT])
    change(folder, f"component: {COMPONENT}", "component: nobody.localhost")
    hosts = ["ejabberd_service", "hosts:"]
    fails(folder, "xmpp", PROBLEM, "refuses our secret for the component nobody.localhost, or knows no such component", fix=hosts)
    change(folder, "component: nobody.localhost", f"component: {COMPONENT}")
    change(folder, f'secret: "{SECRET}"', 'secret: "SENTINEL"')
    fails(folder, "xmpp", PROBLEM, f"refuses our secret for the component {COMPONENT}, or knows no such component", fix=hosts)
    assert "SENTINEL" not in say(folder)[1]
    change(folder, f"port: {ejabberd.component}", f"port: {ejabberd.c2s}")
    fails(folder, "xmpp", PROBLEM, "port for clients", fix=["port for components"])
    change(folder, f"port: {ejabberd.c2s}", f"port: {ejabberd.http}")
    fails(folder, "xmpp", UNREACHABLE, fix=["5347"])
