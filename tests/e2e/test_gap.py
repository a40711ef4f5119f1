# SPDX-License-Identifier: Apache-2.0
"""What is said while the daemon or a server is away arrives afterwards, once, in order."""

import time

import pytest
from checks import crosses, in_order, once_in_matrix, once_in_muc
from clients import until
from world import BOT, BOT_NICK


def test_absence_both_ways(team):
    crosses(team)
    team.bridge.kill()
    here = [f"away here {i:02}" for i in range(12)]
    there = [f"away there {i:02}" for i in range(12)]
    for one, other in zip(here, there):
        team.alice.send(team.room, one)
        team.bob.send(team.muc, other)
    team.carol.wait(team.muc, there[-1])
    team.bridge.start()
    team.bob.wait(team.muc, here[-1], 60)
    team.alice.wait(team.room, there[-1], 60)
    crosses(team)
    in_order([m for m in team.carol.archive(team.muc) if m.body.startswith("away here")], here)
    in_order([m for m in team.dave.history(team.room) if m.body.startswith("away there")], there)


def test_commands_given_while_away_are_not_obeyed(team):
    crosses(team)
    team.bridge.stop()
    team.bob.send(team.muc, "!sd hours mon-fri 9:00-18:00")
    team.bob.send(team.muc, "!sd yes")
    team.carol.wait(team.muc, "!sd yes")
    team.bridge.start()
    crosses(team)
    assert not [m for m in team.bob.timeline(team.muc) if m.name == BOT_NICK and "09:00" in m.body]
    assert not [m for m in team.alice.timeline(team.room) if m.who == BOT and "09:00" in m.body]


def test_the_xmpp_server_restarts(team):
    crosses(team)
    team.bridge.world.xmpp_server.stop()
    for i in range(5):
        team.alice.send(team.room, f"no server there {i}")
    team.bridge.world.xmpp_server.start()
    for person in (team.bob, team.carol):
        person.connect()
        person.rejoin()
    until(lambda: team.group.bot_in(), 60, "the bot joining again")
    until(lambda: any("no server there 4" in m.body for m in team.bob.archive(team.muc)), 60, "the messages")
    in_order([m for m in team.bob.archive(team.muc) if "no server there" in m.body], [f"no server there {i}" for i in range(5)])
    crosses(team)


def test_synapse_restarts(team):
    crosses(team)
    team.bridge.world.synapse.stop()
    for i in range(5):
        team.bob.send(team.muc, f"no synapse {i}")
    team.carol.wait(team.muc, "no synapse 4")
    team.bridge.world.synapse.start()
    team.alice.wait(team.room, "no synapse 4", 90)
    in_order([m for m in team.dave.history(team.room) if "no synapse" in m.body], [f"no synapse {i}" for i in range(5)])
    crosses(team)


@pytest.mark.parametrize("delay", [0.05, 0.4])
def test_killed_in_full_flight(team, delay):
    here = [f"flight here {i:02}" for i in range(20)]
    there = [f"flight there {i:02}" for i in range(20)]
    for one, other in zip(here, there):
        team.bob.send(team.muc, other)
        team.alice.send(team.room, one)
    time.sleep(delay)
    team.bridge.kill()
    team.bridge.start()
    team.bob.wait(team.muc, here[-1], 60)
    team.alice.wait(team.room, there[-1], 60)
    crosses(team)
    in_order([m for m in team.carol.archive(team.muc) if m.body.startswith("flight here")], here)
    in_order([m for m in team.dave.history(team.room) if m.body.startswith("flight there")], there)
    once_in_muc(team.carol, team.muc, here[0])
    once_in_matrix(team.dave, team.room, there[0])
