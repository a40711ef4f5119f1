# SPDX-License-Identifier: Apache-2.0
"""The catalogue: every row of the fault matrix (delivery 13) that applies, by number, and the rows without a fault."""

from typing import Callable, NamedTuple

import rows_disk
import rows_fake
import rows_kill
import rows_load
import rows_muc
import rows_restored
import rows_sealed
import rows_sentinel
import rows_server
import rows_soak
import rows_talk
import rows_time
import rows_wire


class Row(NamedTuple):
    number: int  # in the matrix; 0: none
    run: Callable
    short: bool = False  # belongs to the short form
    breaks: tuple = ()  # the --break modes that must turn it red
    fake: bool = False  # against the fake homeserver
    alone: bool = False  # a C program, without any server


def steady(way, ghosts):
    return lambda stage, options: way(stage, options, ghosts)


ROWS = {
    "steady-out-5": Row(0, steady(rows_load.steady_out, 5)),
    "steady-in-5": Row(0, steady(rows_load.steady_in, 5)),
    "steady-out-20": Row(0, steady(rows_load.steady_out, 20)),
    "steady-in-20": Row(0, steady(rows_load.steady_in, 20)),
    "steady-out-100": Row(0, steady(rows_load.steady_out, 100)),
    "steady-in-100": Row(0, steady(rows_load.steady_in, 100)),
    "kill-out": Row(1, rows_kill.kill_out, True, ("ack-first", "blind-resend")),
    "kill-in": Row(1, rows_kill.kill_in, True),
    "away": Row(1, rows_kill.away, False, ("no-archive",)),
    "held": Row(1, rows_time.held),
    "digests": Row(1, rows_time.digests),
    "points": Row(2, rows_kill.points, True),
    "frozen": Row(4, rows_kill.frozen),
    "prosody-loop": Row(5, rows_server.prosody_loop, True),
    "prosody-killed": Row(5, rows_server.prosody_away),
    "synapse-killed": Row(6, lambda stage, options: rows_server.synapse_away(stage, options, "kill")),
    "synapse-stopped": Row(6, lambda stage, options: rows_server.synapse_away(stage, options, "stop")),
    "synapse-forgets": Row(6, rows_server.synapse_forgets, False, ("no-archive",)),
    "http-faults": Row(10, rows_wire.http_faults, True),
    "rate-limited": Row(11, rows_wire.rate_limited),
    "one-byte": Row(12, rows_wire.one_byte),
    "half-open": Row(13, rows_wire.half_open),
    "slow-network": Row(14, rows_wire.slow_network),
    "no-archive": Row(23, rows_muc.no_archive),
    "twice": Row(24, rows_kill.twice),
    "stranger": Row(24, rows_kill.stranger),
    "ended": Row(26, rows_kill.ended),
    "late-again": Row(7, rows_fake.late_again, fake=True),
    "thrice": Row(8, rows_fake.thrice, True, fake=True),
    "numbers-again": Row(9, rows_fake.numbers_again, fake=True),
    "disk-full": Row(15, rows_disk.disk_full, True, fake=True),
    "size-limit": Row(15, rows_disk.size_limit, True, fake=True),
    "no-space": Row(15, rows_disk.no_space, True, fake=True),
    "no-sync": Row(16, rows_disk.no_sync, fake=True),
    "poison": Row(20, rows_fake.poison, True, fake=True),
    "pill": Row(21, rows_kill.pill, fake=True),
    "muc-deeds": Row(22, rows_muc.muc_deeds, fake=True),
    "few-descriptors": Row(27, rows_disk.few_descriptors, fake=True),
    "power-cuts": Row(3, rows_disk.power_cuts, alone=True),
    "no-memory": Row(17, rows_disk.no_memory, alone=True),
    "damage": Row(18, rows_disk.damage, alone=True),
    "calendar": Row(19, rows_time.calendar, True, alone=True),
    "encrypted-kill-out": Row(1, rows_sealed.kill_out),
    "encrypted-kill-in": Row(1, rows_sealed.kill_in, False, ("encrypt-again", "index-again")),
    "encrypted-away": Row(1, rows_sealed.away),
    "encrypted-ended": Row(26, rows_sealed.ended),
    "restored": Row(1, rows_restored.restored),
    "sentinel": Row(0, rows_sentinel.sentinel),
    "talk": Row(0, rows_talk.talk),
    "soak": Row(28, rows_soak.soak),
}
