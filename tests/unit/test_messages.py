"""From a notification to its messages, or to the reason there are none."""

import email
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from typing import Annotated
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError, create_model

from waypost import Category, Facts, NotificationType, Priority, Sensitive
from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.ledger import open_ledger
from waypost.mail.dkim import Signer
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.rendering.live_templates import Templates
from waypost.rendering.messages import render_one
from waypost.rendering.template_names import IN_EVERY_TEMPLATE

pytestmark = pytest.mark.anyio


class Note(Facts):
    text: str = "hello"
    number: int = 1


def note(*route):
    return NotificationType(
        name="note", facts=Note, category=Category.ALERT, route=route, deadline=timedelta(hours=1)
    )


def to(email="ada@a.example", phone="+4917012345", name="Ada", **data):
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    person = ResolvedRecipient("ada", email, phone, name, "en", "UTC")
    return Notification(
        UUID(int=7), "note", Priority.NORMAL, person, data, 1, moment, moment + timedelta(hours=1)
    )


def one_rendered(runtime, type, notification, *more):
    return render_one(runtime.renderer(type), type, notification, *more)


@pytest.fixture
async def runtime(tmp_path):
    folder = tmp_path / "templates" / "note" / "en"
    folder.mkdir(parents=True)
    for name in ("subject.txt", "body.txt", "short.txt"):
        (folder / name).write_text("{{ text }}{{ code | default('') }}")
    text = "<mjml><mj-body><mj-section><mj-column><mj-text>{{ text }}</mj-text></mj-column></mj-section>"
    (folder / "body.mjml").write_text(text + "</mj-body></mjml>")
    settings = Settings(home=tmp_path / "home", templates=tmp_path / "templates", sender="Shop <s@a.example>")
    channels = [MemoryChannel(), MemoryChannel("texts", kind="*")]
    runtime = Runtime(settings, open_ledger(settings.ledger_url, settings.lease), channels)
    yield runtime
    await runtime.close()


@pytest.mark.parametrize("name", IN_EVERY_TEMPLATE)
async def test_a_fact_under_a_name_of_every_template_is_not_seen(runtime, tmp_path, name):
    (tmp_path / "templates" / "note" / "en" / "short.txt").write_text("{{ " + name + " }}")
    facts = create_model("Named", __base__=Note, **{name: (str, ...)})
    message = one_rendered(runtime, replace(note("sms"), facts=facts), to(**{name: "mine"})).messages["sms"]
    assert b"mine" not in message.content


async def test_attributes_of_the_recipient_are_read_and_a_missing_one_is_named(runtime, tmp_path):
    text = "{{ recipient.attributes.plan | default('none') }}{{ recipient.attributes.address.city }}"
    (tmp_path / "templates" / "note" / "en" / "short.txt").write_text(text)
    having = [{"address": {"city": "Bern"}}, {"plan": "gold", "address": {"city": "Bern"}}, {"plan": "gold"}]
    several = [replace(to(), recipient=replace(to().recipient, attributes=one)) for one in having]
    first, second, third = (one_rendered(runtime, note("sms"), one) for one in several)
    assert first.messages["sms"].content == b"noneBern"
    assert second.messages["sms"].content == b"goldBern"
    assert third.error == "templates/note/en/short.txt, line 1: 'dict object' has no attribute 'address'"
    assert "gold" not in repr(several)


async def test_what_was_rendered_has_the_version_of_its_templates(runtime):
    made = one_rendered(runtime, note("email"), to())
    assert made.template_version == runtime.templates.find("note", "en").version


@pytest.mark.parametrize(
    ("route", "person", "reached"),
    [
        (("email",), {}, {"email": "ada@a.example"}),
        (("email", "sms"), {}, {"email": "ada@a.example", "sms": "+4917012345"}),
        (("email", "sms"), {"phone": None}, {"email": "ada@a.example"}),
        (("email", "sms"), {"email": None}, {"sms": "+4917012345"}),
        (("email", "chat"), {"email": None}, {"chat": "ada"}),
    ],
)
async def test_there_is_a_message_for_every_kind_that_reaches_them(runtime, route, person, reached):
    rendered = one_rendered(runtime, note(*route), to(**person))
    assert {kind: message.address for kind, message in rendered.messages.items()} == reached
    assert rendered.error is None


async def test_nothing_is_rendered_for_a_kind_nobody_serves(runtime):
    del runtime.providers.channels[1]
    rendered = one_rendered(runtime, note("email", "sms"), to())
    assert set(rendered.messages) == {"email"}


async def test_an_sms_longer_than_its_type_allows_fails_with_the_count_the_limit_and_the_cause(runtime):
    long, short = to(text="ж" * 71), to(text="ж" * 70)
    assert one_rendered(runtime, note("sms"), long).error is None  # without a limit
    limited = replace(note("sms"), sms_segments=1)
    assert one_rendered(runtime, limited, short).error is None
    assert one_rendered(runtime, limited, long).error == (
        "templates/note/en/short.txt: the SMS takes 2 segments (71 UCS-2 characters), more than the limit of "
        "1; UCS-2 is needed for ж (U+0436); shorten the text, or raise sms_segments of note"
    )
    assert one_rendered(runtime, replace(note("chat"), sms_segments=1), long).error is None


