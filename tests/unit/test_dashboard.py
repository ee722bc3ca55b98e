"""The words of the dashboard: what is wrong, since when, why, and what to do."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from waypost.delivery.provider_state import OpenCircuit
from waypost.deployments.dashboard import failures, page
from waypost.deployments.dashboard.dashboard import artifact_key
from waypost.deployments.dashboard.situation import ProviderLine, Situation
from waypost.deployments.dashboard.traffic import Flow, percentile
from waypost.deployments.dashboard.troubles import troubles
from waypost.ledger.operations.overview import Failure, LastRun, Waiting
from waypost.ledger.queue.holds import Hold
from waypost.model.priority import Priority
from waypost.system.ids import new_id
from waypost.tasks.markdown import as_code

NOW = datetime(2026, 11, 30, 14, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REFUSED = "127.0.0.1:25 could not be reached (Connection refused)"
HOSTILE = "550 [pay](https://evil.example) | `x` <img src=x>\r\n# no"


def seen(**more):
    defaults = {
        "now": NOW,
        "counted_from": NOW - timedelta(days=1),
        "hour": {},
        "day": {},
        "waiting": {},
        "failures": {},
        "last_runs": {},
        "providers": [ProviderLine("smtp", "email")],
        "circuits": [],
        "routes": {"order": ["smtp"]},
    }
    return Situation(**(defaults | more))


def failure(at=NOW - MINUTE, reason="550 no such user", **more):
    fields = {
        "id": new_id(), "type": "order", "state": "failed", "recipient": "v***e@a.example", "tries": 1,
        "provider": "smtp", "at": at, "reason": reason, "flow_run_id": new_id(),
    }  # fmt: skip
    return Failure(**(fields | more))


def one(situation):
    [found] = troubles(situation)
    return found


def test_without_trouble_all_is_well():
    _, line = page.page(seen(hour={"order": Flow(accepted=2, sent=2, p50=0.4, p95=0.9)}))
    assert line == "All is well: nothing fails, and nothing due waits."


def test_a_provider_that_does_not_work_is_told_with_its_begin_cause_and_next_try():
    circuit = OpenCircuit("smtp", "", NOW - 5 * MINUTE, NOW + MINUTE, REFUSED)
    waiting = {"order": Waiting(count=36, deferred=30, due_at=NOW - 4 * MINUTE)}
    text, line = page.page(seen(circuits=[circuit], waiting=waiting))
    assert line == "smtp does not work since 14:15:00 UTC"
    assert (
        f"- **smtp does not work** since 14:15:00 UTC: `{REFUSED}`. 36 notifications wait. Waypost tries it "
        "again at 14:21:00 UTC. Start that server, or correct its URL or password; `waypost doctor` tests it."
    ) in text
    assert text.count("\n- **") + text.startswith("- **") == 1, "what waits for it is no second trouble"


def test_templates_that_are_not_in_use_are_told_by_file_and_line():
    why = "templates/order/body.mjml, line 3: unexpected '}'"
    found = one(seen(template_faults={"order": why}))
    assert found.what == "the changed templates of order are not in use"
    assert found.why == f"`{why}`. The templates before stay in use"


def test_what_waits_without_a_dispatcher_is_told():
    found = one(seen(waiting={"order": Waiting(count=1, due_at=NOW - 2 * MINUTE)}))
    assert (found.what, found.since) == ("no run starts for order", NOW - 2 * MINUTE)


@pytest.mark.parametrize(("late", "told"), [(2 * MINUTE, []), (6 * MINUTE, ["order falls behind"])])
def test_what_runs_are_at_work_on_may_take_some_minutes(late, told):
    waiting = {"order": Waiting(count=500, in_hand=500, due_at=NOW - late)}
    assert [found.what for found in troubles(seen(waiting=waiting))] == told


def test_a_held_type_and_a_paused_queue_are_told_with_what_releases_them():
    why = "the work queue bulk is paused in Prefect; `prefect work-queue resume bulk` resumes it"
    text, line = page.page(
        seen(held=[Hold("order", "wrong prices", NOW - MINUTE)], stopped={Priority.BULK: why})
    )
    assert line == "the work queue bulk is paused in Prefect, and 1 more"
    assert "**order is held** since 14:19:00 UTC: `wrong prices`" in text
    assert text.count("`waypost release order`") == 2
    assert "`prefect work-queue resume bulk`" in text


def test_fresh_failures_are_told_by_reason_and_older_ones_only_counted():
    fresh = [failure(), failure(), failure(reason="554 spam")]
    old = failure(at=NOW - timedelta(hours=3))
    found = one(seen(failures={"order": [*fresh, old]}))
    assert found.what == "3 order not delivered"
    assert found.why == "`550 no such user` (2 times); `554 spam`"
    assert not troubles(seen(failures={"order": [old]}))


def test_deferred_mail_is_a_note():
    waiting = {
        "order": Waiting(count=2, deferred=2, reasons=Counter({"451 later": 2}), next_try=NOW + MINUTE)
    }
    text, line = page.page(seen(waiting=waiting))
    assert line == "All is well. Deferred mail goes on."
    assert "`451 later` (2 times). Waypost tries again by itself; next try at 14:21:00 UTC." in text


def test_a_count_that_was_cut_off_says_so():
    assert (
        "10,000 or more notifications wait"
        in one(seen(waiting={"order": Waiting(count=10_000, due_at=NOW - 2 * MINUTE)})).why
    )


def test_a_providers_words_are_shown_letter_for_letter():
    circuit = OpenCircuit("smtp", "", NOW, None, HOSTILE)
    text, line = page.page(
        seen(
            circuits=[circuit],
            failures={"order": [failure(reason=HOSTILE)]},
            last_runs={"order": LastRun(new_id(), HOSTILE, NOW)},
        )
    )
    shown = as_code(HOSTILE)
    assert shown == "`550 [pay](https://evil.example) ¦ 'x' <img src=x> # no`"
    assert "evil" not in text.replace(shown, "").replace(as_code(HOSTILE[:60]), "")
    assert "evil" not in line
    [row] = failures.table([failure(reason=HOSTILE)], NOW)
    assert row["Detail"] == shown


def test_a_failure_leaves_its_table_after_some_days():
    old, new = failure(at=NOW - timedelta(days=8)), failure()
    assert failures.recent([new, old], NOW) == [new]


@pytest.mark.parametrize(
    ("weighted", "share", "value"),
    [
        ([], 0.5, None),
        ([(1.0, 1), (2.0, 1), (9.0, 1)], 0.5, 2.0),
        ([(1.0, 98), (9.0, 2)], 0.95, 1.0),
        ([(1.0, 90), (9.0, 10)], 0.95, 9.0),
    ],
)
def test_a_sampled_time_stands_for_the_notifications_of_its_minute(weighted, share, value):
    assert percentile(weighted, share) == value


@pytest.mark.parametrize(
    ("pool", "key"), [("waypost", "waypost"), ("My Pool_2", "my-pool-2"), ("---", "waypost")]
)
def test_the_key_of_the_artifact_is_the_name_of_the_work_pool(pool, key):
    assert artifact_key(pool) == key
