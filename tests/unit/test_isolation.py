"""An item's failure says the step and the kind of exception, and nothing of its content."""

import asyncio
from types import coroutine

import pytest

from waypost.system.isolation import ItemFailed, isolated


class Foreseen(ValueError):
    pass


def deep(levels):
    return deep(levels - 1) if levels else int("hunter2")


@pytest.mark.parametrize(
    "error",
    [
        RecursionError,
        MemoryError,
        UnicodeError,
        OverflowError,
        OSError,
        Foreseen,
        SystemExit,
        GeneratorExit,
        asyncio.CancelledError,
    ],
)
def test_any_exception_becomes_the_items_failure(error, caplog):
    with pytest.raises(ItemFailed) as failed, isolated("rendering", item=7):
        raise error("hunter2")
    assert str(failed.value) == f"rendering failed unexpectedly: {error.__name__} (see the log)"
    assert "rendering failed for 7" in caplog.text
    assert "unit/test_isolation.py" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, Foreseen, ConnectionError])
def test_what_is_foreseen_an_outage_or_ends_more_than_the_item_passes(error, caplog):
    def outage(error):
        return isinstance(error, OSError)

    with pytest.raises(error), isolated("rendering", Foreseen, outage=outage):
        raise error
    assert caplog.text == ""


@pytest.mark.anyio
async def test_a_cancellation_of_its_task_passes():
    async def waits():
        with isolated("rendering"):
            await asyncio.sleep(60)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.anyio
async def test_a_coroutine_that_is_closed_ends_quietly(caplog):
    @coroutine
    def pause():
        yield

    async def waits():
        with isolated("rendering"):
            await pause()

    async def begin(waiting):
        waiting.send(None)

    waiting = waits()
    await asyncio.create_task(begin(waiting))
    waiting.close()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("errors", "passes"), [([ValueError()], False), ([SystemExit()], False), ([KeyboardInterrupt()], True)]
)
def test_a_group_is_what_its_exceptions_are(errors, passes):
    group = BaseExceptionGroup("several", errors)
    with pytest.raises(type(group) if passes else ItemFailed), isolated("rendering"):
        raise group


def test_the_innermost_step_is_named_and_logged_once(caplog):
    with pytest.raises(ItemFailed, match="signing"), isolated("rendering"), isolated("signing"):
        raise ValueError
    assert len(caplog.records) == 1


def test_a_deep_recursion_is_one_short_line(caplog):
    with pytest.raises(ItemFailed), isolated("rendering"):
        deep(500)
    assert len(caplog.text) < 300
    assert caplog.text.count("in deep") == 1
