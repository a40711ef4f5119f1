# SPDX-License-Identifier: Apache-2.0
"""Hostile XMPP: it costs its sender, never the stream, and nobody else's message (decisions 1.9, security S4 to S7).

What a real server lets through is sent by Mallory, who has an account. What it would not is put on the
wire between the server and the daemon: so a broken or malicious server of elsewhere would speak.
"""

import os
import re
import time
from pathlib import Path
from types import SimpleNamespace
from xml.sax.saxutils import escape, quoteattr

import pytest
from checks import crosses, once_in_matrix, once_in_muc, saying
from clients import never, until
from wire import Wire
from world import BOT, COMPONENT, Bridge, Group, ghost

LISTENER = f"bot@{COMPONENT}/sourdine"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


@pytest.fixture
def mallory(world):
    """A third XMPP account, whose connection may not survive what he sends."""
    person = world.xmpp("admin")
    yield person
    world.people.remove(person)
    person.close()


@pytest.fixture(scope="module")
def team(world, alice, dave, bob, carol):
    """In this file's place of the usual one: a group whose daemon hears the XMPP server through `wire`; one for the whole file."""
    group = Group(world, "tapped", alice, bob, (dave,), (carol,))
    bridge = Bridge(world, {"tapped": group.wiring}, clock="2026-11-23 10:00")
    wire = Wire(world.component)
    wire.between(bridge)
    bridge.start()
    until(group.bot_in, what="the bot joining")
    team = SimpleNamespace(
        group=group, bridge=bridge, wire=wire, room=group.room, muc=group.muc, alice=alice, dave=dave, bob=bob, carol=carol
    )
    crosses(team)
    yield team
    wrong = bridge.close()
    wire.close()
    group.leave()
    assert not wrong, wrong


def said_in_room(team, nick, inner, kind="groupchat", id="x", to=LISTENER):
    """A message as the room would send it."""
    return f"<message from={quoteattr(f'{team.muc}/{nick}')} to='{to}' type='{kind}' id='{id}'>{inner}</message>"


def ignored(team, reason):
    return team.bridge.metric(f'sourdine_ignored_total{{reason="{reason}"}}')


