# SPDX-License-Identifier: Apache-2.0
"""`sourdine check` against real servers: each fault that an admin makes gets its own sentence, and no other."""

import re

import pytest
from test_configuration import change
from world import COMPONENT, DOMAIN, XMPP_SERVER

FINE, PROBLEM, UNREACHABLE, CONFIGURATION = 0, 1, 69, 78


def say(bridge, *arguments):
    done = bridge.run("check", *arguments)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr
    return done.returncode, done.stdout


def fails(bridge, area, status, *words):
    """One FAIL of this area, with its Fix line, and these words in the sentence."""
    code, said = say(bridge, area)
    assert code == status, said
    found = re.findall(rf"^FAIL  {area}: (.*)\n      Fix: (.*)", said, re.M)
    assert len(found) == 1, said
    for word in words:
        assert word in found[0][0], said


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
    for area in ("config", "rules", "store", "homeserver", "xmpp", "rooms"):
        assert re.search(rf"^(ok|warn) +{area}: ", said, re.M), said
    assert "it reaches us at" in said and "the bot can enter " in said
    assert not (folder.state / "sourdine.db").exists(), "check makes nothing"


def test_a_wrong_as_token(folder):
    registration_of(folder, as_token="0" * 64)
    fails(folder, "homeserver", PROBLEM, "does not know our as_token")


def test_a_wrong_hs_token(folder):
    registration_of(folder, hs_token="0" * 64)
    fails(folder, "homeserver", PROBLEM, "another hs_token")


def test_a_wrong_id(folder):
    registration_of(folder, id="somebody")
    fails(folder, "homeserver", PROBLEM, "another id")


def test_a_wrong_domain(folder):
    change(folder, f"domain: {DOMAIN}", "domain: elsewhere.test")
    fails(folder, "homeserver", PROBLEM, f"it calls itself {DOMAIN}", "elsewhere.test")


def test_a_wrong_prefix(folder):
    change(folder, "ghosts: _xmpp_", "ghosts: _other_")
    fails(folder, "homeserver", PROBLEM, "we may not act as @_other_check", "does not cover this name")


def test_a_wrong_bot(folder):
    change(folder, "bot: sourdine", "bot: somebody")
    fails(folder, "homeserver", PROBLEM, "we may not act as @somebody", "does not cover this name")


def test_listening_where_nobody_calls(world, folder):
    change(folder, f"  port: {world.appservice}", f"  port: {world.spare}")
    fails(folder, "homeserver", PROBLEM, "cannot reach us at the registration's url")


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
    fails(folder, "xmpp", UNREACHABLE, "nobody listens there")


def test_the_port_for_clients(world, folder):
    change(folder, f"port: {world.component}", f"port: {world.c2s}")
    fails(folder, "xmpp", PROBLEM, "knows no component")


def test_an_unknown_component(folder):
    change(folder, f"component: {COMPONENT}", "component: nobody.localhost")
    # ejabberd gives one answer to a wrong secret and to an unknown component.
    word = "knows no component nobody.localhost" if XMPP_SERVER == "prosody" else "refuses our secret for the component nobody.localhost"
    fails(folder, "xmpp", PROBLEM, word)


def test_a_wrong_secret(folder):
    change(folder, "s3cret", "SENTINEL")
    fails(folder, "xmpp", PROBLEM, "refuses our secret")
    assert "SENTINEL" not in say(folder)[1]


def test_an_alias_that_does_not_exist(folder):
    text = folder.config.read_text()
    folder.world.write(folder.config, re.sub(r'matrix: ".*"', f'matrix: "#nothing:{DOMAIN}"', text), 0o640)
    fails(folder, "rooms", PROBLEM, f"there is no room #nothing:{DOMAIN}")


def test_a_muc_service_that_does_not_exist(folder):
    text = folder.config.read_text()
    folder.world.write(folder.config, re.sub(r"(\n    xmpp: ).*", r"\1team@nowhere.invalid", text), 0o640)
    fails(folder, "rooms", PROBLEM, "team@nowhere.invalid")


def test_a_broken_charter(folder):
    folder.write_charter("marketing", "version 1\ngroup marketing {")
    fails(folder, "rules", CONFIGURATION, "marketing.charter:2:")


def test_a_charter_of_another_group(folder):
    folder.write_charter("marketing", 'version 1\ngroup "seo" {\n}\n')
    fails(folder, "rules", PROBLEM, 'its block is for group "seo"')


def test_a_lost_key(team):
    bridge = team.bridge
    bridge.stop()
    code, said = say(bridge, "store")
    assert code == FINE and "the database is whole" in said, said
    (bridge.state / "master.key").unlink()
    fails(bridge, "store", CONFIGURATION, "the master key is missing")


def test_while_the_daemon_runs(team):
    """It does not throw the daemon out."""
    bridge = team.bridge
    code, said = say(bridge)
    assert code == FINE, said
    assert "seen from its status" in said and "test clock" in said
    team.alice.send(team.room, "still there?")
    team.bob.wait(team.muc, "still there?")
