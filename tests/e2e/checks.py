# SPDX-License-Identifier: Apache-2.0
"""What the tests ask of timelines, in one place: who said what, how often, in which order."""

import time

from clients import Impatience, until
from world import BOT, BOT_NICK

HOURGLASSES = ("\u23f3", "\u231b")


def bodies(timeline):
    return [said.body for said in timeline]


def saying(timeline, text):
    """The messages that contain the text."""
    return [said for said in timeline if text in said.body]


def in_order(timeline, texts):
    """The order in which the texts appear: each exactly once, none missing."""
    found = [text for said in timeline for text in texts if text in said.body]
    assert found == list(texts), f"wanted {list(texts)}, saw {found}"


def once_in_matrix(person, room, text):
    """The server's own history holds the text in exactly one message; gives it."""
    found = saying(person.history(room), text)
    assert len(found) == 1, f"{text!r} stands {len(found)} times in {room}: {bodies(found)}"
    return found[0]


def once_in_muc(person, muc, text):
    """The room's archive holds the text in exactly one message; gives it."""
    found = saying(person.archive(muc), text)
    assert len(found) == 1, f"{text!r} stands {len(found)} times in {muc}: {bodies(found)}"
    return found[0]


def answers_to(person, room, event_id):
    """The bot's messages on Matrix that answer an event, by reply or thread."""

    def concerns(said):
        relates = said.relates
        return event_id in (relates.get("event_id"), relates.get("m.in_reply_to", {}).get("event_id"))

    return [said for said in person.timeline(room) if said.who == BOT and concerns(said)]


def ask_matrix(person, room, command):
    """Type a command in a Matrix room; the bot's answer, an m.notice in a thread or reply."""
    event_id = person.send(room, command)
    try:
        said = until(lambda: answers_to(person, room, event_id), what="an answer")[0]
    except Impatience:
        raise Impatience(f"no answer to {command!r}; the bot said {[s.body for s in person.timeline(room) if s.who == BOT]}") from None
    assert said.kind == "m.notice", said
    return said.body


def bot_in_muc(person, muc):
    """What the bot told this person: in the room, and privately through it."""
    said = person.whispers(muc, BOT_NICK) + [m for m in person.timeline(muc) if m.name == BOT_NICK]
    return sorted(said, key=lambda m: m.seen)


def ask_muc(person, muc, command):
    """Type a command in a MUC; the bot's answer, private or in the room."""
    before = time.monotonic()
    person.send(muc, command)

    def fresh():
        return [m for m in bot_in_muc(person, muc) if m.seen > before]

    try:
        return until(fresh, what="an answer")[0].body
    except Impatience:
        raise Impatience(f"no answer to {command!r}; the bot said {bodies(bot_in_muc(person, muc))}") from None


def crosses(team, text="still alive"):
    """Both directions work: used as a barrier, everything said before has gone before."""
    stamp = f"{text} {time.time_ns()}"
    team.alice.send(team.room, f"{stamp} m")
    team.bob.send(team.muc, f"{stamp} x")
    team.bob.wait(team.muc, f"{stamp} m")
    team.alice.wait(team.room, f"{stamp} x")


def hourglass(person, room, event_id):
    """The bot's reaction that says "held" stands under the message."""
    return any(who == BOT and key.startswith(HOURGLASSES) for who, key in person.reactions(room, event_id))
