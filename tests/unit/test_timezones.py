"""A recipient's time zone is one of IANA's that a person can live in."""

import pytest
from pydantic import ValidationError

from waypost import Recipient
from waypost.model.locale import known_timezone


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Asia/Calcutta", "Etc/GMT+5", "US/Eastern", "GB"])
def test_a_zone_of_ianas_list_is_taken(zone):
    assert known_timezone(zone) == zone


@pytest.mark.parametrize(
    "zone",
    [
        "localtime",
        "Factory",
        "posixrules",
        "posix/Europe/Paris",
        "right/UTC",
        "europe/paris",
        "../UTC",
        "",
        "Mars",
    ],
)
def test_what_only_this_machine_or_nobody_has_is_refused(zone):
    with pytest.raises(ValidationError, match="not an IANA time zone"):
        Recipient(id="ada", email="ada@a.example", timezone=zone)
