"""The mailbox's process: `python -m waypost.mailbox FOLDER HOST SMTP_PORT HTTP_PORT`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP

from waypost.mailbox.app import make_app
from waypost.mailbox.mail import MailHandler
from waypost.system.child_process import stop_with_parent


def main() -> None:
    """Take mail until SIGTERM or the parent's end."""
    folder, host, smtp_port, http_port = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
    stop_with_parent()
    app = make_app(folder, host, lambda: _taking_mail(folder, host, smtp_port))
    uvicorn.run(app, host=host, port=http_port, log_level="warning")


@asynccontextmanager
async def _taking_mail(folder: Path, host: str, port: int):
    handler = MailHandler(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="mailbox.localhost", enable_SMTPUTF8=True, timeout=300),
        host,
        port,
    )
    try:
        yield
    finally:
        server.close()


if __name__ == "__main__":
    main()
