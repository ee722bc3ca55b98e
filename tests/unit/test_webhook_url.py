"""Where a webhook may go."""

from ipaddress import ip_address

import pytest

from waypost.channels.webhook_url import admits, is_public, parse


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


def test_the_parts_of_a_target_that_tell_are_known():
    hook = parse("webhook+https://a.example/hooks/s3cr%65t/x?token=tok3n&a=1")
    assert {"s3cr%65t", "s3cret", "tok3n", "token=tok3n"} <= set(hook.confidences)
    assert "x" not in hook.confidences


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_an_address_of_the_internet_is_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001:db8::1",
        "2001:0:5db8:d822::1",
        "2002:a00:1::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_any_other_is_not_however_it_is_wrapped_up(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "localhost"])
def test_a_private_address_is_to_be_allowed(host):
    hook = parse(f"webhook+https://{host}/hunter2")
    with pytest.raises(ValueError, match="private network") as refused:
        admits(hook, allow_private=False)
    assert "hunter2" not in str(refused.value)
    assert admits(hook, allow_private=True)(ip_address("10.0.0.1"))


def test_nothing_goes_in_the_clear_but_to_this_machine():
    allowed = admits(parse("webhook+http://localhost/"), allow_private=True)
    assert [allowed(ip_address(address)) for address in ("127.0.0.1", "10.0.0.1", "93.184.216.34")] == [
        True,
        False,
        False,
    ]
