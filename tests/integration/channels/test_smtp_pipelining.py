"""An envelope in one piece (RFC 2920): each reply still belongs to its command."""

import asyncio

import pytest
from support.channel_send import offer
from support.smtp_faults import deaf, drop, offended, once, saying, silence, waiting_for_a_message

from waypost.model.outcome import Phase, Verdict

pytestmark = pytest.mark.anyio

ACCEPTED, REFUSED = Verdict.ACCEPTED, Verdict.REFUSED
DEFERRED, UNKNOWN = Verdict.DEFERRED, Verdict.UNKNOWN
ONE = "?connections=1"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    """On the worker's own loop too: it buffers what it writes otherwise."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def pipelining():
    return True


def behind(pieces):
    """Note what has come together with a command."""

    async def bend(session):
        await asyncio.sleep(0.01)
        pieces.append(bytes(session._reader._buffer))

    return bend


ENVELOPE = b"RCPT TO:<ada@a.example>\r\nDATA\r\n"


@pytest.mark.parametrize(("query", "together"), [("", ENVELOPE), ("?pipelining=off", b"")])
async def test_the_envelope_goes_out_in_one_piece_unless_told_otherwise(bent, smtp, write, query, together):
    pieces = []
    channel = await smtp(bent(MAIL=behind(pieces)), query)
    assert (await channel.send(write())).verdict is ACCEPTED
    assert pieces == [together]


async def test_it_does_so_inside_tls(secured, smtp, write, authority):
    pieces = []
    server = secured(MAIL=behind(pieces))
    channel = await smtp(server, f"?connections=1&tls=starttls&ca={authority.ca}", "shop:right@")
    messages = [
        write(text) for text in ("small", "x" * 900 + "\r\n" + "\r\n".join([".y" * 400] * 900), "last")
    ]
    assert [(await channel.send(message)).verdict for message in messages] == [ACCEPTED] * 3
    assert (pieces, len(server.sessions)) == ([ENVELOPE] * 3, 1)
    assert server.contents == [message.content for message in messages]


@pytest.mark.parametrize(
    ("verb", "reply", "verdict", "phase"),
    [
        ("MAIL", "550 5.7.1 not you", DEFERRED, Phase.MAIL),
        ("MAIL", "451 4.3.0 later", DEFERRED, Phase.MAIL),
        ("RCPT", "550-5.1.1 no\r\n550 5.1.1 such user", REFUSED, Phase.RCPT),
        ("RCPT", "450 4.2.0 later", DEFERRED, Phase.RCPT),
        ("DATA", "554 5.7.1 no", REFUSED, Phase.DATA),
        ("DATA", "451-4.3.0 much\r\n451 4.3.0 later", DEFERRED, Phase.DATA),
    ],
)
async def test_the_first_no_is_the_outcome_and_the_next_message_goes_over_the_same_connection(
    bent, smtp, write, verb, reply, verdict, phase
):
    server = bent(**{verb: once(reply)})
    channel = await smtp(server, ONE)
    outcome = await channel.send(write("first"))
    assert (outcome.verdict, outcome.phase) == (verdict, phase)
    assert (await channel.send(write("second"))).verdict is ACCEPTED
    assert (len(server.sessions), len(server.taken)) == (1, 1)
    assert b"second" in server.contents[0]


@pytest.mark.parametrize(("reply", "sessions"), [("554 5.5.1 nobody to send to", 1), ("250 taken", 2)])
async def test_a_server_that_waits_for_the_message_of_a_refused_recipient_gets_a_lone_dot(
    bent, smtp, write, reply, sessions
):
    heard = []
    server = bent(RCPT=once("550 5.1.1 no such user"), DATA=once(waiting_for_a_message(reply, heard)))
    channel = await smtp(server, ONE)
    outcome = await channel.send(write("secret"))
    assert (outcome.verdict, outcome.phase, outcome.code) == (REFUSED, Phase.RCPT, 550)
    assert (await channel.send(write())).verdict is ACCEPTED
    assert (heard, len(server.sessions)) == ([b".\r\n"], sessions)


async def test_a_server_that_takes_the_recipient_but_not_the_sender_gets_no_dot(bent, smtp, write):
    heard = []
    bends = {
        "MAIL": once("550 5.7.1 not you"),
        "RCPT": once("250 fine"),
        "DATA": once(waiting_for_a_message("250 taken", heard)),
    }
    server = bent(**bends)
    channel = await smtp(server, ONE)
    assert (await channel.send(write("secret"))).phase is Phase.MAIL
    assert (await channel.send(write())).verdict is ACCEPTED
    await asyncio.sleep(0.01)
    assert (heard, len(server.sessions)) == ([], 2)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_farewell_in_the_middle_is_the_outcome_at_once(bent, smtp, write, verb):
    server = bent(**{verb: saying(b"421 4.3.2 closing\r\n", then=silence)})
    channel = await smtp(server, ONE, attempt_seconds=2)
    async with asyncio.timeout(1):
        outcome = await channel.send(write())
    assert (outcome.verdict, outcome.phase, outcome.code) == (DEFERRED, Phase(verb.lower()), 421)
    server.bends.clear()
    assert (await channel.send(write())).verdict is ACCEPTED


async def test_replies_may_come_in_any_pieces(bent, smtp, write):
    async def slowly(session):
        for byte in b"250-2.1.5 one\r\n250-two\r\n":
            session._writer.write(bytes([byte]))
            await asyncio.sleep(0)

    server = bent(RCPT=slowly)
    channel = await smtp(server, ONE)
    assert [(await channel.send(write())).verdict for _ in range(3)] == [ACCEPTED] * 3
    assert len(server.sessions) == 1


@pytest.mark.parametrize("lie", [deaf, offended])
async def test_a_server_that_lies_about_it_is_offered_none_from_then_on(bent, smtp, write, lie, caplog):
    server = bent(MAIL=lie)
    channel = await smtp(server, ONE, attempt_seconds=0.2)
    outcome = await channel.send(write("first"))
    assert (outcome.verdict, outcome.phase in (Phase.MAIL, Phase.RCPT)) == (DEFERRED, True)
    assert [(await channel.send(write("second"))).verdict for _ in range(3)] == [ACCEPTED] * 3
    assert [b"second" in content for content in server.contents] == [True] * 3
    assert "commands go one at a time for an hour" in caplog.text


@pytest.mark.parametrize(
    "complaint",
    ["503 5.5.0 Improper use of SMTP command pipelining", "554 SMTP synchronization error", "500 what"],
)
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_message_is_not_refused_for_how_its_envelope_came(bent, smtp, write, verb, complaint):
    server = bent(**{verb: once(complaint)})
    channel = await smtp(server, ONE)
    assert [(await channel.send(write())).verdict for _ in range(2)] == [ACCEPTED] * 2
    assert (len(server.sessions), len(server.taken)) == (2, 2)


async def test_one_by_one_the_same_words_refuse(bent, smtp, write):
    channel = await smtp(bent(RCPT="503 5.5.0 improper use of pipelining"), ONE)
    assert (await channel.send(write())).verdict is REFUSED


async def test_a_server_that_has_taken_one_whole_envelope_is_not_doubted_for_a_lost_one(bent, smtp, write):
    pieces = []
    server = bent()
    channel = await smtp(server, ONE)
    await channel.send(write())
    server.bends["RCPT"] = once(drop)
    assert (await channel.send(write())).verdict is DEFERRED
    server.bends["MAIL"] = behind(pieces)
    assert (await channel.send(write())).verdict is ACCEPTED
    assert pieces == [ENVELOPE]


async def test_a_server_is_not_doubted_for_a_connection_that_it_closed_while_idle(bent, smtp, write, caplog):
    server = bent(MAIL=once(drop))
    channel = await smtp(server, ONE)
    await channel.open()
    assert (await channel.send(write())).verdict is ACCEPTED
    assert caplog.text == ""


GARBAGE = [
    b"\x00\xff\xfe\x80\r\n",
    b"\r\n",
    b"2\r\n",
    b"25O ok\r\n",
    b"250ok\r\n",
    b"250-a\r\n251 b\r\n",
    b"x" * 9000,
    b"250-a\r\n" * 501,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_garbage_ends_the_attempt_where_it_came(bent, smtp, write, verb, garbage):
    server = bent(**{verb: saying(garbage)})
    outcome = await (await smtp(server, ONE)).send(write())
    verdict = UNKNOWN if verb == "DOT" else DEFERRED
    assert (outcome.verdict, outcome.phase, outcome.code) == (verdict, Phase(verb.lower()), None)
    assert outcome.words.isprintable()  # no database takes everything else


@pytest.mark.parametrize("more", [b"250 and \xff\x00 on\r\n", b"250-and", b"250-and\r\n"])
async def test_a_reply_too_many_before_the_message_sends_nothing(bent, smtp, write, more):
    server = bent(DATA=saying(b"354 go on\r\n" + more))
    outcome = await (await smtp(server, ONE)).send(write("secret"))
    assert (outcome.verdict, outcome.phase) == (DEFERRED, Phase.DATA)
    assert "a reply to no command" in outcome.words
    assert outcome.words.encode().decode().isprintable()


async def test_a_message_refused_before_it_came_is_not_sent(bent, smtp, write):
    server = bent(DATA=saying(b"354 go on\r\n554-5.7.1 no\r\n554 5.7.1 rather not\r\n"))
    outcome = await (await smtp(server, ONE)).send(write("secret"))
    assert (outcome.verdict, outcome.phase, outcome.code) == (REFUSED, Phase.DATA, 554)


async def test_a_reply_too_many_after_the_message_changes_nothing_and_ends_the_connection(bent, smtp, write):
    async def twice(session):
        session._writer.write(b"250 2.0.0 taken\r\n550 5.0.0 or not\r\n")
        await asyncio.sleep(60)

    server = bent(DOT=twice)
    channel = await smtp(server, ONE)
    assert (await channel.send(write())).verdict is ACCEPTED
    server.bends.clear()
    assert (await channel.send(write())).verdict is ACCEPTED
    assert len(server.sessions) == 2


async def test_words_between_messages_end_the_connection(mail_server, smtp, write):
    channel = await smtp(mail_server, ONE)
    await channel.send(write("first"))
    mail_server.sessions[0]._writer.write(b"250 2.0.0 accepted beforehand\r\n")
    await asyncio.sleep(0.01)
    mail_server.bends["RCPT"] = "550 5.1.1 no such user"
    assert (await channel.send(write("second"))).verdict is REFUSED
    assert len(mail_server.sessions) == 2


async def test_one_of_each_harms_no_other_of_a_batch(bent, smtp, write):
    ways = {"refused": "550 5.1.1 no", "later": "450 4.2.0 later"}

    async def some(session):
        last = session.house.heard[-1]
        if "lost" in last:
            return await drop(session)
        for name, reply in ways.items():
            if name in last:
                await session.push(reply)
                return "said"
        return None

    server = bent(RCPT=some)
    channel = await smtp(server, "?connections=3")
    people = [f"{name}@a.example" for name in ["refused", "lost", "later", *(f"p{n}" for n in range(30))]]
    outcomes = await asyncio.gather(*(offer(channel, write(person, to=person)) for person in people))
    assert [one.verdict for one in outcomes] == [REFUSED, DEFERRED, DEFERRED, *[ACCEPTED] * 30]
    for envelope in server.taken:
        assert envelope.rcpt_tos[0].encode() in envelope.original_content
