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
EXAMPLES = int(os.environ.get("WAYPOST_TEST_EXAMPLES", "4"))  # a route and phase; more of them by hand
SEED = int(os.environ.get("WAYPOST_TEST_SEED", "5"))
# Types differ in their facts alone; by hand all of them are tried.
TYPES = None if "WAYPOST_TEST_EXAMPLES" in os.environ else ("alert", "signup-verification")


async def attacked(url: str, key: str) -> tuple[int, str]:
    """The exit status of schemathesis and what it wrote."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--no-color",
        "--config-file", str(CONFIGURATION / "schemathesis.toml"),
        "run", f"{url}/v1/openapi.json", "--header", f"Authorization: Bearer {key}", "--workers", "2",
        "--seed", str(SEED), "--max-examples", str(EXAMPLES), "--generation-database", "none",
        env={**os.environ, "PYTHONPATH": str(CONFIGURATION), "COLUMNS": "110"}, cwd=CONFIGURATION,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await running.communicate()
    return running.returncode, output.decode()


@pytest.mark.timeout(max(600, EXAMPLES * 60))
async def test_schemathesis_finds_nothing(site_with):
    async with site_with(types=TYPES) as site:
        status, output = await attacked(site.url, await site.key())
    print(re.sub(r"\n\n+", "\n", output))  # noqa: T201 - its seed, and how much it tried
    assert status == 0, output
