"""A file of another kind is known by its first line, and nothing of it is accepted."""

from __future__ import annotations

import io
import json

import pytest
from support.requests import order
from support.shipped_types import COMPOSED, SHIPPED

from waypost.deployments import registry
from waypost.deployments.file_send import submit
from waypost.deployments.registry import NotAskedFor
from waypost.deployments.request_file_kind import WANTED, NotJsonl, check_first
from waypost.gateway.http.body import ONE
from waypost.system.file_lines import lines_of

GOOD = order("A-1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"order_id,email\r\nA-1,ada@a.example\n", "a table such as CSV"),
        (b"order_id\temail\nA-1\tada@a.example\n", "a table such as CSV"),
        (b"\n \n[\n", "a JSON array (`jq -c '.[]'`"),
        (json.dumps([GOOD]).encode(), "a JSON array"),
        (json.dumps([GOOD] * 3, indent=0).encode(), "a JSON array"),
        (json.dumps(GOOD, indent=2).encode(), "JSON with line breaks inside an object"),
        (b'{"recipient": {\n"id": "ada"}}', "JSON with line breaks"),
        (json.dumps(GOOD).encode()[:-9], "cut off: it ends inside its first object"),
        (b'\xef\xbb\xbf{\n"recipient": {}}', "JSON with line breaks"),
        (json.dumps(GOOD).encode("utf-16"), "text in UTF-16"),
        (json.dumps(GOOD).encode("utf-16-le"), "text in UTF-16"),
        (json.dumps(GOOD).encode("utf-16-be"), "text in UTF-16"),
        (json.dumps(GOOD).encode("utf-32"), "text in UTF-32"),
        (b"PK\x03\x04\x14\x00\x08\x00", "binary"),
        (b"\x1f\x8b\x08\x00\x00", "binary"),
        ('{"name": "Zoë"}'.encode("latin-1"), "binary, or text in another encoding than UTF-8"),
        (b"<?xml version='1.0'?>\n", "XML or HTML"),
        (b"hello\n", "other text"),
        (b"WAYPOST_SENDER='Shop, Ltd <no-reply@shop.example>'\n", "other text: its first line is not a JSON"),
        (b"# settings, one a line\n", "other text: its first line is not a JSON object"),
        (b"[" * (ONE + 9), "a JSON array"),
    ],
)
@pytest.mark.anyio
async def test_a_file_of_another_kind_is_refused_in_one_sentence(text, said):
    with pytest.raises(NotJsonl) as refused:
        await submit(None, registry.find("order-confirmation"), lines_of(io.BytesIO(text), ONE))
    told = str(refused.value)
    assert told.startswith(f"the file seems to be {said}")
    assert told.endswith(f"; {WANTED}. Nothing was accepted")


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(GOOD).encode() + b"\r\n",
        '{"name": "Zoë"}'.encode(),
        b'{"a": tru}',
        b"{'a': 1}",
        b'{"a": 1}{"b": 2}',
        b'{"a":"' + "ë".encode() * ONE,
        b'{"a":' * 100,
    ],
)
def test_what_is_wrong_with_an_object_is_told_of_its_line(line):
    check_first(line)


def test_a_digest_is_composed_and_cannot_be_sent():
    with pytest.raises(NotAskedFor) as refused:
        registry.requestable("digest")
    assert str(refused.value) == (
        f"type: not one of {', '.join(sorted(SHIPPED - COMPOSED))}: Waypost composes digest "
        'itself; `"digest": true` in a request of alert lets it wait for one'
    )
    assert registry.requestable("alert").type.name == "alert"
