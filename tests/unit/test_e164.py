"""Phone numbers in E.164: however they are written, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from waypost.mail.address import address_or_number, dialled, keys_of, named_address, url_of
from waypost.mail.e164 import e164
from waypost.model.profile import Profile
from waypost.model.request import Recipient
from waypost.model.validation_messages import explain


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+4930123456", None, "+4930123456"),
        ("+49 (0)30 123456", None, "+4930123456"),
        ("+490301234567", None, "+49301234567"),
        ("0049 30 123456", None, "+4930123456"),
        ("(0049) 30-123.456", None, "+4930123456"),
        ("030 123456", "DE", "+4930123456"),
        ("044 668 18 00", "CH", "+41446681800"),
        ("+41 44 668 18 00", "DE", "+41446681800"),
        ("06 6982", "IT", "+39066982"),
        ("+390612345678", None, "+390612345678"),
        ("+80012345678", None, "+80012345678"),
        ("(212) 555-0100", "US", "+12125550100"),
    ],
)
def test_every_spelling_is_one_number(text, country, number):
    assert e164(text, country) == e164(number) == number


@pytest.mark.parametrize(
    ("text", "country", "why"),
    [
        ("030 123456", None, "give its country code"),
        ("12345", None, "give its country code"),
        ("+999123456789", None, "its country code does not exist"),
        ("+15550100", None, "its area code is missing"),
        ("+1212555010", None, "it has too few digits"),
        ("+121255501000", None, "it has too many digits"),
        ("+4915112345678901", None, "it has too many digits"),
        ("555 0100", "US", "its area code is missing"),
        ("call me", "US", "not a phone number"),
    ],
)
def test_a_number_that_nobody_can_have_is_refused_without_being_repeated(text, country, why):
    with pytest.raises(ValueError, match=why) as error:
        e164(text, country)
    assert text not in str(error.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+49 (0)30 123456", "+4930123456"),
        ("0049 30 123456", "+4930123456"),
        ("+4930123456", "+4930123456"),
        ("030 123456", "030123456"),
        ("12345", "12345"),
        ("+1 555 0100", "+15550100"),
    ],
)
def test_a_request_goes_to_the_number_of_every_spelling_also_without_a_country(text, number):
    recipient = Recipient(phone=text)
    assert (recipient.phone, recipient.key) == (number, f"tel:{number}")
    assert dialled(number) == address_or_number(text) == number
    assert keys_of(f"tel:{text}") == (f"tel:{text}", url_of(number))


def test_all_spellings_name_one_recipient():
    spellings = ("+49 (0)30 123456", "tel:0049-30-123456", "tel:+4930123456")
    assert {named_address(text) for text in spellings} == {"+4930123456"}


@pytest.mark.parametrize("locale", ["de-DE", "de_DE"])
def test_a_number_of_a_profile_is_of_the_country_of_its_locale(locale):
    assert Profile(id="ada", phone="030 123456", locale=locale).phone == "+4930123456"
    assert Profile(id="ada", phone="+41 44 668 18 00", locale=locale).phone == "+41446681800"


def test_a_country_stands_behind_the_script():
    assert Profile(id="ada", phone="02 2345 6789", locale="zh-Hant-TW").phone == "+886223456789"


@pytest.mark.parametrize("phone", ["030 123456", "12345", "+15550100", "+999123456789"])
@pytest.mark.parametrize("locale", ["de", None])
def test_a_profile_refuses_a_number_that_cannot_be_dialled_from_anywhere(phone, locale):
    with pytest.raises(ValidationError) as error:
        Profile(id="ada", phone=phone, locale=locale)
    assert explain(error.value).startswith("phone: ")
    assert phone not in str(error.value)


def test_a_number_in_e164_needs_no_tables_in_a_request():
    program = (
        "import sys; from waypost.model.request import Recipient; Recipient(phone='+4930123456'); "
        "print('phonenumbers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
