# SPDX-License-Identifier: Apache-2.0
"""Rooms joined from chat: asked on one side, confirmed on the other, alive after a restart, and parted again."""

import re
from types import SimpleNamespace

import pytest
from checks import answers_to, ask_matrix, ask_muc, bot_in_muc, crosses, once_in_matrix, once_in_muc, saying
from clients import until
from conftest import charter_of
from world import BOT, BOT_JID, BOT_NICK

CODE = re.compile(r"confirm ([a-z]{8})")


@pytest.fixture
def pair(make_group, make_bridge, alice, dave, bob, carol):
    """Two rooms that nobody wired, and a daemon that knows neither."""
    group = make_group("rooms")
    bridge = make_bridge([]).start()
    return SimpleNamespace(group=group, bridge=bridge, room=group.room, muc=group.muc, alice=alice, dave=dave, bob=bob, carol=carol)


def invite_to_matrix(pair):
    """The bot comes and says how to plumb; it may have done so before."""

    def hellos():
        return len([m for m in pair.alice.timeline(pair.room) if m.who == BOT and "!sd plumb" in m.body])

    before = hellos()
    pair.alice.invite(pair.room, BOT)
    until(lambda: hellos() > before, what="the bot saying how to plumb")


def invite_to_muc(pair, direct=True):
    if direct:
        pair.bob.raw(f'<message to="{BOT_JID}"><x xmlns="jabber:x:conference" jid="{pair.muc}"/></message>')
    else:
        pair.bob.raw(
            f'<message to="{pair.muc}"><x xmlns="http://jabber.org/protocol/muc#user"><invite to="{BOT_JID}"/></x></message>'
        )
    pair.bob.wait(pair.muc, lambda m: m.name == BOT_NICK and "!sd plumb" in m.body)


def whispered(person, muc, text, before=0):
    return until(lambda: saying(person.whispers(muc, BOT_NICK)[before:], text), what=f"{text!r} from the bot")[0].body


def chatted(person, text, do):
    """What the bot says by direct message, with this text in it, once `do` is done."""
    before = len(person.private())
    person.chat(BOT_JID, do)
    return until(lambda: saying(person.private()[before:], text), what=f"{text!r} from the bot")[0].body


def plumb_from_matrix(pair):
    """Alice asks; her code."""
    return CODE.search(ask_matrix(pair.alice, pair.room, f"!sd plumb {pair.muc}"))[1]


def greeted(pair):
    return pair.group.bot_in()


def confirm(pair, code):
    """Bob consents. What Alice says before the daemon has heard that stays in her room."""
    before = len(pair.bob.whispers(pair.muc, BOT_NICK))
    pair.bob.send(pair.muc, f"!sd confirm {code}")
    whispered(pair.bob, pair.muc, "Done", before)


def join(pair):
    invite_to_matrix(pair)
    confirm(pair, plumb_from_matrix(pair))
    until(lambda: greeted(pair), what="the greeting")


def test_from_matrix_and_over_a_restart_and_a_hangup(pair):
    pair.alice.send(pair.room, "said before any bot came")
    invite_to_matrix(pair)
    pair.alice.send(pair.room, "said while it visits")
    code = plumb_from_matrix(pair)
    until(lambda: BOT_NICK in pair.bob.occupants(pair.muc), what="the bot entering")
    pair.bob.send(pair.muc, "said before the consent")
    # Nobody without power, nowhere else, no other code.
    pair.carol.send(pair.muc, f"!sd confirm {code}")
    assert "settings" in whispered(pair.carol, pair.muc, "settings")
    assert "not known" in ask_matrix(pair.alice, pair.room, f"!sd confirm {code}")
    pair.bob.send(pair.muc, "!sd confirm abcdefgh")
    whispered(pair.bob, pair.muc, "not known")
    pair.bob.send(pair.muc, f"!sd confirm {code}")
    until(lambda: greeted(pair), what="the greeting")
    crosses(pair)
    for restart in (pair.bridge.restart, pair.bridge.hangup, lambda: (pair.bridge.kill(), pair.bridge.start())):
        restart()
        crosses(pair)
    assert len(saying(pair.dave.history(pair.room), "joined with")) == 1, "greeted once"
    once_in_muc(pair.carol, pair.muc, "joined with")
    assert len(once_in_muc(pair.carol, pair.muc, "joined with").body.splitlines()) == 4
    assert not saying(pair.carol.archive(pair.muc), "said before any") and not saying(pair.carol.archive(pair.muc), "while it visits")
    assert not saying(pair.dave.history(pair.room), "before the consent")
    # Both rooms are taken now.
    assert "joined with another" in ask_matrix(pair.alice, pair.room, "!sd plumb other@rooms.localhost")
    # The charter is theirs, and kept.
    ask_muc(pair.bob, pair.muc, "!sd hours mon-fri 9:00-18:00")
    ask_muc(pair.bob, pair.muc, "!sd yes")
    assert "09:00" in ask_matrix(pair.alice, pair.room, "!sd hours")


