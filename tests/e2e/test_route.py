# SPDX-License-Identifier: Apache-2.0
"""Routing: a tag makes a copy in another group, on both of its networks, that says where it comes from."""

import pytest
from checks import crosses, once_in_matrix, once_in_muc, saying
from world import BOT_NICK, ghost

COPY = 'tz Europe/Paris\nroute 10 seo when tag seo then copy "seo"'


@pytest.mark.seo
@pytest.mark.charter(COPY)
def test_a_copy_reaches_both_rooms_of_the_other_group(team):
    team.bob.send(team.muc, "Le rapport #SEO est prêt")
    assert team.alice.wait(team.room, "rapport").who == ghost("bob@localhost")
    there = team.alice.wait(team.seo.room, "rapport")
    assert there.who == ghost("bob@localhost") and there.name == "Bob"
    assert "marketing" in there.body and "Le rapport #SEO est prêt" in there.body
    near = team.carol.wait(team.seo.muc, "rapport")
    assert near.name == BOT_NICK and "Bob" in near.body and "marketing" in near.body
    crosses(team)
    for room in (team.room, team.seo.room):
        once_in_matrix(team.dave, room, "rapport")
    for muc in (team.muc, team.seo.muc):
        once_in_muc(team.carol, muc, "rapport")


@pytest.mark.seo
@pytest.mark.charter(COPY)
def test_a_copy_from_matrix(team):
    team.alice.send(team.room, "vu pour le #seo")
    assert team.bob.wait(team.muc, "vu pour").name == "Alice"
    there = team.bob.wait(team.seo.muc, "vu pour")
    assert there.name == "Alice" and "marketing" in there.body
    near = team.dave.wait(team.seo.room, "vu pour")
    assert near.who == "@sourdine:hs.test" and "Alice" in near.body and "marketing" in near.body
    crosses(team)
    once_in_matrix(team.dave, team.seo.room, "vu pour")
    once_in_muc(team.carol, team.seo.muc, "vu pour")


@pytest.mark.seo
@pytest.mark.charter(COPY)
def test_what_is_not_tagged_stays(team):
    team.bob.send(team.muc, "rien pour le seo, ni pour #seoul, ni `#seo` ici")
    team.alice.wait(team.room, "rien pour")
    crosses(team)
    assert not saying(team.alice.history(team.seo.room), "rien pour")
    assert not saying(team.bob.archive(team.seo.muc), "rien pour")


@pytest.mark.seo
@pytest.mark.charter('tz Europe/Paris\ntopics { seo: "référencement" "balise" -> "seo" }\nroute 10 seo when topic seo then copy "seo"')
def test_a_topics_words_ignore_accents_and_case(team):
    team.alice.send(team.room, "Le REFERENCEMENT avance")
    team.bob.wait(team.seo.muc, "REFERENCEMENT")
    team.alice.send(team.room, "Les emballages aussi")
    crosses(team)
    assert not saying(team.bob.archive(team.seo.muc), "emballages")
