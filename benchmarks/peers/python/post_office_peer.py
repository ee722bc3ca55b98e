"""The peer django-post_office on PostgreSQL: mails queued with send_many, sent by its own loop."""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import django
import mails
from django.conf import settings
from django.core.management import call_command
from program import main

PROCESSES = 2
BATCH_SIZE = 1000
LOOKS_EVERY = 0.1  # seconds between two looks for new mails; its documentation shows cron, once a minute
LOCK = Path(os.environ["PEER_HOME"]) / "send_queued_mail"

_database = urlsplit(os.environ["PEER_DATABASE_URL"])
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _database.path.removeprefix("/"),
            "USER": _database.username or "",
            "PASSWORD": _database.password or "",
            "HOST": _database.hostname or "",
            "PORT": str(_database.port or ""),
            "CONN_MAX_AGE": None,
        }
    },
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    USE_TZ=True,
    DEFAULT_FROM_EMAIL=mails.SENDER,
    EMAIL_BACKEND="post_office.EmailBackend",
    EMAIL_HOST=mails.HOST,
    EMAIL_PORT=mails.PORT,
    POST_OFFICE={
        "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
        "BATCH_SIZE": BATCH_SIZE,
        "THREADS_PER_PROCESS": max(1, mails.CONNECTIONS // PROCESSES),
        "MAX_RETRIES": 3,
        "MESSAGE_ID_ENABLED": True,
        "MESSAGE_ID_FQDN": mails.DOMAIN,
    },
    LOGGING_CONFIG=None,
)
django.setup()

from post_office import mail  # noqa: E402
from post_office.models import STATUS, Email  # noqa: E402


def prepare() -> None:
    call_command("migrate", verbosity=0)


def work() -> None:
    while True:
        mail.send_queued_mail_until_done(str(LOCK), PROCESSES)
        time.sleep(LOOKS_EVERY)


def post(batches: list[list[dict]]) -> None:
    for batch in batches:
        mail.send_many([_queued(order) for order in batch])


def _queued(order: dict) -> dict:
    """Rendered here: its own templates would be compiled anew for every mail."""
    subject, text, html = mails.texts(order)
    return {"recipients": [order["to"]], "subject": subject, "message": text, "html_message": html}


def unfinished() -> int:
    return Email.objects.exclude(status=STATUS.sent).count()


if __name__ == "__main__":
    main(prepare=prepare, work=work, post=post, unfinished=unfinished)
