"""Which lanes are stopped in Prefect, and how that is told."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import WorkPool, WorkQueue
from uuid_utils.compat import uuid7

from waypost.deployments.doctor.lanes import lane_findings
from waypost.deployments.paused_lanes import Notices, stopped
from waypost.model.priority import Priority


def pool(**more):
    return WorkPool(name="mails", type="resident", default_queue_id=uuid7(), **more)


def queue(name, **more):
    return WorkQueue(name=name, work_pool_id=uuid7(), **more)


@pytest.mark.parametrize(
    ("pool", "queues", "found"),
    [
        (pool(), [queue("urgent"), queue("bulk", concurrency_limit=3)], {}),
        (pool(), [queue("default", is_paused=True)], {}),
        (
            pool(),
            [queue("urgent", is_paused=True), queue("bulk", concurrency_limit=0)],
            {
                "urgent": "the work queue urgent of the pool mails is paused in Prefect; "
                "`prefect work-queue resume urgent --pool mails` resumes it",
                "bulk": "the work queue bulk of the pool mails has a concurrency limit of 0 in Prefect; "
                "`prefect work-queue clear-concurrency-limit bulk --pool mails` removes it",
            },
        ),
        (
            pool(is_paused=True),
            [queue("urgent", is_paused=True)],
            dict.fromkeys(
                Priority,
                "the work pool mails is paused in Prefect; `prefect work-pool resume mails` resumes it",
            ),
        ),
        (
            pool(concurrency_limit=0),
            [],
            dict.fromkeys(
                Priority,
                "the work pool mails has a concurrency limit of 0 in Prefect; "
                "`prefect work-pool clear-concurrency-limit mails` removes it",
            ),
        ),
    ],
)
def test_the_lanes_that_are_stopped(pool, queues, found):
    assert stopped(pool, queues) == found
    assert [finding.ok for finding in lane_findings(stopped(pool, queues))] == [False] * len(
        {*found.values()}
    )


def test_a_change_is_logged_once(caplog):
    notices = Notices()
    for found in (
        {},
        {Priority.BULK: "x is paused; y resumes it"},
        {Priority.BULK: "x is paused; y resumes it"},
        {},
    ):
        notices.tell(found)
    assert [record.message for record in caplog.records] == [
        "x is paused; y resumes it; accepted notifications wait",
        "resolved: x is paused",
    ]
