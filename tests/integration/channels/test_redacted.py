"""Providers that quote what they were given: no channel repeats a secret."""

import base64
import logging
from dataclasses import replace
from urllib.parse import quote

import pytest

from waypost.channels.apprise.channel import AppriseChannel
from waypost.channels.channel import ChannelUnavailable
from waypost.channels.memory import MemoryChannel
from waypost.channels.webhook.channel import WebhookChannel
from waypost.mail.masking import mask
from waypost.model.outcome import Phase, Verdict
from waypost.net.webhook_url import parse
from waypost.policy.classify import smtp as smtp_reply

pytestmark = pytest.mark.anyio

CODE, TOKEN, RESET = "481529", "IjAxOTk5YzJm.aSnZqA.x1yZ2q", "https://shop.example/reset/k4n4ry"
LINK = f"https://app.example/verify?token={TOKEN}"
USER, PASSWORD, SECRET = "canary-user", "right", b"a canary secret of 32 bytes or so"


def in_base64(text):
    return base64.b64encode(text.encode()).decode()


LOGIN = in_base64(f"\0{USER}\0{PASSWORD}")
SIGNED_WITH = base64.b64encode(SECRET).decode()
LOCAL = "ma1lbox"
PRIVATE = [CODE, TOKEN, "k4n4ry", LOCAL]
CREDENTIALS = [USER, PASSWORD, in_base64(PASSWORD)]
QUOTED = (
    f"Ada, not with {CODE} or {CODE[:3]}-{CODE[3:]} or {LINK} or {quote(RESET, safe='')} ({in_base64(CODE)}) "
    f"for {LOCAL}@a.example, rcpt={LOCAL}%40a.example, {LOCAL}=a.example, {LOCAL} at a dot example "
    f"after AUTH PLAIN {LOGIN} {PASSWORD}"
)
FULLWIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
ENCODED = {
    "fullwidth": lambda text: text.translate(FULLWIDTH),
    "percent": lambda text: "".join(f"%{ord(letter):02X}" for letter in text),
    "entities": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "percent of fullwidth": lambda text: quote(text.translate(FULLWIDTH)),
}


def secret_letter(write, channel):
    message = write(f"your code is {CODE}, see {LINK}", f"{LOCAL}@a.example", channel)
    facts = replace(message.notification, data={"reset": {"urls": [RESET]}})
    return replace(message, notification=facts, private=(CODE, LINK, TOKEN))


class Memory:
    """The twin in memory, which has no credentials."""

    word = "email"
    secrets = PRIVATE
    keeps_no_words = False

    async def make(self, **_):
        return MemoryChannel(answer=lambda _: smtp_reply(554, QUOTED, Phase.DOT))


class Smtp:
    """A mail server that quotes at one of its verbs."""

    word = "email"
    secrets = (*PRIVATE, *CREDENTIALS)

    def __init__(self, verb):
        self.verb = verb
        self.keeps_no_words = verb == "AUTH"

    async def make(self, *, mail_server, smtp, **_):
        mail_server.options["auth_require_tls"] = False
        mail_server.bends[self.verb] = f"554 5.7.1 {QUOTED}"
        return await smtp(mail_server, login=f"{USER}:{PASSWORD}@")


class Web:
    """A service behind Apprise."""

    word = "sms"
    secrets = (*PRIVATE, *CREDENTIALS, SIGNED_WITH)
    keeps_no_words = True

    async def make(self, *, web, **_):
        web.status, web.says = 400, f"{QUOTED} whsec_{SIGNED_WITH}".encode()
        return self.channel(web.port)

    def channel(self, port):
        return AppriseChannel("apprise", "*", f"json://{USER}:{PASSWORD}@127.0.0.1:{port}/k4n4ry/{{phone}}")


class Webhook(Web):
    """A webhook, whose address is as good as a password."""

    word = "webhook"
    keeps_no_words = False

    def channel(self, port):
        hook = parse(f"webhook+http://127.0.0.1:{port}/{USER}/{PASSWORD}")
        return WebhookChannel("webhook", hook, [SECRET], allow_private=True)


VERBS = ("GREETING", "AUTH", "MAIL", "RCPT", "DATA", "DOT")


@pytest.mark.parametrize(
    "provider",
    [Memory(), Web(), Webhook(), *map(Smtp, VERBS)],
    ids=["memory", "apprise", "webhook", *(f"smtp at {verb}" for verb in VERBS)],
)
async def test_a_provider_that_quotes_everything_gives_no_secret_away(
    provider, write, mail_server, smtp, web, caplog
):
    caplog.set_level(logging.DEBUG, "waypost")
    channel = await provider.make(mail_server=mail_server, smtp=smtp, web=web)
    try:
        said = str(await channel.send(secret_letter(write, provider.word)))
    except ChannelUnavailable as error:
        said = f"{error!r} {error} {error.reason}"
    finally:
        await channel.close()
    assert not [canary for canary in provider.secrets if canary in said + caplog.text]
    assert ("Ada" in said and mask(f"{LOCAL}@a.example") in said) or provider.keeps_no_words


