# SPDX-License-Identifier: Apache-2.0
"""What was sent, and the verdict on what came of it.

The ledger knows every message that a sender's own server acknowledged. The verdict compares it with the
timeline that an independent reader saw in the other room: nothing else is ever asked, least of all the
daemon. Every body carries a mark, TAG:sender:number, and a text that follows from it, so that a message
is recognised inside frames ("Ann: ...") and any change of the text is seen.

Order. Two messages have a fixed order when one sender wrote them, or when the first was acknowledged
before the second was begun. Messages of different senders that overlapped have none: a homeserver that
takes several at once may show either first.
"""

import json
import re
from dataclasses import asdict, dataclass, field

FILLER = (
    "été déjà vu, cœur & <b>not bold</b>",
    "plain words, nothing more",
    "ümläut \u2603 \U0001f9e6 “quotes”",
    "x < y && y > z; a_b_c *stars* `code`",
    "une phrase un peu plus longue, pour que toutes ne tiennent pas dans le même nombre d'octets",
)


@dataclass
class Message:
    sender: str
    number: int
    text: str
    start: float = 0.0  # when its sender began to send it
    end: float = 0.0  # when its server had acknowledged it; 0: it never did
    remote: str = ""  # the id that its server gave it

    @property
    def key(self):
        return self.sender, self.number


@dataclass
class Figures:
    sent: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    altered: int = 0  # arrived, but not with the text that was sent
    late: int = 0  # out of order, and marked with the instant of its writing (delivery 1.1, clause 4)
    unsent: int = 0  # never acknowledged by its own server: the test failed, not the bridge
    examples: list = field(default_factory=list)

    def clean(self):
        return not (self.lost or self.duplicated or self.reordered or self.altered or self.unsent)

    def add(self, other):
        for name in ("sent", "delivered", "lost", "duplicated", "reordered", "altered", "late", "unsent"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples = (self.examples + other.examples)[:12]
        return self

    def as_json(self):
        return json.dumps(asdict(self))


class Ledger:
    """The messages of one direction of one row."""

    def __init__(self, tag):
        assert re.fullmatch(r"[a-z0-9]+", tag)
        self.tag = tag
        self.messages = []
        self._next = {}
        self._mark = re.compile(rf"\b{tag}:([a-z0-9]+):(\d+)\b")

    def message(self, sender):
        """A new message of this sender, in the ledger from now on."""
        number = self._next.get(sender, 0)
        self._next[sender] = number + 1
        text = f"{self.tag}:{sender}:{number} {FILLER[(number + len(self.messages)) % len(FILLER)]}"
        self.messages.append(Message(sender, number, text))
        return self.messages[-1]

    def keys_in(self, body):
        """The keys of this ledger's messages that a body speaks of, in its order."""
        return [(sender, int(number)) for sender, number in self._mark.findall(body)]

    def seen(self, bodies):
        """How many different messages the bodies hold."""
        known = {message.key for message in self.messages}
        return len({key for body in bodies for key in self.keys_in(body)} & known)

    def verdict(self, bodies, between_senders=True, stamped=()):
        """Judge the bodies that a reader saw, in his order (a digest groups by sender: only each sender's order counts).

        `stamped`: the keys of messages that were shown with the instant of their writing, which excuses their place.
        """
        by_key = {message.key: message for message in self.messages}
        figures = Figures(sent=len(self.messages))
        times, last_number, latest_start = {}, {}, 0.0
        for body in bodies:
            for key in self.keys_in(body):
                message = by_key.get(key)
                if message is None:
                    self._blame(figures, "altered", "nobody sent", key)
                    continue
                times[key] = times.get(key, 0) + 1
                if times[key] > 1:
                    self._blame(figures, "duplicated", "again", key)
                    continue
                if message.text not in body:
                    self._blame(figures, "altered", "other words in", key)
                overtaken = between_senders and message.end and message.end < latest_start
                if message.number < last_number.get(message.sender, -1) or overtaken:
                    self._blame(figures, "late" if key in stamped else "reordered", "late", key)
                last_number[message.sender] = max(message.number, last_number.get(message.sender, -1))
                latest_start = max(latest_start, message.start)
        for message in self.messages:
            if not message.end:
                self._blame(figures, "unsent", "not acknowledged", message.key)
            if message.key in times:
                figures.delivered += 1
            elif message.end:
                self._blame(figures, "lost", "never seen", message.key)
        return figures

    def story(self, bodies):
        """The order in which a reader saw the messages, with the times of their sending: for a person who looks for a fault."""
        by_key = {message.key: message for message in self.messages}
        first = min((message.start for message in self.messages), default=0.0)
        keys = [key for body in bodies for key in self.keys_in(body) if key in by_key]
        times = ((key, by_key[key].start - first, by_key[key].end - first) for key in keys)
        return "".join(f"{self.tag} {key[0]}:{key[1]} {start:.3f} {end:.3f}\n" for key, start, end in times)

    @staticmethod
    def _blame(figures, what, words, key):
        setattr(figures, what, getattr(figures, what) + 1)
        if len(figures.examples) < 6:
            figures.examples.append(f"{words} {key[0]}:{key[1]}")
