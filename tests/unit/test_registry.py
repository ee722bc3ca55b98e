"""Files in flows/ that are no good: each is told in a sentence, and harms no other."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from functools import partial

import pytest
from pydantic import ValidationError
from support.project import FLOW, LIKE_ALERT
from support.shipped_types import SHIPPED

from waypost import NotificationType, RetryPolicy
from waypost.deployments import deploy
from waypost.deployments.deploy import unscheduled
from waypost.deployments.registry import BrokenType, UnknownType, broken, check, find, registered
from waypost.model.notification_type import Grouping


@pytest.fixture(params=["ours alone", "beside a reader's own"], autouse=True)
def add(request, project):
    """Writes files into the project's flows/."""
    if request.param != "ours alone":
        project.write(parcel=LIKE_ALERT + "TYPE = replace(ALERT, name='parcel')\n" + FLOW)
    return project.write


@pytest.fixture
def theirs():
    """The types that lie in flows/ beside ours: a reader's own."""
    return set(registered()) - SHIPPED


def test_ours_are_all_good():
    assert set(registered()) >= SHIPPED
    assert broken() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (\n", "flows/mine.py cannot be loaded: a syntax error in line 1 ('(' was never closed)"),
        ("\nimport nowhere_at_all\n", "ModuleNotFoundError in line 2 (No module named 'nowhere_at_all')"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine', route='email')\n", "with a comma"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='My_Type')\n" + FLOW, "'My_Type': write it in kebab-case"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine-')\n" + FLOW, "'mine-': write it in kebab-case"),
        (
            LIKE_ALERT + "TYPE = replace(ALERT, name='waypost')\n" + FLOW,
            "'waypost': Waypost has a deployment",
        ),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='my-failures')\n" + FLOW, "or a table of that name"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine')\n", "put @flow(name=TYPE.name) over its flow"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine', cron=8)\n", "cron: neither a text such as"),
        (
            LIKE_ALERT + "TYP = replace(ALERT, name='mine')\n" + FLOW.replace("TYPE", "TYP"),
            "declares a type as TYP",
        ),
        (
            "TYPE = 'mine'\n",
            "flows/mine.py: TYPE is not a NotificationType. Declare it with NotificationType(...)",
        ),
    ],
)
def test_a_file_that_is_no_good_is_told_and_harms_no_other(add, theirs, text, said):
    add(mine=text)
    [fault] = broken()
    assert said in fault
    assert "flows/mine.py" in fault
    assert "\n" not in fault
    assert set(registered()) == SHIPPED | theirs
    with pytest.raises(BrokenType, match="flows/mine"):
        check()


@pytest.mark.parametrize("name", [one.name for one in fields(NotificationType)])
def test_a_declaration_with_a_value_of_the_wrong_kind_is_told_by_its_field(add, theirs, name):
    kept = "object()" if name != "name" else "8"
    add(mine=LIKE_ALERT + f"TYPE = replace(ALERT, **{{'name': 'mine', '{name}': {kept}}})\n" + FLOW)
    [fault] = broken()
    assert re.search(rf"flows/mine\.py cannot be loaded: NotificationType in line \d+: {name}: \w", fault)
    assert set(registered()) == SHIPPED | theirs


@pytest.mark.parametrize("made", [RetryPolicy, partial(Grouping, key=str, window=timedelta(hours=1))])
def test_a_policy_with_a_value_of_the_wrong_kind_is_refused(made):
    for one in fields(made()):
        with pytest.raises(ValidationError, match=one.name):
            made(**{one.name: object()})


@pytest.mark.parametrize(
    "more",
    ["deadline=24", "category='news'", "batch_size='many'", "retry=3", "priority='asap'", "route=()"],
)
def test_what_a_newcomer_writes_first_and_wrongly_is_told(add, more):
    add(mine=LIKE_ALERT + f"TYPE = replace(ALERT, name='mine', {more})\n" + FLOW)
    [fault] = broken()
    assert f"{more.partition('=')[0]}: " in fault


def test_a_file_without_a_type_is_nobodys_business(add, theirs):
    add(helpers="def help(): ...\n")
    assert (set(registered()), broken()) == (SHIPPED | theirs, [])


def test_of_two_with_one_name_neither_is_used(add, theirs):
    text = LIKE_ALERT + "TYPE = replace(ALERT, name='mine')\n" + FLOW
    add(mine=text, other=text)
    [fault] = broken()
    assert "flows/mine.py and flows/other.py both declare the type 'mine': rename one" in fault
    assert set(registered()) == SHIPPED | theirs


def test_who_asks_for_a_type_that_is_broken_hears_of_it(add):
    add(mine="x = (\n")
    with pytest.raises(UnknownType, match=r"no type 'mine'.*flows/mine\.py cannot be loaded"):
        find("mine")
    assert find("alert").file == "waypost/flows/alert.py"


def test_an_invalid_cron_is_told_with_its_file(monkeypatch, add):
    monkeypatch.setenv("WAYPOST_DIGEST_CRON", "every morning")
    wrong = "invalid cron expression. Use five fields, for example '0 8 * * *'"
    add(
        mine=LIKE_ALERT + "TYPE = replace(ALERT, name='mine', cron='0 8 * *')\n" + FLOW,
        late=LIKE_ALERT + "TYPE = replace(ALERT, name='late', cron=lambda: {}['cron'])\n" + FLOW,
        good=LIKE_ALERT + "TYPE = replace(ALERT, name='good', cron='0 8 * * 1')\n" + FLOW,
    )
    assert set(unscheduled()) == {
        f"waypost/flows/digest.py: {wrong} (set WAYPOST_DIGEST_CRON for the digest)",
        f"flows/mine.py: {wrong}",
        f"flows/late.py: {wrong}",
    }


def test_a_cron_may_be_a_text(add):
    add(mine=LIKE_ALERT + "TYPE = replace(ALERT, name='mine', cron='0 8 * * 1')\n" + FLOW)
    [schedule] = deploy._schedules(registered()["mine"].type)
    assert schedule.schedule.cron == "0 8 * * 1"
