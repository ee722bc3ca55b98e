"""docs/recipients.md says what the code says: categories, their terms, rules, causes and columns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from waypost.model.cadence import Cadence
from waypost.model.category import LANES, Category, CategoryTerms, terms_of
from waypost.model.suppression import Cause
from waypost.policy import precedence
from waypost.policy.bounces import FEWEST, REST, WITHIN
from waypost.sources.suppression_table import HEADER

PAGE = (Path(__file__).parents[2] / "docs" / "recipients.md").read_text()
WORDS = {True: "no, it is mandatory", False: "no"}


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("category", Category)
def test_a_category_is_told_with_its_lane_and_whether_it_may_be_turned_off(category):
    terms = terms_of(category, {})
    last = "yes" if terms.optional else WORDS[terms.mandatory]
    assert re.search(rf"^\| `{category}` \| [^|]+ \| {LANES[category]} \| {last} \|$", PAGE, re.MULTILINE)


def test_the_terms_of_a_category_are_those_there_are():
    table = PAGE.partition("| term | default | |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(CategoryTerms.model_fields)


def test_the_example_of_the_setting_can_be_read():
    [text] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    terms = {Category(name): CategoryTerms.model_validate(one) for name, one in json.loads(text).items()}
    assert not terms_of(Category.TRANSACTIONAL, terms).optional


def test_every_cadence_named_can_be_chosen():
    [sentence] = re.findall(r"A cadence is (.*?), by the clock", PAGE, re.DOTALL)
    cadences = re.findall(r"`([^`]+)`", sentence)
    assert [str(Cadence.parse(one)) for one in cadences] == cadences


def test_the_table_of_rules_is_the_one_that_decides():
    rules = re.findall(r"^\d\. (\w+): (.*)", precedence.__doc__ or "", re.MULTILINE)
    table = PAGE.partition("| rule | says |")[2].partition("\n\n")[0]
    told = re.findall(r"^\| (\w+) \| (.*) \|$", table, re.MULTILINE)
    assert [name for name, _ in told] == [name for name, _ in rules]
    assert all(words.startswith(rule[:25]) for (_, words), (_, rule) in zip(told, rules, strict=True))


def test_every_cause_and_every_column_is_told():
    table = PAGE.partition("| cause | comes from |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE) == list(Cause)
    assert all(f"`{name}`" in PAGE for name in HEADER)


def test_the_numbers_of_soft_bounces_are_those_there_are():
    assert (FEWEST, WITHIN.days, REST.days) == (3, 30, 7)
    assert "three notifications within 30 days" in PAGE
    assert "ends after 7 days" in PAGE
