# SPDX-License-Identifier: Apache-2.0
"""What moderators and admins do to rooms on Matrix, and what becomes of the ghosts and the bot in them."""

import json
import time
import urllib.request

from checks import bot_in_muc, crosses, saying
from clients import until
from world import BOT, ghost

BOB = ghost("bob@localhost")


def told_bob(team, text):
    """What the bot has told Bob: in private through the room, or in it."""
    return until(lambda: saying(bot_in_muc(team.bob, team.muc), text), 90, what=f"Bob being told {text!r}")


def trouble(team):
    return team.bridge.status()["groups"][0].get("matrix_trouble") or ""


def ask(team, person, method, path, body=None):
    """A request that the client library has no word for."""
    client = person.client
    request = urllib.request.Request(
        f"http://127.0.0.1:{team.bridge.world.http}/_matrix/client/v3/{path}",
        data=json.dumps(body or {}).encode(),
        method=method,
        headers={"Authorization": f"Bearer {client.access_token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def quoted(room):
    return urllib.request.quote(room, safe="")


def test_a_banned_ghost_and_its_writer_is_told(team):
    team.bob.send(team.muc, "before the ban")
    team.alice.wait(team.room, "before the ban")
    ask(team, team.alice, "POST", f"rooms/{quoted(team.room)}/ban", {"user_id": BOB})
    team.bob.send(team.muc, "after the ban")
    told_bob(team, "has banned you")
    team.carol.send(team.muc, "Carol still can")
    team.alice.wait(team.room, "Carol still can")
    assert not saying(team.alice.history(team.room), "after the ban")


def test_without_power_the_writer_is_told(team):
    team.bob.send(team.muc, "before the silence")
    team.alice.wait(team.room, "before the silence")
    levels = team.alice.get_state(team.room, "m.room.power_levels")
    team.alice.put_state(team.room, "m.room.power_levels", {**levels, "events_default": 50})
    team.bob.send(team.muc, "into the silence")
    told_bob(team, "does not let us speak")
    team.alice.put_state(team.room, "m.room.power_levels", levels)
    team.bob.send(team.muc, "and again")
    team.alice.wait(team.room, "and again")


def test_the_bot_is_banned_and_comes_back(team):
    """Nothing waits for ever: after a minute's grace what is said is refused, with the reason; status knows it."""
    crosses(team)
    ask(team, team.alice, "POST", f"rooms/{quoted(team.room)}/ban", {"user_id": BOT})
    until(lambda: "put out" in trouble(team) or "banned" in trouble(team), 90, what="status knowing")
    team.bob.send(team.muc, "said to nobody")
    told_bob(team, "banned")
    assert "banned" in trouble(team)
    ask(team, team.alice, "POST", f"rooms/{quoted(team.room)}/unban", {"user_id": BOT})
    team.alice.invite(team.room, BOT)
    until(lambda: BOT in team.alice.members(team.room), what="the bot coming back")
    until(lambda: not trouble(team), what="status being content")
    crosses(team)


def test_an_upgraded_room_is_followed_by_its_alias(team):
    """The homeserver moves the alias with the room; what is said in the new one crosses, what is said meanwhile is told."""
    crosses(team)
    new = ask(team, team.alice, "POST", f"rooms/{quoted(team.room)}/upgrade", {"new_version": "11"})["replacement_room"]
    until(lambda: BOT in team.alice.members(new), 60, what="the bot in the new room")
    until(team.bridge.everywhere, 60, what="the new room entered")
    stamp = f"in the new room {time.time_ns()}"
    team.alice.send(new, stamp)
    team.bob.wait(team.muc, stamp)
    team.bob.send(team.muc, f"back {stamp}")
    team.alice.wait(new, f"back {stamp}")
