# SPDX-License-Identifier: Apache-2.0
"""A room that is encrypted, joined with a MUC that is not: nothing crosses until a moderator of one of them agrees."""

from checks import saying
from clients import never, until

ENCRYPTION = {"algorithm": "m.megolm.v1.aes-sha2"}


def of_the_group(bridge):
    return bridge.status()["groups"][0]


def test_consent_of_the_mucs_owner(make_group, make_bridge, alice, dave, bob, carol):
    group = make_group("sealed")
    alice.put_state(group.room, "m.room.encryption", ENCRYPTION)
    bridge = make_bridge([group]).start()
    until(lambda: saying(carol.archive(group.muc), "So nothing crosses, either way"), what="the MUC being told")
    assert of_the_group(bridge)["consent"] == "missing"
    assert any("encrypted" in problem for problem in bridge.status()["problems"])
    bob.send(group.muc, "said before anybody agreed")
    alice.send(group.room, "plain where everything is encrypted")
    never(lambda: saying(carol.archive(group.muc), "plain where"), what="a plain message crossing")
    # Not by anybody.
    carol.send(group.muc, "!sd encrypted allow --yes")
    until(lambda: saying(carol.whispers(group.muc, "Sourdine"), "Only moderators"), what="a refusal")
    bob.send(group.muc, "!sd encrypted allow")
    until(lambda: saying(bob.whispers(group.muc, "Sourdine"), "If you agree"), what="what it means")
    assert of_the_group(bridge)["consent"] == "missing"
    bob.send(group.muc, "!sd yes")
    until(lambda: saying(carol.archive(group.muc), "A moderator has agreed"), what="both rooms being told")
    assert of_the_group(bridge)["consent"] == "given"
    bob.send(group.muc, "!sd status")
    until(lambda: saying(bob.whispers(group.muc, "Sourdine"), "it was agreed"), what="the status")
    # Whatever was said in the Matrix room by the bot or a ghost was encrypted, over a restart too.
    bridge.restart()
    bob.send(group.muc, "said after the restart")
    never(lambda: saying([said for said in dave.history(group.room) if said.who != alice.user_id], ""), what="a message in the clear")
    assert of_the_group(bridge)["consent"] == "given"
