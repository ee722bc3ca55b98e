"""docs/gateway.md says what the code says: codes, limits, scopes and routes cannot drift apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waypost.gateway import intake, json_limits, memory_budget, openapi
from waypost.gateway.auth import key_format
from waypost.gateway.http import body, listing
from waypost.gateway.problems import KINDS
from waypost.model.request import Request

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()
ROW = re.compile(r"^\| `([a-z-]+)` \| (\d{3}) \| (.+) \|$", re.MULTILINE)


def test_the_table_of_codes_is_the_codes_there_are():
    told = [(code, int(status), title) for code, status, title in ROW.findall(PAGE)]
    assert told == [(kind.code, kind.status, kind.title) for kind in KINDS.values()]


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("any other request | 256 KiB |", body.ONE // 1024),
        ("the body of a batch | 4 MiB,", body.MANY // 1024**2),
        ("4 MiB, 1,000 notifications", intake.MOST_ITEMS),
        ("JSON within JSON | 32 deep |", json_limits.DEEPEST),
        ("JSON of one notification | 10,000 |", json_limits.MOST_HOLDERS),
        ("not answered yet | 32 MiB,", memory_budget.MOST // 1024**2),
        ("32 MiB, of them 16 MiB of one client", memory_budget.SHARE // 1024**2),
        ("1,000 notifications of 256 KiB |", body.ONE // 1024),
        ("a page of a list | 200 |", listing.MOST_LISTED),
        ("tags of a notification | 10,", Request.model_json_schema()["properties"]["tags"]["maxItems"]),
    ],
)
def test_a_limit_is_the_one_there_is(words, number):
    assert words in PAGE
    assert f"{number:,}" in words


def test_every_scope_is_told():
    assert {f"`{scope}`" for scope in key_format.SCOPES} <= set(re.findall(r"`[a-z]+`", PAGE))


def test_every_problem_of_the_document_has_its_words():
    assert {kind.status for kind in KINDS.values()} - {405, 408, 417, 431, 500} <= openapi._TITLES.keys()
