# SPDX-License-Identifier: Apache-2.0
"""Digests: one direct message at the slot, on the member's own network, once."""

import pytest
from checks import ask_matrix, ask_muc, bodies, crosses, saying
from clients import never, until
from world import BOT, BOT_JID

CHARTER = "tz Europe/Paris\nhours mon-fri 08:30-18:30\ndigest at 17:30 mon-fri"


def from_bot(person):
    """What came to an XMPP account from the bot's own address, outside rooms."""
    return [m for m in person.private() if m.who.split("/")[0] == BOT_JID]


def subscribe(team):
    """Carol and Dave take digests; gives what each had heard from the bot until now."""
    ask_muc(team.carol, team.muc, "!sd mode digest")
    ask_matrix(team.dave, team.room, "!sd mode digest")
    team.alice.send(team.room, "le budget est signé")
    team.bob.send(team.muc, "la maquette est prête")
    team.bob.wait(team.muc, "budget")
    team.alice.wait(team.room, "maquette")
    return len(from_bot(team.carol)), len(team.dave.whispers(BOT))


def digests(team, heard):
    carol = [m for m in from_bot(team.carol)[heard[0] :] if "budget" in m.body]
    dave = [m for m in team.dave.whispers(BOT)[heard[1] :] if "budget" in m.body]
    return carol, dave


@pytest.mark.charter(CHARTER)
def test_one_digest_on_each_network(team):
    heard = subscribe(team)
    team.bridge.set_clock("2026-11-23 17:29:00")
    never(lambda: any(digests(team, heard)), what="a digest before its time")
    team.bridge.set_clock("2026-11-23 17:30:00")
    until(lambda: all(digests(team, heard)), what="both digests")
    crosses(team)
    carol, dave = digests(team, heard)
    assert len(carol) == len(dave) == 1
    for digest in (carol[0], dave[0]):
        assert "marketing" in digest.body
        for words in ("Alice", "le budget est signé", "Bob", "la maquette est prête"):
            assert words in digest.body
    assert dave[0].kind == "m.notice"
    assert len(saying(carol, "budget")) == 1


@pytest.mark.charter(CHARTER)
def test_no_second_digest_after_a_restart_or_a_clock_set_back(team):
    heard = subscribe(team)
    team.bridge.set_clock("2026-11-23 17:30:00")
    until(lambda: all(digests(team, heard)), what="both digests")
    team.bridge.kill()
    team.bridge.start()
    team.bridge.set_clock("2026-11-23 17:00:00")
    crosses(team)
    team.bridge.set_clock("2026-11-23 17:31:00")
    crosses(team)
    assert [len(found) for found in digests(team, heard)] == [1, 1]


@pytest.mark.charter(CHARTER)
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_digests_survive_a_kill(team, when):
    heard = subscribe(team)
    if when == "before":
        team.bridge.kill()
        team.bridge.start()
        team.bridge.set_clock("2026-11-23 17:30:00")
    elif when == "during":
        team.bridge.set_clock("2026-11-23 17:30:00")
        team.bridge.kill()
        team.bridge.start()
    else:
        team.bridge.kill()
        team.bridge.set_clock("2026-11-23 17:40:00")
        team.bridge.start()
    until(lambda: all(digests(team, heard)), what="both digests")
    crosses(team)
    assert [len(found) for found in digests(team, heard)] == [1, 1]


@pytest.mark.charter(CHARTER)
def test_nothing_new_is_no_digest(team):
    ask_muc(team.carol, team.muc, "!sd mode digest")
    heard = len(from_bot(team.carol))
    team.bridge.set_clock("2026-11-23 17:30:00")
    crosses(team)
    never(lambda: from_bot(team.carol)[heard:], what="an empty digest")


@pytest.mark.charter(CHARTER)
def test_back_to_live_ends_it(team):
    heard = subscribe(team)
    ask_muc(team.carol, team.muc, "!sd mode live")
    team.bridge.set_clock("2026-11-24 09:00:00")
    team.bob.send(team.muc, "seulement pour Dave")
    team.alice.wait(team.room, "seulement pour Dave")
    team.bridge.set_clock("2026-11-24 17:30:00")
    until(lambda: saying(team.dave.whispers(BOT), "seulement pour Dave"), what="Dave's digest")
    crosses(team)
    assert not saying(from_bot(team.carol)[heard[0] :], "seulement"), bodies(from_bot(team.carol))


@pytest.mark.charter(CHARTER)
def test_a_subscription_outlives_leaving_the_room(team):
    heard = subscribe(team)
    team.carol.leave(team.muc)
    try:
        team.bridge.set_clock("2026-11-23 17:30:00")
        until(lambda: digests(team, heard)[0], what="Carol's digest")
    finally:
        team.carol.join(team.muc, "Carol")


@pytest.mark.charter(CHARTER)
@pytest.mark.parametrize("when", ["inside", "away", "bridge down"])
def test_a_ban_ends_it(team, when):
    ask_matrix(team.alice, team.room, "!sd mode digest")
    heard = subscribe(team)
    if when == "away":
        team.carol.leave(team.muc)
        team.dave.leave(team.room)
        until(lambda: "Carol" not in team.bob.occupants(team.muc), what="Carol's departure")
    if when == "bridge down":
        team.bob.set_affiliation(team.muc, BOT_JID, "admin")
        team.bridge.kill()
    team.bob.set_affiliation(team.muc, team.carol.jid, "outcast")
    team.alice.ban(team.room, team.dave.user_id)
    until(lambda: "Carol" not in team.bob.occupants(team.muc), what="Carol's departure")
    if when == "bridge down":
        team.bridge.start()
    crosses(team)
    team.bridge.set_clock("2026-11-23 17:30:00")
    until(lambda: saying(team.alice.whispers(BOT), "maquette"), what="Alice's digest")
    crosses(team)
    assert digests(team, heard) == ([], [])


@pytest.mark.charter(CHARTER + '\ntime 10 robots when word in "rapport automatique" then digest next')
def test_what_the_charter_sends_to_digests_does_not_cross_live(team):
    ask_matrix(team.dave, team.room, "!sd mode digest")
    team.bob.send(team.muc, "rapport automatique du jour")
    crosses(team)
    assert not saying(team.alice.timeline(team.room), "rapport automatique")
    team.bridge.set_clock("2026-11-23 17:30:00")
    until(lambda: saying(team.dave.whispers(BOT), "rapport automatique"), what="Dave's digest")


@pytest.mark.charter("lang fr\n" + CHARTER)
def test_a_french_digest(team):
    ask_muc(team.carol, team.muc, "!sd mode résumé")
    heard = len(from_bot(team.carol))
    team.alice.send(team.room, "le budget est signé")
    team.bob.wait(team.muc, "budget")
    team.bridge.set_clock("2026-11-23 17:30:00")
    digest = until(lambda: saying(from_bot(team.carol)[heard:], "budget"), what="the digest")[0]
    assert "résumé" in digest.body.lower() and "Digest" not in digest.body
