# SPDX-License-Identifier: Apache-2.0
"""What clients that encrypt say, as XMPP reads it."""

from types import SimpleNamespace

from clients import until
from world import BOT

# Added to the last group, and after it: nio's devices can be signed by nobody.
ALLOWED = "    encrypted: allow\n    trust: all\nencryption:\n  trust: all\n"


def heard(bob, muc, bodies):
    until(lambda: [m.body for m in bob.timeline(muc) if m.body in bodies] == bodies, what=f"{bodies} in {muc}")


def test_texts_of_both_clients_and_over_a_pause(them, make_group, make_bridge, bob):
    """T4 (texts) and T5: whatever was rotated while the bridge was not there."""
    anna, bert = them.anna, them.bert
    group = make_group("secret")
    room = them.room(anna, [bert])
    bridge = make_bridge([SimpleNamespace(name="secret", wiring=(room, group.muc))], extra=ALLOWED)
    bridge.start()
    for person in (anna, bert):
        person.wait_knows(room, {anna.user, bert.user, BOT})
    first = [f"{n} of {who!r}" for n in range(3) for who in (anna, bert)]
    for n, body in enumerate(first):
        (anna, bert)[n % 2].send(room, body)
    heard(bob, group.muc, first)

    bridge.stop()
    second = []
    for person in (anna, bert):
        person.rotate(room)
        for n in range(3):
            second.append(f"meanwhile {n} of {person!r}")
            person.send(room, second[-1])
    bridge.start()
    heard(bob, group.muc, second)
    assert not [m.body for m in bob.timeline(group.muc) if "decrypt" in (m.body or "")]
