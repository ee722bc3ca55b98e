"""An item's failure says the step and the kind of exception, and nothing of its content."""

import asyncio

import pytest

from waypost.isolation import ItemFailed, isolated


class Foreseen(ValueError):
    pass


def deep(levels):
    return deep(levels - 1) if levels else int("hunter2")


@pytest.mark.parametrize(
    "error", [RecursionError, MemoryError, UnicodeError, OverflowError, OSError, Foreseen]
)
def test_any_exception_becomes_the_items_failure(error, caplog):
    with pytest.raises(ItemFailed) as failed, isolated("rendering", item=7):
        raise error("hunter2")
    assert str(failed.value) == f"rendering failed unexpectedly: {error.__name__} (see the log)"
    assert "rendering failed for 7" in caplog.text
    assert "unit/test_isolation.py" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, Foreseen, ConnectionError]
)
def test_what_is_foreseen_an_outage_or_no_exception_passes(error, caplog):
    def outage(error):
        return isinstance(error, OSError)

    with pytest.raises(error), isolated("rendering", Foreseen, outage=outage):
        raise error
    assert caplog.text == ""


def test_the_innermost_step_is_named_and_logged_once(caplog):
    with pytest.raises(ItemFailed, match="signing"), isolated("rendering"), isolated("signing"):
        raise ValueError
    assert len(caplog.records) == 1


def test_a_deep_recursion_is_one_short_line(caplog):
    with pytest.raises(ItemFailed), isolated("rendering"):
        deep(500)
    assert len(caplog.text) < 300
    assert caplog.text.count("in deep") == 1
