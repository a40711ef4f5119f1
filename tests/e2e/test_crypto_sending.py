# SPDX-License-Identifier: Apache-2.0
"""What natives say in an encrypted room, read by clients that encrypt: each ghost by itself, with nothing to warn of."""

from clients import until
from crypto_client import encryption
from crypto_wire import ciphers, used_twice
from world import Group, ghost

# Added to the last group, and after it: the MUC is plain all the same; nio's device is signed by nobody.
ALLOWED = "    encrypted: allow\nencryption:\n  trust: all\n"


def test_a_native_has_no_shield(world, them, make_bridge, bob, carol):
    group = Group(world, "vault", them.anna, bob, [them.eric, them.bert], [carol], encrypted=encryption())
    bridge = make_bridge([group], extra=ALLOWED)
    readers = (them.anna, them.eric, them.bert)
    bridge.start()
    bob.send(group.muc, "behind the curtain")
    for reader in (them.anna, them.eric):
        heard = reader.wait(group.room, "behind the curtain")
        assert (heard.sender, heard.encrypted, heard.colour, heard.why) == (ghost("bob@localhost"), True, "NONE", None), heard
    assert them.bert.wait(group.room, "behind the curtain").device
    before = {each.session for each in ciphers(them.anna, group.room) if each.sender == ghost("bob@localhost")}
    # After kill -9 each goes on with the session that he had; nothing is said twice, and no index is used twice.
    lines = [f"line {n}" for n in range(10)]
    for line in lines[:5]:
        bob.send(group.muc, line)
    bridge.kill()
    bridge.start()
    for line in lines[5:]:
        bob.send(group.muc, line)
    for reader in readers:
        reader.wait(group.room, lines[-1])

    def said(reader):
        return [heard.body for heard in reader.timeline(group.room) if heard.body.startswith("line ")]

    for reader in readers:
        until(lambda reader=reader: said(reader) == lines, what=f"the lines once each at {reader!r}")
    seen = [each for each in ciphers(them.anna, group.room) if each.sender == ghost("bob@localhost")]
    assert not used_twice(seen)
    assert {each.session for each in seen} == before
    group.leave()
