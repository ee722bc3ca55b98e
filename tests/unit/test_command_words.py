"""The lines that commands print read as sentences."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from waypost.cli import app
from waypost.cli.list import with_reason
from waypost.cli.output import show, table
from waypost.cli.retry_cancel import selection_in_words
from waypost.cli.send import (
    deferred_in_words,
    for_digest_in_words,
    in_doubt_in_words,
    interrupted_in_words,
    nothing_sent_in_words,
)
from waypost.cli.states import without_state
from waypost.deployments.doctor.ledger import open_in_words
from waypost.deployments.file_send import FileSend, Rejection
from waypost.ledger.operations.retry_cancel import Selection
from waypost.ledger.operations.search import Entry
from waypost.ledger.operations.stats import with_state
from waypost.model.states import State


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("sent", "", "sent"),
        ("failed", "body.txt: no x", "failed: body.txt: no x"),
        ("cancelled", "cancelled by a person", "cancelled by a person"),
        ("deferred", "deferred at rcpt: 451", "deferred at rcpt: 451"),
        ("accepted", "it will fail", "accepted: it will fail"),
    ],
)
def test_a_state_and_its_reason_are_told_once(state, reason, said):
    assert with_state(state, reason) == said


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("deferred", "deferred at rcpt: 451", "at rcpt: 451"),
        ("failed", "refused at rcpt: 550", "refused at rcpt: 550"),
        ("expired", "expired", ""),
        ("held", "holder is gone", "holder is gone"),
        ("held", "helder", "helder"),
    ],
)
def test_a_reason_beside_its_state_does_not_repeat_it(state, reason, said):
    assert without_state(state, reason) == said


@pytest.mark.parametrize(
    ("next_try", "said"),
    [
        (datetime(2026, 3, 1, 14, 12, 24, tzinfo=UTC), "3 deferred, next try 14:12:24 UTC"),
        (datetime(2026, 3, 2, 0, 12, 24, tzinfo=UTC), "3 deferred, next try 2026-03-02 00:12:24 UTC"),
    ],
)
def test_a_deferral_is_told_with_its_next_try(next_try, said):
    assert deferred_in_words(3, next_try, datetime(2026, 3, 1, 14, 11, tzinfo=UTC)) == said


@pytest.mark.parametrize(
    ("open", "late", "said"),
    [
        ({}, {}, "no notification is open"),
        ({State.ACCEPTED: 1}, {}, "1 notification open, 0 late"),
        (
            {State.ACCEPTED: 4, State.DEFERRED: 3},
            {State.ACCEPTED: 1, State.DEFERRED: 1},
            "7 notifications open, 2 late; 3 of them deferred, 1 late",
        ),
    ],
)
def test_open_notifications_are_counted_with_those_that_are_late(open, late, said):
    assert open_in_words(Counter(open), Counter(late)) == said


@pytest.mark.parametrize(
    ("verb", "done", "share", "said"),
    [
        ("retry", "retried", Selection("failed", 1), "1  failed:     can be retried"),
        ("retry", "retried", Selection("held", 2, in_doubt=True), "2  held:       can be retried; held in d"),
        ("retry", "retried", Selection("held", 2), "2  held:       can be retried"),
        ("cancel", "cancelled", Selection("held", 2), "2  held:       can be cancelled"),
        ("retry", "retried", Selection("sent", 3, "sent already"), "3  sent:       left alone: sent already"),
    ],
)
def test_a_count_does_not_read_as_a_result(verb, done, share, said):
    assert selection_in_words(verb, done, share).strip().startswith(said)


@pytest.mark.parametrize(
    ("state", "reason", "in_doubt", "said"),
    [
        ("sent", "", 0, ""),
        ("sent", "", 1, "maybe sent twice"),
        ("accepted", "", 1, "may have arrived before"),
        ("held", "in doubt", 1, "in doubt"),
    ],
)
def test_every_notification_in_doubt_has_a_reason(state, reason, in_doubt, said):
    entry = Entry(None, "note", state, "ada", 1, "smtp", None, None, None, reason, in_doubt)
    assert with_reason(entry).reason == said


@pytest.mark.parametrize(
    ("count", "next_digest", "said"),
    [
        (
            2,
            datetime(2026, 3, 2, 8, tzinfo=UTC),
            "2 wait for the digest, which goes out at 2026-03-02 08:00:00 UTC; there is nothing to do",
        ),
        (
            1,
            None,
            "1 waits for the digest, which has no schedule now: run it, or give it a schedule, in Prefect",
        ),
    ],
)
def test_what_waits_for_the_digest_is_told_with_its_time(count, next_digest, said):
    assert for_digest_in_words(count, next_digest, datetime(2026, 3, 1, 14, tzinfo=UTC)) == said


def test_only_what_is_held_in_doubt_may_not_have_arrived_at_all():
    told = in_doubt_in_words(Counter({State.SENT: 2, State.DEFERRED: 1, State.HELD: 1}))
    assert [line.partition(":")[0] for line in told] == [
        "3 may be delivered twice",
        "1 held in doubt, delivered or not at all",
    ]
    assert in_doubt_in_words(Counter()) == []


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (FileSend("note"), "interrupted before anything was accepted"),
        (
            FileSend("note", offered=3, through=3),
            "interrupted before the end of the file: lines 1 to 3",
        ),
        (
            FileSend("note", offered=3, through=3, complete=True),
            "interrupted while watching: the accepted notifications are safe in the ledger and still go out",
        ),
    ],
)
def test_ctrl_c_is_told_what_it_left_behind(sent, said):
    assert interrupted_in_words(sent).startswith(said)


REJECTED = [Rejection(1, "data"), Rejection(2, "data"), Rejection(3, "data")]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (FileSend("note", lines=2, accepted=1, repeated=1), ""),
        (FileSend("note", lines=2, repeated=1, trouble="the file cannot be read"), ""),
        (
            FileSend("note", lines=2, repeated=2),
            "nothing was sent: every request was accepted before (same idempotency keys)",
        ),
        (
            FileSend("note", lines=4, repeated=1, rejections=REJECTED),
            "nothing was sent: 1 was accepted before (same idempotency key), 3 were rejected (above)",
        ),
        (
            FileSend("note", lines=3, repeated=2, grouped=1),
            "nothing was sent: 2 were accepted before (same idempotency keys), "
            "1 was counted in an open notification",
        ),
    ],
)
def test_why_nothing_was_sent_is_told_by_kind(sent, said):
    assert nothing_sent_in_words(sent) == said


def test_a_file_without_its_option_is_told_how_it_is_given():
    done = CliRunner().invoke(app, ["send", "alert", "file.jsonl"])
    assert done.exit_code == 2
    assert "did you mean --from file.jsonl?" in done.stderr
    assert "did you mean" not in CliRunner().invoke(app, ["send", "alert"]).stderr


def test_a_table_in_a_pipe_has_every_cell_complete(capsys):
    name = "a-" * 100 + "type"
    show(table("deployment", "id", rows=[(name, "1")]))
    assert name in capsys.readouterr().out
