# SPDX-License-Identifier: Apache-2.0
"""Out of hours: held, told once, delivered once when the group opens, in full, with its time."""

import time

import pytest
from checks import answers_to, ask_matrix, ask_muc, crosses, hourglass, in_order, once_in_matrix, once_in_muc, saying
from clients import never, until
from world import BOT, BOT_NICK, ghost

HOURS = "tz Europe/Paris\nhours mon-fri 08:30-18:30\ntime 10 ferme when closed then hold until opening notice held"
FRENCH = "lang fr\n" + HOURS

evening = [pytest.mark.charter(HOURS), pytest.mark.clock("2026-11-23 19:04")]


def marked(marks):
    def put(function):
        for mark in marks:
            function = mark(function)
        return function

    return put


def held_notices(team, person):
    """The bot's words to a Matrix member about a hold, wherever they stand. (Direct rooms outlive a test.)"""
    said = person.timeline(team.room) + [m for m in person.whispers(BOT) if m.seen > team.since]
    return [m for m in said if m.who == BOT and "08:30" in m.body and team.muc not in m.body]  # its greeting names the hours too


@pytest.mark.charter(HOURS)
@pytest.mark.clock("2026-11-23 18:25")
def test_open_hours_deliver_at_once(team):
    crosses(team)
    assert not held_notices(team, team.alice)


@marked(evening)
def test_held_told_and_released_from_matrix(team):
    event_id = team.alice.send(team.room, "Bonsoir, une idée pour demain")
    until(lambda: hourglass(team.alice, team.room, event_id), what="the hourglass")
    notice = until(lambda: held_notices(team, team.alice), what="the notice")[0]
    assert "Tue 24 Nov 08:30" in notice.body and notice.kind == "m.notice"
    if notice.room == team.room:
        assert notice in answers_to(team.alice, team.room, event_id), "in the room it stands in a thread on the message"

    never(lambda: saying(team.bob.timeline(team.muc), "une idée"), what="an early release")
    team.bridge.set_clock("2026-11-24 08:29:00")
    never(lambda: saying(team.bob.timeline(team.muc), "une idée"), what="an early release")
    team.bridge.set_clock("2026-11-24 08:30:00")
    said = team.bob.wait(team.muc, "une idée")
    assert said.name == "Alice"
    assert "Bonsoir, une idée pour demain" in said.body and "19:04" in said.body
    crosses(team)
    once_in_muc(team.carol, team.muc, "une idée")
    assert len(held_notices(team, team.alice)) == 1


@marked(evening)
def test_held_told_and_released_from_xmpp(team):
    team.bob.send(team.muc, "Encore une idée")
    team.carol.wait(team.muc, "Encore une idée")
    notice = until(lambda: [m for m in team.bob.whispers(team.muc, BOT_NICK) if "08:30" in m.body], what="the private notice")[0]
    assert "Tue 24 Nov 08:30" in notice.body
    never(lambda: saying(team.alice.timeline(team.room), "Encore"), what="an early release")
    team.bridge.set_clock("2026-11-24 08:30:00")
    said = team.alice.wait(team.room, "Encore une idée")
    assert (said.who, said.name) == (ghost("bob@localhost"), "Bob")
    assert "19:04" in said.body
    crosses(team)
    once_in_matrix(team.dave, team.room, "Encore une idée")


@marked(evening)
def test_what_is_taken_back_is_never_said(team):
    """A Matrix redaction and an XEP-0424 retraction, while the message waits: its text crosses neither then nor later."""
    event_id = team.alice.send(team.room, "Pardon, pas ici")
    until(lambda: hourglass(team.alice, team.room, event_id), what="the hourglass")
    team.alice.redact(team.room, event_id)
    until(lambda: not hourglass(team.alice, team.room, event_id), what="the hourglass's end")
    team.bob.send(team.muc, "Moi non plus")
    said = team.bob.wait(team.muc, "Moi non plus")
    assert "24 Nov" in ask_muc(team.bob, team.muc, "!sd held")
    team.bob.raw(
        f"<message xmlns='jabber:client' type='groupchat' to='{team.muc}' id='back'>"
        f"<retract xmlns='urn:xmpp:message-retract:1' id='{said.stanza_id}'/><store xmlns='urn:xmpp:hints'/></message>"
    )
    until(lambda: "24 Nov" not in ask_muc(team.bob, team.muc, "!sd held"), what="the message's end")
    team.bridge.set_clock("2026-11-24 08:30:00")
    crosses(team)
    assert not saying(team.carol.timeline(team.muc), "pas ici")
    assert not saying(team.dave.timeline(team.room), "non plus")


