# SPDX-License-Identifier: Apache-2.0
"""What an admin types wrong: one sentence with its place, and an exit status that says which kind (69, 78)."""

import json
import re
import socket
import stat
import urllib.error
import urllib.request

import pytest
from checks import ask_matrix, crosses
from clients import until
from conftest import charter_of
from prometheus_client.parser import text_string_to_metric_families
from world import DOMAIN, own

UNREACHABLE, CONFIGURATION = 69, 78

with_hours = pytest.mark.charter("tz Europe/Paris\nhours mon-fri 08:30-18:30")


def refused(world, config, status, *words, command=("run",)):
    """The command ends by itself with the status; its last words are one line that contains the words."""
    done = world.run("-c", config, *command, timeout=60)
    assert done.returncode == status if isinstance(status, int) else done.returncode in status, done
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert lines, "it says nothing"
    for word in words:
        assert word in lines[-1], lines
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr
    return lines


@pytest.fixture
def folder(make_bridge):
    """A bridge that was never started, for its files."""
    return make_bridge([])


def change(bridge, old, new):
    text = bridge.config.read_text()
    assert old in text
    bridge.world.write(bridge.config, text.replace(old, new, 1), 0o640)


def place(bridge, text):
    """line:col where a text of the configuration begins."""
    for number, line in enumerate(bridge.config.read_text().splitlines(), 1):
        if text in line:
            return f"config.yaml:{number}:{line.index(text) + 1}"
    raise AssertionError(text)


def test_an_unknown_key(world, folder):
    change(folder, "  address:", "  adress:")
    refused(world, folder.config, CONFIGURATION, place(folder, "adress:"), "adress", "address")


def test_a_duplicate_key(world, folder):
    change(folder, "  port: ", f"  host: 127.0.0.2\n  port: {world.spare}\n  port: ")
    refused(world, folder.config, CONFIGURATION, "config.yaml:")


def test_a_wrong_type(world, folder):
    change(folder, f"port: {world.appservice}", "port: many")
    refused(world, folder.config, CONFIGURATION, place(folder, "many"), "port")


def test_a_missing_key(world, folder):
    change(folder, f"  domain: {DOMAIN}\n", "")
    refused(world, folder.config, CONFIGURATION, "homeserver.domain")


def test_no_yaml_at_all(world, folder):
    world.write(folder.config, "homeserver: [\n", 0o640)
    refused(world, folder.config, CONFIGURATION, "config.yaml:")


def test_no_file(world, folder):
    refused(world, folder.folder / "nothing.yaml", CONFIGURATION, "nothing.yaml")


def test_an_unreadable_secret(world, folder):
    change(folder, 'secret: "s3cret"', "secret_file: xmpp.secret")
    refused(world, folder.config, CONFIGURATION, "xmpp.secret")


def test_a_secret_from_a_file(world, folder):
    change(folder, 'secret: "s3cret"', "secret_file: xmpp.secret")
    world.write(folder.folder / "xmpp.secret", "s3cret\n", 0o600)
    folder.start()


def test_a_wrong_component_secret(world, folder):
    change(folder, "s3cret", "wrong")
    lines = refused(world, folder.config, (UNREACHABLE, CONFIGURATION), "secret")
    assert "wrong" not in " ".join(lines).replace("is wrong", ""), "secrets are not logged"


def test_a_wrong_token(world, folder):
    registration = world.registration.read_text()
    token = world.tokens()[0]
    other = world.write(folder.folder / "other.yaml", registration.replace(token, "0" * len(token)), 0o640)
    change(folder, str(world.registration), str(other))
    lines = refused(world, folder.config, (UNREACHABLE, CONFIGURATION), "token")
    assert "0" * len(token) not in " ".join(lines)


def test_no_registration(world, folder):
    change(folder, str(world.registration), "missing.yaml")
    refused(world, folder.config, CONFIGURATION, "missing.yaml")


def test_a_broken_charter(world, make_group, make_bridge):
    group = make_group()
    bridge = make_bridge([group], {"marketing": charter_of("marketing", "tz Europe/Paris\nhours mon-fri 8h30-nonsense")})
    refused(world, bridge.config, CONFIGURATION, "marketing.charter:4:")


@with_hours
def test_a_charter_broken_later_leaves_the_last_good_one(team):
    team.bridge.stop()
    team.bridge.write_charter("marketing", "version 1\ngroup marketing {")
    team.bridge.start()
    assert "08:30" in ask_matrix(team.alice, team.room, "!sd hours")
    assert "marketing.charter:2:" in team.bridge.said()


