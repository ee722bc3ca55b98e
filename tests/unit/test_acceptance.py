"""What is of the right form, and would never be sent."""

from datetime import timedelta

import pytest
from support.requests import order

from waypost.deployments.registry import find
from waypost.policy import acceptance
from waypost.system.clock import now

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({}, []),
        ({"expires_at": HOUR}, []),
        ({"expires_at": -HOUR}, ["expires_at: in the past; nothing would be sent"]),
        (
            {"deliver_at": 2 * HOUR, "expires_at": HOUR},
            ["expires_at: not after deliver_at; nothing would be sent"],
        ),
        ({"channels": ["email", "chat"]}, ["channels.1: not one of the type's route: email, sms"]),
    ],
)
def test_it_is_named_with_its_field(asked, wrong):
    one = find("order-confirmation")
    moments = {
        name: now() + value if isinstance(value, timedelta) else value for name, value in asked.items()
    }
    request = one.request.validate_python({**order("A-1"), **moments})
    assert [f"{path}: {reason}" for path, reason in acceptance.faults(request, one.type)] == wrong
