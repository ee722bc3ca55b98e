"""A mail server that reports when it took each mail: `python -m benchmarks.harness.recording_sink`.

It runs in its own process, so that no other work delays its reports. Its first line of output is its
port; then comes a line of JSON per mail: recipient, Message-ID, and time.time() at the end of DATA.
"""

from __future__ import annotations

import asyncio
import json
import time
from email import message_from_bytes
from typing import Any

from aiosmtpd.smtp import SMTP

from waypost.system.child_process import stop_with_parent


class Noting:
    """aiosmtpd's handler: takes every mail, and keeps none."""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        taken_at = time.time()
        head = message_from_bytes(envelope.content)
        note = {"at": taken_at, "to": envelope.rcpt_tos[0], "id": head["Message-ID"]}
        print(json.dumps(note), flush=True)
        return "250 2.0.0 noted"


async def main() -> None:
    """Take mail until the benchmark ends."""
    handler = Noting()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="arrivals.localhost", enable_SMTPUTF8=True, timeout=3600),
        "127.0.0.1",
        0,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    stop_with_parent()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
