"""Where a webhook may go."""

from ipaddress import ip_address

import pytest

from waypost.net.webhook_url import admits, parse


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("webhook+https://a.example", ("https", "a.example", 443, "/", "a.example")),
        (
            "webhook+https://A.example:8443/x/y?z=1",
            ("https", "a.example", 8443, "/x/y?z=1", "a.example:8443"),
        ),
        ("webhook+http://127.0.0.1:80/x", ("http", "127.0.0.1", 80, "/x", "127.0.0.1")),
        ("webhook+http://localhost:8000/", ("http", "localhost", 8000, "/", "localhost:8000")),
        ("webhook+http://[::1]:8000/", ("http", "::1", 8000, "/", "[::1]:8000")),
    ],
)
def test_it_names_a_place(url, place):
    hook = parse(url)
    assert (hook.scheme, hook.host, hook.port, hook.target, hook.authority) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2",
        "https://a.example/hunter2",
        "webhook+ftp://a.example/hunter2",
        "webhook+https:///hunter2",
        "webhook+https://u:hunter2@a.example/",
        "webhook+https://@a.example/hunter2",
        "webhook+https://a.example/#hunter2",
        "webhook+https://a.example:99999/hunter2",
        "webhook+https://[hunter2/",
        "webhook+https://hunter2 .example/",
        "webhook+https://hunter2\\.example/",
        "webhook+https://ä.example/hunter2",
        "webhook+https://a.example/hunter2\r\nx: y",
        "webhook+https://a.example/hunter2 x",
        "webhook+http://a.example/hunter2",
        "webhook+http://10.0.0.1/hunter2",
        "webhook+http://localhost.a.example/hunter2",
    ],
)
def test_what_is_none_is_not_repeated(url):
    with pytest.raises(ValueError, match=r"URL|webhook") as refused:
        parse(url)
    assert "hunter2" not in str(refused.value)


def test_a_place_shows_no_path():
    assert "hunter2" not in repr(parse("webhook+https://a.example/hunter2"))


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "localhost"])
def test_a_private_address_is_to_be_allowed(host):
    hook = parse(f"webhook+https://{host}/hunter2")
    with pytest.raises(ValueError, match="private network") as refused:
        admits(hook, allow_private=False)
    assert "hunter2" not in str(refused.value)
    assert admits(hook, allow_private=True)(ip_address("10.0.0.1"))


@pytest.mark.parametrize("host", ["169.254.169.254", "168.63.129.16", "[fe80::1]", "[ff02::1]", "0.0.0.0"])
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_no_receiver_has_is_never_allowed(host, allow_private):
    with pytest.raises(ValueError, match="it leads to"):
        admits(parse(f"webhook+https://{host}/hunter2"), allow_private)


def test_nothing_goes_in_the_clear_but_to_this_machine():
    allowed = admits(parse("webhook+http://localhost/"), allow_private=True)
    assert [allowed(ip_address(address)) for address in ("127.0.0.1", "10.0.0.1", "93.184.216.34")] == [
        True,
        False,
        False,
    ]
