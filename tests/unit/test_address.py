"""One string, one address."""

import re
from email import policy

import pytest

from waypost.mail.address import (
    ADDRESS_PATTERN,
    folded,
    keys_of,
    named_address,
    one_address,
    reaches_somebody,
    url_of,
)
from waypost.mail.headers import mailbox
from waypost.mail.internal_domains import parse
from waypost.mail.masking import mask, mask_in

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
    ("ada..b@a.example", '"ada..b"@a.example'),
    ('"ada..b"@A.example', '"ada..b"@a.example'),
    ("ada.@a.example", '"ada."@a.example'),
    ('".ada"@bücher.example', '".ada"@xn--bcher-kva.example'),
    ('"ada.b"@a.example', "ada.b@a.example"),
    ("x" * 64 + "@a.example", "x" * 64 + "@a.example"),
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
    '"ada b"@a.example',
    '"ada\\"b"@a.example',
    '"ada@x"@a.example',
    '"ada<x>"@a.example',
    '"ada,x"@a.example',
    '"ada\r\nBcc: evil@x.example"@a.example',
    '"ada',
    '""@a.example',
    " ada@a.example",
    "ada",
    "@a.example",
    "ada@",
    "",
]
WRONG = [
    *NOT_ONE,
    "ada@localhost",
    "ada@secret.local",
    "ada@-a.example",
    "x" * 65 + "@a.example",
    "é" * 33 + "@a.example",
    "secret" * 60 + "@a.example",
    '"=?utf-8?q?secret..=0D=0A?="@a.example',
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
    with pytest.raises(ValueError, match="not a valid email address"):
        one_address(text)


@pytest.mark.parametrize("text", [text for text in WRONG if len(text) > 3])
def test_the_error_repeats_no_word_of_the_input(text):
    with pytest.raises(ValueError, match="not a valid") as refused:
        one_address(text)
    words = [word for word in re.split(r"[\s@,;:<>()\[\].\"]+", text) if len(word) > 4]
    assert not [word for word in words if word in str(refused.value)]


NO_DOT = "its domain has no dot; add internal domains to WAYPOST_INTERNAL_DOMAINS"
RESERVED = "its domain is reserved; add internal domains to WAYPOST_INTERNAL_DOMAINS"
BRACKETS = "it has angle brackets; give the address without a name"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("foo", "it has no @"),
        ("not an address", "it has no @"),
        ("a.example", "it has no @"),
        ("a@b", NO_DOT),
        ("a@localhost", NO_DOT),
        ("a@b.local", RESERVED),
        (" a@b.example ", "it has blanks around it"),
        ("a@b.example\n", "it has blanks around it"),
        ("   ", "it has blanks around it"),
        ("a@b.example,c@d.example", "it is a list of addresses; give only one"),
        ("a@b.example; c@d.example", "it is a list of addresses; give only one"),
        ("a@b.example c@d.example", "it is a list of addresses; give only one"),
        ("a@b@c.example", "it has more than one @"),
        ("@b", "nothing is before its @"),
        ("a@", "nothing is after its @"),
        ("@", "nothing is before its @"),
        ("a@b.example.", "its domain ends with a dot"),
        ("a b@c.example", "it contains a blank"),
        ('"a b"@c.example', "it contains a blank"),
        ("Ada <a@b.example>", BRACKETS),
        ("mailto:a@b.example", "it begins with mailto:; give only the address"),
        ("a@b.example\r\nBcc: c@d.example", "it contains a line break or another control character"),
        ("a@[127.0.0.1]", "A bracketed IP address after the @-sign is not allowed here"),
        ("a(b)@c.example", "The email address contains invalid characters before the @-sign"),
    ],
)
def test_the_error_says_what_is_wrong(text, reason):
    with pytest.raises(ValueError, match="not a valid email address: ") as refused:
        one_address(text)
    assert str(refused.value) == f"not a valid email address: {reason}"


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
        ("root@localhost is unknown", "r***t@localhost is unknown"),
        ('<"ada..b"@a.example> is unknown', "<a***b@a.example> is unknown"),
    ],
)
def test_every_address_inside_a_providers_words_is_masked(text, shown):
    assert mask_in(text) == shown


INTERNAL = "corp.local, Intranet,localhost"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ops@corp.local", "ops@corp.local"),
        ("ops@Mail.Corp.Local", "ops@mail.corp.local"),
        ("root@localhost", "root@localhost"),
        ("ops@intranet", "ops@intranet"),
        ("ops..x@intranet", '"ops..x"@intranet'),
        ("jörg@intranet", "jörg@intranet"),
    ],
)
def test_an_internal_domain_passes_where_the_setting_names_it(monkeypatch, text, address):
    assert re.search(ADDRESS_PATTERN, text)
    with pytest.raises(ValueError, match="not a valid email address"):
        one_address(text)
    monkeypatch.setenv("WAYPOST_INTERNAL_DOMAINS", INTERNAL)
    assert one_address(text) == address
    assert one_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "ops@xlocalhost",
        "ops@xcorp.local",
        "ops@local",
        "ops@-x.intranet",
        "a b@intranet",
        "@intranet",
        "intranet",
    ],
)
def test_the_setting_lets_nothing_else_pass(monkeypatch, text):
    monkeypatch.setenv("WAYPOST_INTERNAL_DOMAINS", INTERNAL)
    with pytest.raises(ValueError, match="not a valid email address"):
        one_address(text)


