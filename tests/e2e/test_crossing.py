# SPDX-License-Identifier: Apache-2.0
"""Messages cross at once, in order, once, each under its writer's name."""

from checks import answers_to, bodies, crosses, in_order, once_in_matrix, once_in_muc, saying
from clients import until
from world import COMPONENT, ghost


def test_matrix_to_xmpp_under_the_writers_name(team):
    team.alice.send(team.room, "Bonjour à toutes et à tous")
    said = team.bob.wait(team.muc, "Bonjour")
    assert (said.name, said.body, said.kind) == ("Alice", "Bonjour à toutes et à tous", "groupchat")
    occupant = team.bob.occupants(team.muc)["Alice"]
    assert occupant["jid"].split("/")[0].endswith("@" + COMPONENT)
    assert not said.stamp, "what crosses at once carries no delay stamp"
    once_in_muc(team.carol, team.muc, "Bonjour")


def test_xmpp_to_matrix_under_the_writers_name(team):
    team.bob.send(team.muc, "Salut Alice, ça va ?")
    said = team.alice.wait(team.room, "Salut")
    assert (said.who, said.name, said.body, said.kind) == (ghost("bob@localhost"), "Bob", "Salut Alice, ça va ?", "m.text")
    once_in_matrix(team.dave, team.room, "Salut Alice")


def test_everybody_has_a_ghost_of_his_own(team):
    team.alice.send(team.room, "from Alice")
    team.dave.send(team.room, "from Dave")
    team.bob.send(team.muc, "from Bob")
    team.carol.send(team.muc, "from Carol")
    for name in ("Alice", "Dave"):
        assert team.carol.wait(team.muc, f"from {name}").name == name
    for name in ("Bob", "Carol"):
        assert team.dave.wait(team.room, f"from {name}").name == name


def test_order_within_a_burst_both_ways(team):
    there = [f"there {i:03}" for i in range(40)]
    back = [f"back {i:03}" for i in range(40)]
    for one, other in zip(there, back):
        team.alice.send(team.room, one)
        team.bob.send(team.muc, other)
    team.bob.wait(team.muc, there[-1], 60)
    team.alice.wait(team.room, back[-1], 60)
    crosses(team)
    in_order([said for said in team.carol.archive(team.muc) if said.body.startswith("there")], there)
    in_order([said for said in team.dave.history(team.room) if said.body.startswith("back")], back)


def test_nothing_echoes(team):
    team.alice.send(team.room, "only once, please")
    team.bob.send(team.muc, "once here too")
    team.bob.wait(team.muc, "only once")
    team.alice.wait(team.room, "once here")
    crosses(team)
    for text in ("only once, please", "once here too"):
        once_in_matrix(team.alice, team.room, text)
        once_in_muc(team.bob, team.muc, text)


def test_reply_carries_the_thread_of_talk(team):
    team.bob.send(team.muc, "who takes the newsletter?")
    question = team.alice.wait(team.room, "newsletter")
    team.alice.reply(team.room, question.id, "I do")
    said = team.bob.wait(team.muc, "I do")
    original = next(m for m in team.bob.timeline(team.muc) if m.body == "who takes the newsletter?")
    assert said.relates.get("reply") == original.stanza_id


def test_a_notice_is_bridged_but_is_no_command(team):
    event_id = team.alice.send(team.room, "!sd hours", msgtype="m.notice")
    crosses(team)
    assert not answers_to(team.alice, team.room, event_id)


def test_a_taken_nick_costs_neither_the_message_nor_the_name(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group(nicks={"carol@localhost": "Alice"})
    make_bridge([group]).start()
    until(group.bot_in, what="the bot joining")
    alice.send(group.room, "I am the one on Matrix")
    said = bob.wait(group.muc, "I am the one")
    assert "Alice" in said.name or said.body.startswith("Alice: ")
    assert said.name != "Alice" and said.who != f"{group.muc}/Alice"
    assert group.host.occupants(group.muc)["Alice"]["jid"].startswith("carol@localhost")
    carol.send(group.muc, "and I am the one here")
    assert alice.wait(group.room, "the one here").name == "Alice [xmpp]"
    once_in_muc(bob, group.muc, "I am the one on")


def test_a_name_that_cannot_be_a_nick_is_simplified(team):
    try:
        team.dave.set_name("Dave \U0001f389 de la\u0007 com\u202e")
        until(lambda: any("\U0001f389" in (n or "") for n in team.alice.members(team.room).values()), what="the new name")
        team.dave.send(team.room, "with an odd name")
        said = team.bob.wait(team.muc, "with an odd name")
        assert "Dave" in said.name or said.body.startswith("Dave")
        assert "\u202e" not in said.name and "\u0007" not in said.name
        crosses(team)
    finally:
        team.dave.set_name("Dave")


def test_a_long_text_arrives_whole_in_parts(team):
    sentences = [f"Sentence number {i:05} of a long report. " for i in range(3500)]
    team.bob.send(team.muc, "".join(sentences))
    team.alice.wait(team.room, sentences[-1].strip(), 60)
    parts = [m for m in team.alice.history(team.room) if "of a long report" in m.body]
    assert 2 <= len(parts) <= 10
    assert {m.who for m in parts} == {ghost("bob@localhost")}
    joined = " ".join(bodies(parts))
    places = [joined.find(sentence.strip()) for sentence in sentences]
    assert -1 not in places and places == sorted(places)
    assert joined.count("Sentence number 00000 ") == 1


def test_a_restart_repeats_nothing(team):
    team.alice.send(team.room, "before the restart")
    team.bob.wait(team.muc, "before the restart")
    assert team.bridge.stop() == 0
    team.bridge.start()
    crosses(team)
    once_in_muc(team.bob, team.muc, "before the restart")
    assert not saying(team.bob.timeline(team.muc), "(resent)")
