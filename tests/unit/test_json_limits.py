"""JSON looked at as text: cut into items, and measured, without being built."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stopwatch import Spent, judge, spent

from waypost.gateway.http.body import ONE
from waypost.gateway.json_limits import (
    DEEPEST,
    MOST_HOLDERS,
    MOST_VALUES,
    ItemTooLarge,
    NotBatch,
    items,
    over_limit,
)
from waypost.system.time_slices import Slices

pytestmark = pytest.mark.anyio

TEXT = st.text(alphabet='ab"\\[]{}:, \n\u00e9', max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("opened", [b"[", b"{", b'[{"a":', b"[,"])
@pytest.mark.parametrize("repeated", [b'\\"', b'"', b"\\", b'\\"[', b'"",'])
def test_a_text_that_is_never_closed_behind_many_brackets_costs_as_much_as_its_size(opened, repeated):
    def measured(size: int) -> Spent:
        text = opened * (DEEPEST + 1) + b'"' + repeated * (size // len(repeated))
        return spent(lambda: over_limit(text))

    judge([(f"{opened!r}, then {repeated!r}", measured, ONE)])


async def cut(text: bytes, largest: int = 1000) -> list[bytes]:
    return [item async for item in items(text, largest, Slices(60))]


@pytest.mark.long
@given(batch=st.lists(JSON, max_size=6), indent=st.sampled_from([None, 0, 2]), ascii=st.booleans())
async def test_items_are_cut_as_a_parser_reads_them(batch, indent, ascii):
    text = json.dumps({"notifications": batch}, indent=indent, ensure_ascii=ascii).encode()
    assert [orjson.loads(item) for item in await cut(text)] == batch


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b'"notifications"', b'{"notifications":{}}', b'{"notifications":[]', b"\xff",
        b'{"notifications":[]}]', b'{"notifications":[{}]', b'{"notifications":[{},]}',
        b'{"notifications":[,{}]}', b'{"notifications":[{}{}]}', b'{"notifications":["a]}',
        b'{"notifications":["a\\"]}', b'{"notifications":[{"a":"]}}', b'{"notifications":[{]}',
        b'{"notifications":[],"more":1}',
    ],
)  # fmt: skip
async def test_another_form_is_no_batch(text):
    with pytest.raises(NotBatch):
        await cut(text)


@pytest.mark.parametrize("item", [b'"' + b"x" * 100 + b'"', b"[" + b"1," * 60, b"[" * 102, b"1" * 101])
async def test_an_item_over_the_limit_is_named(item):
    with pytest.raises(ItemTooLarge) as refused:
        await cut(b'{"notifications":[{},' + item + b"]}", 100)
    assert refused.value.number == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" * DEEPEST + b"]" * DEEPEST, None),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "nested"),
        (b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1), "nested"),
        (b'["' + b"[" * 100 + b'"]', None),
        (b'["\\"' + b"[" * 100 + b'"]', None),
        (b'["\\\\"' + b"[" * 100 + b"]" * 101, "nested"),
        (b"[" + b"[]," * (MOST_HOLDERS - 2) + b"[]]", None),
        (b"[" + b"[]," * MOST_HOLDERS + b"[]]", "lists and objects"),
        (b"[" + b"1," * (MOST_VALUES - 1) + b"1]", None),
        (b"[" + b"1," * MOST_VALUES + b"1]", "values"),
        (b'["' + b"," * MOST_VALUES + b'"]', None),
    ],
)
def test_what_a_parser_would_build_has_limits(text, reason):
    told = over_limit(text)
    assert told is None if reason is None else reason in (told or "")