def test_from_a_muc_with_a_direct_invitation(pair):
    invite_to_muc(pair)
    pair.bob.send(pair.muc, f"!sd plumb {pair.group.alias}")
    code = CODE.search(whispered(pair.bob, pair.muc, "confirm"))[1]
    until(lambda: BOT in pair.alice.members(pair.room), what="the bot entering")
    assert "settings" in ask_matrix(pair.dave, pair.room, f"!sd confirm {code}")
    assert "Done" in ask_matrix(pair.alice, pair.room, f"!sd confirm {code}")
    until(lambda: greeted(pair), what="the greeting")
    crosses(pair)


def test_by_direct_message_with_a_mediated_invitation(pair):
    """Asked by an account, confirmed by direct message; and who has no power in his own room is told so."""
    invite_to_muc(pair, direct=False)
    chatted(pair.carol, "you may not change", f"!plumb {pair.muc} {pair.group.alias}")
    code = CODE.search(chatted(pair.bob, "confirm", f"!plumb {pair.group.alias} {pair.muc}"))[1]
    direct = pair.alice.direct(BOT)
    pair.alice.send(direct, f"!confirm {code}")
    pair.alice.wait(direct, lambda m: m.who == BOT and "Done" in m.body)
    until(lambda: greeted(pair), what="the greeting")
    crosses(pair)
    pair.alice.send(direct, "!status")
    said = pair.alice.wait(direct, lambda m: m.who == BOT and pair.muc in m.body).body
    assert pair.room in said and "link stands" in said
    # Parted by direct message too, by a moderator only.
    chatted(pair.carol, "Only moderators", "!unplumb")
    pair.alice.send(direct, "!unplumb")
    pair.alice.wait(direct, lambda m: m.who == BOT and "no longer be joined" in m.body)
    pair.alice.send(direct, "!yes")
    until(lambda: BOT not in pair.alice.members(pair.room), what="the bot leaving")


def test_what_cannot_be_plumbed_says_why(pair, make_group):
    invite_to_matrix(pair)

    def asked(words):
        return ask_matrix(pair.alice, pair.room, f"!sd plumb {words}")

    assert "no room's address" in asked("marketing")
    assert "on Matrix and the other on XMPP" in asked(pair.group.alias)
    assert "no room nobody@rooms.localhost" in asked("nobody@rooms.localhost")
    assert "settings" in ask_matrix(pair.dave, pair.room, f"!sd plumb {pair.muc}")
    closed = make_group("closed", guests=(), muc={"membersonly": True})
    assert "does not let me in" in asked(closed.muc)
    invite_to_muc(closed_pair := SimpleNamespace(bob=pair.bob, muc=pair.muc))
    private = pair.alice.create_room("private", public=False)
    closed_pair.bob.send(pair.muc, f"!sd plumb {private}")
    whispered(pair.bob, pair.muc, "I may not enter")
    assert not saying(pair.bob.timeline(pair.muc), "private")


def test_rights_are_asked_again_at_the_confirmation(pair):
    invite_to_matrix(pair)
    pair.alice.set_power(pair.room, pair.dave.user_id, 50)
    code = CODE.search(ask_matrix(pair.dave, pair.room, f"!sd plumb {pair.muc}"))[1]
    pair.alice.set_power(pair.room, pair.dave.user_id, 0)
    until(lambda: "no moderator" in ask_matrix(pair.dave, pair.room, "!sd whoami"), what="Dave's loss being known")
    pair.bob.send(pair.muc, f"!sd confirm {code}")
    whispered(pair.bob, pair.muc, "Whoever asked")
    assert not greeted(pair)