async def test_what_opens_tells_no_more_than_what_sends(mail_server, smtp):
    channel = await Smtp("GREETING").make(mail_server=mail_server, smtp=smtp)
    with pytest.raises(ChannelUnavailable, match=r"replied 554 .*Ada") as down:
        await channel.open()
    assert not [canary for canary in CREDENTIALS if canary in str(down.value)]


async def test_an_accepted_message_may_be_quoted_too(write):
    channel = MemoryChannel(answer=lambda _: smtp_reply(250, f"2.0.0 queued: {QUOTED}", Phase.DOT))
    outcome = await channel.send(secret_letter(write, "email"))
    assert outcome.verdict is Verdict.ACCEPTED
    assert not [canary for canary in PRIVATE if canary in outcome.words]


async def test_a_reply_that_repeats_more_links_than_can_be_removed_keeps_no_words(write):
    longest = "https://a.example/" + "x" * 300
    message = write(channel="email")
    facts = replace(message.notification, data={"links": [longest[:-n] for n in range(1, 200)]})
    channel = MemoryChannel(answer=lambda _: smtp_reply(550, f"5.7.1 spam: {longest}", Phase.DOT))
    outcome = await channel.send(replace(message, notification=facts))
    assert (outcome.code, outcome.words) == (550, "***")


COMPOSED = f"Subject: Reset\r\n\r\nYour code is {CODE}, see {RESET}\r\n".encode()
MAILED = f"5.7.1 spam: {CODE[:3]}-{CODE[3:]}, {quote(RESET, safe='')} {RESET[8:]}"
LONG = COMPOSED + b"a word and the next of a line\r\n" * 50_000


@pytest.mark.parametrize("mail", [COMPOSED, LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    ("code", "shown"),
    [(554, "spam: ***, *** *** 192.0.2.7 id 4ZBcX12345"), (250, "spam: ***, *** *** 192.0.2.7 id ***")],
)
async def test_nothing_of_a_mail_that_its_author_composed_is_quoted(write, mail, code, shown):
    said = f"{MAILED} 192.0.2.7 id 4ZBcX12345"
    channel = MemoryChannel(answer=lambda _: smtp_reply(code, said, Phase.DOT))
    outcome = await channel.send(replace(write(channel="email"), content=mail, composed=True))
    assert (outcome.code, outcome.enhanced, outcome.words) == (code, "5.7.1", shown)


async def test_an_acceptance_names_the_id_in_the_queue(write):
    channel = MemoryChannel(answer=lambda _: smtp_reply(250, "2.0.0 Ok: queued as 4ZBcX12345", Phase.DOT))
    outcome = await channel.send(replace(write(channel="email"), content=COMPOSED, composed=True))
    assert outcome.words == "Ok: queued as 4ZBcX12345"


async def test_a_server_that_refuses_us_repeats_no_credential(mail_server, smtp):
    mail_server.options["auth_require_tls"] = False
    mail_server.bends["MAIL"] = f"550 5.7.1 sender rejected: {USER} may not, {LOGIN}"
    channel = await smtp(mail_server, login=f"{USER}:{PASSWORD}@")
    refusal = await channel.refusal_of_us()
    assert refusal.words.startswith("sender rejected: *** may not")
    assert not [canary for canary in CREDENTIALS if canary in str(refusal)]
    await channel.close()


def test_a_message_shows_nothing_that_was_minted_for_it(write):
    assert not [canary for canary in (CODE, TOKEN) if canary in repr(secret_letter(write, "email"))]


@pytest.mark.parametrize("quoted", ["+4917012345", "+49 170 12345", "0049-170-12345", "0170 12345"])
async def test_a_phone_number_is_kept_by_nobody(write, quoted):
    channel = MemoryChannel(
        kind="sms", answer=lambda _: smtp_reply(550, f"no such number: {quoted}", Phase.DOT)
    )
    outcome = await channel.send(write(channel="sms", phone="+4917012345"))
    assert outcome.words.startswith("no such number: ")
    assert "12345" not in "".join(filter(str.isdigit, outcome.words))


@pytest.mark.parametrize("encoded", ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("secret", [CODE, f"{LOCAL}@a.example", RESET])
async def test_a_secret_in_another_spelling_is_recognised(write, encoded, secret):
    words = f"no: {encoded(secret)} is refused"
    channel = MemoryChannel(answer=lambda _: smtp_reply(554, words, Phase.DOT))
    await channel.open()
    outcome = await channel.send(secret_letter(write, "email"))
    assert encoded(secret) not in outcome.words
    assert secret not in outcome.words
    assert outcome.words.startswith("no: ")


async def test_a_reply_without_a_secret_is_kept_as_it_came(write):
    words = "\uff14\uff18 &#52; 100%25 https://help.example/a%20b"
    channel = MemoryChannel(answer=lambda _: smtp_reply(554, words, Phase.DOT))
    await channel.open()
    assert (await channel.send(secret_letter(write, "email"))).words == words