def seconds_of_cpu(bridge):
    fields = Path(f"/proc/{bridge.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_sanitized(world):
    return b"__asan_init" in Path(world.sourdine).read_bytes()


def no_errors_sent(team):
    """Never an error stanza into a room; requests alone are answered with one."""
    assert not team.wire.heard(lambda e: e.get("type") == "error" and not e.tag.endswith("}iq"))


# -- too large, too deep, too wide


def test_oversized_stanzas_through_the_server(team, mallory):
    mallory.join(team.muc, "Mallory")
    crosses(team)
    before = team.bob.occupants(team.muc)
    deep = "<a xmlns='urn:x'>" * 80 + "</a>" * 80  # ours ends at 64; Prosody's at something near 100
    wide = "<a xmlns='urn:x' " + " ".join(f"b{i}='1'" for i in range(300)) + "/>"
    shapes = {
        "mega": f"<body>{'mega ' * 200000}</body>",
        "many": f"<body>so many</body>{'<a xmlns=%surn:x%s/>' % (chr(39), chr(39)) * 64000}",
        "deep": f"<body>so deep</body>{deep}",
        "wide": f"<body>so wide</body>{wide}",
    }
    for name, inner in shapes.items():
        mallory.raw(f"<message to='{team.muc}' type='groupchat' id='{name}'>{inner}</message>")
        team.bob.wait(team.muc, name, 60)
    crosses(team)
    assert set(before) <= set(team.bob.occupants(team.muc)), "the stream was not lost: no ghost left"
    history = team.alice.history(team.room)
    assert not [m for name in shapes for m in saying(history, name) if m.name == "Mallory"]


def test_oversized_stanzas_cost_little(team, world):
    over, connections = ignored(team, "over_limit"), team.wire.connections
    shapes = {
        "64,000 children": "<a/>" * 64000,
        "36,000 deep": "<a>" * 36000 + "</a>" * 36000,
        "65 attributes": "<a " + " ".join(f"a{i}='1'" for i in range(65)) + "/>",
        "a megabyte": f"<x>{'0123456789abcdef' * 65536}</x>",
    }
    for number, (shape, inner) in enumerate(shapes.items()):
        crosses(team)
        spent = seconds_of_cpu(team.bridge)
        team.wire.inject(said_in_room(team, "Carol", f"<body>oversized: {shape}</body>{inner}", id=f"big{number}"))
        until(lambda n=number: ignored(team, "over_limit") == over + n + 1, what=f"{shape} being skipped")
        spent = seconds_of_cpu(team.bridge) - spent
        print(f"{shape}: {spent:.2f} s of CPU")
        assert spent < (1.0 if is_sanitized(world) else 0.1), f"{shape} cost {spent:.2f} s"
    crosses(team)
    assert team.wire.connections == connections
    assert not saying(team.alice.history(team.room), "oversized")


def test_a_body_too_large_for_the_other_side_is_told(team):
    """Ten parts of a Matrix event are the most; what does not fit is refused as a whole."""
    crosses(team)
    whispered = len(team.carol.private())
    team.carol.send(team.muc, "beginning of the flood " + "\\" * 450000)
    until(lambda: len(team.carol.private()) > whispered, 60, "Carol being told")
    assert "large" in team.carol.private()[-1].body or "long" in team.carol.private()[-1].body, team.carol.private()[-1].body
    crosses(team)
    assert not saying(team.alice.history(team.room), "beginning of the flood")


# -- what pretends to be ours, or another's


def test_what_pretends_to_be_ours_is_ignored(team):
    team.alice.send(team.room, "makes my ghost")
    hers = team.bob.wait(team.muc, "makes my ghost")
    jid = team.bob.occupants(team.muc)["Alice"]["jid"]
    forged = ignored(team, "forged")
    body = "<body>forged words</body>"
    pretences = [
        said_in_room(team, "Alice", body),
        said_in_room(team, "Sourdine", body),
        said_in_room(team, "Alice", body + "<mark xmlns='urn:sourdine:mark' key='aaaaaaaaaaaaaaaa'/>"),
        f"<message from='{jid}' to='{LISTENER}' type='chat'>{body}</message>",
        f"<message from='bot@{COMPONENT}' to='bot@{COMPONENT}' type='chat'>{body}</message>",
        f"<message from='elsewhere@rooms.localhost/Eve' to='{LISTENER}' type='groupchat'>{body}</message>",
    ]
    for pretence in pretences:
        team.wire.inject(pretence)
    crosses(team)
    assert ignored(team, "forged") == forged + len(pretences)
    # The same again, as an echo that came twice: no row, but no forgery either.
    mark = hers.raw.find("{urn:sourdine:mark}mark").get("key")
    team.wire.inject(said_in_room(team, "Alice", f"{body}<mark xmlns='urn:sourdine:mark' key='{mark}'/>", id=hers.id))
    crosses(team)
    assert ignored(team, "forged") == forged + len(pretences)
    assert not saying(team.alice.history(team.room), "forged words")
    assert not saying(team.bob.archive(team.muc), "forged words")


def test_what_lacks_something_is_ignored(team):
    malformed, connections = ignored(team, "malformed"), team.wire.connections
    counted = [
        f"<message to='{LISTENER}' type='groupchat'><body>lacks something</body></message>",
        f"<message from='' to='{LISTENER}' type='groupchat'><body>lacks something</body></message>",
        f"<presence to='{LISTENER}'/>",
        f"<iq type='get' from='eve@evil.example/x' to='bot@{COMPONENT}'><ping xmlns='urn:xmpp:ping'/></iq>",
        f"<iq type='result' from='eve@evil.example/x' to='{LISTENER}'/>",
    ]
    harmless = [
        f"<message from='@@//' to='{LISTENER}' type='groupchat'><body>lacks something</body></message>",
        f"<message from='{team.muc}' to='{LISTENER}' type='groupchat'><body>lacks something</body></message>",
        f"<message from='{team.muc}/Carol' type='groupchat'><body>lacks something</body></message>",
        f"<message from='{team.muc}/Carol' to='' type='chat'><body>lacks something</body></message>",
        said_in_room(team, "Carol", "<body/><subject/>"),
        said_in_room(team, "Carol", "lacks something"),
        f"<presence from='{team.muc}/Odd' to='{LISTENER}'/>",
        f"<presence from='{team.muc}/Odd' to='{LISTENER}' type='odd'><x xmlns='http://jabber.org/protocol/muc#user'/></presence>",
        f"<presence from='{team.muc}' to='{LISTENER}'><x xmlns='http://jabber.org/protocol/muc#user'><item/></x></presence>",
        f"<iq type='set' id='1' from='eve@evil.example/x' to='bot@{COMPONENT}'/>",
        f"<iq id='2' from='eve@evil.example/x' to='bot@{COMPONENT}'/>",
        "<odd from='eve@evil.example/x'/>",
        f"<message xmlns='jabber:odd' from='{team.muc}/Carol' to='{LISTENER}' type='groupchat'><body>lacks something</body></message>",
    ]
    for stanza in counted + harmless:
        team.wire.inject(stanza)
    crosses(team)
    assert ignored(team, "malformed") >= malformed + len(counted)
    assert team.wire.connections == connections
    assert not saying(team.alice.history(team.room), "lacks something")
    no_errors_sent(team)


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


def test_copied_ids_suppress_nobody(team, mallory):
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
    # Two people who reuse one id: both are heard.
    for person, text in ((team.carol, "first of one id"), (mallory, "second of one id")):
        person.raw(f"<message to='{team.muc}' type='groupchat' id='the-same'><body>{text}</body></message>")
        team.alice.wait(team.room, text)
    crosses(team)
    team.alice.send(team.room, "another")
    team.bob.wait(team.muc, "another")
    once_in_muc(team.carol, team.muc, "the original")
    assert not [m for m in team.alice.history(team.room) if "copies the id" in m.body and "Mallory" not in m.name]


def test_two_ids_of_the_rooms_are_none(team):
    forged = ignored(team, "forged")
    sid = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{team.muc}' id='%s'/>"
    occupant = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='%s'/>"
    team.wire.inject(said_in_room(team, "Carol", f"<body>two stanza ids</body>{sid % 'a'}{sid % 'b'}", id="s1"))
    team.wire.inject(said_in_room(team, "Carol", f"<body>two occupant ids</body>{occupant % 'a'}{occupant % 'b'}", id="s2"))
    for text in ("two stanza ids", "two occupant ids"):
        assert team.alice.wait(team.room, text).who == ghost(team.carol.jid)
        once_in_matrix(team.dave, team.room, text)
    assert ignored(team, "forged") > forged
    # The next message of the real room is neither lost nor taken for one of these.
    crosses(team)


# -- messages inside messages, and beside them


def test_wrapped_messages_are_not_unwrapped(team, mallory):
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


def test_no_message_inside_a_message_is_heard(team):
    forged = ignored(team, "forged")
    inner = f"<message xmlns='jabber:client' type='groupchat' from='{team.muc}/Bob'><body>words inside</body></message>"
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T00:00:00Z'/>{inner}</forwarded>"
    result = f"<result xmlns='urn:xmpp:mam:2' id='inside%s' queryid='guessed'>{forwarded}</result>"
    wraps = [
        f"<sent xmlns='urn:xmpp:carbons:2'>{forwarded}</sent>",
        f"<received xmlns='urn:xmpp:carbons:2'>{forwarded}</received>",
        f"<privilege xmlns='urn:xmpp:privilege:2'>{forwarded}</privilege>",
        forwarded,
        result % 1,
        "<body xmlns='http://www.w3.org/1999/xhtml'>words inside</body>",
        "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>words inside</body></html>",
    ]
    for wrap in wraps:
        team.wire.inject(said_in_room(team, "Carol", wrap))
        team.wire.inject(f"<message from='eve@evil.example/x' to='bot@{COMPONENT}' type='chat'>{wrap}</message>")
        team.wire.inject(f"<message from='{team.muc}' to='{LISTENER}'>{wrap}</message>")
    crosses(team)
    assert not saying(team.alice.history(team.room), "words inside")
    assert ignored(team, "forged") > forged


def test_a_private_message_never_enters_a_room(team):
    team.alice.send(team.room, "makes my ghost again")
    team.bob.wait(team.muc, "makes my ghost again")
    for nick in ("Sourdine", "Alice"):
        team.carol.whisper(team.muc, nick, f"secret words for {nick}")
    team.carol.chat(f"bot@{COMPONENT}", "secret words for the bot")
    crosses(team)
    assert not saying(team.alice.history(team.room), "secret words")
    assert not saying(team.bob.archive(team.muc), "secret words")


# -- answers, errors, floods


def test_an_answer_counts_only_from_whom_was_asked(team):
    """The archive's answer is kept back; somebody else says in its place that there is nothing."""
    held = []

    def keep_back(stanza):
        if stanza.startswith("<iq") and "urn:xmpp:mam:2" in stanza:
            held.append(stanza)
            return True
        return False

    team.bridge.kill()
    team.carol.send(team.muc, "said while you were away")
    team.bob.wait(team.muc, "while you were away")
    forged = 0
    team.wire.takes = keep_back
    team.bridge.launch()
    until(lambda: held, what="the archive's answer")
    number = re.search(r"\sid=['\"]([^'\"]+)['\"]", held[0]).group(1)
    assert re.fullmatch("[a-z2-7]{26}", number), number
    team.carol.send(team.muc, "said since")
    fin = "<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'/></fin>"
    for liar in ("eve@evil.example/x", "rooms.localhost", f"{team.muc}/Carol", f"{team.muc}x"):
        team.wire.inject(f"<iq type='result' id='{number}' from='{liar}' to='{LISTENER}'>{fin}</iq>")
        forged += 1
    until(lambda: ignored(team, "forged") == forged, what="the lies being counted")
    never(lambda: saying(team.alice.timeline(team.room), "said since"), 1, "the gate opening")
    team.wire.takes = None
    for stanza in held:
        team.wire.inject(stanza)
    for text in ("said while you were away", "said since"):
        team.alice.wait(team.room, text)
        once_in_matrix(team.dave, team.room, text)
    team.bridge.wait_ready()
    crosses(team)


def test_errors_aimed_at_us_do_nothing(team):
    team.alice.send(team.room, "before the errors")
    mine = team.bob.wait(team.muc, "before the errors")
    jid = team.bob.occupants(team.muc)["Alice"]["jid"]
    whispers = len(team.alice.whispers(BOT))
    for condition in ("not-acceptable", "forbidden", "gone", "item-not-found", "undefined-condition"):
        error = f"<error type='cancel'><{condition} xmlns='{STANZAS}'/></error>"
        for sender in (f"{team.muc}/Carol", team.muc, "eve@evil.example/x"):
            for to in (LISTENER, jid, f"bot@{COMPONENT}"):
                team.wire.inject(f"<message type='error' from='{sender}' to='{to}' id='{mine.id}'>{error}</message>")
                team.wire.inject(f"<iq type='error' from='{sender}' to='{to}' id='{mine.id}'>{error}</iq>")
        team.wire.inject(f"<presence type='error' from='eve@evil.example/x' to='{jid}'>{error}</presence>")
    crosses(team)
    assert len(team.alice.whispers(BOT)) == whispers, "nobody is told of what did not happen"
    once_in_muc(team.carol, team.muc, "before the errors")
    no_errors_sent(team)


def test_a_flood_of_requests_shuts_nobody_out(team):
    flood = ignored(team, "flood")

    def answered(sender):
        return len(team.wire.heard(lambda e: e.tag.endswith("}iq") and e.get("to") == sender))

    ask = f"<iq type='get' id='f%d' from='eve@evil.example/x' to='bot@{COMPONENT}'><ping xmlns='urn:xmpp:ping'/></iq>"
    team.wire.inject("".join(ask % i for i in range(20000)))
    asked = time.monotonic()
    crosses(team)
    took = time.monotonic() - asked
    print(f"crossed in {took:.2f} s beside 20,000 requests")
    assert took < 5
    until(lambda: ignored(team, "flood") > flood + 10000, what="the flood being left unanswered")
    assert 100 <= answered("eve@evil.example/x") <= 1000 + 50 * (time.monotonic() - asked) + 50

    async def ping():
        return await team.bob.client.plugin["xep_0199"].send_ping(f"bot@{COMPONENT}", timeout=10)

    team.bob.loop.run(ping())
    # Whoever can provoke a line in the log can do so once a minute.
    assert len(re.findall("too many requests from=eve", team.bridge.said())) == 1
    for _ in range(500):
        team.wire.inject("<iq type='result' id='nobody-asked' from='eve@evil.example/x' to='bot@sourdine.localhost'/>")
        team.wire.inject(f"<message from='evil@rooms.localhost/Eve' to='{LISTENER}' type='groupchat'><body>flood</body></message>")
    crosses(team)
    assert len(re.findall("ignored from=evil@rooms.localhost", team.bridge.said())) <= 2
    no_errors_sent(team)


def test_a_second_daemon_is_noticed(team):
    """ejabberd gives each of two connections a part: the other's heartbeat comes to us."""
    assert "second daemon" not in team.bridge.said()
    team.wire.inject(f"<iq type='get' id='beat-other' from='{COMPONENT}' to='{COMPONENT}'><ping xmlns='urn:xmpp:ping'/></iq>")
    until(lambda: "second daemon" in team.bridge.said(), what="the line for the admin")
    crosses(team)


# -- bytes that are no XML


def test_a_stream_that_cannot_be_read_is_opened_again(team):
    for poison in (b"\x01", b"\xed\xa0\x80", b"&#xD800;"):
        connections = team.wire.connections
        team.wire.inject(f"<message from='{team.muc}/Carol' to='{LISTENER}' type='groupchat'><body>poison ".encode() + poison)
        until(lambda n=connections: team.wire.connections > n, what="a new connection")
        until(team.bridge.everywhere, what="every room entered")
        crosses(team)
    assert not saying(team.alice.history(team.room), "poison")


# -- names


def test_nicks_that_only_a_bad_server_lets_through(team):
    """What nobody sees is taken out before anybody on Matrix is shown the name."""
    nick = "E\u202ev\u200be \u2066x"
    presence = (
        f"<presence from={quoteattr(f'{team.muc}/{nick}')} to='{LISTENER}'><x xmlns='http://jabber.org/protocol/muc#user'>"
        "<item affiliation='none' role='participant' jid='eve@evil.example/x'/></x></presence>"
    )
    team.wire.inject(presence + said_in_room(team, nick, "<body>who am I</body>"))
    said = team.alice.wait(team.room, "who am I")
    assert said.who == ghost("eve@evil.example")
    name = team.alice.members(team.room)[said.who]
    assert name == "Eve x", ascii(name)
    crosses(team)


LOOKALIKES = ("Alice", "\u0410lice", "A\u200dlice", "ALICE", "Sourdine", "S\u043eurdine")


def test_a_native_cannot_pass_for_somebody_on_matrix(team, mallory):
    """Natives may take any nick; the ghost's name says which network they are on when it is somebody's already."""
    team.bob.send(team.muc, "an honest name")
    assert team.alice.wait(team.room, "an honest name").name == "Bob"
    tried = 0
    for number, nick in enumerate(LOOKALIKES):
        try:
            mallory.join(team.muc, nick)
        except AssertionError:
            continue  # the room itself refuses it, or its bot has it
        tried += 1
        mallory.send(team.muc, f"trust me {number}")
        said = team.alice.wait(team.room, f"trust me {number}")
        until(lambda who=said.who: team.alice.members(team.room)[who].endswith(" [xmpp]"), what=f"a mark on {ascii(nick)}")
        mallory.leave(team.muc)
    assert tried >= 3
    mallory.join(team.muc, "Mallory")
    mallory.send(team.muc, "under my own name")
    said = team.alice.wait(team.room, "under my own name")
    until(lambda: team.alice.members(team.room)[said.who] == "Mallory", what="the mark going")


def test_somebody_on_matrix_cannot_pass_for_a_native(team):
    try:
        for number, name in enumerate(("Bob", "\u0412ob", "B\u200bob", "BOB", "Sourdine", "S\u043eurdine", "C\u0430rol\u202e")):
            team.dave.set_name(name)
            until(lambda n=name: team.alice.members(team.room)[team.dave.user_id] == n, what="the new name")
            team.dave.send(team.room, f"believe me {number}")
            said = team.bob.wait(team.muc, f"believe me {number}")
            assert "[" in said.name or said.name == "dave", f"{ascii(name)} became {ascii(said.name)}"
            assert team.bob.occupants(team.muc)[said.name]["jid"].startswith("dave")
    finally:
        team.dave.set_name("Dave")


def test_who_cannot_have_his_name_is_told_once(team):
    began = time.monotonic()

    def told():
        return [m for m in team.dave.whispers(BOT) if "dave" in m.body and m.seen > began]

    try:
        team.dave.direct(BOT)
        team.dave.set_name("\U0001f389\U0001f38a")
        until(lambda: "\U0001f389" in (team.alice.members(team.room)[team.dave.user_id] or ""), what="the new name")
        for number in range(3):
            team.dave.send(team.room, f"in disguise {number}")
            assert team.bob.wait(team.muc, f"in disguise {number}").name == "dave"
        crosses(team)
        until(told, what="Dave being told")
        assert len(told()) == 1, [m.body for m in team.dave.whispers(BOT)]
    finally:
        team.dave.set_name("Dave")
