"""A mail server that behaves otherwise, one thing at a time."""

import asyncio
import re
from time import monotonic

import pytest
from support.channel_send import offer
from support.smtp_faults import drop, hang_up, once, saying, silence

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.smtp import connect, pool
from waypost.channels.smtp.channel import SmtpChannel
from waypost.channels.smtp.url import parse
from waypost.deployments.doctor.channel import channel_finding
from waypost.model.outcome import Phase, Verdict

pytestmark = pytest.mark.anyio

ACCEPTED, REFUSED = Verdict.ACCEPTED, Verdict.REFUSED
DEFERRED, UNKNOWN = Verdict.DEFERRED, Verdict.UNKNOWN


@pytest.fixture(params=[False, True], ids=["one by one", "pipelined"])
def pipelining(request):
    """Everything here holds with and without."""
    return request.param


@pytest.mark.parametrize(
    "bends",
    [
        {"GREETING": "554 5.3.2 not today"},
        {"GREETING": "421 4.3.2 closing"},
        {"GREETING": "not a reply"},
        {"GREETING": drop},
        {"EHLO": "550 5.7.1 who are you", "HELO": "550 5.7.1 who are you"},
        {"EHLO": "421 4.3.2 closing", "HELO": "421 4.3.2 closing"},
        {"EHLO": drop},
        {"EHLO": saying(b"garbage\r\n")},
    ],
)
async def test_a_server_that_does_not_let_us_in_is_unavailable(bent, smtp, write, bends):
    server = bent(**bends)
    channel = await smtp(server)
    with pytest.raises(ChannelUnavailable, match=f"127.0.0.1:{server.port}"):
        await channel.open()
    with pytest.raises(ChannelUnavailable):
        await channel.send(write())
    assert not [line for line in server.heard if line.startswith("MAIL")]


async def test_a_server_that_is_not_there_is_unavailable(smtp, mail_server, write):
    async with mail_server.running():
        pass
    channel = await smtp(mail_server)
    with pytest.raises(ChannelUnavailable, match=r"127.0.0.1:\d+ could not be reached"):
        await channel.send(write())


@pytest.mark.parametrize(
    ("bends", "said", "advice"),
    [
        ({"GREETING": silence}, r"127.0.0.1:\d+ did not respond within 0.2 s", "the server hangs"),
        ({"EHLO": silence}, r"127.0.0.1:\d+ did not respond within 0.2 s", "the server hangs"),
        (
            {"GREETING": drop},
            r"127.0.0.1:\d+ closed the connection before it accepted a message",
            "start the",
        ),
    ],
)
async def test_doctor_tells_a_silent_server_from_a_closed_door(bent, smtp, monkeypatch, bends, said, advice):
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0.2)
    found = await channel_finding(await smtp(bent(**bends)))
    assert re.fullmatch(said, found.found)
    assert found.advice.startswith(advice)


async def test_a_name_nobody_knows_is_unavailable(write):
    channel = SmtpChannel("smtp", parse("smtp://nobody.invalid:25?tls=off"), "a@b.example")
    with pytest.raises(ChannelUnavailable, match=r"nobody.invalid:25 could not be reached"):
        await channel.open()


@pytest.mark.parametrize(
    ("verb", "reply", "verdict", "phase", "code", "enhanced", "words"),
    [
        ("MAIL", "451 4.3.0 later", DEFERRED, Phase.MAIL, 451, "4.3.0", "later"),
        ("MAIL", "421 4.3.0 closing", DEFERRED, Phase.MAIL, 421, "4.3.0", "closing"),
        ("MAIL", "550 5.7.1 not you", DEFERRED, Phase.MAIL, 550, "5.7.1", "not you"),
        ("MAIL", "354 what", DEFERRED, Phase.MAIL, 354, None, "what"),
        ("RCPT", "450 4.2.0 greylisted", DEFERRED, Phase.RCPT, 450, "4.2.0", "greylisted"),
        ("RCPT", "421 4.3.0 closing", DEFERRED, Phase.RCPT, 421, "4.3.0", "closing"),
        ("RCPT", "550 5.1.1 no such user", REFUSED, Phase.RCPT, 550, "5.1.1", "no such user"),
        ("RCPT", "552 5.2.2 full", REFUSED, Phase.RCPT, 552, "5.2.2", "full"),
        ("DATA", "451 4.3.0 later", DEFERRED, Phase.DATA, 451, "4.3.0", "later"),
        ("DATA", "554 5.7.1 no", REFUSED, Phase.DATA, 554, "5.7.1", "no"),
        ("DATA", "250 what", DEFERRED, Phase.DATA, 250, None, "what"),
        ("DOT", "250 2.0.0 queued as 7", ACCEPTED, Phase.DOT, 250, "2.0.0", "queued as 7"),
        ("DOT", "250-2.0.0 queued\r\n250 2.0.0 as 7", ACCEPTED, Phase.DOT, 250, "2.0.0", "queued 2.0.0 as 7"),
        ("DOT", "421 4.3.0 closing", DEFERRED, Phase.DOT, 421, "4.3.0", "closing"),
        ("DOT", "451 4.7.1 later", DEFERRED, Phase.DOT, 451, "4.7.1", "later"),
        ("DOT", "552 5.3.4 too big", REFUSED, Phase.DOT, 552, "5.3.4", "too big"),
        ("DOT", "554 5.7.1 spam", REFUSED, Phase.DOT, 554, "5.7.1", "spam"),
    ],
)
async def test_an_answer_has_one_meaning(
    bent, smtp, write, verb, reply, verdict, phase, code, enhanced, words
):
    channel = await smtp(bent(**{verb: reply}))
    outcome = await channel.send(write())
    assert (outcome.verdict, outcome.phase) == (verdict, phase)
    assert (outcome.code, outcome.enhanced, outcome.words) == (code, enhanced, words)


