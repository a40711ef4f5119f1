# SPDX-License-Identifier: Apache-2.0
"""The fault runner's eyes: plants a loss, a repetition, an inversion and a change, and must see each.

Runs under pytest, and by itself: `python3 test_ledger.py`, which the runner does before anything else.
"""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ledger import Ledger  # noqa: E402


def filled(senders=5, each=40):
    """A ledger whose messages were acknowledged one after the other, round the senders."""
    ledger = Ledger("t")
    clock = 1.0
    for _ in range(each):
        for number in range(senders):
            message = ledger.message(f"s{number}")
            message.start, message.end = clock, clock + 0.5
            clock += 1
    return ledger, [message.text for message in ledger.messages]


def test_a_late_one_is_excused_by_its_stamp_only():
    ledger, bodies = filled()
    key = ledger.keys_in(bodies[3])[0]
    bodies.insert(60, bodies.pop(3))
    assert ledger.verdict(bodies).reordered == 1
    seen = ledger.verdict(bodies, stamped={key})
    assert (seen.reordered, seen.late, seen.clean()) == (0, 1, True)
    assert ledger.verdict(bodies, stamped={("s9", 1)}).reordered == 1


def figures(change):
    ledger, bodies = filled()
    return ledger.verdict(change(bodies))


def counts(it):
    return it.lost, it.duplicated, it.reordered, it.altered, it.unsent


def test_nothing_wrong():
    it = figures(lambda bodies: bodies)
    assert counts(it) == (0, 0, 0, 0, 0) and it.clean()
    assert (it.sent, it.delivered) == (200, 200)


def test_frames_and_foreign_lines_do_not_matter():
    it = figures(lambda bodies: ["14 messages since Fri 18:30"] + [f"Ann: {body} (Mon 19:04)" for body in bodies] + ["bye"])
    assert it.clean() and it.delivered == 200


def test_each_loss_is_seen():
    for gone in (0, 77, 199):
        it = figures(lambda bodies: bodies[:gone] + bodies[gone + 1 :])
        assert counts(it) == (1, 0, 0, 0, 0) and it.delivered == 199 and not it.clean()
    assert figures(lambda bodies: []).lost == 200


def test_each_repetition_is_seen():
    for where in (1, 50, 200):
        it = figures(lambda bodies: bodies[:where] + [bodies[where - 1]] + bodies[where:])
        assert counts(it) == (0, 1, 0, 0, 0) and not it.clean()
    it = figures(lambda bodies: bodies + bodies)
    assert it.duplicated == 200 and it.reordered == 0


def test_an_inversion_of_one_sender_is_seen():
    def swap(bodies):
        bodies[10], bodies[15] = bodies[15], bodies[10]  # five senders: both are s0's
        return bodies

    assert figures(swap).reordered >= 1


def test_an_inversion_between_senders_is_seen():
    def swap(bodies):
        bodies[10], bodies[11] = bodies[11], bodies[10]
        return bodies

    assert counts(figures(swap)) == (0, 0, 1, 0, 0)


def test_messages_that_overlapped_have_no_order():
    ledger, bodies = filled()
    ledger.messages[10].end = ledger.messages[11].end + 1
    bodies[10], bodies[11] = bodies[11], bodies[10]
    assert ledger.verdict(bodies).clean()


def test_a_late_message_is_out_of_order_once():
    it = figures(lambda bodies: bodies[1:] + bodies[:1])
    assert counts(it) == (0, 0, 1, 0, 0)


def test_a_changed_text_is_seen():
    def cut(bodies):
        bodies[3] = bodies[3][:-1]
        return bodies

    assert counts(figures(cut)) == (0, 0, 0, 1, 0)


def test_a_message_that_nobody_sent_is_seen():
    assert figures(lambda bodies: bodies + ["t:s0:4000 forged"]).altered == 1
    assert figures(lambda bodies: bodies + ["u:s0:0 another run"]).clean()


def test_a_message_that_never_left_is_no_loss_but_no_success():
    ledger, bodies = filled()
    ledger.messages[7].end = 0
    it = ledger.verdict(bodies[:7] + bodies[8:])
    assert counts(it) == (0, 0, 0, 0, 1) and not it.clean()


def test_random_plants_are_counted_exactly():
    dice = random.Random(20261122)
    for _ in range(50):
        ledger, bodies = filled()
        gone = set(dice.sample(range(200), dice.randrange(20)))
        twice = dice.sample(sorted(set(range(200)) - gone), dice.randrange(20))
        seen = [bodies[i] for i in range(200) if i not in gone]
        for i in twice:
            seen.insert(seen.index(bodies[i]) + 1, bodies[i])
        it = ledger.verdict(seen)
        assert counts(it) == (len(gone), len(twice), 0, 0, 0)


def main():
    tests = [(name, test) for name, test in sorted(globals().items()) if name.startswith("test_")]
    for name, test in tests:
        test()
    return len(tests)


if __name__ == "__main__":
    print(f"ledger: {main()} tests passed")
