"""Mail through an SMTP server, over a pool of open connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from waypost.channels.channel import ChannelSilent, ChannelUnavailable
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.channels.redacted import RedactedChannel
from waypost.channels.smtp import ehlo_name
from waypost.channels.smtp.attempt import Attempt
from waypost.channels.smtp.connect import connect, tls_context
from waypost.channels.smtp.connection import ConnectionLost, SmtpConnection
from waypost.channels.smtp.dialogue import Dialogue, NotPipelining
from waypost.channels.smtp.owed_replies import ANSWERS_WITHIN, Owed
from waypost.channels.smtp.pool import Pool
from waypost.channels.smtp.url import SmtpServer
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Phase
from waypost.model.priority import Priority
from waypost.policy import classify
from waypost.system.isolation import ItemFailed, isolated

PLAIN_SECONDS = 3600.0  # how long a server that did not take a pipelined envelope is offered none

logger = logging.getLogger("waypost.channels")


class SmtpChannel(RedactedChannel):
    """A mail server. At most `server.connections` are open; each takes message after message.

    calls_itself: the name it says in EHLO; None for the address of this machine.
    """

    kind = "email"

    def __init__(self, name: str, server: SmtpServer, sender: str, attempt_seconds: float = 60.0) -> None:
        super().__init__(name, server.credentials)
        self.places = PrioritySemaphore(server.connections)
        self._server = server
        self._sender = sender
        self.calls_itself = server.helo or ehlo_name.of_sender(sender)
        self._attempt_seconds = attempt_seconds
        self._tls = tls_context(server)
        self._pool = Pool(server.messages, server.idle_seconds)
        self._owed = Owed(server.connections)
        self._attempts: dict[asyncio.Task[Any] | None, Attempt] = {}
        self._plain_until = 0.0

    async def _open(self) -> None:
        """Open one connection, so that a server that is down is noticed before anything is sent."""
        if not self.places.idle:
            return
        wire = self._pool.take()
        if wire is None:
            await self.places.acquire(Priority.URGENT)
            try:
                wire = await self._connect()
            finally:
                self.places.release()
        self._pool.keep(wire)

    async def _send(self, message: Message) -> Outcome:
        """Offer one message, with one limit around the whole attempt.

        Where nothing was sent it is tried over another connection once: when the server had closed a kept
        one meanwhile, and when it turns out not to understand pipelining, which is then left out.
        """
        attempt = Attempt()
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(self._attempt_seconds) as attempt.limit:
                self._attempts[task] = attempt
                with isolated("sending", TimeoutError, ChannelUnavailable, item=message.notification.id):
                    return await self._offer(attempt, message)
        except TimeoutError:
            return self._listen_on(attempt, message)
        except ItemFailed as failed:
            return attempt.outcome or classify.broken(attempt.phase, str(failed))
        finally:
            self._attempts.pop(task, None)

    def _listen_on(self, attempt: Attempt, message: Message) -> Outcome:
        """What the attempt's limit makes of it. An answer that the server owes is waited for until ten
        minutes after the final dot, and the message is not sent again before."""
        found = attempt.cut_off(f"no answer within {self._attempt_seconds:g} s")
        if attempt.owed is None:
            return found
        wire, dialogue = attempt.owed
        left = dialogue.dotted_at + ANSWERS_WITHIN - asyncio.get_running_loop().time()
        if left <= 0:
            wire.abort()
            return found
        self._owed.listen(message.notification.id, self._hear_out(wire, dialogue, message, left))
        return replace(found, wait=timedelta(seconds=left))

    async def _hear_out(
        self, wire: SmtpConnection, dialogue: Dialogue, message: Message, seconds: float
    ) -> Outcome | None:
        try:
            async with asyncio.timeout(seconds):
                heard = await dialogue.hear_out()
        except (ConnectionLost, TimeoutError):
            return None
        finally:
            wire.abort()
        return await self._without_secrets(heard, message)

    def owed(self, id: UUID) -> asyncio.Future[Outcome | None] | None:
        """See Listening.owed."""
        return self._owed.of(id)

    async def _offer(self, attempt: Attempt, message: Message) -> Outcome:
        if wire := self._pool.take():
            outcome = await self._converse(attempt, wire, message)
            if outcome is not None and (attempt.stopped or not _was_gone(outcome)):
                return outcome
        outcome = None
        while outcome is None:  # twice at most: the second is not pipelined
            attempt.begin(None)
            outcome = await self._converse(attempt, await self._connect(), message)
        return outcome

    async def _converse(self, attempt: Attempt, wire: SmtpConnection, message: Message) -> Outcome | None:
        """One dialogue. The connection goes back to the pool when it can take another message, and is
        closed otherwise; what becomes of it then changes nothing about the outcome. None when the server
        lost track of a pipelined envelope: nothing was sent, and another try is not pipelined."""
        at_once = wire.pipelining and self._pipelines()
        dialogue = Dialogue(wire, at_once=at_once)
        attempt.begin(wire, dialogue)
        kept = message.notification.expired
        try:
            if kept:
                return classify.too_late()
            wire.taken += 1
            attempt.outcome = await dialogue.speak(self._sender, message.address, message.content)
            kept = await dialogue.settle(attempt.outcome)
            return attempt.outcome
        except ConnectionLost as lost:
            return attempt.cut_off(str(lost))
        except NotPipelining:
            self._doubt_pipelining()
            return None
        finally:
            # One that was idle may simply be gone, and one that took an envelope whole knows how to.
            if at_once and attempt.broke_off and not (wire.proven or wire.kept):
                self._doubt_pipelining()
            if kept:
                self._pool.keep(wire)
            elif not attempt.leave_owed(wire, dialogue):
                wire.abort()

    def _pipelines(self) -> bool:
        doubted = self._plain_until and asyncio.get_running_loop().time() < self._plain_until
        return self._server.pipelining and not doubted

    def _doubt_pipelining(self) -> None:
        if not self._pipelines():
            return
        self._plain_until = asyncio.get_running_loop().time() + PLAIN_SECONDS
        logger.warning(
            "%s:%d offers PIPELINING and does not keep to it: for an hour it is spoken to command by command",
            self._server.host,
            self._server.port,
        )

    def cut_short(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """What is before its final dot ends at once, and its dot never leaves."""
        for task in tasks:
            if attempt := self._attempts.get(task):
                attempt.stop()

    async def _connect(self) -> SmtpConnection:
        return await connect(self.name, self._server, self._tls, self.calls_itself)

    async def refusal_of_us(self) -> Outcome | None:
        """What the server answers if it takes no mail from us. No message is sent: a mail from the sender to
        the sender is begun and taken back. None when that is taken, or the answer is about the recipient.
        Raises ChannelUnavailable."""
        with self._without_credentials():
            found = await self._inquire()
        return found and replace(found, words=self._redaction(found.words))

    async def _inquire(self) -> Outcome | None:
        wire = self._pool.take() or await self._connect()
        try:
            async with asyncio.timeout(self._attempt_seconds):
                return await Dialogue(wire).inquire(self._sender)
        except (ConnectionLost, TimeoutError):
            raise ChannelSilent(self.name, "it did not answer MAIL and RCPT") from None
        finally:
            wire.abort()

    async def close(self) -> None:
        """Say QUIT on what is open, to all at once, and wait for no answer that is owed."""
        await self._owed.close()
        await self._pool.close()


def _was_gone(outcome: Outcome) -> bool:
    """Whether a kept connection turned out to be of no use before the envelope was begun: lost, or
    the server took its leave (421)."""
    before = outcome.phase in (Phase.CONNECT, Phase.MAIL)
    return before and (outcome.words == "connection lost" or outcome.code == 421)