@pytest.mark.parametrize(
    "wrong", ["@corp.local", "*.corp.local", "corp local", "corp_local", "-x", "http://x"]
)
def test_what_is_no_internal_domain_is_named(wrong):
    with pytest.raises(ValueError, match="not a domain such as") as refused:
        parse(f"intranet,{wrong}")
    assert wrong in str(refused.value)


@pytest.mark.parametrize("display", ["", "Ada", 'Ada, "the" <first>', "Ådå"])
@pytest.mark.parametrize("address", ['"ada..b"@a.example', '".a"@a.example', "o'b@a.example"])
def test_a_header_says_a_quoted_local_part_as_a_parser_reads_it(address, display):
    value = mailbox("To", address, display).replace("\r\n", "").removeprefix("To: ")
    [read] = policy.default.header_factory("To", value).addresses
    assert (read.display_name, one_address(read.addr_spec)) == (display, address)


# What is kept, and what is asked for it. The last of each row is another's.
ONE_SPELLING = [
    ("ada@a.example", ["ADA@A.example", "mailto:Ada@a.example", " ada@a.example "], "ida@a.example"),
    ("Éva@a.example", ["éva@a.example", "ÉVA@A.EXAMPLE", "E\u0301va@a.example"], "eva@a.example"),
    ("İ@a.example", ["İ@a.example", "MAILTO:İ@A.example"], "i@a.example"),
    ("ÄRGER@a.example", ["ärger@a.example"], "arger@a.example"),
    ("straße@a.example", ["STRAẞE@a.example"], "strasse@a.example"),
    ("ada@bücher.example", ["ada@BÜCHER.example", "ada@xn--bcher-kva.example"], "ada@bucher.example"),
    ("a..b@a.example", ['"A..b"@a.example'], "a.b@a.example"),
    (
        "+49 (170) 123-4512",
        ["+491701234512", "tel:+49-170-1234512", "TEL:+491701234512;ext=1"],
        "+491701234513",
    ),
    (
        "+491701234512",
        ["+49 170 1234512", "\uff0b49\u2011170\u00a01234512", "\u202a+491701234512\u202c"],
        "+49170",
    ),
    ("0170 1234512", ["tel:01701234512", "tel:0170-123 4512"], "tel:+491701234512"),
]


@pytest.mark.parametrize(("kept", "asked", "other"), ONE_SPELLING)
def test_an_address_or_phone_has_one_spelling_to_compare(kept, asked, other):
    known = folded(one_address(kept) if "@" in kept else kept)
    assert [named_address(text) for text in asked] == [known] * len(asked)
    assert folded(known) == known
    assert named_address(other) not in (None, known)


@pytest.mark.parametrize("id", ["ada", "42", "0170123", "@ada", "ada@nowhere", "a@b@c", "id:+49", "", "+x"])
def test_what_is_no_address_can_only_be_an_id(id):
    assert named_address(id) is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ada", ("ada",)),
        ("@ada", ("@ada",)),
        ("Ada@A.example", ("Ada@A.example", "mailto:ada@a.example")),
        ("+49 170", ("+49 170", "tel:+49170")),
        ("0170 12", ("0170 12", "tel:017012")),
        ("", ("",)),
    ],
)
def test_a_recipient_may_be_known_by_what_is_asked_or_by_its_address(text, keys):
    assert keys_of(text) == keys


def test_an_address_is_known_by_a_url():
    assert [url_of(one) for one in ("Ada@a.example", "+49 170")] == ["mailto:ada@a.example", "tel:+49170"]


@pytest.mark.parametrize(
    ("id", "reaches"),
    [
        ("ada", False),
        ("1000234", False),
        ("order 12-34", False),
        ("ada@a.example", True),
        ("mailto:ada@a.example", True),
        ("+49170", True),
        ("tel:+49 170 1234512", True),
        ("0170 1234512", True),
        ("491701234512", True),
        ("whatsapp:+4917012345678", True),
        ("+49 170 12345678 (Ada)", True),
        ("ada\uff20buyer.example", True),
        ("01992c3e-5f6a-7abc-8def-0123456789ab", False),
        ("a1234567890b", False),
    ],
)
def test_an_id_that_reaches_somebody_is_shown_masked(id, reaches):
    assert reaches_somebody(id) is reaches
