"""Encryption is required, never hoped for; a password never travels without it."""

import asyncio
from datetime import timedelta

import pytest
from support.smtp_faults import drop, saying, silence

from waypost.channels.channel import ChannelUnavailable
from waypost.model.outcome import Phase, Verdict

pytestmark = pytest.mark.anyio

LOGIN = "shop:right@"


@pytest.fixture
def trusting(authority):
    """The options of a URL that trusts the test's own authority."""
    return f"?ca={authority.ca}"


def auths(server):
    return [line for line in server.heard if line.startswith("AUTH")]


async def refused(channel, write):
    """Why the channel will not open; sending says the same."""
    with pytest.raises(ChannelUnavailable) as why:
        await channel.open()
    with pytest.raises(ChannelUnavailable):
        await channel.send(write())
    return str(why.value)


async def test_a_server_that_hides_starttls_gets_nothing(mail_server, smtp, write, trusting):
    mail_server.options = {"auth_require_tls": False}
    channel = await smtp(mail_server, f"{trusting}&tls=starttls", LOGIN)
    assert "does not offer STARTTLS" in await refused(channel, write)
    assert (auths(mail_server), mail_server.logins, mail_server.taken) == ([], [], [])


@pytest.mark.parametrize("reply", ["454 4.7.0 not now", "500 what", "502 no"])
async def test_a_server_that_refuses_starttls_gets_nothing(secured, smtp, write, trusting, reply):
    server = secured(STARTTLS=reply)
    channel = await smtp(server, f"{trusting}&tls=starttls", LOGIN)
    await refused(channel, write)
    assert (auths(server), server.taken) == ([], [])


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_nobody_vouches_for_is_refused(secured, smtp, write, implicit):
    server = secured(implicit=implicit)
    scheme, query = ("smtps", "") if implicit else ("smtp", "?tls=starttls")
    why = await refused(await smtp(server, query, LOGIN, scheme), write)
    assert "an untrusted certificate" in why
    assert (auths(server), server.taken) == ([], [])


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_that_has_expired_is_refused(secured, smtp, write, trusting, implicit):
    server = secured(implicit=implicit, valid_for=-timedelta(hours=1))
    scheme, query = ("smtps", "") if implicit else ("smtp", "&tls=starttls")
    why = await refused(await smtp(server, trusting + query, LOGIN, scheme), write)
    assert "an untrusted certificate (certificate has expired)" in why
    assert (auths(server), server.taken) == ([], [])


async def plain_words(session):
    """Go on in the clear where the handshake is due."""
    await session.push("220 ready")
    await asyncio.sleep(0.02)  # what comes before the handshake is not heard at all
    session._writer.write(b"250 what handshake\r\n")
    await asyncio.sleep(60)


@pytest.mark.parametrize("bend", [drop, saying(b"\x16\x03garbage\r\n"), plain_words])
async def test_a_handshake_that_fails_leaves_nothing_said(secured, smtp, write, trusting, bend):
    server = secured(STARTTLS=bend)
    await refused(await smtp(server, f"{trusting}&tls=starttls", LOGIN), write)
    assert (auths(server), server.taken) == ([], [])


@pytest.mark.parametrize("verb", ["STARTTLS", "AUTH"])
async def test_a_stall_before_the_envelope_is_deferred(secured, smtp, write, trusting, verb):
    server = secured(**{verb: silence})
    channel = await smtp(server, f"{trusting}&tls=starttls", LOGIN, attempt_seconds=0.3)
    outcome = await channel.send(write())
    assert (outcome.verdict, outcome.phase) == (Verdict.DEFERRED, Phase.CONNECT)


@pytest.mark.parametrize(
    ("bend", "why"),
    [
        ("454 4.7.0 temporary authentication failure", "454"),
        ("535 5.7.8 no", "535"),
        ("421 4.3.2 closing", ""),
        (saying(b"garbage\r\n"), ""),
        (drop, ""),
    ],
)
async def test_a_login_that_comes_to_nothing_makes_it_unavailable(secured, smtp, write, trusting, bend, why):
    server = secured(AUTH=bend)
    assert why in await refused(await smtp(server, f"{trusting}&tls=starttls", LOGIN), write)
    assert server.taken == []


async def test_a_password_for_a_server_that_offers_no_login_is_said_to_nobody(smtp, write, secured, trusting):
    server = secured()
    server.options["auth_exclude_mechanism"] = ["PLAIN", "LOGIN"]
    await refused(await smtp(server, f"{trusting}&tls=starttls", LOGIN), write)
    assert (auths(server), server.taken) == ([], [])


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_of_another_host_is_refused(secured, smtp, write, trusting, implicit):
    server = secured("mail.other.example", implicit=implicit)
    scheme, query = ("smtps", "") if implicit else ("smtp", "&tls=starttls")
    why = await refused(await smtp(server, trusting + query, LOGIN, scheme), write)
    assert "an untrusted certificate" in why
    assert (auths(server), server.taken) == ([], [])


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_right_certificate_is_accepted_and_the_login_is_made_inside(
    secured, smtp, write, trusting, implicit, host
):
    server = secured(host, implicit=implicit)
    scheme, query = ("smtps", "") if implicit else ("smtp", "&tls=starttls")
    channel = await smtp(server, trusting + query, LOGIN, scheme, host=host)
    assert (await channel.send(write())).verdict is Verdict.ACCEPTED
    assert [login[1:] for login in server.logins] == [(b"shop", b"right")]
    assert (server.taken[0].rcpt_tos, server.sessions[0].session.ssl is None) == (["ada@a.example"], implicit)


async def test_smtps_works_without_a_login(secured, smtp, write, trusting):
    server = secured(implicit=True)
    assert (await (await smtp(server, trusting, scheme="smtps")).send(write())).verdict is Verdict.ACCEPTED


async def test_a_login_is_made_once_a_connection(secured, smtp, write, trusting):
    server = secured()
    channel = await smtp(server, f"{trusting}&tls=starttls&connections=1", LOGIN)
    for _ in range(3):
        await channel.send(write())
    assert (len(server.logins), len(server.taken)) == (1, 3)


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_wrong_password_makes_it_unavailable_and_is_not_repeated(
    secured, smtp, write, trusting, implicit
):
    server = secured(implicit=implicit)
    scheme, query = ("smtps", "") if implicit else ("smtp", "&tls=starttls")
    why = await refused(await smtp(server, trusting + query, "shop:hunter2@", scheme), write)
    assert "refused the user name or password (535)" in why
    assert "hunter2" not in why
    assert server.taken == []


@pytest.mark.parametrize(
    "injected", ["\r\n250 ok", "\r\n250-house.example\r\n250 AUTH PLAIN\r\n235 2.7.0 welcome"]
)
async def test_words_injected_before_the_handshake_are_not_heard(secured, smtp, write, trusting, injected):
    server = secured(INJECTED=injected)
    channel = await smtp(server, f"{trusting}&tls=starttls", LOGIN)
    assert (await channel.send(write())).verdict is Verdict.ACCEPTED
    assert [login[1:] for login in server.logins] == [(b"shop", b"right")]


async def test_a_server_without_tls_where_tls_is_spoken_from_the_first_byte_is_unavailable(
    mail_server, smtp, write, trusting
):
    channel = await smtp(mail_server, trusting, LOGIN, "smtps")
    await refused(channel, write)
    assert (auths(mail_server), mail_server.taken) == ([], [])
