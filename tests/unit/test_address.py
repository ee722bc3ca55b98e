"""One string, one address."""

import re

import pytest

from waypost.mail.address import ADDRESS_PATTERN, mask, mask_in, one_address

GOOD = [
    ("ada@a.example", "ada@a.example"),
    ("Ada.B+tag@Sub.A.Example", "Ada.B+tag@sub.a.example"),
    ("o'brien@a-b.example", "o'brien@a-b.example"),
    ("1@2.example", "1@2.example"),
    ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
    ("ada@почта.рф", "ada@xn--80a1acny.xn--p1ai"),
    ("ada@xn--80a1acny.xn--p1ai", "ada@xn--80a1acny.xn--p1ai"),
    ("jörg@a.example", "jörg@a.example"),
    ("jörg@bücher.example", "jörg@xn--bcher-kva.example"),
    ("用户@a.example", "用户@a.example"),
    ("=?utf-8?q?a?=@a.example", "=?utf-8?q?a?=@a.example"),
]
NOT_ONE = [
    "ada@a.example, evil@x.example",
    "ada@a.example,evil@x.example",
    "ada@a.example;evil@x.example",
    "ada@a.example evil@x.example",
    "ada@a.example@x.example",
    "Ada <ada@a.example>",
    "<ada@a.example>",
    '"Ada" ada@a.example',
    "undisclosed:ada@a.example;",
    "ada@a.example\r\nBcc: evil@x.example",
    "ada\n@a.example",
    "ada@a.example\n",
    "ada\x00@a.example",
    "ada@a.example(evil)",
    "ada(evil)@a.example",
    "ada@[127.0.0.1]",
    "ada@localhost",
    " ada@a.example",
    "ada",
    "@a.example",
    "ada@",
    "",
]
WRONG = [
    *NOT_ONE,
    "ada..b@a.example",
    ".ada@a.example",
    "ada@-a.example",
    "ada@a..example",
    "ada@sec\u2028ret.example",
    "ada@secret☃.example",
    "secret\u202eword@a.example",
    f"ada@{'secret' * 12}.example",
    f"{'secret' * 11}@a.example",
    f'"{"secret" * 11}"@a.example',
    f"{'ü' * 33}@a.example",
    f"ada@{'secret.' * 40}example",
]


@pytest.mark.parametrize(("text", "address"), GOOD)
def test_an_address_is_normalised_and_its_domain_in_a_labels(text, address):
    assert one_address(text) == address


@pytest.mark.parametrize("text", WRONG)
def test_anything_but_one_address_is_refused(text):
    with pytest.raises(ValueError, match="not one email address"):
        one_address(text)


@pytest.mark.parametrize("text", [text for text in WRONG if len(text) > 3])
def test_the_error_repeats_no_word_of_the_input(text):
    with pytest.raises(ValueError, match="not one") as refused:
        one_address(text)
    words = [word for word in re.split(r"[\s@,;:<>()\[\].\"]+", text) if len(word) > 4]
    assert not [word for word in words if word in str(refused.value)]


def test_a_local_part_has_64_octets_at_most():
    longest = "a" * 64
    assert one_address(f"{longest}@a.example") == f"{longest}@a.example"


def test_normalising_twice_changes_nothing():
    once = [one_address(text) for text, _ in GOOD]
    assert [one_address(address) for address in once] == once


@pytest.mark.parametrize("domain", ["a.example", "example.com", "mail.test"])
def test_names_reserved_for_examples_and_tests_pass(domain):
    assert one_address(f"ada@{domain}") == f"ada@{domain}"


@pytest.mark.parametrize("text", [text for pair in GOOD for text in pair])
def test_the_pattern_takes_what_the_validator_takes(text):
    assert re.search(ADDRESS_PATTERN, text)


@pytest.mark.parametrize("text", NOT_ONE)
def test_the_pattern_refuses_what_could_be_two_addresses_or_a_header(text):
    assert not re.fullmatch(ADDRESS_PATTERN.removesuffix("$"), text)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("patrick@northwind.example", "p***k@northwind.example"),
        ("abc@a.example", "a***c@a.example"),
        ("ab@a.example", "***@a.example"),
        ("a@a.example", "***@a.example"),
        ("+491701234512", "+49***12"),
        ("1234567", "123***67"),
        ("123456", "***"),
        ("", "***"),
    ],
)
def test_a_masked_address_shows_too_little_to_use(address, shown):
    assert mask(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such user", "no such user"),
        ("<ada.b@a.example>: unknown", "<a***b@a.example>: unknown"),
        ("from ada@a.example to (bob@b.example)", "from a***a@a.example to (b***b@b.example)"),
        ("mailto:ada@a.example;next", "mailto:a***a@a.example;next"),
        ("jörg@bücher.example", "j***g@bücher.example"),
        ("user@host", "user@host"),
    ],
)
def test_every_address_inside_a_providers_words_is_masked(text, shown):
    assert mask_in(text) == shown
