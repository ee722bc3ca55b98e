"""Forms of the recipients' pages, as browsers and mail providers encode them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stopwatch import judge, spent

from waypost.gateway.pages.form import MOST_BYTES, BadForm, parsed

MULTIPART = "multipart/form-data; boundary=x"
ONE = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
CLICK = {"List-Unsubscribe": ["One-Click"]}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (MULTIPART, ONE),
        (MULTIPART, ONE.replace(b"\r\n", b"\n")),
        (MULTIPART, b"a preamble\r\n" + ONE + b"an epilogue"),
        (MULTIPART, ONE.replace(b'name="List-Unsubscribe"', b"name=List-Unsubscribe")),
        (MULTIPART, ONE.replace(b"Content-Disposition", b"Content-Type: text/plain\r\ncontent-disposition")),
        ('Multipart/Form-Data; charset=utf-8; Boundary="x"', ONE),
        ("application/x-www-form-urlencoded; charset=utf-8", b"List-Unsubscribe=One-Click"),
    ],
)
def test_one_click_is_read_however_it_is_encoded(kind, body):
    assert parsed(kind, body) == CLICK


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (MULTIPART, b""),
        (MULTIPART, ONE.replace(b"--x--", b"--x")),
        (MULTIPART, ONE.replace(b"name=", b"filename=")),
        (MULTIPART, ONE.replace(b"Click", b"\xff")),
        (MULTIPART, ONE.replace(b"\r\n\r\n", b"\r\n")),
        (MULTIPART, b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n" * 101 + b"--x--"),
        ("multipart/form-data", ONE),
        ("multipart/form-data; boundary=" + "x" * 71, ONE),
    ],
)
def test_what_is_no_form_is_refused(kind, body):
    with pytest.raises(BadForm):
        parsed(kind, body)


PIECES = st.sampled_from(
    [
        b"--x",
        b"\r\n",
        b"\n",
        b"\r",
        b"Content-Disposition:",
        b";",
        b" name=",
        b'"',
        b"a",
        b"--",
        b"\xff",
        b"=",
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.sampled_from([MULTIPART, "multipart/form-data"]))
def test_any_body_is_a_form_or_is_refused(body, kind):
    with suppress(BadForm):
        assert all(isinstance(name, str) for name in parsed(kind, b"--x" + body))


SHAPES = (
    "(", "(a)", "a=b;", ";", "; ", ";a*0*=x", "=?utf-8?q?a?= ", '"', "\\", "<a>", "boundary=", ";boundary=",
    "--x", "\n", "\n\n", "--x\n\n\n", "name=", ";name=", "content-disposition:", "\ncontent-disposition:;",
    "--x\nContent-Disposition: form-data; name=a\n\nb\n", "Content-Type: message/rfc822\n\n", "a=a&", "%41",
)  # fmt: skip


def read(kind, body):
    with suppress(BadForm):
        parsed(kind, body.encode())


def test_every_form_costs_as_much_as_it_is_long():
    def kind(shape, size):
        return "multipart/form-data; " + shape * (size // len(shape))

    def body(shape, size):
        return "--x\n" + shape * (size // len(shape))

    def cases():
        for shape in SHAPES:
            if "\n" not in shape:
                yield (
                    f"a kind of {shape!r}",
                    lambda n, s=shape: spent(lambda: read(kind(s, n), "--x\n")),
                    15_000,
                )
            yield (
                f"parts of {shape!r}",
                lambda n, s=shape: spent(lambda: read(MULTIPART, body(s, n))),
                MOST_BYTES,
            )
            yield (
                f"a line of {shape!r}",
                lambda n, s=shape: spent(
                    lambda: read("application/x-www-form-urlencoded", s * (n // len(s)))
                ),
                MOST_BYTES,
            )

    judge(cases())
