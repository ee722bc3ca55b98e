"""What passes between tasks, and how a run accounts for it."""

import copy
import pickle
from datetime import timedelta
from uuid import UUID

import cloudpickle
import pytest
from prefect.utilities.collections import visit_collection

from waypost import Batch, Category, Facts, NotificationType, Report
from waypost.model.batch import emptied_after_the_run
from waypost.model.states import State

TYPE = NotificationType(
    name="note", facts=Facts, category=Category.ALERT, route=("email",), deadline=timedelta(hours=1)
)
ID = UUID(int=7)


def batch(items=("hunter2@a.example", "code 123456")):
    return Batch(TYPE, ID, items)


def test_prefect_does_not_look_inside():
    seen = []
    visit_collection({"batch": [batch()]}, seen.append, return_data=False)
    assert not [each for each in seen if isinstance(each, str) and each != "batch"]


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy])
def test_it_stays_in_its_process(dumps):
    with pytest.raises(TypeError, match="stays in its process"):
        dumps(batch())


@pytest.mark.parametrize("text", [repr, str, "{}".format])
def test_its_text_names_no_item(text):
    assert text(batch()) == f"<2 of note, batch {ID}>"


def test_it_is_counted_and_walked_by_those_who_know_it():
    assert (len(batch()), list(batch([1, 2, 3])), len(batch([]))) == (2, [1, 2, 3], 0)


def test_it_holds_nothing_once_its_run_is_over_whoever_holds_it():
    before = batch()
    with emptied_after_the_run():
        kept = batch()
        assert len(kept) == 2
    assert (len(kept), len(before), len(batch())) == (0, 2, 2)


@pytest.mark.parametrize(
    ("states", "total", "text"),
    [
        ([], 0, "nothing was due"),
        (["sent"], 1, "1 sent"),
        (["sent", "failed", "sent", "deferred"], 4, "1 deferred, 1 failed, 2 sent"),
    ],
)
def test_a_report_accounts_for_every_one(states, total, text):
    report = Report.of("note", ID, [State(state) for state in states])
    assert (report.total, str(report)) == (total, text)


def test_a_report_survives_prefects_result_store():
    report = Report.of("note", ID, [State.SENT, State.FAILED])
    assert Report.model_validate_json(report.model_dump_json()) == report
