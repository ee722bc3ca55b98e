"""Every shipped mail in every language, laid out by a real browser."""

import pytest
from support.mail_layout import measured
from support.shipped_mails import everything

PHONE, DESK = 320, 700


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    mails = everything(reply_to="support@harbour.example")
    pages = {f"{type} {lang}": mail.html for type, lang, mail in mails}
    every = measured(pages, (PHONE, DESK), tmp_path_factory.mktemp("mails"))
    return {
        width: {name: one for name, one in every.items() if name.startswith(f"{width} ")}
        for width in (PHONE, DESK)
    }


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_no_mail_scrolls_sideways(found, width):
    assert {name: one["width"] for name, one in found[width].items() if one["width"] > width} == {}


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_words_above_and_below_the_card_are_in_line_with_its_own(found, width):
    assert {name: one["left"] for name, one in found[width].items() if len({*one["left"]}) > 1} == {}


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_no_words_of_a_row_touch(found, width):
    assert {name: one["touching"] for name, one in found[width].items() if one["touching"]} == {}


@pytest.mark.parametrize(("width", "border"), [(PHONE, "0px"), (DESK, "1px")])
def test_the_card_has_borders_at_its_sides_only_beside_a_margin(found, width, border):
    assert {side for one in found[width].values() for side in one["borders"]} == {border}
