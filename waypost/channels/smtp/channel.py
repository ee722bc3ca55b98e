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
from waypost.channels.smtp.late_replies import ANSWERS_WITHIN, Owed
from waypost.channels.smtp.pool import Pool
from waypost.channels.smtp.url import SmtpServer
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Phase
from waypost.model.priority import Priority
from waypost.policy import classify
from waypost.system.isolation import ItemFailed, isolated

PLAIN_SECONDS = 3600.0  # how long pipelining is off for a server that mishandled it

logger = logging.getLogger("waypost.channels")


class SmtpChannel(RedactedChannel):
    """A mail server. At most `server.connections` are open; each takes one message after the other.

    calls_itself: the name sent in EHLO; None for the address of this machine.
    """

    kind = "email"

    def __init__(self, name: str, server: SmtpServer, sender: str, attempt_seconds: float = 60.0) -> None:
        super().__init__(name, server.credentials)
        self.permits = PrioritySemaphore(server.connections)
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
        if not self.permits.idle:
            return
        wire = self._pool.take()
        if wire is None:
            await self.permits.acquire(Priority.URGENT)
            try:
                wire = await self._connect()
            finally:
                self.permits.release()
        self._pool.keep(wire)

    async def _send(self, message: Message) -> Outcome:
        """Offer one message, with one limit around the whole attempt.

        If nothing was sent, it is tried again over another connection: once if the server had closed a pooled
        connection, and once without pipelining if the server does not understand it.
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
        """The outcome of an attempt that reached its limit. A reply that the server owes is awaited until ten
        minutes after the final dot, and the message is not sent again before then."""
        found = attempt.cut_off(f"no response within {self._attempt_seconds:g} s")
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
        """See ReceivesLateAnswers.owed."""
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
        """One dialogue. Afterwards the connection goes back to the pool if it can take another message, waits
        for an owed reply, or is closed; this does not change the outcome. None when the server lost track of
        a pipelined envelope: nothing was sent, and the next try is not pipelined."""
        at_once = wire.pipelining and self._pipelines()
        dialogue = Dialogue(wire, at_once=at_once)
        attempt.begin(wire, dialogue)
        kept = message.notification.expired
        try:
            if kept:
                return classify.too_late()
            wire.taken += 1
            attempt.outcome = await dialogue.speak(
                message.sender or self._sender, message.address, message.content, message.title
            )
            kept = await dialogue.settle(attempt.outcome)
            return attempt.outcome
        except ConnectionLost as lost:
            return attempt.cut_off(str(lost))
        except NotPipelining:
            self._doubt_pipelining()
            return None
        finally:
            # An idle connection may simply be gone, and a proven one is known to support pipelining.
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
            "%s:%d offers PIPELINING but violates it: commands go one at a time for an hour",
            self._server.host,
            self._server.port,
        )

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """End messages before their final dot at once: their dot is never sent."""
        for task in tasks:
            if attempt := self._attempts.get(task):
                attempt.stop()

    async def _connect(self) -> SmtpConnection:
        return await connect(self.name, self._server, self._tls, self.calls_itself)

    async def refusal_of_us(self) -> Outcome | None:
        """The server's refusal if it takes no mail from us. No message is sent: a mail from the sender to the
        sender is begun and reset. None when the server accepts it, or refuses it because of the recipient.
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
            raise ChannelSilent(self.name, "no reply to MAIL and RCPT") from None
        finally:
            wire.abort()

    async def close(self) -> None:
        """Send QUIT on all open connections at once, without waiting for owed replies."""
        await self._owed.close()
        await self._pool.close()


def _was_gone(outcome: Outcome) -> bool:
    """Whether a pooled connection turned out to be unusable before the envelope was begun: lost, or
    closed by the server (421)."""
    before = outcome.phase in (Phase.CONNECT, Phase.MAIL)
    return before and (outcome.words == "connection lost" or outcome.code == 421)
