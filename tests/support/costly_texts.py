"""Texts that are easy to write and may be costly to read: repeated, they fill any size."""

from __future__ import annotations

# Texts between the quotes of a JSON string.
IN_JSON = (
    "a", "a.", "-", "@", "a@a.example,", "(", "<a>", "{{", "[", "%41", '\\"', "\\u0000", "\\ud83d\\ude00",
    "\\ud800", "\u00e9", "\u0301", "=?utf-8?q?=41?= ", "=?", "\\r\\nA: a", "https://a.example/", "xn--a.",
)  # fmt: skip
IN_A_PATH = (
    "a",
    "a/",
    ".",
    "-",
    "0",
    "@",
    "%41",
    "%2F",
    "%E2%82",
    "%",
    "a=a&",
    "state=sent&",
    "&",
    ";",
    "+",
    "a@a.a,",
)
# Texts in a header of a request, and of a mail.
IN_A_HEAD = (
    "a", "a,", "a ", ";a=a", ".", "-", "0", ":", "@", "(", "()", "<a>", '"', "\\", "%41", "%2F", "%", "/",
    "a=a&", "state=sent&", "=?utf-8?q?=41?= ", "=?", "wp_", "eyJ", "+",
)  # fmt: skip


def filled(shape: str, size: int) -> str:
    """`shape` repeated up to `size` characters, always whole."""
    return shape * max(1, size // len(shape))
