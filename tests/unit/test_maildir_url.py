"""`maildir:///absolute/path` taken apart."""

from pathlib import Path

import pytest

from waypost.channels.maildir.channel import parse


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("maildir:///var/mail/waypost", "/var/mail/waypost"),
        ("maildir:///var/mail/two%20words%3F", "/var/mail/two words?"),
        ("maildir:/var/mail/", "/var/mail"),
    ],
)
def test_it_names_a_folder(url, path):
    assert parse(url) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2",
        "file:///hunter2",
        "maildir://",
        "maildir:///",
        "maildir:hunter2",
        "maildir://hunter2/mail",
        "maildir://u:hunter2@/var/mail",
        "maildir://[hunter2/mail",
        "maildir:///var/hunter2?x=1",
        "maildir:///var/hunter2#x",
        "maildir:///var/hunter2%00",
    ],
)
def test_what_is_none_is_not_repeated(url):
    with pytest.raises(ValueError, match=r"maildir:|Maildir") as refused:
        parse(url)
    assert "hunter2" not in str(refused.value)