@pytest.mark.parametrize(
    "bend", [drop, hang_up, silence, saying(b"what is this\r\n"), saying(b"25", then=drop)]
)
@pytest.mark.parametrize(
    ("verb", "verdict", "phase"),
    [
        ("MAIL", DEFERRED, Phase.MAIL),
        ("RCPT", DEFERRED, Phase.RCPT),
        ("DATA", DEFERRED, Phase.DATA),
        ("DOT", UNKNOWN, Phase.DOT),
    ],
)
async def test_no_answer_is_in_doubt_only_after_the_dot(bent, smtp, write, verb, verdict, phase, bend):
    server = bent(**{verb: bend})
    outcome = await (await smtp(server, attempt_seconds=0.6)).send(write())
    assert (outcome.verdict, outcome.phase) == (verdict, phase)
    assert server.heard.count("DATA") <= 1


@pytest.mark.parametrize("verb", ["GREETING", "EHLO"])
async def test_an_attempt_cut_off_while_connecting_is_deferred_and_leaves_nothing_open(
    bent, smtp, write, verb
):
    server = bent(**{verb: silence})
    outcome = await (await smtp(server, attempt_seconds=0.1)).send(write())
    assert (outcome.verdict, outcome.phase) == (DEFERRED, Phase.CONNECT)
    await server.left()


async def test_one_limit_is_around_the_whole_attempt(bent, smtp, write):
    async def slow(_session):
        await asyncio.sleep(0.15)

    server = bent(
        EHLO=slow, MAIL=slow, RCPT=slow, DATA=slow
    )  # each well within the limit, together beyond it
    outcome = await (await smtp(server, attempt_seconds=0.35)).send(write())
    assert (outcome.verdict, server.taken) == (DEFERRED, [])
    assert "no response within 0.35 s" in outcome.words


async def test_the_limit_is_each_attempts_own(mail_server, smtp, write):
    channel = await smtp(mail_server, attempt_seconds=1.0)
    for _ in range(3):
        assert (await channel.send(write())).verdict is ACCEPTED
        await asyncio.sleep(0.4)


@pytest.mark.parametrize("bend", [drop, hang_up, silence, "421 4.3.0 closing", "500 what", "451 later"])
@pytest.mark.parametrize("verb", ["RCPT", "DATA"])
async def test_a_refusal_stands_whatever_becomes_of_the_connection(bent, smtp, write, verb, bend):
    server = bent(**{verb: "550 5.1.1 no such user", "RSET": bend})
    outcome = await (await smtp(server, attempt_seconds=0.6)).send(write())
    assert (outcome.verdict, outcome.code, outcome.words) == (REFUSED, 550, "no such user")


async def test_an_acceptance_stands_when_the_server_hangs_up_after_it(bent, smtp, write):
    async def take_and_leave(session):
        await session.push("250 2.0.0 taken")
        session.transport.close()
        await asyncio.sleep(60)

    outcome = await (await smtp(bent(DOT=take_and_leave))).send(write())
    assert (outcome.verdict, outcome.words) == (ACCEPTED, "taken")


async def test_a_wait_the_server_names_is_kept(bent, smtp, write):
    channel = await smtp(bent(RCPT="450 4.2.0 greylisted, try again in 5 minutes"))
    assert (await channel.send(write())).wait.total_seconds() == 300


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_takes_the_next_message_after_a_refusal(bent, smtp, write, verb):
    server = bent(**{verb: once("550 5.1.1 no")})
    channel = await smtp(server, "?connections=1")
    assert [(await channel.send(write())).verdict for _ in range(2)] == [REFUSED, ACCEPTED]
    assert (len(server.sessions), len(server.taken)) == (1, 1)