@marked(evening)
def test_one_notice_per_person_and_closed_period(team):
    first = team.alice.send(team.room, "one")
    until(lambda: held_notices(team, team.alice), what="the notice")
    second = team.alice.send(team.room, "two")
    until(lambda: hourglass(team.alice, team.room, second), what="the second hourglass")
    team.dave.send(team.room, "three")
    until(lambda: len(held_notices(team, team.dave)) >= 1, what="Dave's notice")
    never(lambda: len([m for m in held_notices(team, team.alice) if first in str(m.relates) or second in str(m.relates)]) > 1, 1)
    for text in ("un", "deux"):
        team.bob.send(team.muc, text)
    until(lambda: team.bob.whispers(team.muc, BOT_NICK), what="Bob's notice")
    never(lambda: len([m for m in team.bob.whispers(team.muc, BOT_NICK) if "08:30" in m.body]) > 1, 1)


@pytest.mark.charter(FRENCH)
@pytest.mark.clock("2026-11-23 19:04")
def test_the_notice_speaks_the_groups_language(team):
    team.bob.send(team.muc, "Bonsoir")
    notice = until(lambda: team.bob.whispers(team.muc, BOT_NICK), what="the notice")[0]
    assert "mar. 24 nov. 8 h 30" in notice.body.replace("\u00a0", " ").replace("\u202f", " ")
    assert "ne se termine pas par une heure" in ask_matrix(team.alice, team.room, "!sd horaires lun-ven 9h-")
    assert "il faut ici des heures telles que 09:00-18:00, et non la fin" in ask_matrix(team.alice, team.room, "!sd horaires lun-ven")


@pytest.mark.charter(HOURS)
@pytest.mark.clock("2026-11-20 19:00")
def test_a_release_of_many_is_announced_and_complete(team):
    texts = [f"week-end {i:02}" for i in range(14)]
    for text in texts:
        last = team.alice.send(team.room, text)
    until(lambda: hourglass(team.alice, team.room, last), what="the last hourglass")
    team.bridge.set_clock("2026-11-23 08:30:00")
    team.bob.wait(team.muc, texts[-1])
    said = team.bob.timeline(team.muc)
    in_order([m for m in said if m.name == "Alice"], texts)
    line = [m for m in said if m.name == BOT_NICK and "14 messages" in m.body]
    assert len(line) == 1
    assert said.index(line[0]) < said.index(saying(said, texts[0])[0]), "the line precedes them"
    assert "Fri 20 Nov" in line[0].body or "Fri" in line[0].body


@pytest.mark.charter(HOURS)
@pytest.mark.clock("2026-11-20 19:00")
def test_both_sides_keep_their_order_over_a_week_end(team):
    here = [f"saturday {i}" for i in range(3)]
    there = [f"sunday {i}" for i in range(3)]
    for one, other in zip(here, there):
        last = team.alice.send(team.room, one)
        team.bob.send(team.muc, other)
        team.carol.wait(team.muc, other)
    until(lambda: hourglass(team.alice, team.room, last), what="the hourglass")
    until(lambda: team.bob.whispers(team.muc, BOT_NICK), what="the notice")
    team.bridge.set_clock("2026-11-22 12:00")  # Sunday: still closed
    never(lambda: saying(team.bob.timeline(team.muc), "saturday"), what="a release on a Sunday")
    team.bridge.set_clock("2026-11-23 08:30:00")
    team.bob.wait(team.muc, here[-1])
    team.alice.wait(team.room, there[-1])
    in_order([m for m in team.bob.timeline(team.muc) if m.name == "Alice"], here)
    in_order([m for m in team.alice.timeline(team.room) if m.who == ghost("bob@localhost")], there)


@pytest.mark.charter(HOURS + "\nholidays fr\nclosed 2026-12-28..2026-12-31 \"Fermeture\"")
@pytest.mark.clock("2026-12-24 20:00")
def test_holidays_and_closed_days_are_closed(team):
    event_id = team.alice.send(team.room, "Joyeux Noël")
    until(lambda: hourglass(team.alice, team.room, event_id), what="the hourglass")
    notice = until(lambda: held_notices(team, team.alice), what="the notice")[0]
    assert "Mon 4 Jan" in notice.body and "08:30" in notice.body
    for day in ("2026-12-25", "2026-12-28", "2026-12-31", "2027-01-01"):
        team.bridge.set_clock(f"{day} 10:00")
        never(lambda: saying(team.bob.timeline(team.muc), "Noël"), 0.7, f"a release on {day}")
    team.bridge.set_clock("2027-01-04 08:30:00")
    team.bob.wait(team.muc, "Joyeux Noël")


