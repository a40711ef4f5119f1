# SPDX-License-Identifier: Apache-2.0
"""What can be seen of encryption without a key: which session and which index an event in a room was encrypted with."""

import base64
from collections import defaultdict
from dataclasses import dataclass


@dataclass
class Cipher:
    """One encrypted event as it lies on the server."""

    id: str
    sender: str
    device: str
    session: str
    index: int
    content: dict


def from_base64(text):
    """The bytes of base64 without padding."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def to_base64(data):
    """Bytes as base64 without padding, as Matrix writes them."""
    return base64.b64encode(data).decode().rstrip("=")


def index_of(ciphertext):
    """The message index that stands in clear in a Megolm message: version 3, then field 1 as a varint."""
    data = from_base64(ciphertext)
    assert data[:2] == b"\x03\x08", f"no Megolm message: {data[:2]!r}"
    index = 0
    for shift, byte in enumerate(data[2:12]):
        index |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return index
    raise AssertionError("a Megolm message without an end to its index")


def ciphers(client, room):
    """The encrypted events of a room in the server's order, asked of the server anew."""
    return [
        Cipher(
            event["event_id"],
            event["sender"],
            event["content"].get("device_id"),
            event["content"]["session_id"],
            index_of(event["content"]["ciphertext"]),
            event["content"],
        )
        for event in client.history(room)
        if event["type"] == "m.room.encrypted" and "ciphertext" in event["content"]
    ]


def used_twice(seen):
    """The indices that more than one event was encrypted with: (session, index) -> event ids. Empty is good."""
    found = defaultdict(list)
    for each in seen:
        found[each.session, each.index].append(each.id)
    return {which: ids for which, ids in found.items() if len(ids) > 1}