@with_hours
def test_hangup_reads_the_configuration_again(team):
    """Who is an operator changes at once; of the rest the log names what waits; a broken file changes nothing."""
    bridge = team.bridge
    assert "no moderator" in ask_matrix(team.dave, team.room, "!sd whoami")
    text = bridge.config.read_text()
    fresh = text.replace("permissions:\n", f'permissions:\n  "{team.dave.user_id}": admin\n') + "limits: {ghosts: 7}\n"
    bridge.world.write(bridge.config, fresh, 0o640)
    bridge.hangup()
    until(lambda: "what changed in these keys waits for the next start: limits.ghosts" in bridge.said(), what="the file being read")
    assert "administrator says so" in ask_matrix(team.dave, team.room, "!sd whoami")
    bridge.world.write(bridge.config, text + "state: elsewhere\n", 0o640)
    bridge.hangup()
    until(lambda: "not read again, what was in force stays" in bridge.said(), what="the broken file being refused")
    assert "administrator says so" in ask_matrix(team.dave, team.room, "!sd whoami")


@with_hours
def test_what_the_supervisor_hears(team):
    """sd_notify(3): systemd keeps a STATUS until the next one, so that of the start must end with it."""
    bridge = team.bridge
    bridge.stop()
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        path = bridge.folder / "notify"
        ear.bind(str(path))
        own(path)
        ear.settimeout(20)
        bridge.env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        bridge.start()
        bridge.stop()
        while "STOPPING=1" not in heard:
            heard += ear.recv(4096).decode().split("\n")
    ready = heard.index("READY=1")
    assert any("waiting for the homeserver" in line for line in heard[:ready]) and "WATCHDOG=1" in heard[ready:], heard
    status = [line for line in heard if line.startswith("STATUS=")][-1]
    assert status == "STATUS=", heard


@with_hours
def test_a_supervisor_that_does_not_listen(team):
    """Its queue is full soon; messages go on."""
    bridge = team.bridge
    bridge.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        path = bridge.folder / "deaf"
        ear.bind(str(path))
        own(path)
        bridge.env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000"}
        bridge.start()
        until(lambda: "notify failed" in bridge.said(), what="the queue being full")
        crosses(team)
        bridge.stop()


@with_hours
def test_a_second_daemon_on_the_same_state(team):
    bridge = team.bridge
    done = bridge.run("run", timeout=30)
    assert done.returncode != 0 and bridge.alive()


@with_hours
def test_a_database_without_its_key(team):
    """decisions 1.7: the key is made only together with a new database."""
    bridge = team.bridge
    bridge.stop()
    (bridge.state / "master.key").unlink()
    refused(bridge.world, bridge.config, CONFIGURATION, "master.key")


@with_hours
def test_the_state_is_private(team):
    state = team.bridge.state
    for name in ("sourdine.db", "master.key"):
        assert stat.S_IMODE((state / name).stat().st_mode) & 0o077 == 0, name


def test_usage(world):
    assert world.run("--help").returncode == 0
    version = world.run("--version")
    assert version.returncode == 0 and version.stdout.startswith("sourdine ")
    for wrong in ((), ("nothing",), ("--nothing",), ("run", "extra")):
        assert world.run(*wrong).returncode == 2, wrong


# -- registration


def test_registration_keeps_its_tokens(world, folder):
    path = folder.folder / "registration.yaml"
    assert folder.run("registration", "-o", path).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    first = path.read_text()
    assert re.search(rf"@_xmpp_\.\*:{re.escape(re.escape(DOMAIN))}\$", first), first
    assert folder.run("registration", "-o", path).returncode == 0
    assert path.read_text() == first
    assert folder.run("registration", "-o", path, "--rotate-tokens").returncode == 0
    second = path.read_text()
    for key in ("as_token", "hs_token"):
        values = [re.search(rf"^{key}: *(.*)$", text, re.M).group(1) for text in (first, second)]
        assert values[0] != values[1] and len(values[0].strip("\"'")) >= 32
    assert re.search(r"^sender_localpart: *(.*)$", first, re.M).group(1) in second


def test_registration_says_what_to_paste(world, folder):
    done = folder.run("registration", "-o", folder.folder / "r.yaml")
    assert "app_service_config_files" in done.stdout + done.stderr
    as_token = re.search(r"^as_token: *\"?([^\"\n]*)", (folder.folder / "r.yaml").read_text(), re.M).group(1)
    assert as_token not in done.stdout + done.stderr


# -- example-config, check, status, rules


def test_the_example_is_a_configuration(world):
    import yaml

    done = world.run("example-config")
    assert done.returncode == 0
    assert {"homeserver", "appservice", "xmpp", "state"} <= set(yaml.safe_load(done.stdout))