def test_unplumb_tells_whoever_waits_and_leaves(pair):
    join(pair)
    ask_muc(pair.bob, pair.muc, "!sd hours mon-fri 9:00-10:00 --yes")
    assert "Dave" not in pair.bob.occupants(pair.muc)
    pair.alice.send(pair.room, "before the closing")
    pair.bob.wait(pair.muc, "before the closing")
    ask_muc(pair.bob, pair.muc, "!sd rules")
    assert "no longer be joined" in ask_matrix(pair.alice, pair.room, "!sd unplumb")
    held = ask_matrix(pair.alice, pair.room, "!sd status")
    assert "joined from chat" in held and "held" in held
    ask_matrix(pair.alice, pair.room, "!sd yes")
    until(lambda: BOT_NICK not in pair.bob.occupants(pair.muc), what="the bot leaving the MUC")
    until(lambda: "Alice" not in pair.bob.occupants(pair.muc), what="the ghost leaving the MUC")
    until(lambda: BOT not in pair.alice.members(pair.room), what="the bot leaving the room")
    assert "no longer joined" in once_in_matrix(pair.dave, pair.room, "no longer joined").body
    pair.bridge.restart()
    assert BOT not in pair.alice.members(pair.room)
    # Again: the same two are the same group.
    invite_to_matrix(pair)
    confirm(pair, plumb_from_matrix(pair))
    until(lambda: len(saying(pair.dave.history(pair.room), "This room is joined with")) == 2, what="another greeting")
    crosses(pair)
    assert "09:00" in ask_matrix(pair.alice, pair.room, "!sd hours"), "their charter is theirs again"


def test_held_messages_are_told_at_the_parting(pair):
    name = pair.muc.split("@")[0]
    pair.bridge.write_charter(name, charter_of(name, "hours mon-fri 08:00-09:00\ntime 10 ferme when closed then hold until opening notice held"))
    join(pair)
    event = pair.alice.send(pair.room, "for tomorrow morning")
    until(lambda: answers_to(pair.alice, pair.room, event), what="the notice")
    ask_matrix(pair.alice, pair.room, "!sd unplumb --yes")
    until(lambda: [m for m in answers_to(pair.alice, pair.room, event) if "parted" in m.body], what="Alice being told")
    until(lambda: BOT not in pair.alice.members(pair.room), what="the bot leaving")
    assert not saying(pair.bob.archive(pair.muc), "for tomorrow")


def test_whoever_sends_the_bot_away_ends_it(pair):
    join(pair)
    crosses(pair)
    pair.bob.kick(pair.muc, BOT_NICK)
    pair.alice.wait(pair.room, lambda m: m.who == BOT and "sent away" in m.body)
    until(lambda: BOT not in pair.alice.members(pair.room), what="the bot leaving")


def test_a_group_of_the_configuration_is_ended_there(team):
    assert "administrator" in ask_matrix(team.alice, team.room, "!sd unplumb")
    assert "Only moderators" in ask_muc(team.carol, team.muc, "!sd unplumb")
    crosses(team)


def test_status_and_whoami_on_both_networks(team):
    for said in (ask_matrix(team.alice, team.room, "!sd status"), ask_muc(team.carol, team.muc, "!sd état")):
        assert team.muc in said and "link stands" in said and "no charter" in said and "configuration" in said
    assert re.search("you are a moderator(: your power is 100|, because you made)", ask_matrix(team.alice, team.room, "!sd whoami"))
    assert "you are no moderator: your power is 0" in ask_matrix(team.dave, team.room, "!sd moi")
    assert "your affiliation is owner" in ask_muc(team.bob, team.muc, "!sd whoami")
    assert "owner or admin is needed" in ask_muc(team.carol, team.muc, "!sd whoami")
    chatted(team.carol, "xmpp:carol@localhost", "!whoami")
    direct = team.dave.direct(BOT)
    team.dave.send(direct, "!whoami")
    team.dave.wait(direct, lambda m: m.who == BOT and "you are no moderator" in m.body)


def test_the_greeting_is_said_once(team):
    team.bridge.restart()
    crosses(team)
    assert len([m for m in team.dave.history(team.room) if m.who == BOT and team.muc in m.body]) == 1
    assert len(saying([m for m in bot_in_muc(team.bob, team.muc)], team.group.alias)) == 1
