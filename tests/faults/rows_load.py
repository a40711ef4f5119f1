# SPDX-License-Identifier: Apache-2.0
"""No fault at all: what crosses at half of what a raw sender gets from the same server."""

from row import Result, finish, raw_rates
from stage import Pair


def steady_out(stage, options, ghosts):
    """Matrix to XMPP at half of what eight raw senders get from this homeserver in this room."""
    pair = Pair(stage, matrix=ghosts)
    result = Result()
    try:
        raw = raw_rates(pair, options, lanes=False)[0]
        pair.start()
        load = pair.say_matrix(options.messages, rate=raw / 2).wait()
        result.notes.append(f"raw {raw:.1f}/s, paced {raw / 2:.1f}/s, sent {load.speed():.1f}/s")
        return finish(result, pair, options)
    finally:
        pair.close()


def steady_in(stage, options, ghosts):
    """XMPP to Matrix at half of what one raw lane gets from this homeserver in a room of as many members."""
    pair = Pair(stage, matrix=ghosts, natives=ghosts)
    result = Result()
    try:
        _, lane, muc = raw_rates(pair, options)
        pair.start()
        load = pair.say_xmpp(options.messages, rate=lane / 2).wait()
        result.notes.append(f"raw lane {lane:.1f}/s, raw MUC {muc:.0f}/s, paced {lane / 2:.1f}/s, sent {load.speed():.1f}/s")
        return finish(result, pair, options)
    finally:
        pair.close()
