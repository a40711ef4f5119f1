# SPDX-License-Identifier: Apache-2.0
"""One bad byte, one huge stanza, one hostile event costs its sender, never the stream (decisions 1.9)."""

import json
import socket
import time
from pathlib import Path

from checks import crosses, once_in_muc, saying
from clients import until
from world import BOT, ghost


def event(team, content, **fields):
    """A message event of Alice's as Synapse would deliver it."""
    return {
        "type": "m.room.message",
        "event_id": f"$forged{time.time_ns()}",
        "room_id": team.room,
        "sender": team.alice.user_id,
        "origin_server_ts": int(time.time() * 1000),
        "content": content,
        **fields,
    }


def text(body):
    return {"msgtype": "m.text", "body": body}


def test_control_characters_from_matrix(team):
    team.alice.send(team.room, "bell \u0007, escape \u001b, nonchar \uffff end")
    said = team.bob.wait(team.muc, "bell")
    assert said.body == "bell \ufffd, escape \ufffd, nonchar \ufffd end"
    crosses(team)


def test_unpaired_surrogates(team):
    body = event(team, text("left SURROGATE right"))
    raw = json.dumps({"events": [body]}).replace("SURROGATE", "\\ud800 and \\udc00").encode()
    assert team.bridge.transaction(raw)[0] == 200
    assert team.bob.wait(team.muc, "left").body == "left \ufffd and \ufffd right"
    crosses(team)


def test_control_characters_and_surrogates_in_a_name(team):
    """A display name that no XML could carry."""
    member = event(
        team,
        {"membership": "join", "displayname": "BAD"},
        type="m.room.member",
        sender=team.dave.user_id,
        state_key=team.dave.user_id,
    )
    raw = json.dumps({"events": [member]}).replace("BAD", "Da\\u0001\\ud800ve\\uffff").encode()
    assert team.bridge.transaction(raw)[0] == 200
    team.dave.send(team.room, "with a broken name")
    said = team.bob.wait(team.muc, "with a broken name")
    assert not set(said.name) & set("\u0001\uffff")
    crosses(team)


WRONG_FIELDS = [
    {},
    {"type": 5},
    {"content": "a string"},
    {"content": []},
    {"content": {"msgtype": 1, "body": 2}},
    {"content": {"body": None}},
    {"content": {"msgtype": "m.text"}},
    {"content": {"msgtype": "m.text", "body": "x", "m.relates_to": 7}},
    {"content": {"msgtype": "m.text", "body": "x", "m.relates_to": {"m.in_reply_to": []}}},
    {"sender": None},
    {"sender": ["@alice:hs.test"]},
    {"sender": "alice"},
    {"room_id": 4},
    {"event_id": {}},
    {"event_id": ""},
    {"origin_server_ts": "yesterday"},
    {"origin_server_ts": 1e300},
    {"type": "m.room.member", "state_key": 3},
    {"type": "m.room.power_levels", "state_key": "", "content": {"users": [], "state_default": "high"}},
]


def test_wrong_fields_cost_one_event(team):
    for number, bad in enumerate(WRONG_FIELDS):
        good = event(team, text(f"good after bad {number:02}"))
        broken = {**event(team, text("broken")), **bad} if bad else {}
        assert team.bridge.transaction([broken, good])[0] == 200, bad
        team.bob.wait(team.muc, good["content"]["body"], what=f"what follows {bad}")
    crosses(team)
    for number in range(len(WRONG_FIELDS)):
        once_in_muc(team.carol, team.muc, f"good after bad {number:02}")


def test_an_event_that_is_no_json_costs_itself(team):
    good = event(team, text("good beside poison"))
    deep = '{"a":' * 300 + "1" + "}" * 300
    twice = '{"event_id":"$twice","type":"m.room.message","type":"m.room.member"}'
    for poison in ('{"type":"m.room.message","content":{"body":"\\uZZZZ"}}', deep, twice, '{"body":"\\u0000"}', "[]", "7", '"x"'):
        good["event_id"] = f"$good{time.time_ns()}"
        good["content"]["body"] = f"good beside {len(poison)} {time.time_ns()}"
        raw = f'{{"events":[{poison},{json.dumps(good)}]}}'.encode()
        assert team.bridge.transaction(raw)[0] == 200, poison[:60]
        team.bob.wait(team.muc, good["content"]["body"])
    raw = b'{"events":[{"content":{"body":"\xff\xfe"}},' + json.dumps(event(team, text("after bad UTF-8"))).encode() + b"]}"
    assert team.bridge.transaction(raw)[0] == 200
    team.bob.wait(team.muc, "after bad UTF-8")
    crosses(team)


