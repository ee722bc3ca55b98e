"""The stopwatch that the costs of inputs are judged with finds what it is there to find."""

from __future__ import annotations

import pytest
from support.stopwatch import LONGEST_HOLD, Loop, Spent, TooDear, judge, spent


def test_work_that_grows_as_its_size_does_passes():
    judge([("linear", lambda size: spent(lambda: sum(range(size))), 1_000_000)])


def test_work_that_grows_as_the_square_of_its_size_is_named():
    def act(size):
        return spent(lambda: sum(range(size * size)))

    with pytest.raises(TooDear, match="square: 500: "):
        judge([("square", act, 2_000)])


def test_work_that_holds_the_loop_is_named_though_it_grows_as_its_size_does():
    with pytest.raises(TooDear, match="the loop is held"):
        judge([("held", lambda size: Spent(size, LONGEST_HOLD * 100), 4)])


def test_a_loop_that_is_held_is_measured():
    async def hold():
        sum(range(2_000_000))

    with Loop() as loop:
        held = loop.spent(lambda: loop.run(hold()))
    assert held.held > 0.01
    assert held.seconds >= held.held