async def test_a_sensitive_fact_goes_with_its_message_as_private_and_an_error_does_not_repeat_it(
    runtime, tmp_path
):
    facts = create_model("Secret", __base__=Note, iban=(Annotated[str, Sensitive()], ...))
    type, given = replace(note("sms"), facts=facts), to(iban="DE4711k4n4ry")
    short = tmp_path / "templates" / "note" / "en" / "short.txt"
    short.write_text("{{ iban }}")
    message = one_rendered(runtime, type, given, {"code": "482913"}).messages["sms"]
    assert (message.content, {*message.private}) == (b"DE4711k4n4ry", {"482913", "DE4711k4n4ry"})
    covered = render_one(replace(runtime.renderer(type), covered=True), type, given)
    assert covered.messages["sms"].content == b"[iban]"
    short.write_text("{{ {}[iban] }}")
    [error] = [render_one(_again(runtime, tmp_path), type, given).error]
    assert "has no attribute '***'" in error


def _again(runtime, tmp_path):
    """A renderer that has read no template yet."""
    return replace(runtime.renderer(note("sms")), templates=Templates(tmp_path / "templates"))


@pytest.mark.parametrize(
    ("route", "why"),
    [(("email",), "no address for email"), (("email", "sms"), "no address for email or sms")],
)
async def test_nobody_is_reached_without_an_address(runtime, route, why):
    rendered = one_rendered(runtime, note(*route), to(email=None, phone=None))
    assert (rendered.messages, why in rendered.error) == ({}, True)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"number": "hunter2"}, "no longer fit the type: number"),
        ({"colour": "hunter2", "number": "hunter2"}, "no longer fit the type: number"),
        ({"text": "hunter2\nBcc: evil@x.example"}, "Subject contains a control character"),
        ({"text": "=?utf-8?q?hunter2=0D=0ABcc:_e@x.example?="}, "Subject contains a control character"),
        ({"name": "hunter2\r\nBcc: evil@x.example"}, "To contains a control character"),
        ({"text": "hunter2" * 500_000}, "more than 2,000,000 characters"),
    ],
)
async def test_what_cannot_be_rendered_says_why_and_repeats_nothing(runtime, given, why):
    rendered = one_rendered(runtime, note("email"), to(**given))
    assert why in rendered.error
    assert "hunter2" not in rendered.error
    assert not rendered.messages


async def test_a_fact_of_a_newer_version_of_the_type_waits_for_a_worker_that_has_it(runtime):
    rendered = one_rendered(runtime, note("email"), to(colour="hunter2"))
    assert rendered.deferred_until == (
        "its facts no longer fit the type: colour: no such field; "
        "if a newer version of the type has that, restart this worker"
    )
    assert (rendered.error, rendered.messages) == (None, {})


async def test_a_type_without_templates_fails_alone(runtime):
    other = NotificationType(
        name="other", facts=Note, category=Category.ALERT, route=("email",), deadline=timedelta(hours=1)
    )
    assert "no templates for other" in one_rendered(runtime, other, to()).error


async def test_a_mail_is_whole_and_a_text_is_only_its_words(runtime):
    messages = one_rendered(runtime, note("email", "sms"), to(text="Grüße")).messages
    read = email.message_from_bytes(messages["email"].content, policy=policy.default)
    assert (str(read["To"]), str(read["From"]), str(read["Subject"])) == (
        "Ada <ada@a.example>",
        "Shop <s@a.example>",
        "Grüße",
    )
    assert messages["sms"].content == "Grüße".encode()


async def test_a_code_reaches_the_message_and_no_text_about_it(runtime):
    rendered = one_rendered(runtime, note("sms"), to(), {"code": "123456"})
    assert rendered.messages["sms"].content == b"hello123456"
    assert "123456" not in repr(rendered) + repr(rendered.messages["sms"])


def asking(**more):
    return replace(note("email"), **more)


def mailed(rendered):
    return email.message_from_bytes(rendered.messages["email"].content, policy=policy.default)


async def test_a_type_says_where_answers_go_and_how_to_unsubscribe(runtime):
    type = asking(
        reply_to="{{ sender.name }} <note+{{ number }}@a.example>",
        list_unsubscribe="https://a.example/u?{{ token }} mailto:stop@a.example",
        one_click=True,
    )
    read = mailed(one_rendered(runtime, type, to(number=7), {"token": "x" * 300}))
    assert read["Reply-To"] == "Shop <note+7@a.example>"
    assert read["List-Unsubscribe"] == f"<https://a.example/u?{'x' * 300}>, <mailto:stop@a.example>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_who_has_nothing_to_unsubscribe_from_gets_no_header(runtime):
    type = asking(list_unsubscribe="{% if number > 1 %}https://a.example/u{% endif %}", one_click=True)
    assert "List-Unsubscribe" in mailed(one_rendered(runtime, type, to(number=2)))
    assert not {"List-Unsubscribe", "List-Unsubscribe-Post"} & set(mailed(one_rendered(runtime, type, to())))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"reply_to": "{{ nobody }}"}, "reply_to: 'nobody' is undefined"),
        ({"reply_to": "{{ text"}, "(in a template of the type's declaration)"),
        ({"reply_to": "{{ text }}"}, "Reply-To is not a single address"),
        ({"list_unsubscribe": "{{ text }}"}, "List-Unsubscribe may contain only"),
    ],
)
async def test_a_declaration_that_does_not_fit_fails_that_notification(runtime, more, why):
    rendered = one_rendered(runtime, asking(**more), to(text="hunter2"))
    assert (why in rendered.error, "hunter2" in rendered.error) == (True, False)


def test_one_click_wants_something_to_click():
    with pytest.raises(ValidationError, match="one_click needs list_unsubscribe"):
        asking(one_click=True)


async def test_every_mail_is_signed_and_no_text_message(runtime):
    runtime.signers = [Signer("a.example", "s2026", Ed25519PrivateKey.generate())]
    messages = one_rendered(runtime, note("email", "sms"), to()).messages
    record = runtime.signers[0].record.encode()
    assert dkim.verify(messages["email"].content, dnsfunc=lambda *_, **__: record)
    assert messages["sms"].content == b"hello"
