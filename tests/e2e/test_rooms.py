# SPDX-License-Identifier: Apache-2.0
"""What moderators, admins and servers do to rooms on XMPP, and what becomes of the ghosts in them."""

import time

from checks import bodies, crosses, once_in_matrix, once_in_muc, saying
from clients import until
from world import BOT, COMPONENT, DOMAIN


def told(team):
    """What the bot has said to Alice, in private and in the room."""
    return team.alice.whispers(BOT) + [said for said in team.alice.timeline(team.room) if said.who == BOT]


def gone(team, nick):
    until(lambda: nick not in team.bob.occupants(team.muc), what=f"{nick} leaving")


def test_a_kicked_ghost_stays_out_and_its_writer_is_told(team):
    team.alice.send(team.room, "before the kick")
    team.bob.wait(team.muc, "before the kick")
    team.bob.kick(team.muc, "Alice")
    gone(team, "Alice")
    before = len(told(team))
    team.alice.send(team.room, "after the kick")
    until(lambda: len(told(team)) > before, what="Alice being told")
    team.dave.send(team.room, "Dave still can")
    team.bob.wait(team.muc, "Dave still can")
    assert not saying(team.bob.timeline(team.muc), "after the kick"), "nobody speaks for whom a moderator sent away"
    assert "Alice" not in team.bob.occupants(team.muc)


def test_a_ban_is_kept(team):
    team.alice.send(team.room, "before the ban")
    team.bob.wait(team.muc, "before the ban")
    jid = team.bob.occupants(team.muc)["Alice"]["jid"].split("/")[0]
    team.bob.set_affiliation(team.muc, jid, "outcast")
    gone(team, "Alice")
    before = len(told(team))
    team.alice.send(team.room, "after the ban")
    until(lambda: len(told(team)) > before, what="Alice being told")
    team.bridge.restart()
    until(team.group.bot_in, what="the bot joining")
    before = len(told(team))
    team.alice.send(team.room, "after the restart")
    until(lambda: len(told(team)) > before, what="Alice being told again")
    assert not [m for m in team.bob.timeline(team.muc) if "after the" in m.body]


