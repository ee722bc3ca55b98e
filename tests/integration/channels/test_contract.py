"""What every channel promises, asked of each: the twin in memory, a mail server, a web service."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support.channel_send import offer
from support.poison_item import BAD, Rotten

from waypost.channels.channel import ChannelUnavailable
from waypost.model.outcome import Phase, Verdict

pytestmark = pytest.mark.anyio

TEXTS = [
    "Hello",
    "Grüße, 王 😀",
    "a\r\nb",
    "<b>&amp; {{ x }}",
    "  two  blanks\tand a tab",
    "https://a.example/?x=1&y=2",
]


@pytest.mark.parametrize("text", TEXTS)
async def test_an_accepted_message_arrives_whole(rig, write, text):
    message = write(text, channel=rig.channel_word)
    await rig.channel.open()
    assert (await rig.channel.send(message)).verdict is Verdict.ACCEPTED
    assert rig.arrived() == [message.content]


async def test_a_refusal_is_refused_in_the_providers_words(rig, write):
    rig.refuse()
    outcome = await rig.channel.send(write(channel=rig.channel_word))
    assert outcome.verdict is Verdict.REFUSED
    assert rig.refusal in str(outcome)
    assert rig.arrived() == []


async def test_a_put_off_message_is_deferred(rig, write):
    rig.put_off()
    assert (await rig.channel.send(write(channel=rig.channel_word))).verdict is Verdict.DEFERRED
    assert rig.arrived() == []


async def test_a_channel_that_is_down_is_unavailable_and_nothing_was_sent(rig, write):
    rig.go_down()

    async def offer():
        await rig.channel.open()
        await rig.channel.send(write(channel=rig.channel_word))

    with pytest.raises(ChannelUnavailable, match="nothing was sent") as down:
        await offer()
    assert (down.value.channel, bool(down.value.reason)) == (rig.channel.name, True)
    assert rig.arrived() == []


async def test_sending_without_opening_first_works_too(rig, write):
    assert (await rig.channel.send(write(channel=rig.channel_word))).verdict is Verdict.ACCEPTED


async def test_closing_twice_or_before_anything_was_sent_never_raises(rig, write):
    await rig.channel.close()
    await rig.channel.send(write(channel=rig.channel_word))
    await rig.channel.close()
    await rig.channel.close()


async def test_closing_a_channel_that_went_down_never_raises(rig, write):
    await rig.channel.send(write(channel=rig.channel_word))
    rig.go_down()
    await rig.channel.close()


async def test_a_closed_channel_opens_again(rig, write):
    await rig.channel.open()
    await rig.channel.close()
    assert (await rig.channel.send(write(channel=rig.channel_word))).verdict is Verdict.ACCEPTED


async def test_more_messages_than_places_all_arrive_once(rig, write):
    messages = [
        write(f"number {number}", channel=rig.channel_word) for number in range(rig.channel.permits.most * 6)
    ]
    outcomes = await asyncio.gather(*(offer(rig.channel, message) for message in messages))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert sorted(rig.arrived()) == sorted(message.content for message in messages)


async def test_a_message_after_a_refused_one_arrives(rig, mail_server, web, write):
    rig.refuse()
    await rig.channel.send(write(channel=rig.channel_word))
    mail_server.bends.clear()
    web.status = 200
    if rig.channel.name == "memory":
        rig.channel.answer = type(rig)().channel.answer
    assert (await rig.channel.send(write(channel=rig.channel_word))).verdict is Verdict.ACCEPTED


async def test_a_message_past_its_deadline_is_not_offered(rig, write):
    message = write(channel=rig.channel_word)
    late = replace(message.notification, expires_at=datetime.now(UTC))
    outcome = await rig.channel.send(replace(message, notification=late))
    assert (outcome.verdict, outcome.phase, rig.arrived()) == (Verdict.DEFERRED, Phase.CONNECT, [])


@pytest.mark.parametrize("rig", ["smtp", "apprise", "webhook", "maildir"], indirect=True)
async def test_a_message_that_its_channel_stumbles_over_fails_alone(rig, write):
    """Where a channel lets the exception pass, the run takes it for that one: flows/test_items.py."""
    first, bad, third = (write(text, channel=rig.channel_word) for text in ("first", BAD, "third"))
    messages = [first, replace(bad, content=Rotten(bad.content)), third]
    outcomes = await asyncio.gather(
        *(offer(rig.channel, message) for message in messages), return_exceptions=True
    )
    assert [getattr(one, "verdict", None) for one in outcomes[::2]] == [Verdict.ACCEPTED] * 2
    assert "RecursionError" in repr(outcomes[1])
    assert sorted(rig.arrived()) == sorted([first.content, third.content])
    assert (await offer(rig.channel, write(channel=rig.channel_word))).verdict is Verdict.ACCEPTED
