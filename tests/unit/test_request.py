"""What callers may ask for, and what they are told when it will not do."""

import pytest
from pydantic import ValidationError

from waypost import Facts, Recipient, Request
from waypost.model.validation_messages import explain


class Note(Facts):
    text: str = "hello"


class NoteRequest(Request[Note]):
    pass


def told(model, value):
    with pytest.raises(ValidationError) as refused:
        model.model_validate(value)
    return explain(refused.value), str(refused.value)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"id": "Ada-1"}, "Ada-1"),
        ({"email": "Ada@A.example"}, "mailto:ada@a.example"),
        ({"phone": "+49 170 1234512"}, "tel:+491701234512"),
        ({"id": "7", "email": "ada@a.example", "phone": "+491701234512"}, "7"),
        ({"email": "ada@a.example", "phone": "+491701234512"}, "mailto:ada@a.example"),
    ],
)
def test_an_id_an_email_or_a_phone_is_enough(given, key):
    assert Recipient.model_validate(given).key == key


@pytest.mark.parametrize(
    "given", [{}, {"name": "Ada"}, {"locale": "de", "timezone": "Europe/Berlin"}, {"email": None}]
)
def test_a_recipient_nobody_could_find_is_refused(given):
    assert "give an id, an email or a phone" in told(Recipient, given)[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "hunter2\n"),
        ("id", "hunter2" * 40),
        ("email", "hunter2"),
        ("email", "hunter2@a.example, evil@x.example"),
        ("email", "hunter2 <ada@a.example>"),
        ("email", "ada@hunter2☃.example"),
        ("phone", "hunter2"),
        ("phone", "+49\n170"),
        ("phone", ""),
        ("phone", "()-."),
        ("phone", "+"),
        ("phone", "12"),
        ("phone", "1234"),
        ("phone", "+1234567890123456"),
        ("id", "   "),
        ("id", "\u3000"),
        ("name", "hunter2\nBcc: evil@x.example"),
        ("name", "=?utf-8?q?hunter2=0D=0ABcc:_e@x.test?="),
        ("name", "hunter2\r"),
        ("name", "hunter2\x00"),
        ("name", "hunter2\x1b[31m"),
        ("name", "hunter2" * 40),
        ("locale", "hunter2"),
        ("locale", "xx"),
        ("locale", "../../etc"),
        ("timezone", "hunter2"),
        ("timezone", "../etc/passwd"),
        ("nickname", "hunter2"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_never_repeated(field, value):
    given = {"id": "7", field: value} if field not in ("id", "email", "phone") else {field: value}
    explained, raw = told(Recipient, given)
    assert field in explained or "give an id" in explained
    assert "hunter2" not in explained + raw


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("locale", "de", "de"),
        ("locale", "pt_BR", "pt-BR"),
        ("locale", "zh-Hant-TW", "zh-Hant-TW"),
        ("timezone", "America/Sao_Paulo", "America/Sao_Paulo"),
        ("timezone", "UTC", "UTC"),
        ("name", "Zoë O'Brien 王", "Zoë O'Brien 王"),
        ("phone", "+49 (170) 12-34.5", "+4917012345"),
        ("phone", "0049 (0)30 123456", "+4930123456"),
        ("phone", "12345", "12345"),
        ("id", " 7", " 7"),
        ("email", "ada@bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_a_right_field_is_kept(field, value, kept):
    assert getattr(Recipient.model_validate({"id": "7", field: value}), field) == kept


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"recipient": {"id": "7"}, "data": {"text": "a", "hunter2": 1}}, "data.hunter2"),
        ({"recipient": {"id": "7"}, "data": {"text": 5}}, "data.text"),
        ({"recipient": {"id": "7"}}, "data"),
        ({"data": {}}, "recipient"),
        ({"recipient": {}, "data": {}}, "recipient"),
        ({"recipient": {"id": "7"}, "data": {}, "priority": 1}, "priority"),
        ({"recipient": {"id": "7"}, "data": {}, "idempotency_key": ""}, "idempotency_key"),
        ({"recipient": {"id": "7"}, "data": {}, "idempotency_key": "x" * 201}, "idempotency_key"),
        ({"recipient": {"id": "7"}, "data": {}, "deliver_at": "2026-03-01T08:00:00"}, "deliver_at"),
        ({"recipient": {"id": "7"}, "data": {}, "expires_at": "tomorrow"}, "expires_at"),
    ],
)
def test_a_wrong_request_says_where(given, where):
    assert told(NoteRequest, given)[0].startswith(where)


def test_at_most_five_things_are_told_at_once():
    explained, _ = told(NoteRequest, {f"field{n}": n for n in range(50)})
    assert explained.count(";") == 4


def test_a_request_is_never_changed_once_made():
    request = NoteRequest.model_validate({"recipient": {"id": "7"}, "data": {}})
    with pytest.raises(ValidationError):
        request.recipient = Recipient(id="8")


def test_a_plain_type_never_waits_for_a_digest():
    assert not NoteRequest.model_validate({"recipient": {"id": "7"}, "data": {}}).digested


def test_a_recipient_that_is_no_object_is_told_what_one_looks_like():
    explained, _ = told(NoteRequest, {"recipient": "hunter2", "data": {}})
    assert explained == 'recipient: not an object with fields, such as {"id": "bob"}'
