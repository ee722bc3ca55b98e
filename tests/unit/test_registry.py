"""Files in flows/ that are no good: each is told in a sentence, and harms no other."""

from __future__ import annotations

import importlib
import sys

import pytest

import flows
from deployments import deploy, registry
from deployments.deploy import unscheduled
from deployments.registry import BrokenType, UnknownType, broken, check, find, registered

OURS = {"alert", "digest", "message", "order-confirmation", "signup-verification"}  # beside a reader's own
LIKE_ALERT = (
    "from dataclasses import replace\nfrom flows.alert import TYPE as ALERT\nfrom prefect import flow\n"
)
FLOW = "@flow(name=TYPE.name)\nasync def mine(): ...\n"


@pytest.fixture(params=["ours alone", "beside a reader's own"], autouse=True)
def add(request, tmp_path, monkeypatch):
    """Writes files that are found as if they lay in flows/."""
    folder = tmp_path / "flows"
    folder.mkdir()
    monkeypatch.setattr(flows, "__path__", [*flows.__path__, str(folder)])
    known = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        registry._found.cache_clear()

    if request.param != "ours alone":
        write(parcel=LIKE_ALERT + "TYPE = replace(ALERT, name='parcel')\n" + FLOW)
    yield write
    registry._found.cache_clear()
    for name in set(sys.modules) - known:
        if name.startswith("flows."):
            del sys.modules[name]


@pytest.fixture
def theirs():
    """The types that lie in flows/ beside ours: a reader's own."""
    return set(registered()) - OURS


def test_ours_are_all_good():
    assert set(registered()) >= OURS
    assert broken() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (\n", "flows/mine.py cannot be loaded: a syntax error in line 1 ('(' was never closed)"),
        ("\nimport nowhere_at_all\n", "ModuleNotFoundError in line 2 (No module named 'nowhere_at_all')"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine', route='email')\n", "with a comma"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='My_Type')\n" + FLOW, "'My_Type': write it in kebab-case"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine-')\n" + FLOW, "'mine-': write it in kebab-case"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine')\n", "put @flow(name=TYPE.name) over its flow"),
        (LIKE_ALERT + "TYPE = replace(ALERT, name='mine', cron=8)\n", "cron of mine: not a text such as"),
        ("TYPE = 'mine'\n", "the TYPE of flows/mine.py is no NotificationType"),
    ],
)
def test_a_file_that_is_no_good_is_told_and_harms_no_other(add, theirs, text, said):
    add(mine=text)
    [fault] = broken()
    assert said in fault
    assert "flows/mine.py" in fault
    assert "\n" not in fault
    assert set(registered()) == OURS | theirs
    with pytest.raises(BrokenType, match="flows/mine"):
        check()


def test_a_file_without_a_type_is_nobodys_business(add, theirs):
    add(helpers="def help(): ...\n")
    assert (set(registered()), broken()) == (OURS | theirs, [])


def test_of_two_with_one_name_neither_is_used(add, theirs):
    text = LIKE_ALERT + "TYPE = replace(ALERT, name='mine')\n" + FLOW
    add(mine=text, other=text)
    [fault] = broken()
    assert "flows/mine.py and flows/other.py both declare the type 'mine': rename one" in fault
    assert set(registered()) == OURS | theirs


def test_who_asks_for_a_type_that_is_broken_hears_of_it(add):
    add(mine="x = (\n")
    with pytest.raises(UnknownType, match=r"no type 'mine'.*flows/mine\.py cannot be loaded"):
        find("mine")
    assert find("alert").file == "flows/alert.py"


def test_an_invalid_cron_is_told_with_its_file(monkeypatch, add):
    monkeypatch.setenv("WAYPOST_DIGEST_CRON", "every morning")
    wrong = "invalid cron expression. Use five fields, for example '0 8 * * *'"
    add(
        mine=LIKE_ALERT + "TYPE = replace(ALERT, name='mine', cron='0 8 * *')\n" + FLOW,
        late=LIKE_ALERT + "TYPE = replace(ALERT, name='late', cron=lambda: {}['cron'])\n" + FLOW,
        good=LIKE_ALERT + "TYPE = replace(ALERT, name='good', cron='0 8 * * 1')\n" + FLOW,
    )
    assert set(unscheduled()) == {
        f"flows/digest.py: {wrong}; the digest's is WAYPOST_DIGEST_CRON",
        f"flows/mine.py: {wrong}",
        f"flows/late.py: {wrong}",
    }


def test_a_cron_may_be_a_text(add):
    add(mine=LIKE_ALERT + "TYPE = replace(ALERT, name='mine', cron='0 8 * * 1')\n" + FLOW)
    [schedule] = deploy._schedules(registered()["mine"].type)
    assert schedule.schedule.cron == "0 8 * * 1"
