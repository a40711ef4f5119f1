# SPDX-License-Identifier: Apache-2.0
"""What becomes of a person in a MUC: sent away, silenced, kept out, crowded out; and that he is told the true reason.

One daemon with a room for each test and one place for ghosts in each, so that Alice is a ghost and Dave is spoken for.
"""

from types import SimpleNamespace

import pytest
import slixmpp
from checks import bodies, once_in_muc, saying
from clients import until
from world import BOT, BOT_JID, BOT_NICK, XMPP_SERVER, Bridge, Group

ROOMS = {
    "kick": {},
    "ban": {},
    "voice": {},
    "admin": {},
    "member": {},
    "nick": {},
    "end": {},
    "crowd": {},
    "full": {},
    "botkick": {},
    "botban": {},
}


@pytest.fixture(scope="module")
def life(world, alice, dave, bob, carol):
    groups = {name: Group(world, name, alice, bob, (dave,), (carol,), muc=muc) for name, muc in ROOMS.items()}
    bob.set_affiliation(groups["admin"].muc, BOT_JID, "admin")
    bob.set_affiliation(groups["member"].muc, BOT_JID, "member")
    for name in ("admin", "member"):
        bob.set_affiliation(groups[name].muc, carol.jid, "member")
    bridge = Bridge(world, {name: group.wiring for name, group in groups.items()}, extra="limits: { ghosts: 1 }\n")
    try:
        bridge.start()
        for group in groups.values():
            until(group.bot_in, 60, f"the bot joining {group.name}")
        yield SimpleNamespace(bridge=bridge, groups=groups, alice=alice, dave=dave, bob=bob, carol=carol)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{bridge.said()[-6000:]}") from error
    finally:
        wrong = bridge.close()
        for group in groups.values():
            group.leave()
    assert not wrong, wrong


class Scene:
    """One of the rooms, with the few sentences that every test needs."""

    def __init__(self, life, name):
        self.__dict__.update(vars(life))
        self.group = life.groups[name]
        self.room, self.muc = self.group.room, self.group.muc

    def said_by_bot(self):
        return self.alice.whispers(BOT) + [m for m in self.alice.timeline(self.room) if m.who == BOT]

    def crosses(self, text, who="Alice"):
        self.alice.send(self.room, text)
        assert self.bob.wait(self.muc, text).name == who

    def is_refused(self, text, reason):
        """Alice says it, is told why it did not cross, and it did not."""
        before = len(saying(self.said_by_bot(), reason))
        self.alice.send(self.room, text)
        until(lambda: len(saying(self.said_by_bot(), reason)) > before, what=f"Alice being told {reason!r}")
        assert not saying(self.bob.timeline(self.muc), text), bodies(self.bob.timeline(self.muc))

    def barrier(self):
        """Dave, behind everything that was said before; the place is his when Alice was sent away."""
        self.dave.send(self.room, "a barrier")
        assert self.bob.wait(self.muc, "a barrier").name == "Dave"

    def gone(self, nick):
        until(lambda: nick not in self.bob.occupants(self.muc), what=f"{nick} leaving")

    def set_role(self, nick, role):
        self.bob.loop.run(self.bob.client.plugin["xep_0045"].set_role(slixmpp.JID(self.muc), nick, role))


@pytest.fixture
def scene(request, life):
    return Scene(life, request.node.get_closest_marker("room").args[0])


SILENCED = "does not let us speak"
BANNED = "has banned you"
MEMBERS = "admits members only"
GONE = "no longer exists"


@pytest.mark.room("kick")
def test_kicked(scene):
    scene.crosses("before the kick")
    scene.bob.kick(scene.muc, "Alice")
    scene.gone("Alice")
    scene.is_refused("after the kick", SILENCED)
    scene.barrier()
    assert "Alice" not in scene.bob.occupants(scene.muc)
    assert not saying(scene.bob.archive(scene.muc), "after the kick"), "nobody speaks for whom a moderator sent away"


@pytest.mark.room("ban")
def test_banned(scene):
    scene.crosses("before the ban")
    jid = scene.bob.occupants(scene.muc)["Alice"]["jid"].split("/")[0]
    scene.bob.set_affiliation(scene.muc, jid, "outcast")
    scene.gone("Alice")
    scene.is_refused("after the ban", BANNED)
    scene.barrier()
    assert not saying(scene.bob.archive(scene.muc), "after the ban")