@pytest.mark.parametrize("bend", [drop, silence, saying(b"garbage\r\n")])
@pytest.mark.parametrize("verb", ["RCPT", "DOT"])
async def test_a_connection_in_doubt_takes_no_other_message(bent, smtp, write, verb, bend):
    server = bent(**{verb: bend})
    channel = await smtp(server, "?connections=1", attempt_seconds=0.6)
    await channel.send(write("lost"))
    server.bends.clear()
    assert (await channel.send(write("next"))).verdict is ACCEPTED
    assert (len(server.sessions), len(server.taken)) == (2, 1)
    assert b"next" in server.contents[0]


@pytest.mark.parametrize("bends", [{"RCPT": silence}, {"RCPT": "550 5.1.1 no", "RSET": silence}])
async def test_a_cancelled_attempt_closes_its_connection(bent, smtp, write, bends):
    server = bent(**bends)
    channel = await smtp(server, "?connections=1")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(channel.send(write("lost")), 0.1)
    server.bends.clear()
    assert (await channel.send(write("next"))).verdict is ACCEPTED
    assert (len(server.sessions), len(server.open_sessions)) == (2, 1)


async def leave(session):
    session.transport.close()


async def reset(session):
    session.transport.abort()


async def take_leave(session):
    await session.push("421 4.4.2 idle for too long")
    session.transport.close()


@pytest.mark.parametrize("pause", [0, 0.02])
@pytest.mark.parametrize("goodbye", [leave, reset, take_leave])
async def test_a_connection_closed_while_idle_is_replaced_and_the_mail_arrives_once(
    mail_server, smtp, write, goodbye, pause
):
    channel = await smtp(mail_server, "?connections=1")
    await channel.send(write("first"))
    await goodbye(mail_server.sessions[0])
    if pause:
        await asyncio.sleep(pause)
    assert (await channel.send(write("second"))).verdict is ACCEPTED
    assert [b"second" in content for content in mail_server.contents] == [False, True]
    assert len(mail_server.sessions) == 2


@pytest.mark.parametrize("then", [silence, hang_up])
async def test_a_kept_connection_told_421_is_replaced_and_the_mail_arrives_once(bent, smtp, write, then):
    async def one_each(session):
        if session.taken:
            await session.push("421 4.7.0 one message each")
            await then(session)

    server = bent(MAIL=one_each)
    channel = await smtp(server, "?connections=1")
    assert [(await channel.send(write(f"{n}"))).verdict for n in range(3)] == [ACCEPTED] * 3
    assert (len(server.sessions), len(server.taken)) == (3, 3)


async def test_a_fresh_connection_told_421_is_not_tried_again(bent, smtp, write):
    server = bent(MAIL="421 4.7.0 too many")
    assert (await (await smtp(server)).send(write())).code == 421
    assert len(server.sessions) == 1


async def test_a_server_that_went_away_while_idle_is_unavailable(mail_server, smtp, write):
    async with mail_server.running():
        channel = await smtp(mail_server)
        await channel.send(write())
    with pytest.raises(ChannelUnavailable):
        await channel.send(write())
    assert len(mail_server.taken) == 1


async def test_messages_share_a_connection(mail_server, smtp, write):
    channel = await smtp(mail_server)
    await channel.open()
    await channel.open()
    for number in range(12):
        await channel.send(write(f"{number}"))
    assert (len(mail_server.sessions), len(mail_server.taken)) == (1, 12)


@pytest.mark.parametrize("connections", [1, 2, 5])
async def test_never_more_connections_are_open_than_allowed(bent, smtp, write, connections):
    async def slow(_session):
        await asyncio.sleep(0.005)

    server = bent(RCPT=slow)
    channel = await smtp(server, f"?connections={connections}")
    await asyncio.gather(channel.open(), *(offer(channel, write(f"{n}")) for n in range(20)), channel.open())
    assert 1 <= server.most_open <= channel.permits.most == connections
    assert (len(server.sessions), len(server.taken)) == (server.most_open, 20)


async def test_one_refused_and_one_lost_of_many_harm_no_other(bent, smtp, write):
    async def some(session):
        last = session.house.heard[-1]
        if "refused" in last:
            await session.push("550 5.1.1 no")
            return "said"
        return await drop(session) if "lost" in last else None

    server = bent(RCPT=some)
    channel = await smtp(server, "?connections=3")
    people = [f"{name}@a.example" for name in ["refused", "lost", *(f"p{n}" for n in range(18))]]
    outcomes = await asyncio.gather(*(offer(channel, write(to=person)) for person in people))
    assert [outcome.verdict for outcome in outcomes] == [REFUSED, DEFERRED, *[ACCEPTED] * 18]
    assert sorted(envelope.rcpt_tos[0] for envelope in server.taken) == sorted(people[2:])


