# SPDX-License-Identifier: Apache-2.0
"""The scene that `packaging/try` plays: a Monday in a marketing team.

Alice and Dave sit at Matrix clients (matrix-nio), Emma at one that encrypts (matrix-js-sdk, with the Rust crypto of
Element), Bob and Carol at XMPP clients (slixmpp); the servers are a real Synapse and a real Prosody. After each beat it prints, in two columns, what each network's people saw since
the last one, then checks that it was so. Everything printed and checked comes from those clients.
"""

import argparse
import os
import re
import signal
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))

from checks import ask_matrix, ask_muc, hourglass, saying  # noqa: E402
from clients import Said, until  # noqa: E402
from crypto_client import encryption, quote  # noqa: E402
from crypto_clients import Cryptic  # noqa: E402
from world import BOT, BOT_JID, BOT_NICK, DOMAIN, PASSWORD, Bridge, Group, World, ghost  # noqa: E402

WIDTH = 58  # of a column
SITE = """version 1
site {
  tz Europe/Paris
}
"""
MARKETING = """version 1
group "marketing" {
  hours mon-fri 08:30-18:30
  digest at 17:30 mon-fri
  route 10 seo   when tag seo then copy "seo"
  time  10 ferme when closed  then hold until opening notice held
}
"""
SEO = """version 1
group "seo" {
  hours mon-fri 08:30-18:30
}
"""


class Scene:
    """The people, the rooms and the daemon; what was seen and not yet printed; what went wrong."""

    def __init__(self, world):
        self.world = world
        self.alice, self.dave = world.matrix("alice"), world.matrix("dave")
        self.bob, self.carol = world.xmpp("bob"), world.xmpp("carol")
        people = {"owner": self.alice, "host": self.bob, "members": [self.dave], "guests": [self.carol]}
        self.marketing, self.seo = Group(world, "marketing", **people), Group(world, "seo", **people)
        self.room, self.muc = self.marketing.room, self.marketing.muc
        self.people, self.emma, self.vault, self.missing = None, None, None, ""
        self.invite_emma()
        groups = {group.name: group.wiring for group in (self.marketing, self.seo, self.vault) if group}
        charters = {"site": SITE, "marketing": MARKETING, "seo": SEO}
        self.bridge = Bridge(world, groups, charters, clock="2026-11-23 09:55")
        self.printed = set()
        self.checks = self.failures = 0
        self.results = []  # of the checks, printed after what was seen

    def invite_emma(self):
        """Emma, and her encrypted room; `missing` says why not."""
        try:
            self.people = Cryptic(self.world)
            self.emma = self.people.js("emma", strict=True)
        except (AssertionError, OSError) as error:
            self.missing = f"no client that encrypts can be started: {str(error).splitlines()[0]}"
            return
        profile = f"/_matrix/client/v3/profile/{quote(self.emma.user)}/displayname"
        self.emma.request("PUT", profile, {"displayname": "Emma"})
        self.vault = Group(self.world, "budget", self.emma, self.bob, guests=[self.carol], encrypted=encryption())

    def close(self):
        if self.people:
            self.people.close()

    # -- printing

    def left(self):
        """What people at Matrix clients saw: (when, where, words)."""
        rows = []
        for group in (self.marketing, self.seo):
            rows += [(m.seen, f"#{group.name}", m, m.id) for m in self.alice.timeline(group.room)]
        for person in (self.alice, self.dave):
            rows += [(m.seen, f"to {person.user_id[1:].split(':')[0].capitalize()}", m, m.id) for m in person.whispers(BOT)]
        return rows + self.reactions() + self.read_by_emma()

    def read_by_emma(self):
        """What Emma's client could read, each with the shield that it shows."""
        rows = []
        for heard in self.emma.timeline(self.vault.room) if self.emma else ():
            if heard.state == "clear":
                body = f"{heard.body} [{shield(heard)}]"
                said = Said(heard.room, heard.sender, self.name_of(heard.sender), body, heard.id, heard.kind)
                rows.append((heard.seen, "#budget", said, heard.id))
        return rows

    def name_of(self, user):
        return self.emma.get_state(self.vault.room, "m.room.member", user).get("displayname") or user

    def reactions(self):
        """The bot's reactions to Alice's messages, as if they were said."""
        rows = []
        for message in self.alice.timeline(self.room):
            for who, key in self.alice.reactions(self.room, message.id):
                if who == BOT:
                    mark = replace(message, who=BOT, body=f"{key} (on the message of {message.name})")
                    rows.append((message.seen, "#marketing", mark, (message.id, key)))
        return rows

    def right(self):
        """What people at XMPP clients saw."""
        rows = []
        for group in filter(None, (self.marketing, self.seo, self.vault)):
            rows += [(m.seen, group.name, m, (group.muc, m.stanza_id or m.id)) for m in self.bob.timeline(group.muc)]
        for person in (self.bob, self.carol):
            name = person.jid.split("@")[0].capitalize()
            rows += [(m.seen, f"to {name}", m, (name, m.id, m.seen)) for m in person.private()]
        return rows

    def show(self):
        """Print what came since the last time, side by side, in the order of arrival."""
        lines = []
        for side, rows in enumerate((self.left(), self.right())):
            for seen, where, said, key in rows:
                if (side, key) not in self.printed:
                    self.printed.add((side, key))
                    name = BOT_NICK if said.who in (BOT,) or said.who.startswith(BOT_JID) else said.name
                    lines.append((seen, side, cell(where, name, said.body)))
        if lines:
            print(f"  {'Matrix':{WIDTH}} | XMPP\n  {'-' * WIDTH}-+-{'-' * WIDTH}")
        for _, side, text in sorted(lines, key=lambda line: line[0]):
            for line in text:
                print(f"  {'' if side else line:{WIDTH}} | {line if side else ''}".rstrip())
        for result in self.results:
            print(result)
        self.results = []

    def beat(self, title):
        print(f"\n{title}")

    def check(self, what, truth):
        """Make and count one check; `truth` is a value, or a function that may raise."""
        self.checks += 1
        why = ""
        try:
            good = truth() if callable(truth) else truth
        except AssertionError as error:
            good, why = False, f" ({str(error).splitlines()[0]})"
        if not good:
            self.failures += 1
        self.results.append(f"  {'ok  ' if good else 'FAIL'} {what}{why}")

    # -- what the checks ask

    def from_bot(self, carol):
        return [m for m in carol.private() if m.who.split("/")[0] == BOT_JID]

    def digests(self):
        return saying(self.from_bot(self.carol), "Bonjour"), saying(self.dave.whispers(BOT), "Bonjour")


