"""Rows of files, doubled: to read one costs as much as it is long. No event loop waits for it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from support.stopwatch import Spent, judge, spent

from waypost.sources import recipient_table, suppression_table
from waypost.sources.files import rows_of
from waypost.sources.rows import LONGEST, SourceFailed
from waypost.sources.suppression_table import Defaults
from waypost.system.clock import now

SHAPES = (
    "a", ",", '"', '""', '","', "a,", '"a",', ";", "\t", "\n", "\r", "\n\n", '"\n', "é", "\x00", " ", "{",
    "[",
    '{"a":', "@", "a@a.example,", "+49", "(", "=?utf-8?q?a?= ", "\\", "\\u0041", "1", "xn--a.",
)  # fmt: skip


def recipients(file):
    for row in recipient_table.rows_in(file, {}):
        made(recipient_table.recipient_of, row)


def suppressions(file):
    for row in suppression_table.rows_in(file):
        made(lambda row: suppression_table.suppression_of(row, Defaults(), now()), row)


def made(make, row):
    with suppress(ValueError):
        make(row)


def read(work, file):
    with suppress(SourceFailed):
        work(file)


@pytest.mark.parametrize("work", [recipients, suppressions, lambda file: list(rows_of(file))])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_every_row_costs_as_much_as_it_is_long(tmp_path, name, work):
    file = tmp_path / name

    def act(head, shape, size, end=""):
        file.write_text(head + shape * (size // len(shape)) + end, newline="")
        return cost()

    def cost():
        return Spent(spent(lambda: read(work, file)).seconds, 0)

    def distinct(size):
        file.write_text("address," + ",".join(f"c{number}" for number in range(size)) + "\n")
        return cost()

    def cases():
        yield "distinct columns", distinct, 10_000
        for shape in SHAPES:
            yield f"a head of {shape!r}", lambda n, s=shape: act("", s, n), LONGEST
            for head in (
                "address,email\n",
                "id,name\na,",
                '{"id": "',
                '{"id": ',
                '{"email":"a@a.example"}\n',
            ):
                yield f"{head!r} and {shape!r}", lambda n, h=head, s=shape: act(h, s, n), LONGEST - 100
                yield (
                    f"{head!r}, closed {shape!r}",
                    lambda n, h=head, s=shape: act(h, s, n, '"}\n'),
                    LONGEST - 100,
                )

    judge(cases())
