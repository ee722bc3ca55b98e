"""Signatures by Standard Webhooks."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import hmac_data

from waypost.net.webhook_signature import secret, signature


def test_the_published_example():
    """The vector of the specification's own libraries."""
    key = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_secret_signs_in_turn():
    one, other = b"a" * 24, b"b" * 24
    both = signature([one, other], "id", 1, b"{}")
    assert both.split() == [signature([one], "id", 1, b"{}"), signature([other], "id", 1, b"{}")]


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_as_the_libraries_read_it(key):
    written = base64.b64encode(key).decode()
    assert secret(f"whsec_{written}") == secret(f"whsec_{written.rstrip('=')}") == key
    assert hmac_data(secret(f"whsec_{written}"), b"x") == hmac_data(key, b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "whsec_",
        "whsec_hunter2",
        "whsec_hunter2!!",
        "WHSEC_" + "aGhh" * 8,
        "whsec_" + "aGhh" * 22,
    ],
)
def test_what_is_no_secret_is_not_repeated(text):
    with pytest.raises(ValueError, match="whsec_ and base64") as refused:
        secret(text)
    assert "hunter2" not in str(refused.value)