@marked(evening)
def test_why_and_held_explain(team):
    event_id = team.alice.send(team.room, "pourquoi pas")
    until(lambda: hourglass(team.alice, team.room, event_id), what="the hourglass")
    why = ask_matrix(team.alice, team.room, "!sd why")
    assert why.startswith("Held") and "Tue 24 Nov 08:30" in why and "Europe/Paris" in why
    assert "timing" in why and "ferme" in why and "hold until opening" in why
    assert "pourquoi pas" not in why
    french = ask_matrix(team.alice, team.room, "!sd pourquoi")
    assert "ferme" in french
    held = ask_matrix(team.alice, team.room, "!sd held")
    assert "08:30" in held
    assert "08:30" not in ask_matrix(team.dave, team.room, "!sd held"), "only one's own"
    team.bob.send(team.muc, "et ici")
    until(lambda: team.bob.whispers(team.muc, BOT_NICK), what="Bob's notice")
    assert "ferme" in ask_muc(team.bob, team.muc, "!sd why")


@marked(evening)
def test_commands_work_while_closed_and_are_not_held(team):
    assert "18:30" in ask_muc(team.bob, team.muc, "!sd hours")
    assert "18:30" in ask_matrix(team.alice, team.room, "!sd hours")
    team.bridge.set_clock("2026-11-24 08:30:00")
    crosses(team)
    assert not saying(team.bob.archive(team.muc), "!sd hours")[1:], "Bob's own, and no copy of Alice's"
    assert len(saying(team.alice.history(team.room), "!sd hours")) == 1


def hold_six(team):
    texts = [f"held {i}" for i in range(6)]
    for text in texts:
        last = team.alice.send(team.room, text)
        team.bob.send(team.muc, f"{text} x")
    until(lambda: hourglass(team.alice, team.room, last), what="the last hourglass")
    until(lambda: team.bob.whispers(team.muc, BOT_NICK), what="the notice")
    # A barrier on the XMPP side: the answer comes after everything that was said before.
    ask_muc(team.bob, team.muc, "!sd hours")
    return texts


def all_arrived_once(team, texts):
    team.bob.wait(team.muc, lambda m: m.name == "Alice" and texts[-1] in m.body, 60)
    team.alice.wait(team.room, lambda m: m.who == ghost("bob@localhost") and f"{texts[-1]} x" in m.body, 60)
    crosses(team)
    alices = [m for m in team.carol.archive(team.muc) if m.name == "Alice" and "held" in m.body]
    bobs = [m for m in team.dave.history(team.room) if m.who == ghost("bob@localhost") and "held" in m.body]
    in_order(alices, texts)
    in_order(bobs, [f"{text} x" for text in texts])


@marked(evening)
def test_a_kill_before_the_due_instant_loses_nothing(team):
    texts = hold_six(team)
    team.bridge.kill()
    team.bridge.start()
    never(lambda: [m for m in team.bob.timeline(team.muc) if m.name == "Alice" and "held" in m.body], what="an early release")
    team.bridge.set_clock("2026-11-24 08:30:00")
    all_arrived_once(team, texts)


@marked(evening)
@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_a_kill_during_the_release_neither_loses_nor_doubles(team, delay):
    texts = hold_six(team)
    team.bridge.set_clock("2026-11-24 08:30:00")
    time.sleep(delay)
    team.bridge.kill()
    team.bridge.start()
    all_arrived_once(team, texts)


@marked(evening)
def test_a_due_instant_that_passes_while_dead(team):
    texts = hold_six(team)
    team.bridge.kill()
    team.bridge.set_clock("2026-11-24 10:00:00")
    team.bridge.start()
    all_arrived_once(team, texts)


@marked(evening)
def test_a_clock_set_back_releases_nothing_twice(team):
    event_id = team.alice.send(team.room, "rien qu'une fois")
    until(lambda: hourglass(team.alice, team.room, event_id), what="the hourglass")
    team.bridge.set_clock("2026-11-24 08:30:00")
    team.bob.wait(team.muc, "rien qu'une fois")
    team.bridge.set_clock("2026-11-23 19:10:00")
    until(lambda: "18:30" in ask_muc(team.bob, team.muc, "!sd hours"), what="the bot")
    team.bridge.set_clock("2026-11-24 08:31:00")
    crosses(team)
    once_in_muc(team.bob, team.muc, "rien qu'une fois")
