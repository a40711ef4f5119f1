# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one Synapse and one Prosody (SOURDINE_XMPP=ejabberd: one ejabberd) for the whole run; rooms and a daemon's state fresh for each test.

    def test_x(team):                       one group, "marketing", no charter, the daemon ready
        said = team.alice.send(team.room, "hello")
    @pytest.mark.charter('hours mon-fri ...')       the statements inside group "marketing" { }
    @pytest.mark.clock("2026-11-23 19:04")          of Paris; otherwise Monday 23 November 2026, 10:00

SOURDINE names the binary. KEEP=1 keeps the temporary folder.
"""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from clients import until  # noqa: E402
from crypto_clients import Cryptic  # noqa: E402
from world import XMPP_SERVER, Bridge, Group, World  # noqa: E402

MONDAY_TEN = "2026-11-23 10:00"

# What one of the servers cannot do: test -> why. Section XMPP SERVERS of sourdine(8) says the same (tests/manual.sh).
CANNOT = {
    "prosody": {
        "test_a_grant_to_the_domain_lets_every_ghost_in": "Prosody honours an affiliation of a whole domain only when it is a ban",
    },
    "ejabberd": {},
}

# `-m slice`: the part of the suite that every run repeats against ejabberd. Parts of the tests' ids.
SLICE = (
    "test_crossing.py",
    "test_gap.py",
    "test_ejabberd.py",
    "test_held_told_and_released",
    "test_both_names_on_both_networks",
    "test_by_private_message_of_the_room",
    "test_new_hours_after_preview_and_yes",
)


def pytest_configure(config):
    config.addinivalue_line("markers", "charter(text): statements of the group's charter")
    config.addinivalue_line("markers", "room(name): which of the rooms of its module a test is about")
    config.addinivalue_line("markers", "clock(text): where the test clock starts, local time of Paris")
    config.addinivalue_line("markers", "long: waits for what takes its time; only with tests/run --long")
    config.addinivalue_line("markers", "slice: repeated against ejabberd in every run")
    config.addinivalue_line("markers", "seo: a second group, seo, in the same bridge")


def pytest_collection_modifyitems(items):
    for item in items:
        if any(part in item.nodeid for part in SLICE):
            item.add_marker(pytest.mark.slice)
        why = CANNOT[XMPP_SERVER].get(item.name.split("[")[0])
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the daemon's log to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for bridge in getattr(getattr(item, "funcargs", {}).get("make_bridge"), "made", ()):
            report.sections.append(("sourdine", bridge.said()[-6000:]))


@pytest.fixture(scope="session")
def world():
    it = World(keep=bool(os.environ.get("KEEP"))).open()
    yield it
    it.close()


@pytest.fixture(scope="session")
def alice(world):
    return world.matrix("alice")


@pytest.fixture(scope="session")
def dave(world):
    return world.matrix("dave")


@pytest.fixture(scope="session")
def bob(world):
    return world.xmpp("bob")


@pytest.fixture(scope="session")
def carol(world):
    return world.xmpp("carol")


@pytest.fixture
def people(world):
    """Clients that encrypt, on accounts of their own."""
    them = Cryptic(world)
    yield them
    them.close()


@pytest.fixture(scope="session")
def cast(world):
    them = Cryptic(world)
    them.anna, them.eric, them.bert = them.js("anna"), them.js("eric", strict=True), them.nio("bert")
    yield them
    them.close()


@pytest.fixture
def them(cast):
    """The same, of whom three are there for all tests: Anna (lax) and Eric (strict) at matrix-js-sdk, Bert at matrix-nio."""
    for client in (cast.anna, cast.eric, cast.bert):
        if not client.running:  # an earlier test failed while it was stopped
            client.start()
    made = len(cast.clients)
    yield cast
    cast.dismiss(made)


@pytest.fixture
def make_group(world, alice, dave, bob, carol):
    """make_group(name) -> Group with Alice (owner) and Dave, Bob (owner) and Carol."""
    made = []

    def make(name="marketing", owner=alice, host=bob, members=(dave,), guests=(carol,), **keywords):
        made.append(Group(world, name, owner, host, members, guests, **keywords))
        return made[-1]

    yield make
    for group in made:
        group.leave()


@pytest.fixture
def make_bridge(world):
    """make_bridge(groups, charters={}) -> Bridge, not started; checked for sanitizer reports at the end."""
    made = []

    def make(groups, charters=None, clock=MONDAY_TEN, **keywords):
        wiring = {group.name: group.wiring for group in groups}
        made.append(Bridge(world, wiring, charters, clock, **keywords))
        return made[-1]

    make.made = made
    yield make
    wrong = [fault for fault in [bridge.close() for bridge in made] if fault]
    assert not wrong, "\n".join(wrong)


def charter_of(name, statements):
    return f'version 1\ngroup "{name}" {{\n{statements}\n}}\n'


@pytest.fixture
def team(request, make_group, make_bridge, alice, dave, bob, carol):
    """The usual scene, ready; see the top of this file."""
    charter = request.node.get_closest_marker("charter")
    clock = request.node.get_closest_marker("clock")
    group = make_group()
    groups = [group]
    if request.node.get_closest_marker("seo"):
        groups.append(make_group("seo"))
    charters = {"marketing": charter_of("marketing", charter.args[0])} if charter else {}
    bridge = make_bridge(groups, charters, clock.args[0] if clock else MONDAY_TEN)
    bridge.start()
    for each in groups:
        until(each.bot_in, what="the bot joining")
    return SimpleNamespace(
        since=time.monotonic(),
        group=group,
        seo=groups[-1],
        bridge=bridge,
        room=group.room,
        muc=group.muc,
        alice=alice,
        dave=dave,
        bob=bob,
        carol=carol,
    )
