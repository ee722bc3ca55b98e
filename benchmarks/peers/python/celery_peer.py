"""The peer Celery on Redis: a task per mail, smtplib with a connection kept by each process.

Threads instead of processes are slower: they share one interpreter lock.
"""

from __future__ import annotations

import os
import smtplib

import mails
from celery import Celery
from program import main

PREFIX = os.environ["PEER_PREFIX"]
QUEUE = "mails"

app = Celery("mails", broker=os.environ["PEER_REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue=QUEUE,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
    # By default, a task of a killed worker comes back after an hour; kombu looks every 100 seconds.
    broker_transport_options={
        "global_keyprefix": PREFIX,
        "visibility_timeout": 30,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    },
)
_kept: list[smtplib.SMTP] = []


@app.task(autoretry_for=(smtplib.SMTPException, OSError), retry_backoff=True, max_retries=3)
def send(order: dict) -> None:
    message = mails.message(order)
    try:
        _connection().send_message(message)
    except Exception:
        _kept.clear()
        raise


def _connection() -> smtplib.SMTP:
    """This process's own connection."""
    if not _kept:
        _kept.append(smtplib.SMTP(mails.HOST, mails.PORT))
    return _kept[0]


def work() -> None:
    options = ("--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
    app.worker_main(["worker", f"--concurrency={mails.CONNECTIONS}", *options])


def post(batches: list[list[dict]]) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for batch in batches:
            for order in batch:
                send.apply_async((order,), producer=producer)


def unfinished() -> int:
    with app.connection_for_read() as connection:
        redis = connection.default_channel.client
        return redis.llen(QUEUE) + redis.hlen("unacked")


def clean() -> None:
    with app.connection_for_read() as connection:
        redis = connection.default_channel.client
        for key in redis.scan_iter(f"{PREFIX}*", count=1000):
            redis.delete(key.decode().removeprefix(PREFIX))


if __name__ == "__main__":
    main(work=work, post=post, unfinished=unfinished, clean=clean)
