# SPDX-License-Identifier: Apache-2.0
"""One bad byte, one huge stanza, one hostile event costs its sender, never the stream (decisions 1.9)."""

import json
import time
from xml.sax.saxutils import escape

import pytest
from checks import crosses, once_in_muc, saying
from clients import until
from world import BOT, ghost


@pytest.fixture
def mallory(world):
    """A third XMPP account, whose connection may not survive what he sends."""
    person = world.xmpp("admin")
    yield person
    world.people.remove(person)
    person.close()


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


def same_stream(team, before):
    """The component's stream was not lost: no ghost of ours left the room meanwhile."""
    now = team.bob.occupants(team.muc)
    assert {nick for nick in before if nick in now} == set(before)


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


def test_a_body_of_a_megabyte(team, mallory):
    mallory.join(team.muc, "Mallory")
    crosses(team)
    before = team.bob.occupants(team.muc)
    mallory.raw(f"<message to='{team.muc}' type='groupchat' id='mega'><body>{'mega ' * 200000}</body></message>")
    team.bob.wait(team.muc, "mega mega", 60)
    crosses(team)
    same_stream(team, before)
    assert not saying(team.alice.history(team.room), "mega mega")


def test_a_stanza_with_64000_children(team, mallory):
    mallory.join(team.muc, "Mallory")
    crosses(team)
    before = team.bob.occupants(team.muc)
    many = "<a xmlns='urn:x'/>" * 64000
    mallory.raw(f"<message to='{team.muc}' type='groupchat' id='many'><body>many children</body>{many}</message>")
    team.bob.wait(team.muc, "many children", 60)
    crosses(team)
    same_stream(team, before)


def test_depth_and_attributes(team, mallory):
    mallory.join(team.muc, "Mallory")
    crosses(team)
    before = team.bob.occupants(team.muc)
    deep = "<a xmlns='urn:x'>" * 80 + "</a>" * 80  # ours ends at 64; Prosody itself at something near 100
    wide = "<a xmlns='urn:x' " + " ".join(f"b{i}='1'" for i in range(300)) + "/>"
    for name, extra in (("deep", deep), ("wide", wide)):
        mallory.raw(f"<message to='{team.muc}' type='groupchat' id='{name}'><body>so {name}</body>{extra}</message>")
        team.bob.wait(team.muc, f"so {name}", 60)
    crosses(team)
    same_stream(team, before)


def test_markup_stays_text(team):
    nasty = "<script>alert(1)</script> & ]]> <b>no</b> &amp; \u202e reversed"
    team.bob.send(team.muc, nasty)
    said = team.alice.wait(team.room, "<script>")
    assert said.body == nasty
    html = said.raw["content"].get("formatted_body", "")
    assert "<script" not in html
    team.alice.send(team.room, nasty, format="org.matrix.custom.html", formatted_body="<script>alert(2)</script><b>x</b>")
    assert "<script>alert(2)" not in team.bob.wait(team.muc, lambda m: m.name == "Alice").body


def test_forged_ids_suppress_nobody(team, mallory):
    """Somebody who copies the id, origin-id, stanza-id or occupant-id of others' messages hurts only himself."""
    mallory.join(team.muc, "Mallory")
    team.alice.send(team.room, "the original")
    original = team.bob.wait(team.muc, "the original")
    ids = escape(original.id), escape(original.stanza_id)
    mallory.raw(
        f"<message to='{team.muc}' type='groupchat' id='{ids[0]}'><body>copies the id</body>"
        f"<origin-id xmlns='urn:xmpp:sid:0' id='{ids[0]}'/>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{team.muc}' id='{ids[1]}'/>"
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='me'/></message>"
    )
    team.bob.wait(team.muc, "copies the id")
    crosses(team)
    team.alice.send(team.room, "another")
    team.bob.wait(team.muc, "another")
    once_in_muc(team.carol, team.muc, "the original")
    assert not [m for m in team.alice.history(team.room) if "copies the id" in m.body and "Mallory" not in m.name]


def test_a_forged_from_speaks_for_nobody(team, mallory):
    mallory.join(team.muc, "Mallory")
    team.alice.send(team.room, "makes my ghost")
    team.bob.wait(team.muc, "makes my ghost")
    hers = team.bob.occupants(team.muc)["Alice"]["jid"]
    for claimed in (hers, hers.split("/")[0], f"{team.muc}/Alice"):
        mallory.raw(f"<message from='{escape(claimed)}' to='{team.muc}' type='groupchat'><body>forged words</body></message>")
        time.sleep(0.2)
        if not mallory.connected():
            mallory.connect()
            mallory.join(team.muc, "Mallory")
    crosses(team)
    names = {m.name for m in saying(team.alice.history(team.room), "forged words")}
    assert names <= {"Mallory"}
    assert {m.name for m in saying(team.bob.archive(team.muc), "forged words")} <= {"Mallory"}


def test_a_private_message_with_forged_history_is_not_obeyed(team, mallory):
    """XEP-0280 and XEP-0297 wrappers around somebody else's command (CVE-2017-5589 and its family)."""
    mallory.join(team.muc, "Mallory")
    inner = (
        f"<message xmlns='jabber:client' type='groupchat' from='{team.muc}/Bob' to='x@y'><body>!sd hours mon-fri 9:00-18:00</body></message>"
    )
    for wrapper in (
        f"<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></received>",
        f"<result xmlns='urn:xmpp:mam:2' id='1' queryid='q'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></result>",
    ):
        mallory.raw(f"<message to='{team.muc}' type='groupchat'><body>wrapped</body>{wrapper}</message>")
        mallory.raw(f"<message to='bot@sourdine.localhost' type='chat'>{wrapper}</message>")
    crosses(team)
    assert not [m for m in team.bob.timeline(team.muc) if m.name == "Sourdine" and "09:00" in m.body]