def shield(heard):
    """What a client like Element shows beside a message: a shield, where something is to be warned of."""
    if not heard.encrypted:
        return "not encrypted"
    return "encrypted, no shield" if (heard.colour, heard.why) == ("NONE", None) else f"{heard.colour} shield: {heard.why}"


def cell(where, name, body):
    """One message as the lines of a column."""
    lines = []
    for number, line in enumerate(body.splitlines() or [""]):
        head = f"{where:10} {name}: " if number == 0 else " " * 11
        lines += textwrap.wrap(head + line, WIDTH, subsequent_indent=" " * 11, drop_whitespace=True) or [""]
    return lines


def prepare(scene):
    """The admin's part: what `sourdine check` says once the daemon is up."""
    scene.bridge.start()
    until(lambda: scene.marketing.bot_in() and scene.seo.bot_in(), what="the bot joining the rooms")
    print("\n$ sourdine check")
    done = scene.bridge.run("check")
    print(textwrap.indent((done.stdout + done.stderr).rstrip(), "  "))
    scene.check("nothing is wrong", done.returncode == 0)
    scene.show()


def prologue(scene):
    scene.beat("Monday 09:55  Carol (privately: !mode digest) and Dave (in the room: !sd mode digest) ask for a digest")
    scene.carol.whisper(scene.muc, BOT_NICK, "!mode digest")
    scene.check("Carol is answered privately", lambda: until(lambda: scene.carol.whispers(scene.muc, BOT_NICK), what="an answer"))
    scene.check("Dave is answered", lambda: ask_matrix(scene.dave, scene.room, "!sd mode digest"))
    scene.show()


def morning(scene):
    scene.beat("Monday 10:00  Alice writes, Bob answers: both cross at once")
    scene.bridge.set_clock("2026-11-23 10:00")
    scene.alice.send(scene.room, "Bonjour ! Qui relit la lettre de décembre ?")
    scene.check("Bob sees Alice", lambda: scene.bob.wait(scene.muc, "Qui relit").name == "Alice")
    scene.bob.send(scene.muc, "Moi, cet après-midi.")
    scene.check("Alice sees Bob's ghost", lambda: scene.alice.wait(scene.room, "cet après-midi").who == ghost("bob@localhost"))
    scene.check("under the name Bob", lambda: scene.alice.wait(scene.room, "cet après-midi").name == "Bob")
    scene.show()


def routing(scene):
    scene.beat("Monday 11:00  Bob writes something with #seo: a copy goes to the group seo")
    scene.bridge.set_clock("2026-11-23 11:00")
    scene.bob.send(scene.muc, "Le titre de la page d'accueil est trop long #seo")
    text = "Le titre de la page"
    scene.check("it crosses in marketing", lambda: scene.alice.wait(scene.room, text).name == "Bob")
    there = lambda: scene.alice.wait(scene.seo.room, text)  # noqa: E731
    near = lambda: scene.bob.wait(scene.seo.muc, text)  # noqa: E731
    scene.check("and in seo on Matrix, by Bob's ghost", lambda: there().who == ghost("bob@localhost"))
    scene.check("and in seo on XMPP, in Bob's name", lambda: "Bob" in near().body)
    scene.check("both copies say where they come from", lambda: all("marketing" in m().body for m in (there, near)))
    scene.show()