def test_a_broken_transaction_is_refused_then_set_aside(team):
    """delivery 5.1: 500 for the first three deliveries of the same bytes, then quarantine and 200."""
    number = f"broken{time.time_ns()}"
    answers = [team.bridge.transaction(b'{"events":[{"type":', number=number)[0] for _ in range(4)]
    assert answers == [500, 500, 500, 200]
    crosses(team)


def test_a_wrong_token_is_refused(team):
    status, _ = team.bridge.transaction([event(team, text("with a wrong token"))], token="x" * 40)
    assert status == 403
    crosses(team)
    assert not saying(team.bob.archive(team.muc), "with a wrong token")


def test_poison_reaches_its_author(team):
    """An event that cannot be parsed, and that Synapse hands on all the same (delivery F8): set aside, and its author is told."""
    team.alice.send(team.room, "poisoned words", **{"a\u0000b": 1})
    until(lambda: saying(team.alice.timeline(team.room) + team.alice.whispers(BOT), "could not be read"), what="Alice being told")
    crosses(team)
    assert team.bridge.metric("sourdine_quarantined_messages") == 1
    assert not saying(team.bob.archive(team.muc), "poisoned words")


def flood(port, count, keep, say=b""):
    """Opens connections that say little or nothing, and keeps the last ones open; how many could be made."""
    made, held = 0, []
    for _ in range(count):
        sock = socket.socket()
        sock.settimeout(1)
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(say)
            made += 1
        except OSError:
            pass
        held.append(sock)
        if len(held) > keep:
            held.pop(0).close()
    return made, held


def descriptors(team):
    return len(list(Path(f"/proc/{team.bridge.process.pid}/fd").iterdir()))


def same_stream(team, before):
    """The component's stream was not lost: no ghost of ours left the room meanwhile."""
    now = team.bob.occupants(team.muc)
    assert {nick for nick in before if nick in now} == set(before)


def test_ten_thousand_connections(team):
    """They cost themselves: the homeserver's own pushes go on, and so does the stream."""
    crosses(team)
    before = descriptors(team)
    occupants = team.bob.occupants(team.muc)
    port = team.bridge.world.appservice
    held = []
    for say in (b"", b"PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01\x02\x00", b"\r\n"):
        made, kept = flood(port, 2500, 150, say)
        held += kept
        assert made > 2000
        crosses(team)
        assert descriptors(team) <= before + 80
    for sock in held:
        sock.close()
    until(lambda: descriptors(team) <= before + 2, 20, what="their descriptors being closed")
    same_stream(team, occupants)


def test_slow_clients_are_closed(team):
    """Clients that drip a byte at a time: each is closed after ten seconds, and nobody waits for them."""
    port = team.bridge.world.appservice
    _, held = flood(port, 100, 100, b"PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nX-Slow: ")
    begun, closed = time.monotonic(), 0
    while held and time.monotonic() - begun < 20:
        for sock in list(held):
            try:
                sock.sendall(b"x")
            except OSError:
                held.remove(sock)
                closed += 1
        crosses(team)
    assert not held and closed == 100


def test_a_transaction_twice_is_one(team):
    twice = event(team, text("delivered twice"))
    number = f"again{time.time_ns()}"
    for txn in (number, number, f"{number}b"):
        assert team.bridge.transaction([twice], number=txn)[0] == 200
    team.bob.wait(team.muc, "delivered twice")
    crosses(team)
    once_in_muc(team.bob, team.muc, "delivered twice")


def test_our_own_ghost_does_not_come_back(team):
    team.bob.send(team.muc, "makes the ghost")
    team.alice.wait(team.room, "makes the ghost")
    for sender in (ghost("bob@localhost"), BOT):
        team.bridge.transaction([event(team, text(f"forged as {sender}"), sender=sender)])
    crosses(team)
    assert not saying(team.bob.archive(team.muc), "forged as")


def test_markup_stays_text(team):
    nasty = "<script>alert(1)</script> & ]]> <b>no</b> &amp; \u202e reversed"
    team.bob.send(team.muc, nasty)
    said = team.alice.wait(team.room, "<script>")
    assert said.body == nasty
    html = said.raw["content"].get("formatted_body", "")
    assert "<script" not in html
    team.alice.send(team.room, nasty, format="org.matrix.custom.html", formatted_body="<script>alert(2)</script><b>x</b>")
    assert "<script>alert(2)" not in team.bob.wait(team.muc, lambda m: m.name == "Alice").body
