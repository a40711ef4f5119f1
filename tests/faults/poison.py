# SPDX-License-Identifier: Apache-2.0
"""Sixty poisons: events and transactions as a homeserver might hand them on, stanzas as a member of a room can send them.

In EVENTS "BASE" stands for the fields that every event has (without braces) and "ROOM" for the room's id; in
TRANSACTIONS "GOOD" is an ordinary event that must cross; in STANZAS "MUC" is the room and "ID" an id.
"""

MESSAGE = '"type":"m.room.message"'


def content(inside):
    return f'{{BASE,{MESSAGE},"content":{inside}}}'


def body(text):
    return content(f'{{"msgtype":"m.text","body":"{text}"}}')


EVENTS = [
    body("nul \\u0000 inside"),
    content('{"msgtype":"m.text","body":"x","a\\u0000b":1}'),
    content('{"msgtype":"m.text","body":"x","n":1e400}'),
    content('{"msgtype":"m.text","body":"x","n":-1e400}'),
    content('{"msgtype":"m.text","body":"x","n":9223372036854775808}'),
    content('{"msgtype":"m.text","body":"x","n":123456789012345678901234567890}'),
    body("left \\ud800 alone"),
    body("right \\udc00 alone"),
    body("pair the wrong way \\udc00\\ud800"),
    body("controls \\u0001\\u0002\\u0008\\u000b\\u001f"),
    body("nonchars \\uffff\\ufffe"),
    body("BADBYTES"),
    body("\\uZZZZ"),
    body("\\u12"),
    content("{" + '"a":{' * 300 + "}" * 300 + "}"),
    content('{"msgtype":"m.text","body":' + "[" * 3000 + "]" * 3000 + "}"),
    f'{{BASE,{MESSAGE},"type":"m.room.member","content":{{}}}}',
    f'{{BASE,"event_id":"$other",{MESSAGE},"content":{{"msgtype":"m.text","body":"two ids"}}}}',
    content('{"msgtype":"m.text","body":"x","body":"y"}'),
    content("[]"),
    content('"text"'),
    content("null"),
    content("7"),
    content('{"msgtype":5,"body":6}'),
    content('{"msgtype":"m.text","body":null}'),
    content('{"msgtype":"m.text","body":{"a":"b"}}'),
    content('{"msgtype":"m.text"}'),
    content('{"body":"no type"}'),
    content('{"msgtype":"m.text","body":""}'),
    content('{"msgtype":"m.text","body":"x","m.relates_to":[]}'),
    content('{"msgtype":"m.text","body":"x","m.relates_to":{"m.in_reply_to":7}}'),
    content('{"msgtype":"m.text","body":"x","m.relates_to":{"rel_type":"m.replace","event_id":{}}}'),
    content('{"msgtype":"m.text","body":"* x","m.new_content":"y","m.relates_to":{"rel_type":"m.replace","event_id":"$none"}}'),
    content('{"msgtype":"m.image","body":"x","url":5,"info":[]}'),
    '{"type":"m.room.message","room_id":"ROOM","content":{}}',
    '{BASE,"type":7,"content":{}}',
    '{"event_id":7,"room_id":"ROOM","sender":"@u0:hs.test","type":"m.room.message","content":{"msgtype":"m.text","body":"id is a number"}}',
    '{"event_id":"","room_id":"ROOM","sender":"@u0:hs.test","type":"m.room.message","content":{"msgtype":"m.text","body":"no id"}}',
    '{"event_id":"$s","room_id":"ROOM","sender":5,"type":"m.room.message","content":{"msgtype":"m.text","body":"no sender"}}',
    '{BASE,"type":"m.room.member","state_key":"@u0:hs.test","content":{"membership":"join","displayname":"\\u0000\\ud800\\u0001"}}',
    '{BASE,"type":"m.room.power_levels","state_key":"","content":{"users":[],"state_default":"high"}}',
    "[]",
    "null",
    '"text"',
]

TRANSACTIONS = [
    '{"events":[GOOD],"events":[]}',
    '{"events":[GOOD],"to_device":7,"ephemeral":"x"}',
    '{"a":' + "[" * 2000 + "]" * 2000 + ',"events":[GOOD]}',
]


def stanza(inside, more="", kind="groupchat"):
    return f"<message to='MUC' type='{kind}' id='ID'{more}>{inside}</message>"


STANZAS = [
    stanza("<body>" + "deep" + "</body>" + "<a xmlns='urn:x'>" * 80 + "</a>" * 80),
    stanza("<body>many</body>" + "<a xmlns='urn:x'/>" * 5000),
    stanza("<body>" + "long " * 40000 + "</body>"),
    stanza("<body>wide</body><a xmlns='urn:x' " + " ".join(f"b{n}='1'" for n in range(300)) + "/>"),
    stanza("<body/>"),
    stanza("<body>one</body><body>two</body>"),
    stanza("<body xml:lang='xx'>lang</body>"),
    stanza("<body>html</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><script>x</script></body></html>"),
    stanza("<body>delay</body><delay xmlns='urn:xmpp:delay' stamp='yesterday'/>"),
    stanza("<body>forged</body><stanza-id xmlns='urn:xmpp:sid:0' by='MUC' id='1'/><origin-id xmlns='urn:xmpp:sid:0'/>"),
    stanza("<body>reply</body><reply xmlns='urn:xmpp:reply:0' id=''/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='9999' end='-1'/></fallback>"),
    stanza("<body>edit</body><replace xmlns='urn:xmpp:message-correct:0' id=''/>"),
    stanza("<retract xmlns='urn:xmpp:message-retract:1' id='none'/>"),
    stanza("<body>&#65533;&#x10FFFF;&#x202E;</body>"),
]