@pytest.mark.room("voice")
def test_without_and_with_a_voice(scene):
    scene.bob.configure(scene.muc, moderatedroom=True)
    scene.is_refused("said without a voice", SILENCED)
    scene.set_role("Alice", "participant")
    until(lambda: scene.bob.occupants(scene.muc)["Alice"]["role"] == "participant", what="her voice")
    scene.crosses("said with a voice")
    scene.set_role("Alice", "visitor")
    until(lambda: scene.bob.occupants(scene.muc)["Alice"]["role"] == "visitor", what="her silence")
    scene.is_refused("silenced again", SILENCED)
    once_in_muc(scene.carol, scene.muc, "said with a voice")
    assert not saying(scene.carol.archive(scene.muc), "without a voice")


@pytest.mark.room("admin")
def test_members_only_and_the_bot_is_an_admin(scene):
    scene.crosses("while it is open")
    scene.bob.configure(scene.muc, membersonly=True)
    scene.crosses("now for members only")
    once_in_muc(scene.carol, scene.muc, "now for members only")
    assert scene.bob.occupants(scene.muc)["Alice"]["affiliation"] == "member"


@pytest.mark.room("member")
def test_members_only_and_the_bot_is_a_mere_member(scene):
    scene.bob.configure(scene.muc, membersonly=True)
    scene.is_refused("not let in", MEMBERS)
    scene.bob.configure(scene.muc, membersonly=False)
    # The room tells the bot that it has changed, before this.
    scene.bob.send(scene.muc, "it is open")
    scene.alice.wait(scene.room, "it is open")
    scene.crosses("open again")
    assert not saying(scene.bob.archive(scene.muc), "not let in")


@pytest.mark.room("nick")
def test_every_nick_is_taken(scene, world):
    """Four variants of her name and two of her address, each somebody else's."""
    crowd = [world.xmpp("carol") for _ in range(6)]
    nicks = ["Alice", "Alice [m]", "Alice [alice]", "Alice [m3]", "alice", "alice [m5]"]
    for person, nick in zip(crowd, nicks):
        person.join(scene.muc, nick)
    try:
        scene.alice.send(scene.room, "under no name of my own")
        said = scene.bob.wait(scene.muc, "under no name of my own")
        assert (said.name, said.body) == (BOT_NICK, "Alice: under no name of my own")
        once_in_muc(scene.carol, scene.muc, "under no name of my own")
    finally:
        for person in crowd:
            person.leave(scene.muc)


@pytest.mark.room("end")
def test_destroyed_and_not_made_again(scene):
    scene.crosses("before the end")
    scene.bob.loop.run(scene.bob.client.plugin["xep_0045"].destroy(scene.muc, reason="it was fun"))
    until(lambda: f'shut out room={scene.muc} reason="it was fun"' in scene.bridge.said(), what="the daemon noticing")
    scene.is_refused("after the end", GONE)
    scene.is_refused("and again", GONE)

    async def describe():
        return await scene.bob.client.plugin["xep_0030"].get_info(jid=scene.muc, cached=False)

    with pytest.raises(slixmpp.exceptions.IqError) as error:
        scene.bob.loop.run(describe())
    assert error.value.condition in ("item-not-found", "gone")


@pytest.mark.room("crowd")
def test_one_place_only(scene):
    scene.crosses("I have the place")
    scene.dave.send(scene.room, "I have none")
    said = scene.bob.wait(scene.muc, "I have none")
    assert (said.name, said.body) == (BOT_NICK, "Dave: I have none")
    scene.crosses("and I still have mine")
    once_in_muc(scene.carol, scene.muc, "I have none")
    assert set(scene.bob.occupants(scene.muc)) == {"Bob", "Carol", "Alice", BOT_NICK}


@pytest.mark.room("full")
@pytest.mark.skipif(XMPP_SERVER != "ejabberd", reason="Prosody's rooms are never full; tests/unit/test_muc.c has this for both")
def test_full(scene):
    assert set(scene.bob.occupants(scene.muc)) == {"Bob", "Carol", BOT_NICK}
    scene.bob.configure(scene.muc, maxusers="3")
    scene.alice.send(scene.room, "there is no room for me")
    said = scene.bob.wait(scene.muc, "there is no room for me")
    assert (said.name, said.body) == (BOT_NICK, "Alice: there is no room for me")


@pytest.mark.room("botkick")
def test_the_bot_is_kicked(scene):
    scene.crosses("while it may")
    scene.bob.kick(scene.muc, BOT_NICK)
    scene.gone(BOT_NICK)
    scene.is_refused("the bot is out", SILENCED)


@pytest.mark.room("botban")
def test_the_bot_is_banned(scene):
    scene.crosses("while it may")
    scene.bob.set_affiliation(scene.muc, BOT_JID, "outcast")
    scene.gone(BOT_NICK)
    scene.is_refused("the bot is banned", BANNED)