def digest(scene):
    scene.beat("Monday 17:30  The digest: Carol's on XMPP, Dave's on Matrix, by direct message")
    scene.check("nobody had one before its time", scene.digests() == ([], []))
    scene.bridge.set_clock("2026-11-23 17:30")
    scene.check("both get theirs", lambda: until(lambda: all(scene.digests()), what="both digests"))
    for name, found in zip(("Carol", "Dave"), scene.digests()):
        whole = all(words in m.body for m in found for words in ("Alice", "Bob", "cet après-midi", "Le titre"))
        scene.check(f"{name}'s holds what was said, and who said it", bool(found) and whole)
    scene.show()


def evening(scene):
    scene.beat("Monday 19:04  Alice writes after hours: held, and she is told when it will be delivered")
    scene.bridge.set_clock("2026-11-23 19:04")
    event_id = scene.alice.send(scene.room, "J'ai une idée pour le salon de mars.")
    scene.check("an hourglass on her message", lambda: until(lambda: hourglass(scene.alice, scene.room, event_id), what="the hourglass"))

    def told():
        said = [m for m in scene.alice.timeline(scene.room) + scene.alice.whispers(BOT) if m.who == BOT]
        return saying(said, "Tue 24 Nov 08:30")

    scene.check("the bot tells her: Tue 24 Nov 08:30", lambda: until(told, what="the notice"))
    why = ask_matrix(scene.alice, scene.room, "!sd why")
    scene.check("!sd why names the rule and the instant", "ferme" in why and "Tue 24 Nov 08:30" in why)
    scene.check("Bob has seen nothing", not saying(scene.bob.timeline(scene.muc), "une idée"))
    scene.show()


def killed(scene, when):
    print(f"\n{when}  kill -9 of the daemon, and a new start on the same state")
    pid = scene.bridge.process.pid
    scene.bridge.kill()
    scene.bridge.start()
    print(f"  process {pid} is gone, {scene.bridge.process.pid} is ready")
    scene.check("Bob has still seen nothing", not saying(scene.bob.timeline(scene.muc), "une idée"))
    scene.show()


def hours(scene):
    scene.beat("Monday 19:10  Bob, owner of the room, changes the hours: preview, yes, a new revision")
    scene.bridge.set_clock("2026-11-23 19:10")
    preview = ask_muc(scene.bob, scene.muc, "!sd hours mon-fri 9:00-18:00")
    scene.check("a preview first", "09:00-18:00" in preview and "yes" in preview)
    done = ask_muc(scene.bob, scene.muc, "!sd yes")
    scene.check("then a new revision", lambda: re.search(r"revision \d+", done))
    held = lambda: "09:00" in ask_matrix(scene.alice, scene.room, "!sd held")  # noqa: E731
    scene.check("what is held is planned again: Tuesday 09:00", held)
    scene.show()


def tuesday(scene):
    scene.beat("Tuesday 08:30  The old opening time passes, and nothing is delivered")
    scene.bridge.set_clock("2026-11-24 08:30")
    # Its answer comes after whatever was due.
    ask_muc(scene.bob, scene.muc, "!sd hours")
    scene.check("Bob has seen nothing", not saying(scene.bob.timeline(scene.muc), "une idée"))
    scene.show()
    scene.beat("Tuesday 09:00  The group opens: delivered once, with the time when it was written")
    scene.bridge.set_clock("2026-11-24 09:00")
    said = lambda: scene.bob.wait(scene.muc, "une idée pour le salon de mars")  # noqa: E731
    scene.check("Bob sees it, from Alice", lambda: said().name == "Alice")
    scene.check("in a frame that says when: 19:04", lambda: "19:04" in said().body)
    scene.bob.send(scene.muc, "Excellente idée !")
    scene.check("and the day goes on", lambda: scene.alice.wait(scene.room, "Excellente").name == "Bob")
    scene.show()


