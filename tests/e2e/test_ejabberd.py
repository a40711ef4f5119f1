# SPDX-License-Identifier: Apache-2.0
"""Where ejabberd and Prosody part company (SOURDINE_XMPP names the one that runs); nearly all of it holds for both."""

import sqlite3
from xml.sax.saxutils import escape

import pytest
from checks import bodies, crosses, in_order, once_in_matrix, once_in_muc, saying
from clients import until
from wire import Wire
from world import BOT, COMPONENT, ghost


@pytest.fixture
def make_wire(world):
    made = []

    def make(bridge):
        made.append(Wire(world.component))
        made[-1].between(bridge)
        return made[-1]

    yield make
    for wire in made:
        wire.close()


def test_a_grant_to_the_domain_lets_every_ghost_in(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group()
    bob.set_affiliation(group.muc, COMPONENT, "member")
    bob.set_affiliation(group.muc, carol.jid, "member")
    bob.configure(group.muc, membersonly=True)
    make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")
    for person in (alice, dave):
        person.send(group.room, f"a member's words, {person.user_id}")
        bob.wait(group.muc, f"a member's words, {person.user_id}")
    carol.send(group.muc, "and back")
    alice.wait(group.room, "and back")


@pytest.mark.parametrize("whois", ["anyone", "moderators"])
def test_who_left_before_we_came_back_is_the_same_person(make_group, make_bridge, alice, dave, bob, carol, whois):
    """The archive alone says who it was."""
    group = make_group(muc={"whois": whois})
    bridge = make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")
    carol.send(group.muc, "said while we listen")
    first = alice.wait(group.room, "said while we listen")
    bridge.kill()
    carol.send(group.muc, "said while nobody listens")
    bob.wait(group.muc, "while nobody listens")
    carol.leave(group.muc)
    group.guests.remove(carol)
    bridge.start()
    assert alice.wait(group.room, "while nobody listens").who == first.who


def test_a_forged_origin_in_the_archive_is_not_believed(team, world):
    """A message of Carol's that says of itself that it is Bob's, read from the archive."""
    team.bob.send(team.muc, "makes the ghost of Bob")
    team.alice.wait(team.room, "makes the ghost of Bob")
    team.bridge.kill()
    forged = (
        f"<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='{team.bob.jid}/x'/></x>"
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/><occupant-id xmlns='urn:xmpp:occupant-id:0' id='twice'/>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{escape(team.muc)}' id='forged'/>"
    )
    team.carol.raw(f"<message to='{team.muc}' type='groupchat' id='f1'><body>not by Bob</body>{forged}</message>")
    team.carol.raw(f"<message to='{team.muc}' type='groupchat' id='f2'><body>nor this</body>{forged}</message>")
    team.bob.wait(team.muc, "nor this")
    team.bridge.start()
    for text in ("not by Bob", "nor this"):
        assert team.alice.wait(team.room, text).who == ghost(team.carol.jid)
        once_in_matrix(team.dave, team.room, text)
    crosses(team)


def test_a_forged_occupant_id_makes_nobody_else(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group(muc={"whois": "moderators"})
    make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")
    people = {}
    for person in (bob, carol):
        person.send(group.muc, f"I am {person.jid}")
        people[person] = alice.wait(group.room, f"I am {person.jid}").who
    assert people[bob] != people[carol]
    ids = [e.get("id") for said in bob.timeline(group.muc) for e in said.raw.findall("{urn:xmpp:occupant-id:0}occupant-id")]
    for number, forged in enumerate([ids[0] if ids else "somebody", "nobody"]):
        carol.raw(
            f"<message to='{group.muc}' type='groupchat' id='o{number}'><body>forged {number}</body>"
            f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{escape(forged)}'/></message>"
        )
        assert alice.wait(group.room, f"forged {number}").who == people[carol]


def test_an_archive_that_does_not_know_the_cursor(team):
    """Prosody says so; ejabberd answers with everything it has. Neither may repeat or skip anything."""
    before = [f"before {i}" for i in range(8)]
    meanwhile = [f"meanwhile {i}" for i in range(8)]
    for text in before:
        team.carol.send(team.muc, text)
    team.alice.wait(team.room, before[-1])
    crosses(team)
    assert team.bridge.stop() == 0
    database = sqlite3.connect(team.bridge.state / "sourdine.db")
    with database:
        changed = database.execute("UPDATE room SET cursor = '1600000000000000' WHERE address = ?", (team.muc,)).rowcount
    database.close()
    assert changed == 1
    for text in meanwhile:
        team.carol.send(team.muc, text)
    team.bob.wait(team.muc, meanwhile[-1])
    team.bridge.start()
    team.alice.wait(team.room, meanwhile[-1])
    crosses(team)
    in_order([m for m in team.dave.history(team.room) if m.who == ghost(team.carol.jid)], before + meanwhile)


def test_a_silent_removal_costs_no_message(make_group, make_bridge, make_wire, alice, dave, bob, carol):
    """The room throws ghost and bot out, and we never hear of it."""
    group = make_group()
    bridge = make_bridge([group])
    wire = make_wire(bridge)
    bridge.start()
    until(group.bot_in, what="the bot joining")
    alice.send(group.room, "as long as all is well")
    bob.wait(group.muc, "all is well")
    taken = []

    def take(stanza):
        if stanza.startswith("<presence") and "unavailable" in stanza:
            taken.append(stanza)
            return True
        return False

    wire.takes = take
    for nick in ("Alice", "Sourdine"):
        bob.kick(group.muc, nick)
        until(lambda: nick not in bob.occupants(group.muc), what=f"{nick} leaving")  # noqa: B023
    # Bob may hear of it before we would, and Alice's leaving is told to each of us.
    until(lambda: any(f"{group.muc}/Sourdine" in stanza for stanza in taken), what="the bot's leaving")
    wire.takes = None
    texts = [f"unheard of {i}" for i in range(3)]
    for text in texts:
        alice.send(group.room, text)
    bob.wait(group.muc, texts[-1], 60)
    carol.send(group.muc, "and what was said to nobody")
    alice.wait(group.room, "said to nobody", 60)
    in_order([m for m in bob.archive(group.muc) if "unheard" in m.body], texts)


def test_a_room_destroyed_under_us(team):
    """ejabberd's last presence has no status 110."""
    crosses(team)

    def told():
        return team.alice.whispers(BOT) + [m for m in team.alice.timeline(team.room) if m.who == BOT]

    async def destroy():
        await team.bob.client.plugin["xep_0045"].destroy(team.muc, reason="no longer needed")

    team.bob.loop.run(destroy())
    until(lambda: "shut out" in team.bridge.said(), what="the daemon noticing")
    before = len(told())
    team.alice.send(team.room, "into the void")
    until(lambda: len(told()) > before, what="Alice being told")
    assert not saying(team.bob.timeline(team.muc), "into the void"), bodies(team.bob.timeline(team.muc))
