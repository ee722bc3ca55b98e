"""Whom a refusal is about: us, or the recipient. Pure functions from a reply to a word.

A refusal about us (our name, login, sender, address, quota) would apply to every message alike. So it ends no
notification: another provider is tried, and this provider later. A reply is about us only if its code or its
words say so. Any other reply is about the message or its recipient, as is a bare `550 5.7.1`.

Sources: RFC 5321 (replies), RFC 3463 and IANA's registry of enhanced codes, RFC 4954 (AUTH), RFC 7372 and
RFC 7505 (authentication results); replies as Postfix, Exim, Exchange Online, Gmail, Amazon SES, SendGrid and
Mailgun document or send them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from waypost.model.outcome import Phase
from waypost.policy.redaction.quoted_message import without_addresses

NAME = "the name in EHLO"
LOGIN = "the login"
SENDER = "the sender"
RELAY = "relaying"
ADDRESS = "our IP address"
RESULTS = "SPF, DKIM or DMARC of the sender's domain"
QUOTA = "our quota"


class _Rule(NamedTuple):
    """Words, in upper or lower case, that make a reply about us, because of `what`."""

    what: str
    words: re.Pattern[str]


def _rule(what: str, *words: str) -> _Rule:
    return _Rule(what, re.compile("|".join(words), re.IGNORECASE))


# A reply with one of these codes is about us, whatever its words.
_CODES = {
    530: LOGIN,  # RFC 4954, section 6: authentication required; RFC 3207: STARTTLS required
    534: LOGIN,
    535: LOGIN,
    538: LOGIN,
}
# x.7.8 stands for 4.7.8 and 5.7.8.
_ENHANCED = {
    "1.7": SENDER,  # RFC 3463, section 3.2: bad sender's mailbox address syntax
    "1.8": SENDER,  # and system address; Exchange: bad outbound sender
    "4.5": QUOTA,  # RFC 3463: congestion; Gmail: daily sending limit exceeded
    "7.8": LOGIN,  # RFC 4954
    "7.9": LOGIN,
    "7.11": LOGIN,
    "7.14": LOGIN,  # Gmail: log in with a web browser first
    "7.57": LOGIN,  # Exchange: client was not authenticated
    "7.139": LOGIN,  # Exchange: authentication unsuccessful, basic authentication is disabled
    "7.60": SENDER,  # Exchange: no permission to send as this sender
    "7.501": SENDER,  # Exchange Online: access denied, spam abuse detected, banned sender
    "7.502": SENDER,
    "7.503": SENDER,
    "7.750": SENDER,  # Exchange Online: unregistered domain
    "7.54": RELAY,  # Exchange: unable to relay in non-accepted domain
    "7.64": RELAY,  # Exchange Online: TenantAttribution, relay access denied
    "7.25": ADDRESS,  # RFC 7372: no reverse DNS
    "7.28": ADDRESS,  # IANA: mail flood detected
    "7.511": ADDRESS,  # Exchange Online: banned sender's address
    "7.708": ADDRESS,  # Exchange Online: traffic not accepted from this IP
    **{
        f"7.{number}": RESULTS for number in (20, 21, 22, 23, 24, 26, 27, 29, 30)
    },  # RFC 7372, 7505, 8617; Gmail
    "7.509": RESULTS,  # Exchange Online: DMARC
    "7.515": RESULTS,  # Outlook: required level of authentication
    "7.705": QUOTA,  # Exchange Online: tenant has exceeded threshold
    "1.90": QUOTA,  # Exchange Online: daily recipient rate limit of a mailbox that sends
}
_BANNED_IPS = range(606, 650)  # Exchange Online: 5.7.606 to 5.7.649, banned sending IP

# Whatever else they say, replies with these words are about the recipient, or about what is in the message.
_NOT_US = re.compile(
    r"(?:user|recipient|mailbox|address(?:ee)?|account) (?:is |was )?"
    r"(?:unknown|not found|unavailable|disabled|inactive|full)"
    r"|(?:unknown|no such|invalid) (?:user|recipient|mailbox|local)|does ?n[o']t exist"
    r"|over ?quota|quota (?:is )?full|mailbox quota|out of storage|receiving mail (?:too|at a rate)"
    r"|RESOLVER\.|SenderNotAuthenticatedFor|RestrictedTo|by (?:the )?recipient"
    r"|recipient'?s? (?:has|have|policy)"
    r"|to send (?:mails? |messages? )?to (?!external)"
    r"|\b(?:urls?|links?|attachments?|uribl|surbl|virus|malware)\b",
    re.IGNORECASE,
)
_WORDS = (
    _rule(NAME, r"\b(?:helo|ehlo)\b"),
    _rule(
        LOGIN,
        r"authentication (?:is )?(?:required|needed|failed|failure|unsuccessful|credentials)",
        r"(?:must|need to|please|not) (?:be )?(?:authenticated?|log ?in)\b",
        r"(?:username|user name|login|password)s? (?:and|or) passwords? (?:not accepted|invalid|incorrect)",
        r"invalid (?:credentials|login|api key)|bad username or password|unrecognized authentication type",
        r"smtp auth(?:entication)? (?:is )?(?:required|disabled)|not authorized to perform `?ses:",
    ),
    _rule(
        RELAY,
        r"\brelay(?:ing)?\b.{0,30}\b(?:denied|prohibited|forbidden|disabled)",
        r"\brelay(?:ing)?\b.{0,30}\bnot (?:permitted|allowed|authori[sz]ed|supported)",
        r"(?:not permitted|not allowed|not authori[sz]ed|unable|refus\w+|do not|won't) (?:to )?relay",
    ),
    _rule(
        SENDER,
        r"\bsender (?:address |domain )?(?:is )?(?:rejected|denied|refused|blocked|banned|blacklisted)",
        r"\bsender (?:address |domain )?(?:is )?not (?:allowed|permitted|authori[sz]ed)|sender verify failed",
        r"not (?:allowed|permitted|authori[sz]ed) to send (?:e?mails? |messages? )?(?:as|from)\b",
        r"is not allowed to send:|send as this sender|SendAsDenied|not owned by user",
        r"email address is not verified|verified sender identity|unverified (?:sender|domain)",
        r"(?:your|from) (?:sending )?domain .{0,40}not (?:verified|registered|authori[sz]ed)",
    ),
    _rule(
        RESULTS,
        r"\b(?:SPF|DKIM|DMARC)\b.{0,60}\b(?:fail\w*|did not pass|not pass\w*|reject\w*|policy|required)",
        r"(?:fail\w*|did not pass|violat\w*|due to|because of).{0,60}\b(?:SPF|DKIM|DMARC)\b",
        r"unauthenticated (?:e?mail|sender)",
    ),
    _rule(
        ADDRESS,
        r"\bclient host\b|blocked using|\b(?:DNSBL|RBL)\b|spamhaus|spamcop|barracudacentral|banned sending",
        r"\b(?:your|sending|connecting|source|client|the|this) (?:IP|host|server)\b.{0,60}"
        r"\b(?:black|block|deny|reject)[- ]?list",
        r"\bIP\b.{0,60}\b(?:blocked|banned|blacklisted|listed)\b",
        r"\bIP\b.{0,40}\breputation|reputation of (?:your|the sending|this) (?:IP|domain)",
        r"reverse (?:dns|hostname|lookup)|\bPTR record|find your (?:reverse )?hostname|IP name lookup failed",
    ),
    _rule(
        QUOTA,
        r"\b(?:sending|send|daily|hourly|monthly|outgoing|outbound|message|plan|credit)s?\b.{0,30}"
        r"\b(?:quota|limit|rate|credits)\b.{0,30}\b(?:exceed|reach|used up|exhaust)",
        r"exceeded\b.{0,40}\b(?:sending|daily|hourly|monthly|messages?|emails?)\b.{0,20}\b(?:quota|limit|rate)",
        r"maximum credits exceeded|throttling failure",
        r"(?:sending|your account) (?:is |has been |was )?(?:paused|suspended|disabled|deactivated)",
    ),
)
# Codes that refuse MAIL, before any recipient is named. Sizes and options are about the message.
_NO_TO_SENDER = frozenset({521, 550, 551, 553, 554})
_OF_THE_MESSAGE = ("5.2.", "5.3.4", "5.6.")
_OF_THE_RECIPIENT = ("1.1", "1.2", "1.3", "1.4", "1.6", "1.10")  # RFC 3463, section 3.2; RFC 7505


def about_us(code: int, enhanced: str | None, words: str, phase: Phase) -> str:
    """What an SMTP reply of class 4 or 5 refuses about us; empty when it is, or may be, about the message or
    its recipient.

    enhanced: the reply's enhanced code (RFC 3463), if any. words: the reply without what it repeats of the
    message (redaction/quoted_message.py): a client must not choose the words by which it is judged.
    """
    if code in _CODES:
        return _CODES[code]
    detail = (enhanced or "")[2:]
    if detail in _OF_THE_RECIPIENT or (detail.startswith("2.") and "SendAsDenied" not in words):
        return ""
    if what := _by_detail(detail):
        return what
    return "" if _NOT_US.search(words) else _by_words(words) or _by_phase(code, enhanced, phase)


def _by_detail(detail: str) -> str:
    subject, _, number = detail.partition(".")
    if subject == "7" and number.isdecimal() and int(number) in _BANNED_IPS:
        return ADDRESS
    return _ENHANCED.get(detail, "")


def _by_words(words: str) -> str:
    return next((rule.what for rule in _WORDS if rule.words.search(words)), "")


def _by_phase(code: int, enhanced: str | None, phase: Phase) -> str:
    refused = phase is Phase.MAIL and code in _NO_TO_SENDER
    return SENDER if refused and not (enhanced or "").startswith(_OF_THE_MESSAGE) else ""


# Statuses that do not depend on the message: RFC 9110, sections 15.5.2, 15.5.4 and 15.5.8.
_HTTP = frozenset({401, 403, 407})
# Also 403: Telegram's response for a person who does not want its bot.
_PERSON_SAYS_NO = re.compile(
    r"blocked by the user|user is deactivated|bot was kicked|initiate conversation|opted[ -]?out|unsubscribe",
    re.IGNORECASE,
)


def credential_refused(status: int, words: str = "", *, fixed: bool = False) -> bool:
    """Whether an HTTP status is about our credential and not about a recipient. fixed: the URL alone names
    the recipient, so that 404 is about the URL."""
    refused = status in _HTTP or (fixed and status == 404)
    return refused and not _PERSON_SAYS_NO.search(without_addresses(words))
