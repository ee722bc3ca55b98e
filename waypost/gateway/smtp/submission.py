"""Turns a mail and its envelope into notifications: one per recipient, accepted all or none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.intake import Intake, RegisteredType
from waypost.gateway.json_limits import over_limit
from waypost.gateway.problems import Fault, Problem
from waypost.gateway.smtp import envelope as policy
from waypost.ledger.intake.candidate import Candidate
from waypost.mail.allowed_senders import NOT_ALLOWED
from waypost.mail.canonical import meaning
from waypost.mail.encoded_words import decoded
from waypost.mail.raw_message import FinishedMail, MailError, parse
from waypost.model.receipt import Receipt
from waypost.model.request import Recipient
from waypost.system.isolation import ItemFailed, isolated

WHOLE = "message"  # the type of mails that are passed on as they are
TYPE, DATA = "X-Waypost-Type", "X-Waypost-Data"
IN_A_THREAD = 16_000  # bytes: parsing a larger mail, part by part, would delay other requests


@dataclass(slots=True)
class Envelope:
    """size: in bytes, as the client declared it; 0 if it did not. recipients: by their key in the ledger, in
    the order the client named them."""

    size: int = 0
    recipients: dict[str, Recipient] = field(default_factory=dict[str, Recipient])


async def take(intake: Intake, caller: Caller, envelope: Envelope, mail: bytes) -> list[Receipt]:
    """Accept the mail for all recipients or none; return a receipt for each, in order. Raises Problem."""
    if policy.too_much(len(mail), len(envelope.recipients)):
        raise Problem(
            "too-large", "mail too large for so many recipients; submit it to fewer recipients at a time"
        )
    try:
        with isolated("reading", Problem):
            if len(mail) > IN_A_THREAD:
                candidates = await asyncio.to_thread(_candidates, intake, caller, envelope, mail)
            else:
                candidates = _candidates(intake, caller, envelope, mail)
    except ItemFailed as failed:
        raise Problem("internal", str(failed)) from None
    return await intake.accept_together(candidates)


def _candidates(intake: Intake, caller: Caller, envelope: Envelope, mail: bytes) -> list[Candidate]:
    """Only the first is validated; the others differ only in their recipient and idempotency key."""
    found = _parsed(intake, caller, mail)
    recipients = list(envelope.recipients.values())
    asked = {**_asked(found, intake.types), "recipient": recipients[0].model_dump(exclude_none=True)}
    first = intake.candidate(caller, orjson.dumps(asked))
    sent_id = found.value("Message-ID")
    same = meaning(found) if sent_id and first.type.name == WHOLE and passes_on(intake.types) else b""
    return [
        Candidate(
            first.type,
            first.request.model_copy(update={"recipient": one, "idempotency_key": _key(sent_id, one)}),
            first.client,
            meaning=same,
            key_brand=first.key_brand,
        )
        for one in recipients
    ]


def _parsed(intake: Intake, caller: Caller, mail: bytes) -> FinishedMail:
    try:
        found = parse(mail)
    except MailError as error:
        raise Problem("invalid", str(error)) from None
    if not intake.sends_from(found.authors, caller.brand):
        raise Problem("forbidden", NOT_ALLOWED)
    return found


def passes_on(types: Mapping[str, RegisteredType]) -> bool:
    """Whether mails are passed on as they are. They are not if the type `message` is switched off, or
    replaced by a type that composes its mails of facts."""
    return WHOLE in types and types[WHOLE].type.finished is not None


def _asked(mail: FinishedMail, types: Mapping[str, RegisteredType]) -> Mapping[str, Any]:
    """The type and the facts that the mail's headers name, or else the mail itself. Raises Problem for an
    unknown X-Waypost header: ignoring a misspelled one could send the facts as a plain mail."""
    ours = {TYPE.lower().encode(), DATA.lower().encode()}
    if any(name.startswith(b"x-waypost-") and name not in ours for name, _ in mail.fields):
        raise _wrong("X-Waypost-*", f"unknown header; only {TYPE} and {DATA} are supported")
    named, data = decoded(mail.value(TYPE)), decoded(mail.value(DATA))
    type = named or WHOLE
    passed_on = passes_on(types)
    if not named and not passed_on:
        raise Problem("forbidden", f"mails without {TYPE} are not accepted here; name a type in that header")
    if type != WHOLE or not passed_on:
        return {"type": type, "data": _facts(data or "{}")}
    if data:
        raise _wrong(DATA, f"needs {TYPE}, which names the type of these facts")
    return {"type": WHOLE, "data": {"mime": bytes(mail.to_pass_on()).decode("latin-1")}}


def _facts(text: str) -> Any:
    try:
        if reason := over_limit(text.encode()):
            raise _wrong(DATA, reason)
        return orjson.loads(text)
    except ValueError:  # also half a surrogate pair
        raise _wrong(DATA, "not JSON") from None


def _wrong(header: str, reason: str) -> Problem:
    return Problem("invalid", f"{header}: {reason}", [Fault(header, reason)])


def _key(sent_id: str, recipient: Recipient) -> str | None:
    """The idempotency key of a mail, from its Message-ID and its recipient. None without a Message-ID: a
    repeat cannot be recognized then."""
    if not sent_id:
        return None
    return "smtp:" + sha256(f"{sent_id}\0{recipient.key}".encode()).hexdigest()