def encrypted(scene):
    scene.beat("Tuesday 09:10  Emma's room is encrypted: Bob, owner of the other one, agrees to join them; they talk")
    if not scene.emma:
        scene.check(f"the encrypted room: {scene.missing}", False)
        scene.show()
        return
    scene.bridge.set_clock("2026-11-24 09:10")
    emma, bob, room, muc = scene.emma, scene.bob, scene.vault.room, scene.vault.muc
    told = lambda text: until(lambda: saying(scene.carol.timeline(muc), text), what=repr(text))  # noqa: E731
    scene.check("nothing crosses unasked, and both rooms are told", lambda: told("So nothing crosses") and emma.wait(room, "So nothing"))
    scene.check("Bob is asked whether he means it", lambda: "If you agree" in ask_muc(bob, muc, "!sd encrypted allow"))
    scene.check("he does", lambda: ask_muc(bob, muc, "!sd yes") and told("A moderator has agreed"))
    bob.send(muc, "Le budget de mars : 12 000 euros.")
    heard = lambda: emma.wait(room, "Le budget de mars")  # noqa: E731
    scene.check("Emma reads Bob's ghost, in strict mode", lambda: heard().sender == ghost("bob@localhost") and heard().encrypted)
    scene.check("her client shows no shield", lambda: shield(heard()) == "encrypted, no shield")
    emma.wait_knows(room, {emma.user, BOT, ghost("bob@localhost")})
    emma.send(room, "C'est bien peu !")
    scene.check("Bob reads Emma", lambda: bob.wait(muc, "bien peu").name == "Emma")
    stored = lambda: [event["type"] for event in emma.history(room)]  # noqa: E731
    scene.check("the homeserver holds no message of that room that it can read", lambda: "m.room.message" not in stored())
    scene.show()


def epilogue(scene):
    print("\nIn the end, asked of the servers' own archives")
    for text in ("Qui relit", "Moi, cet", "Le titre", "une idée pour", "Excellente"):
        muc = len([m for m in scene.carol.archive(scene.muc) if text in m.body])
        room = len([m for m in scene.dave.history(scene.room) if text in m.body])
        scene.check(f"{text!r} stands once on each side", (muc, room) == (1, 1))
    for name, found in zip(("Carol", "Dave"), scene.digests()):
        scene.check(f"{name} had one digest", len(found) == 1)
    scene.show()


def play(scene):
    """All beats; what a check cannot survive counts as one failure and ends the play."""
    try:
        prepare(scene)
        prologue(scene)
        morning(scene)
        routing(scene)
        digest(scene)
        evening(scene)
        killed(scene, "Monday 19:06")
        hours(scene)
        killed(scene, "Monday 23:00")
        tuesday(scene)
        encrypted(scene)
        epilogue(scene)
    except AssertionError as error:
        scene.check(f"the scene goes on: {error}", False)
        scene.show()
    if scene.failures:
        print("\nThe daemon's last words:")
        print(textwrap.indent("\n".join(scene.bridge.said().splitlines()[-25:]), "  "))


def stay(world, scene):
    """Print how to look around, and wait for Ctrl-C."""
    bridge = scene.bridge
    print(
        f"""
Everything is up. Ctrl-C ends and removes it.

  Matrix   http://127.0.0.1:{world.http}   @alice:{DOMAIN}, @dave:{DOMAIN}, @admin:{DOMAIN} (operator); password {PASSWORD}
           rooms {scene.marketing.alias} and {scene.seo.alias}, encrypted: {scene.vault.alias if scene.vault else "none"}; the bot is {BOT}
  XMPP     127.0.0.1:{world.c2s}, without TLS   bob@localhost, carol@localhost, admin@localhost; password {PASSWORD}
           rooms {scene.marketing.muc} and {scene.seo.muc}; the bot is {BOT_JID}
  Daemon   sourdine -c {bridge.config} status      (log: {bridge.log})
           sourdine is {world.sourdine}
  Clock    it is Tuesday 24 November 2026, a little after 9:00 in Paris, and runs on; to move it:
           echo 2026-11-24T18:00:00Z >{bridge.clock_file}.new && mv {bridge.clock_file}.new {bridge.clock_file}
""",
        flush=True,
    )
    while bridge.alive():
        time.sleep(0.5)
    print("The daemon has ended:")
    print("\n".join(bridge.said().splitlines()[-10:]))


def main():
    parser = argparse.ArgumentParser(prog="packaging/try")
    parser.add_argument("--once", action="store_true", help="check every beat, then remove everything and exit")
    once = parser.parse_args().once
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started us in the background
    began = time.monotonic()
    world = World(keep=bool(os.environ.get("KEEP")))
    status, scene = 1, None
    try:
        print("$ sourdine registration -o registration.yaml")
        world.open()
        print(textwrap.indent(world.registration_said.rstrip(), "  "))
        scene = Scene(world)
        play(scene)
        print(f"\n{scene.checks - scene.failures} of {scene.checks} checks hold; {time.monotonic() - began:.0f} s")
        status = 1 if scene.failures else 0
        if not once:
            stay(world, scene)
        if once and scene.bridge.stop() != 0:
            print("the daemon did not end well")
            status = 1
    except KeyboardInterrupt:
        print("\nremoved")
    except AssertionError as error:  # a server or the daemon did not even start
        print(error, file=sys.stderr)
    finally:
        if scene:
            scene.close()
        world.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
