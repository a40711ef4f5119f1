# SPDX-License-Identifier: Apache-2.0
"""What an admin does with a daemon that runs, or ran: status, backup and restore, audit, the moderators' log."""

import csv
import json
import shutil
import sqlite3
import stat
import subprocess
import time

from checks import ask_matrix, crosses, once_in_matrix, once_in_muc, saying
from clients import until
from test_configuration import change
from world import own, unprivileged


def test_status(team):
    bridge = team.bridge
    crosses(team)
    done = bridge.run("status", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["problems"] == [], said
    assert said["version"] and said["test_clock"] is True and said["ready"] is True and said["uptime_s"] >= 0
    assert said["ledger"]["accepted"] >= 2 and said["ledger"]["difference"] == 0
    assert said["ledger"]["delivered"] >= 2 and said["messages"]["in_doubt"] == 0
    assert said["disk"]["free_bytes"] > 0 and said["database_bytes"] > 0
    assert [group["name"] for group in said["groups"]] == ["marketing"]
    assert bridge.run("status", "-q").returncode == 0
    assert "problems: 0" in bridge.run("status").stdout
    bridge.stop()
    assert bridge.run("status", "-q").returncode == 69


def test_status_names_what_is_wrong(world, make_group, make_bridge):
    """A room that does not let us in, and why."""
    group = make_group(guests=(), muc={"membersonly": True})
    bridge = make_bridge([group])
    bridge.launch()

    def problem():
        try:
            problems = bridge.ask("status")["problems"]
        except OSError:
            return None
        return [one for one in problems if group.muc in one and "it does not let us in" in one]

    assert "members only" in until(problem, what="the problem")[0]
    done = bridge.run("status")
    assert done.returncode == 1 and "members only" in done.stdout


def test_backup_under_load_and_restore(team):
    """Nothing of before, during or after the backup is lost or comes twice."""
    bridge, backup = team.bridge, team.bridge.folder / "backup.db"
    said = []

    def say(word, count):
        for i in range(count):
            stamp = f"{word} {i} {time.time_ns()}"
            said.append((f"{stamp} m", f"{stamp} x"))
            team.alice.send(team.room, f"{stamp} m")
            team.bob.send(team.muc, f"{stamp} x")

    say("before", 10)
    done = bridge.run("backup", backup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "without which it cannot be read" in done.stdout
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    answer = bridge.ask("backup")
    assert answer == {"copied": True}, "no path: whoever asks may be root"
    (bridge.state / "backup.new").unlink()
    assert not (bridge.state / "backup.new").exists()
    say("after", 10)
    team.bob.wait(team.muc, said[-1][0])
    team.alice.wait(team.room, said[-1][1])
    done = bridge.run("restore", backup)
    assert done.returncode == 1 and "stop it first" in done.stderr
    bridge.stop()
    say("while nobody runs", 5)
    done = bridge.run("restore", backup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asks the rooms" in done.stdout
    bridge.start()
    crosses(team)
    for to_muc, to_matrix in said:
        once_in_muc(team.bob, team.muc, to_muc)
        once_in_matrix(team.alice, team.room, to_matrix)
    status = bridge.ask("status")
    assert status["problems"] == [] and status["ledger"]["difference"] == 0


def test_a_backup_with_its_key_brings_a_lost_state_back(team):
    bridge, backup = team.bridge, team.bridge.folder / "backup.db"
    bridge.write_charter("seo", 'version 1\ngroup "seo" {\n}\n')
    crosses(team, "before the fire")
    bridge.stop()
    shutil.move(bridge.charters / "seo.charter", bridge.folder / "seo.elsewhere")
    (bridge.charters / "seo.charter").symlink_to(bridge.folder / "seo.elsewhere")
    done = bridge.run("backup", backup)
    assert done.returncode == 0, done.stderr
    assert bridge.run("backup", "--with-key", bridge.folder / "whole.db").returncode == 0
    shutil.rmtree(bridge.state)
    (bridge.charters / "seo.charter").unlink()
    done = bridge.run("restore", backup)
    assert done.returncode == 78 and "the master key is missing" in done.stderr, done.stderr
    assert not (bridge.state / "sourdine.db").exists()
    done = bridge.run("restore", bridge.folder / "whole.db")
    assert done.returncode == 0 and "and the master key" in done.stdout, done.stdout + done.stderr
    assert (bridge.charters / "seo.charter").exists()
    assert stat.S_IMODE((bridge.state / "master.key").stat().st_mode) == 0o600
    bridge.start()
    crosses(team, "after the fire")
    assert len(saying(team.bob.archive(team.muc), "before the fire")) == 2


def test_what_is_no_backup(team):
    bridge = team.bridge
    bridge.stop()
    junk = bridge.world.write(bridge.folder / "junk", "x" * 5000)
    for path, words in ((junk, "no backup of Sourdine"), (bridge.folder / "none", "No such file")):
        done = bridge.run("restore", path)
        assert done.returncode == 1 and words in done.stderr
    done = bridge.run("backup", bridge.folder / "a.db")
    assert done.returncode == 0, done.stderr
    before = (bridge.state / "sourdine.db").read_bytes()
    full = subprocess.run(
        [*unprivileged(), "sh", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "sh", bridge.world.sourdine, "-c", bridge.config, "restore", bridge.folder / "a.db"],
        capture_output=True,
        text=True,
    )
    assert full.returncode == 1 and "is the disk full?" in full.stderr, full.stderr
    assert not list(bridge.state.glob("*.new")), "half a database on a full disk"
    with sqlite3.connect(own(shutil.copy(bridge.folder / "a.db", bridge.folder / "b.db"))) as database:
        database.execute("INSERT INTO backup_file VALUES ('charter/../evil.charter', x'41')")
    done = bridge.run("restore", bridge.folder / "b.db")
    assert done.returncode == 1 and "was tampered with" in done.stderr, done.stderr
    (bridge.folder / "b.db").unlink()
    assert (bridge.state / "sourdine.db").read_bytes() == before
    with sqlite3.connect(bridge.folder / "a.db") as database:
        database.execute("PRAGMA user_version = 9999")
    done = bridge.run("restore", bridge.folder / "a.db")
    assert done.returncode == 78 and "newer Sourdine" in done.stderr
    assert (bridge.state / "sourdine.db").read_bytes() == before
    change(bridge, f"state: {bridge.state}", f"state: {bridge.folder / 'nowhere' / 'deep'}")
    assert bridge.run("backup", bridge.folder / "b.db").returncode == 1
    assert not (bridge.folder / "b.db").exists() and not (bridge.folder / "b.db.new").exists()


def tamper(bridge, sql, *values):
    """Change the database behind the daemon's back."""
    with sqlite3.connect(bridge.state / "sourdine.db", timeout=10) as database:
        assert database.execute(sql, values).rowcount == 1
    for path in bridge.state.glob("sourdine.db*"):
        own(path)


def audit(bridge, *arguments):
    done = bridge.run("audit", "marketing", "--json", *arguments)
    report = json.loads(done.stdout)
    faults = ("missing", "lost", "duplicated", "out_of_order")
    found = sum(one["unknown"] + sum(one[fault]["count"] for fault in faults) for one in (report["to_xmpp"], report["to_matrix"]))
    assert done.returncode == (1 if found else 0), done.stdout + done.stderr
    return report


def test_audit(team):
    """What never reached us is named and, when asked for, taken in; nothing else is touched."""
    bridge = team.bridge
    crosses(team)
    lost = [f"nobody heard {i} {time.time_ns()}" for i in range(3)]
    team.alice.send(team.room, "!sd help")
    until(lambda: bridge.ask("status")["ledger"]["ignored"] >= 1, what="the command")
    time.sleep(11)  # the audit leaves out what was said in the last ten seconds
    report = audit(bridge)
    for direction, messages in (("to_xmpp", 2), ("to_matrix", 1)):
        assert report[direction]["messages"] == messages and report[direction]["crossed"] == 1, report
        for fault in ("missing", "lost", "duplicated", "out_of_order"):
            assert report[direction][fault]["count"] == 0, report
    assert report["to_xmpp"]["ended"] == 1
    done = bridge.run("audit", "marketing")
    assert done.returncode == 0 and "missing 0, lost 0, duplicated 0, out of order 0" in done.stdout, done.stdout
    bridge.stop()
    for text in lost:
        team.bob.send(team.muc, text)
    # The gap is beyond the cursor, and so it is never read.
    tamper(bridge, "UPDATE room SET cursor = '', cursor_ms = ? WHERE address = ?", int(time.time() * 1000) + 600000, team.muc)
    bridge.start()
    crosses(team, "and on")
    time.sleep(11)
    done = bridge.run("audit", "marketing", "--since", "1h")
    assert done.returncode == 1 and "never reached us" in done.stdout and lost[0] not in done.stdout, done.stdout
    report = audit(bridge, "--repair")
    assert report["to_matrix"]["missing"]["count"] == 3 and report["to_xmpp"]["missing"]["count"] == 0, report
    for text in lost:
        team.alice.wait(team.room, text)
        once_in_matrix(team.alice, team.room, text)
    audit(bridge, "--repair")
    report = audit(bridge)
    assert report["to_matrix"]["missing"]["count"] == report["to_xmpp"]["missing"]["count"] == 0, report
    for text in lost:
        once_in_matrix(team.alice, team.room, text)
    assert bridge.run("audit", "seo").returncode == 1
    assert bridge.run("audit", "marketing", "--since", "soon").returncode == 2


def test_the_log_of_the_moderators(team):
    bridge = team.bridge
    ask_matrix(team.alice, team.room, "!sd hours mon-fri 9:00-18:00")
    ask_matrix(team.alice, team.room, "!sd yes")
    done = bridge.run("log", "marketing")
    assert done.returncode == 0 and "@alice:hs.test" in done.stdout and "revision 0 -> 1" in done.stdout, done.stdout
    done = bridge.run("log", "marketing", "--csv", "--since", "1h")
    rows = list(csv.reader(done.stdout.splitlines()))
    assert rows[0] == ["at", "actor", "verb", "before", "after"] and len(rows) == 2
    assert rows[1][1] == "'@alice:hs.test" and rows[1][3:] == ["0", "1"]
    for unknown, status in (("nothing", 1), ("no group", 2)):
        assert bridge.run("log", unknown).returncode == status and bridge.run("audit", unknown).returncode == status
    bridge.stop()
    assert bridge.run("log", "marketing", "--since", "30d").stdout == bridge.run("log", "marketing").stdout