async def test_each_mail_goes_to_its_own_recipient_from_the_sender(mail_server, smtp, write):
    channel = await smtp(mail_server)
    await asyncio.gather(*(channel.send(write(f"for {n}", to=f"p{n}@a.example")) for n in range(9)))
    for envelope in mail_server.taken:
        (person,) = envelope.rcpt_tos
        assert f"for {person[1]}".encode() in envelope.original_content
        assert envelope.mail_from == "no-reply@shop.example"


@pytest.mark.parametrize("text", [".", "..", ".a", "a\r\n.\r\nb", "a\r\n..\r\n.b", ".\r\n.\r\nQUIT", "a."])
async def test_a_leading_dot_survives(mail_server, smtp, write, text):
    message = write(text)
    assert (await (await smtp(mail_server)).send(message)).verdict is ACCEPTED
    assert mail_server.contents == [message.content]
    assert "QUIT" not in mail_server.heard


async def test_a_large_mail_arrives_whole(mail_server, smtp, write):
    message = write("\r\n".join(["." + "x" * 900] * 2000))
    assert (await (await smtp(mail_server)).send(message)).verdict is ACCEPTED
    assert mail_server.contents == [message.content]


async def test_an_address_beyond_ascii_is_refused_by_a_server_that_cannot_and_harms_nothing(
    mail_server, smtp, write
):
    channel = await smtp(mail_server, "?connections=1")
    outcome = await channel.send(write(to="jörg@a.example"))
    assert (outcome.verdict, outcome.phase, outcome.enhanced) == (REFUSED, Phase.RCPT, "5.6.7")
    assert (await channel.send(write())).verdict is ACCEPTED
    assert [line for line in mail_server.heard if line.startswith("MAIL")] == [
        "MAIL FROM:<no-reply@shop.example>"
    ]


async def test_an_address_beyond_ascii_reaches_a_server_that_can(mail_server, smtp, write):
    mail_server.options = {"enable_SMTPUTF8": True}
    assert (await (await smtp(mail_server)).send(write(to="jörg@a.example"))).verdict is ACCEPTED
    assert (mail_server.taken[0].rcpt_tos, mail_server.taken[0].smtp_utf8) == (["jörg@a.example"], True)


async def test_closing_says_goodbye_on_every_connection(mail_server, smtp, write):
    channel = await smtp(mail_server, "?connections=3")
    await asyncio.gather(*(channel.send(write(f"{n}")) for n in range(6)))
    await channel.close()
    await mail_server.left()
    assert mail_server.heard.count("QUIT") == len(mail_server.sessions)


@pytest.mark.parametrize("bend", [drop, silence, "500 what", saying(b"garbage\r\n")])
async def test_closing_never_raises_whatever_the_server_does(bent, smtp, write, bend, monkeypatch):
    monkeypatch.setattr(pool, "QUIT_SECONDS", 0.3)
    server = bent(QUIT=bend)
    channel = await smtp(server)
    await channel.send(write())
    await channel.close()
    await server.left()


async def test_closing_takes_no_longer_for_many_connections_than_for_one(bent, smtp, write, monkeypatch):
    monkeypatch.setattr(pool, "QUIT_SECONDS", 0.5)
    server = bent(QUIT=silence)
    channel = await smtp(server, "?connections=3")
    await asyncio.gather(*(channel.send(write(f"{n}")) for n in range(9)))
    began = monotonic()
    await channel.close()
    assert monotonic() - began < 0.5 * len(server.sessions) / 2


@pytest.mark.parametrize(
    "address",
    [
        "ada@a.example>\r\nRCPT TO:<evil@x.example",
        "ada@a.example\n",
        "ada@a.example\0",
        "a da@a.example",
        "<ada@a.example>",
        "ada@a.example> SIZE=1",
        "ada\u2028@a.example",
        "ada\ud800@a.example",
        "",
    ],
)
async def test_an_address_that_would_break_a_command_is_never_written(mail_server, smtp, write, address):
    outcome = await (await smtp(mail_server)).send(write(to=address))
    assert (outcome.verdict, outcome.phase, outcome.enhanced) == (Verdict.REFUSED, Phase.RCPT, "5.1.3")
    assert not [command for command in mail_server.heard if command.startswith(("MAIL", "RCPT"))]


async def test_a_quoted_local_part_is_written_as_it_is(mail_server, smtp, write):
    assert (await (await smtp(mail_server)).send(write(to='"a..b"@a.example'))).verdict is Verdict.ACCEPTED
    assert 'RCPT TO:<"a..b"@a.example>' in mail_server.heard
