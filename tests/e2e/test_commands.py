# SPDX-License-Identifier: Apache-2.0
"""Chat commands: both languages, both networks, the rights of this moment, preview and yes, undo."""

import time

import pytest
from checks import answers_to, ask_matrix, ask_muc, bot_in_muc, crosses, hourglass, saying
from clients import until
from world import BOT, BOT_JID, BOT_NICK, COMPONENT

CHARTER = "tz Europe/Paris\nhours mon-fri 08:30-18:30\ntime 10 ferme when closed then hold until opening notice held"


def hours_are(team, text):
    return text in ask_muc(team.carol, team.muc, "!sd hours")


@pytest.mark.charter(CHARTER)
def test_both_names_on_both_networks(team):
    names = ("help", "aide", "AIDE", "hours", "horaires", "rules", "règles", "RÈGLES", "regles", "held", "attente", "why", "pourquoi")
    for name in names:
        assert ask_matrix(team.alice, team.room, f"!sd {name}")
        assert ask_muc(team.bob, team.muc, f"!sd {name}")
    crosses(team)
    typed = [f"!sd {name}" for name in names]
    assert [m.body for m in team.bob.archive(team.muc) if m.body in typed] == typed, "Bob's own; Alice's do not cross"
    assert [m.body for m in team.alice.history(team.room) if m.body in typed] == typed, "Alice's own; Bob's do not cross"


@pytest.mark.charter(CHARTER)
def test_answers_say_what_they_should(team):
    assert "08:30" in ask_matrix(team.alice, team.room, "!sd hours")
    assert "ferme" in ask_matrix(team.alice, team.room, "!sd rules")
    assert "hold until opening" in ask_muc(team.bob, team.muc, "!sourdine rules")
    assert "!sd hours" in ask_matrix(team.alice, team.room, "!sd help")


@pytest.mark.charter(CHARTER)
def test_a_mention_of_the_bot_is_a_prefix(team):
    assert "08:30" in ask_muc(team.bob, team.muc, f"{BOT_NICK}: hours")
    assert "08:30" in ask_matrix(team.alice, team.room, f"{BOT} hours")


@pytest.mark.charter(CHARTER)
def test_by_private_message_of_the_room(team):
    team.carol.whisper(team.muc, BOT_NICK, "!hours")
    assert "08:30" in until(lambda: team.carol.whispers(team.muc, BOT_NICK), what="an answer")[0].body


@pytest.mark.charter(CHARTER)
def test_by_direct_message_on_matrix(team):
    room = team.alice.direct(BOT)

    def answer():
        """A daemon with a new database looks at its old direct rooms one by one, and hears nothing in one before."""
        team.alice.send(room, "!hours #marketing")
        time.sleep(2)
        return saying([m for m in team.alice.timeline(room) if m.who == BOT], "08:30")

    assert until(answer, what="an answer")[0].kind == "m.notice"


@pytest.mark.charter(CHARTER)
@pytest.mark.parametrize("jid", [BOT_JID, COMPONENT])
def test_by_direct_message_on_xmpp(team, jid):
    before = len(team.carol.private())
    team.carol.chat(jid, "!hours #marketing")
    said = until(lambda: [m for m in team.carol.private()[before:] if m.who.split("/")[0] == jid], what="an answer")[0]
    assert "08:30" in said.body


@pytest.mark.charter(CHARTER)
def test_an_unknown_command_gets_the_nearest(team):
    assert "hours" in ask_matrix(team.alice, team.room, "!sd huors")


@pytest.mark.charter(CHARTER)
def test_without_the_prefix_it_is_talk(team):
    team.alice.send(team.room, "!hours is what one types in a direct message")
    team.bob.wait(team.muc, "!hours is what")


@pytest.mark.charter(CHARTER)
def test_new_hours_after_preview_and_yes(team):
    preview = ask_muc(team.bob, team.muc, "!sd hours mon-fri 9:00-18:00")
    assert "09:00-18:00" in preview and "yes" in preview
    assert hours_are(team, "08:30"), "a preview changes nothing"
    assert "2" in ask_muc(team.bob, team.muc, "!sd yes")
    assert hours_are(team, "09:00")
    assert not hours_are(team, "08:30")
    # The charter is the group's on both networks.
    assert "09:00" in ask_matrix(team.alice, team.room, "!sd hours")
    team.bridge.restart()
    assert hours_are(team, "09:00"), "the revision outlives a restart; the file only seeds"


@pytest.mark.charter(CHARTER)
def test_new_hours_from_matrix(team):
    preview = ask_matrix(team.alice, team.room, "!sd horaires mon-fri 10:00-17:00")
    assert "10:00-17:00" in preview
    ask_matrix(team.alice, team.room, "!sd oui")
    assert hours_are(team, "10:00")


@pytest.mark.charter(CHARTER)
def test_undo(team):
    ask_muc(team.bob, team.muc, "!sd hours mon-fri 9:00-18:00")
    ask_muc(team.bob, team.muc, "!sd yes")
    assert hours_are(team, "09:00")
    if "yes" in ask_muc(team.bob, team.muc, "!sd undo"):
        ask_muc(team.bob, team.muc, "!sd yes")
    assert hours_are(team, "08:30")


@pytest.mark.charter(CHARTER)
def test_a_yes_is_its_writers_own_and_of_this_revision(team):
    ask_muc(team.bob, team.muc, "!sd hours mon-fri 9:00-18:00")
    ask_matrix(team.alice, team.room, "!sd yes")
    assert hours_are(team, "08:30"), "Alice has nothing to say yes to"
    ask_matrix(team.alice, team.room, "!sd hours mon-fri 7:00-15:00")
    ask_matrix(team.alice, team.room, "!sd yes")
    ask_muc(team.bob, team.muc, "!sd yes")
    assert hours_are(team, "07:00"), "Bob's preview was of an older revision"


