"""Which URLs a client may have for a webhook, and that none is repeated in what is said of it."""

import pytest

from waypost.gateway.http.webhook_request import check_place


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[fd00::1]/x",
        "http://127.0.0.1:8000/x",
        "http://shop.example/x",
        "ftp://shop.example/x",
        "webhook+https://shop.example/x",
        "https://u:p@shop.example/x",
        "https://shop.example/x#y",
        "https://shop.example:99999/x",
        "https:///x",
        "https://shop.example:0/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://127.1/x",
        "https://127.0.0.1./x",
        "https://localhost./x",
        "https://[v1.fe]/x",
        "https://shop.example/\x00",
        "https://shöp.example/",
        "shop.example",
        "",
    ],
)
def test_what_leads_nowhere_it_may_is_refused(url):
    with pytest.raises(ValueError, match=r"webhook|private|URL|http") as refused:
        check_place(url, allow_private=False)
    assert not url or url not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://shop.example", "https://shop.example:8443/a?b=c", "https://8.8.8.8/"]
)
def test_the_internet_is_open(url):
    check_place(url, allow_private=False)


@pytest.mark.parametrize("url", ["https://10.1.2.3/x", "http://127.0.0.1:8000/x", "http://localhost/"])
def test_this_machine_and_its_network_are_open_where_the_settings_say_so(url):
    check_place(url, allow_private=True)


def test_the_clear_is_for_this_machine_alone():
    with pytest.raises(ValueError, match="https://"):
        check_place("http://shop.example/x", allow_private=True)
