"""Workers are killed while they send, again and again. It takes longest of all tests, so it begins first."""

from __future__ import annotations

import random

import pytest
from chaos import kills

KILLS = 24  # half on each database: CI has 25 minutes. `make chaos` kills two hundred
MESSAGES = 120  # between two kills; `make chaos` sends a thousand


@pytest.mark.long
@pytest.mark.timeout(1200)  # a slow machine takes a minute a kill
def test_workers_killed_while_they_send_lose_nothing_and_repeat_only_what_was_in_doubt(
    prefect, cluster, tmp_path, capsys
):
    seed = random.randrange(10**9)
    found = kills.side_by_side(KILLS, tmp_path, prefect, cluster, seed, messages=MESSAGES)
    for name, totals in found.items():
        with capsys.disabled():
            print(f"\n{name}: {totals} (seed {seed})")
        kills.check(totals)
