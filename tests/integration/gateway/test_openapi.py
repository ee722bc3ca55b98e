"""The OpenAPI document is true: schemathesis attacks the gateway by it and finds nothing."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.anyio

CONFIGURATION = Path(__file__).with_name("openapi")
BY_HAND = os.environ.get("WAYPOST_TEST_EXAMPLES")  # of each route and phase
SEED = os.environ.get("WAYPOST_TEST_SEED", "5")
# Types differ in their facts alone, and the phase "coverage" (a case for each rule of the document) takes a
# minute: by hand all is tried on both databases.
TYPES = None if BY_HAND else ("signup-verification",)
# What schemathesis itself may fail with: its own making of cases on a busy machine, and a fault of Python
# 3.11 where two threads parse code (python/cpython#106905).
ITS_OWN = ("Inconsistent results", "AST constructor recursion depth mismatch")
DEEP = {"sqlite": ("coverage,fuzzing", "3"), "postgresql": ("fuzzing,stateful", "4")}


async def attacked(
    url: str, key: str, folder: Path, phases: str, examples: str, workers: int = 2
) -> tuple[int, str]:
    """The exit status of schemathesis and what it wrote."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--no-color",
        "--config-file", str(CONFIGURATION / "schemathesis.toml"),
        "run", f"{url}/v1/openapi.json", "--header", f"Authorization: Bearer {key}",
        "--workers", str(workers), "--phases", phases, "--seed", SEED, "--max-examples", examples,
        "--generation-database", "none",
        env={**os.environ, "PYTHONPATH": str(CONFIGURATION), "COLUMNS": "110"}, cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await running.communicate()
    return running.returncode, output.decode()


@pytest.mark.long
@pytest.mark.timeout(3600 if BY_HAND else 600)
async def test_schemathesis_finds_nothing(site_with, ledger, tmp_path):
    phases, examples = DEEP["postgresql" if ledger.is_postgres else "sqlite"]
    if BY_HAND:
        phases, examples = "coverage,fuzzing,stateful", BY_HAND
    await attack(site_with, tmp_path, phases, examples)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_schemathesis_finds_nothing_at_first(site_with, tmp_path):
    await attack(site_with, tmp_path, "fuzzing", "1")


async def attack(site_with, tmp_path, phases, examples):
    async with site_with(types=TYPES) as site:
        status, output = await attacked(site.url, await site.key(), tmp_path, phases, examples)
        if any(fault in output for fault in ITS_OWN):
            # One worker: threads that make cases at once disturb each other.
            status, output = await attacked(site.url, await site.key(), tmp_path, phases, examples, workers=1)
    print(re.sub(r"\n\n+", "\n", output))  # noqa: T201 - its seed, and how much it tried
    assert status == 0, output