@pytest.mark.charter(CHARTER)
def test_a_preview_expires(team):
    ask_muc(team.bob, team.muc, "!sd hours mon-fri 9:00-18:00")
    team.bridge.set_clock("2026-11-23 10:05")
    ask_muc(team.bob, team.muc, "!sd yes")
    assert hours_are(team, "08:30")


@pytest.mark.charter(CHARTER)
def test_who_is_no_moderator_changes_nothing(team):
    for ask, person, room in ((ask_muc, team.carol, team.muc), (ask_matrix, team.dave, team.room)):
        answer = ask(person, room, "!sd hours mon-fri 9:00-18:00")
        assert "09:00-18:00" not in answer
        ask(person, room, "!sd yes")
        ask(person, room, "!sd undo")
    assert hours_are(team, "08:30")


@pytest.mark.charter(CHARTER)
def test_rights_are_those_of_the_moment(team):
    team.bob.set_affiliation(team.muc, "carol@localhost", "admin")
    until(lambda: team.bob.occupants(team.muc)["Carol"]["affiliation"] == "admin", what="the affiliation")
    assert "09:00-18:00" in ask_muc(team.carol, team.muc, "!sd hours mon-fri 9:00-18:00")
    team.bob.set_affiliation(team.muc, "carol@localhost", "member")
    until(lambda: team.bob.occupants(team.muc)["Carol"]["affiliation"] == "member", what="the affiliation")
    ask_muc(team.carol, team.muc, "!sd yes")
    assert hours_are(team, "08:30"), "checked when it is executed"
    team.alice.set_power(team.room, team.dave.user_id, 50)
    assert "11:00-12:00" in ask_matrix(team.dave, team.room, "!sd hours mon-fri 11:00-12:00")


@pytest.mark.charter(CHARTER)
def test_hours_that_cannot_be_read_say_where(team):
    answer = ask_muc(team.bob, team.muc, "!sd hours mon-fri 25:00-18:00")
    assert "25:00" in answer or "column" in answer
    assert hours_are(team, "08:30")


@pytest.mark.charter(CHARTER)
def test_a_bridged_copy_is_never_a_command(team):
    """Alice's words about a command, in Bob's client, quoted by Bob: the bot answers nobody twice."""
    event_id = team.alice.send(team.room, "!sd hours")
    until(lambda: answers_to(team.alice, team.room, event_id), what="an answer")
    before = len(bot_in_muc(team.bob, team.muc))
    team.bob.send(team.muc, "> !sd hours\nthat is what she typed")
    team.alice.wait(team.room, "that is what she typed")
    crosses(team)
    assert len(bot_in_muc(team.bob, team.muc)) == before
    assert len(answers_to(team.alice, team.room, event_id)) == 1


@pytest.mark.clock("2026-11-23 19:04")
@pytest.mark.charter(CHARTER)
def test_what_is_held_is_planned_again(team):
    team.alice.send(team.room, "à demain")
    until(lambda: "08:30" in ask_matrix(team.alice, team.room, "!sd held"), what="the hold")
    ask_muc(team.bob, team.muc, "!sd hours mon-fri 9:00-18:00")
    ask_muc(team.bob, team.muc, "!sd yes")
    until(lambda: "09:00" in ask_matrix(team.alice, team.room, "!sd held"), what="the new plan")
    team.bridge.set_clock("2026-11-24 08:30:00")
    assert "09:00" in ask_muc(team.bob, team.muc, "!sd hours")
    assert not saying(team.bob.timeline(team.muc), "à demain")
    team.bridge.set_clock("2026-11-24 09:00:00")
    team.bob.wait(team.muc, "à demain")


@pytest.mark.clock("2026-11-23 19:04")
@pytest.mark.charter(CHARTER)
def test_the_hourglass_becomes_a_check_mark_once(team):
    event = team.alice.send(team.room, "until tomorrow")
    until(lambda: hourglass(team.alice, team.room, event), what="the hourglass")
    team.bridge.set_clock("2026-11-24 08:30:00")
    team.bob.wait(team.muc, "until tomorrow")
    team.bridge.kill()
    team.bridge.start()
    marks = [(BOT, "\u2705")]
    until(lambda: team.alice.reactions(team.room, event) == marks, what="a check mark instead")
    crosses(team)
    assert team.alice.reactions(team.room, event) == marks


def test_a_flood_of_refusals_is_told_as_a_number(team):
    team.alice.send(team.room, "before the ban")
    team.bob.wait(team.muc, "before the ban")
    jid = team.bob.occupants(team.muc)["Alice"]["jid"].split("/")[0]
    team.bob.set_affiliation(team.muc, jid, "outcast")
    until(lambda: "Alice" not in team.bob.occupants(team.muc), what="Alice being put out")

    def told(text):
        return [said for said in team.alice.timeline(team.room) if said.who == BOT and text in said.body]

    for number in range(6):
        team.alice.send(team.room, f"never heard {number}")
    team.dave.send(team.room, "Dave is heard")
    team.bob.wait(team.muc, "Dave is heard")
    until(lambda: len(told("did not cross")) == 3, what="three refusals told in place")
    team.bridge.set_clock("2026-11-23 11:01")
    until(lambda: told("3 more of your messages"), what="the number")
    assert not saying(team.bob.archive(team.muc), "never heard")