def test_without_a_voice_it_is_refused(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group()
    make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")  # and greeting, for which it needs a voice
    bob.configure(group.muc, moderatedroom=True)
    bob.send(group.muc, "we can hear each other")
    alice.wait(group.room, "we can hear")

    def bot_words():
        return alice.whispers(BOT) + [said for said in alice.timeline(group.room) if said.who == BOT]

    before = len(bot_words())
    alice.send(group.room, "is this heard?")
    until(lambda: len(bot_words()) > before, what="Alice being told")
    assert bob.occupants(group.muc)["Alice"]["role"] == "visitor"
    assert not saying(bob.timeline(group.muc), "is this heard?")


def test_a_ghost_removed_by_the_server_comes_back(team):
    """Everybody is removed when the room turns members-only; the room lets them in again later."""
    team.alice.send(team.room, "before")
    team.bob.wait(team.muc, "before")
    team.bob.configure(team.muc, membersonly=True)
    until(lambda: "shut out" in team.bridge.said(), what="the daemon noticing")
    before = len(told(team))
    team.alice.send(team.room, "while it is closed")
    until(lambda: len(told(team)) > before, what="Alice being told")
    team.bob.send(team.muc, "said meanwhile")
    assert not saying(team.bob.timeline(team.muc), "while it is closed")
    team.bob.configure(team.muc, membersonly=False)
    team.bridge.restart()
    until(team.group.bot_in, what="the bot joining")
    team.alice.wait(team.room, "said meanwhile")
    team.alice.send(team.room, "open again")
    team.bob.wait(team.muc, "open again")


def test_another_name_is_another_nick(team):
    try:
        team.alice.send(team.room, "as Alice")
        assert team.bob.wait(team.muc, "as Alice").name == "Alice"
        team.alice.set_name("Alice Liddell")
        until(lambda: team.dave.members(team.room)[team.alice.user_id] == "Alice Liddell", what="the new name")
        team.alice.send(team.room, "as Alice Liddell")
        assert team.bob.wait(team.muc, "as Alice Liddell").name == "Alice Liddell"
        assert "Alice" not in team.bob.occupants(team.muc)
        crosses(team)
        once_in_muc(team.carol, team.muc, "as Alice Liddell")
    finally:
        team.alice.set_name("Alice")


def test_a_native_who_changes_his_nick_is_the_same_person(team):
    team.carol.send(team.muc, "under the first nick")
    first = team.alice.wait(team.room, "first nick")
    team.carol.rename(team.muc, "Carola")
    team.carol.send(team.muc, "under the second nick")
    second = team.alice.wait(team.room, "second nick")
    assert first.who == second.who
    assert first.name == "Carol"
    until(lambda: team.alice.members(team.room)[second.who] == "Carola", what="the ghost's new name")
    once_in_matrix(team.dave, team.room, "second nick")


def test_a_semi_anonymous_room_betrays_no_address(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group(muc={"whois": "moderators"})
    make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")
    carol.send(group.muc, "who am I?")
    said = alice.wait(group.room, "who am I?")
    assert said.name == "Carol"
    assert "carol" not in said.who and "localhost" not in said.who
    # The same ghost the next time.
    carol.send(group.muc, "and now?")
    assert alice.wait(group.room, "and now?").who == said.who
    # No echo although the bot cannot see who is who.
    alice.send(group.room, "only once, anonymously")
    bob.wait(group.muc, "only once, anonymously")
    bob.send(group.muc, "a barrier")
    alice.wait(group.room, "a barrier")
    once_in_matrix(dave, group.room, "only once, anonymously")


def test_a_restart_in_a_semi_anonymous_room_neither_echoes_nor_loses(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group(muc={"whois": "moderators"})
    bridge = make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")
    alice.send(group.room, "spoken before")
    bob.wait(group.muc, "spoken before")
    bridge.kill()
    carol.send(group.muc, "said while it was dead")
    bridge.start()
    alice.wait(group.room, "said while it was dead")
    alice.send(group.room, "spoken after")
    bob.wait(group.muc, "spoken after")
    carol.send(group.muc, "said after")
    alice.wait(group.room, "said after")
    for text in ("spoken before", "spoken after", "said while it was dead", "said after"):
        once_in_matrix(dave, group.room, text)
        once_in_muc(carol, group.muc, text)


def test_a_room_without_an_archive(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group(muc={"enablearchiving": False})
    bridge = make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")
    alice.send(group.room, "to a room without memory")
    bob.wait(group.muc, "without memory")
    carol.send(group.muc, "and back")
    alice.wait(group.room, "and back")
    bridge.kill()
    carol.send(group.muc, "said meanwhile")
    bridge.start()
    carol.send(group.muc, "said after")
    alice.wait(group.room, "said after")
    # The join's history is all there is; what it holds comes over, and nothing twice.
    for text in ("to a room without memory", "and back", "said after"):
        once_in_matrix(dave, group.room, text)
    assert len(saying(dave.history(group.room), "said meanwhile")) == 1, bodies(dave.history(group.room))


def test_a_room_that_does_not_exist_is_made(world, make_bridge, alice, bob):
    fresh = world.unique("unborn")
    room = alice.create_room("unborn", alias=fresh)
    muc = f"{fresh}@rooms.localhost"

    class Wiring:
        name = "marketing"
        wiring = (f"#{fresh}:{DOMAIN}", muc)

    make_bridge([Wiring()]).start()
    until(lambda: BOT in alice.members(room), what="the bot joining")
    bob.join(muc, "Bob")
    bob.send(muc, "hello, new room")
    said = alice.wait(room, "hello, new room")
    assert "bob" in said.who, "everybody sees who is who in a room of our making"
    alice.send(room, "hello back")
    assert bob.wait(muc, "hello back").name == "Alice"
    bob.leave(muc)


def test_the_bot_is_polite(team):
    """It answers to ping, disco, version and the card of a ghost, and with an error to what it does not know."""
    team.alice.send(team.room, "hello")
    team.bob.wait(team.muc, "hello")
    client = team.bob.client
    ghost = team.bob.occupants(team.muc)["Alice"]["jid"].split("/")[0]

    async def ping(jid):
        return await client.plugin["xep_0199"].send_ping(jid, timeout=10)

    for jid in (COMPONENT, f"bot@{COMPONENT}", ghost, f"{team.muc}/Alice"):
        info = team.bob.loop.run(client.plugin["xep_0030"].get_info(jid=jid, cached=False))
        assert ("gateway", "matrix") in {identity[:2] for identity in info["disco_info"]["identities"]}, jid
        team.bob.loop.run(ping(jid))

    async def ask(payload):
        iq = client.make_iq_get(queryxmlns=payload, ito=COMPONENT)
        return await iq.send(timeout=10)

    assert team.bob.loop.run(ask("jabber:iq:version"))["type"] == "result"
    start = time.monotonic()
    try:
        team.bob.loop.run(ask("urn:nobody:knows"))
        raise AssertionError("an unknown request was answered with a result")
    except Exception as error:
        assert "service-unavailable" in str(getattr(error, "condition", error)), error
    assert time.monotonic() - start < 5