@with_hours
def test_check_finds_nothing_wrong(team):
    bridge = team.bridge
    done = bridge.run("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout and re.search(r"^ok +homeserver: ", done.stdout, re.M)
    bridge.stop()
    done = bridge.run("check")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert re.search(r"^ok +xmpp: ", done.stdout, re.M)


def test_check_names_what_is_wrong(world, make_group, make_bridge):
    bridge = make_bridge([make_group()])
    change(bridge, "s3cret", "wrong")
    done = bridge.run("check")
    assert done.returncode in (1, UNREACHABLE)
    assert re.search(r"^FAIL +xmpp: .*\n +Fix: ", done.stdout, re.M), done.stdout


def test_check_when_a_server_is_away(world, folder):
    change(folder, f"address: http://127.0.0.1:{world.http}", f"address: http://127.0.0.1:{world.spare}")
    done = folder.run("check")
    assert done.returncode == UNREACHABLE
    assert re.search(r"^FAIL +homeserver: ", done.stdout, re.M), done.stdout


@with_hours
def test_check_in_json(team):
    done = team.bridge.run("check", "--json")
    json.loads(done.stdout)


@with_hours
def test_status(team):
    bridge = team.bridge
    assert bridge.run("status").returncode == 0
    assert bridge.run("status", "-q").stdout == ""
    assert isinstance(json.loads(bridge.run("status", "--json").stdout), dict)
    bridge.stop()
    assert bridge.run("status", "-q").returncode != 0


def test_rules_check(world, folder):
    good = folder.write_charter("good", charter_of("good", "tz Europe/Paris\nhours mon-fri 08:30-18:30"))
    assert folder.run("rules", "check", good).returncode == 0
    bad = folder.write_charter("bad", charter_of("bad", "time 10 x when closd then hold until opening"))
    done = folder.run("rules", "check", bad)
    assert done.returncode in (1, CONFIGURATION)
    assert "bad.charter:3:16: " in done.stdout + done.stderr
    later = folder.write_charter("later", charter_of("later", "admit 10 x when link then ask moderators"))
    done = folder.run("rules", "check", later)
    assert "later.charter:3:" in done.stdout + done.stderr and "not yet" in done.stdout + done.stderr


@with_hours
def test_the_test_clock_says_that_it_is_on(team):
    bridge = team.bridge
    assert bridge.metric("sourdine_test_clock") == 1
    assert "clock" in bridge.said().lower()


def ask(world, path):
    """Status and text of the listener for machines."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{world.metrics}/{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@with_hours
def test_metrics_and_health(team):
    world = team.bridge.world
    assert ask(world, "live")[0] == 200
    status, said = ask(world, "ready")
    assert status == 200 and json.loads(said) == {"ready": True, "database": True, "matrix": True, "xmpp": True}
    team.alice.send(team.room, "counted")
    team.bob.wait(team.muc, lambda said: said.body == "counted")
    until(lambda: team.bridge.metric('sourdine_delivered_total{direction="to_xmpp"}') >= 1, 10, "the count")
    families = {f.name: f for f in text_string_to_metric_families(ask(world, "metrics")[1])}  # Prometheus' own parser
    value = {(s.name, *sorted(s.labels.items())): s.value for f in families.values() for s in f.samples}
    assert value[("sourdine_events_total", ("verdict", "deliver"))] >= 1
    assert value[("sourdine_up", ("side", "matrix"))] == value[("sourdine_up", ("side", "xmpp"))] == 1
    assert value[("sourdine_ledger_difference",)] == 0
    assert value[("sourdine_db_commits_total",)] > 0
    assert families["sourdine_matrix_transaction_duration_seconds"].type == "histogram"
    for name, family in families.items():
        assert name.startswith(("sourdine_", "process_")) and family.type != "unknown" and family.documentation, name
        for sample in family.samples:
            assert not any(word in "".join(sample.labels.values()) for word in ("@", "!", "counted", "marketing")), sample


def test_ready_names_the_part_that_is_away(world, folder):
    bridge = folder
    change(bridge, f"port: {world.component}", f"port: {world.spare}")
    bridge.launch()
    until(lambda: bridge.alive() and reachable(world), 20, "the listener")
    until(lambda: json.loads(ask(world, "ready")[1])["matrix"], 20, "the homeserver")
    status, said = ask(world, "ready")
    assert status == 503 and json.loads(said) == {"ready": False, "database": True, "matrix": True, "xmpp": False}
    assert ask(world, "live")[0] == 200


def reachable(world):
    try:
        return ask(world, "live")[0] == 200
    except OSError:
        return False
