"""The peer procrastinate on PostgreSQL: a job per mail, aiosmtplib with its connections kept open."""

from __future__ import annotations

import asyncio
import os

import aiosmtplib
import mails
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy, SyncPsycopgConnector
from program import main

app = App(connector=PsycopgConnector(conninfo=os.environ["PEER_DATABASE_URL"], min_size=4, max_size=16))
_idle: asyncio.LifoQueue[aiosmtplib.SMTP] = asyncio.LifoQueue()


@app.task(queue="mails", retry=RetryStrategy(max_attempts=3, exponential_wait=2))
async def send(order: dict) -> None:
    message = mails.message(order)
    connection = await _connection()
    try:
        await connection.send_message(message)
    except BaseException:
        connection.close()
        raise
    _idle.put_nowait(connection)


async def _connection() -> aiosmtplib.SMTP:
    """A connection of its own for each of the jobs that run at once."""
    if not _idle.empty():
        return _idle.get_nowait()
    connection = aiosmtplib.SMTP(hostname=mails.HOST, port=mails.PORT, use_tls=False, start_tls=False)
    await connection.connect()
    return connection


# The documentation's way to take back the jobs of a worker that was killed, more often than its ten minutes.
@app.periodic(cron="* * * * * */5")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)


def prepare() -> None:
    with _synchronous().open() as opened:
        opened.schema_manager.apply_schema()


def work() -> None:
    app.run_worker(concurrency=mails.CONNECTIONS)


def post(batches: list[list[dict]]) -> None:
    asyncio.run(_post(batches))


async def _post(batches: list[list[dict]]) -> None:
    async with app.open_async():
        for batch in batches:
            await send.batch_defer_async(*({"order": order} for order in batch))


def unfinished() -> int:
    with _synchronous().open() as opened:
        statuses = opened.job_manager.list_queues(queue="mails")
    return sum(queue["jobs_count"] - queue["succeeded"] for queue in statuses)


def _synchronous() -> App:
    return app.with_connector(SyncPsycopgConnector(conninfo=os.environ["PEER_DATABASE_URL"]))


if __name__ == "__main__":
    main(prepare=prepare, work=work, post=post, unfinished=unfinished)
