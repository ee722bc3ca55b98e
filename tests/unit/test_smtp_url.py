"""A mail server's URL taken apart."""

import pytest

from waypost.channels.smtp.url import SmtpServer, parse
from waypost.net.hosts import is_loopback


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", SmtpServer("mail.example", 587, "starttls")),
        ("smtp://mail.example:2525", SmtpServer("mail.example", 2525, "starttls")),
        ("smtps://mail.example", SmtpServer("mail.example", 465, "implicit")),
        ("smtps://mail.example:2465", SmtpServer("mail.example", 2465, "implicit")),
        ("smtp://localhost", SmtpServer("localhost", 25, "off")),
        ("smtp://127.0.0.1:1025", SmtpServer("127.0.0.1", 1025, "off")),
        ("smtp://[::1]:1025", SmtpServer("::1", 1025, "off")),
        ("smtp://127.0.0.1?tls=starttls", SmtpServer("127.0.0.1", 587, "starttls")),
        ("smtp://relay.example?tls=off", SmtpServer("relay.example", 25, "off")),
        ("smtp://u:p@mail.example", SmtpServer("mail.example", 587, "starttls", "u", "p")),
        (
            "smtp://u%40a.example:p%2F%3F%23%40ss@mail.example",
            SmtpServer("mail.example", 587, "starttls", "u@a.example", "p/?#@ss"),
        ),
        ("smtp://u:p@localhost", SmtpServer("localhost", 25, "off", "u", "p")),
        ("smtp://h.example?connections=1", SmtpServer("h.example", 587, "starttls", connections=1)),
        ("smtp://h.example?connections=100", SmtpServer("h.example", 587, "starttls", connections=100)),
        ("smtp://h.example?messages=1", SmtpServer("h.example", 587, "starttls", messages=1)),
        ("smtp://h.example?idle=5", SmtpServer("h.example", 587, "starttls", idle_seconds=5)),
        ("smtp://h.example?pipelining=off", SmtpServer("h.example", 587, "starttls", pipelining=False)),
        ("smtp://h.example?helo=m.example", SmtpServer("h.example", 587, "starttls", helo="m.example")),
        ("smtp://h.example?helo=[192.0.2.1]", SmtpServer("h.example", 587, "starttls", helo="[192.0.2.1]")),
        ("smtp://h.example?ca=/etc/ca.pem", SmtpServer("h.example", 587, "starttls", ca="/etc/ca.pem")),
    ],
)
def test_a_url_names_a_server(url, server):
    assert parse(url) == server


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://u:hunter2@mail.example", "must begin with smtp"),
        ("mail.example", "must begin with smtp"),
        ("", "must begin with smtp"),
        ("u:hunter2@mail.example", "must begin with smtp"),
        ("smtp://", "host"),
        ("smtp://u:hunter2@:587", "host"),
        ("smtp://u:hunter2@mail.example:587x", "port"),
        ("smtp://u:hunter2@mail.example:99999", "port"),
        ("smtp://mail.example?connections=0", "connections"),
        ("smtp://mail.example?connections=101", "connections"),
        ("smtp://mail.example?connections=-1", "connections"),
        ("smtp://mail.example?connections=many", "connections"),
        ("smtp://mail.example?connections=", "connections"),
        ("smtp://mail.example?messages=0", "messages"),
        ("smtp://mail.example?messages=1000001", "messages"),
        *(
            (f"smtp://mail.example?helo={bad}", "helo=")
            for bad in (
                "",
                "localhost",
                "a7f3c2",
                "1.2.3.4",
                "[1.2.3]",
                "[::1]",
                "a b.example",
                "a..example",
                "-a.example",
                "m.example%0D%0A",
            )
        ),
        ("smtp://mail.example?idle=0", "idle"),
        ("smtp://mail.example?idle=1m", "idle"),
        ("smtp://mail.example?pipelining=on", "pipelining"),
        ("smtp://mail.example?tls=no", "tls="),
        ("smtp://mail.example?tls=", "tls="),
        ("smtps://mail.example?tls=off", "remove tls="),
        ("smtps://mail.example?tls=starttls", "remove tls="),
        ("smtp://u:hunter2@mail.example?tls=off", "unencrypted"),
        ("smtp://mail.example?verify=0", "unknown option 'verify'"),
        ("smtp://mail.example?TLS=off", "unknown option 'TLS'"),
        ("smtp://:hunter2@mail.example", "user"),
        ("smtp://mail.example/inbox", "path"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url, why):
    with pytest.raises(ValueError, match=why):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:hunter2@mail.example",
        "u:hunter2@mail.example",
        "smtp://u:hunter2@:587",
        "smtp://u:hunter2@[mail.example",
        "smtp://u:hunter2@mail.example:587x",
        "smtp://u:hunter2@mail.example?tls=off",
        "smtp://u:hunter2@mail.example?connections=x",
        "smtp://u:#hunter2@mail.example",
        "smtp://u:?hunter2@mail.example",
        "smtp://u:/hunter2@mail.example",
        "smtp://u:12?hunter2@mail.example",
        "smtp://u:hunter2\uff20ss@mail.example",
        "smtp://u:hunter2\u2100@mail.example",
    ],
)
def test_no_error_repeats_any_of_a_password(url):
    with pytest.raises(ValueError, match=r".") as refused:
        parse(url)
    assert "hunter2" not in str(refused.value)


def test_a_server_is_shown_without_its_password():
    assert "hunter2" not in repr(parse("smtp://u:hunter2@mail.example"))


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("mail.example", False),
    ],
)
def test_only_this_machine_is_loopback(host, here):
    assert is_loopback(host) is here
