"""A file's lines: cut at a limit, and read at a cost that grows as they do."""

from __future__ import annotations

import io

import pytest
from support.costly_texts import IN_JSON, filled
from support.stopwatch import judge, spent

from waypost.deployments import file_send
from waypost.deployments.registry import find
from waypost.gateway.http.body import ONE
from waypost.system.file_lines import lines_of

ORDER = find("order-confirmation")
BARE = ("[", "{}", "[],", '{"a":', '""', '"a":1,', "0", "0,", " ", "\\", "\t", "null,")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", []),
        (b"a\nb", [b"a\n", b"b"]),
        (b"\n\n", [b"\n", b"\n"]),
        (b"abc\nd\n", [b"abc\n", b"d\n"]),
        (b"abcd\nd\n", [b"abcd", b"d\n"]),
        (b"abcdefghijklm\nd", [b"abcd", b"d"]),
        (b"abcdefghijklm", [b"abcd"]),
    ],
)
def test_of_a_long_line_only_its_beginning_is_kept(text, found):
    assert list(lines_of(io.BytesIO(text), 3)) == found


def test_a_line_over_the_limit_is_refused_by_its_length():
    line = b'{"a":"' + b"x" * ONE
    told = file_send.read(ORDER, line)
    assert told == "the line is longer than 262,144 bytes, the limit for a request"


@pytest.mark.parametrize("line", [b"[" * 100, b'{"a":' * 100])
def test_a_line_that_nests_too_deep_is_refused(line):
    assert file_send.read(ORDER, line) == "the JSON is nested more than 32 levels deep"


def test_a_line():
    def act(text: str):
        line = text.encode()
        return spent(lambda: file_send.read(ORDER, line))

    judge((f"a line of {s!r}", lambda n, s=s: act(filled(s, n)), ONE) for s in BARE)
    judge(
        (f"an id of {s!r}", lambda n, s=s: act('{"recipient":{"id":"' + filled(s, n) + '"}}'), ONE - 30)
        for s in IN_JSON
    )
    judge(
        (f"lines of {s!r}", lambda n, s=s: act('{"data":{"lines":[' + filled(s, n) + "]}}"), ONE - 30)
        for s in BARE
    )
