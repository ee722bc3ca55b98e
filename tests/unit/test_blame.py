"""Whether a refusal is about us or about a recipient: replies of servers that are often met."""

import pytest

from waypost.model.outcome import Phase, Verdict
from waypost.policy import blame, classify
from waypost.policy.circuit_breaker import FAILURES, CircuitBreaker, CircuitState

RCPT, MAIL, DATA, DOT = Phase.RCPT, Phase.MAIL, Phase.DATA, Phase.DOT


def outcome_of(reply, phase):
    return classify.smtp(int(reply[:3]), reply[4:], phase)


ABOUT_US = [
    # Postfix
    (RCPT, "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", blame.NAME),
    (RCPT, "450 4.7.1 <a7f3c2>: Helo command rejected: Host not found", blame.NAME),
    (RCPT, "554 5.7.1 <ada@a.example>: Relay access denied", blame.RELAY),
    (RCPT, "454 4.7.1 <ada@a.example>: Relay access denied", blame.RELAY),
    (RCPT, "553 5.7.1 <a@s.example>: Sender address rejected: not owned by user web", blame.SENDER),
    (RCPT, "450 4.1.8 <a@s.example>: Sender address rejected: Domain not found", blame.SENDER),
    (RCPT, "554 5.7.1 <a@s.example>: Sender address rejected: Access denied", blame.SENDER),
    (RCPT, "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]", blame.ADDRESS),
    (RCPT, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example", blame.ADDRESS),
    (MAIL, "530 5.7.0 Must issue a STARTTLS command first", blame.LOGIN),
    # Exim
    (RCPT, "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)", blame.NAME),
    (RCPT, "550 relay not permitted", blame.RELAY),
    (RCPT, "550 authentication required", blame.LOGIN),
    (RCPT, "550 Sender verify failed", blame.SENDER),
    (RCPT, "550-Verification failed for <a@s.example>\n550 Sender verify failed", blame.SENDER),
    # Exchange and Exchange Online
    (MAIL, "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139", blame.LOGIN),
    (MAIL, "530 5.7.1 Client was not authenticated", blame.LOGIN),
    (DOT, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", blame.SENDER),
    (DOT, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
     blame.SENDER),
    (RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", blame.RELAY),
    (RCPT, "550 5.7.64 TenantAttribution; Relay Access Denied", blame.RELAY),
    (RCPT, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", blame.ADDRESS),
    (RCPT, "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP",
     blame.ADDRESS),
    (DOT, "550 5.1.8 Access denied, bad outbound sender", blame.SENDER),
    (DOT, "550 5.7.705 Access denied, tenant has exceeded threshold", blame.QUOTA),
    (DOT, "550 5.7.515 Access denied, domain s.example doesn't meet the required authentication level",
     blame.RESULTS),
    # Gmail
    (MAIL, "530-5.7.0 Authentication Required. For more information, go to\n5.7.0 https://support.example",
     blame.LOGIN),
    (MAIL, "535 5.7.8 Username and Password not accepted", blame.LOGIN),
    (MAIL, "534 5.7.9 Application-specific password required", blame.LOGIN),
    (DOT, "550 5.4.5 Daily user sending limit exceeded", blame.QUOTA),
    (DOT, "421 4.7.28 Our system has detected an unusual rate of unsolicited mail from your IP",
     blame.ADDRESS),
    (DOT, "550 5.7.26 This mail has been blocked because the sender is unauthenticated", blame.RESULTS),
    (DOT, "550 5.7.1 Unauthenticated email from s.example is not accepted due to domain's DMARC policy",
     blame.RESULTS),
    (DOT, "550 5.7.25 The IP address sending this message does not have a PTR record setup", blame.ADDRESS),
    # Amazon SES
    (MAIL, "530 Authentication required", blame.LOGIN),
    (MAIL, "454 Throttling failure: Daily message quota exceeded.", blame.QUOTA),
    (DOT, "454 Throttling failure: Maximum sending rate exceeded.", blame.QUOTA),
    (DOT, "554 Message rejected: Email address is not verified. The following identities failed the check",
     blame.SENDER),
    (DOT, "554 Message rejected: Sending paused for this account.", blame.QUOTA),
    (DATA, "554 Access denied: User `arn:aws:iam::1:user/a' is not authorized to perform `ses:SendRawEmail'",
     blame.LOGIN),
    # SendGrid, Mailgun
    (DOT, "550 The from address does not match a verified Sender Identity. Mail cannot be sent",
     blame.SENDER),
    (MAIL, "550 Unauthenticated senders not allowed", blame.RESULTS),
    (DOT, "451 You have exceeded your messaging limits. Maximum credits exceeded", blame.QUOTA),
    (DOT, "421 Domain mg.s.example is not allowed to send: Please activate your account", blame.SENDER),
    (RCPT, "550 5.7.1 Relaying denied", blame.RELAY),
    # By the phase alone: nobody was named yet but the sender.
    (MAIL, "550 5.7.1 not you", blame.SENDER),
    (MAIL, "553 no", blame.SENDER),
]  # fmt: skip

ABOUT_THE_RECIPIENT_OR_THE_MESSAGE = [
    (RCPT, "550 5.1.1 <ada@a.example>: Recipient address rejected: User unknown in virtual mailbox table"),
    (RCPT, "550 5.1.1 The email account that you tried to reach does not exist"),
    (RCPT, "550-5.1.1 The email account that you tried to reach is inactive\n550 5.1.1 no such user"),
    (RCPT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
    (RCPT, "550 5.4.1 Recipient address rejected: Access denied"),
    (RCPT, "550 Unrouteable address"),
    (RCPT, "550 no such user here"),
    (RCPT, "550 mailbox unavailable"),
    (RCPT, "552 5.2.2 The email account that you tried to reach is over quota"),
    (RCPT, "552 5.2.2 mailbox quota exceeded"),
    (RCPT, "452 4.2.2 The recipient's inbox is out of storage space"),
    (RCPT, "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents"),
    (RCPT, "450 4.2.0 <ada@a.example>: Recipient address rejected: Greylisted"),
    (RCPT, "451 4.7.1 Greylisting in action, please come back later"),
    (RCPT, "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required"),
    (RCPT, "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required"),
    (RCPT, "550 5.7.124 sender not in allowed-senders list"),
    (RCPT, "550 5.7.1 You are not allowed to send to this group"),
    (RCPT, "550 5.7.1 sender blocked by recipient"),
    (RCPT, "550 5.7.1 rejected by recipient's policy"),
    (RCPT, "550 5.7.1 mailbox policy"),
    (RCPT, "550 5.7.1 Service unavailable"),
    (RCPT, "550 5.7.1 access denied"),
    (RCPT, "556 5.1.10 recipient domain has a null MX"),
    (MAIL, "552 5.3.4 Message size exceeds fixed limit"),
    (MAIL, "553 5.6.7 this server does not accept non-ASCII addresses"),
    (DOT, "552 5.3.4 Message too big"),
    (DOT, "554 5.7.1 Message rejected due to content"),
    (DOT, "554 5.7.1 Blocked: the message contains a URL listed in a blocklist"),
    (DOT, "550 5.7.1 Our system has detected that this message is likely unsolicited mail"),
    (DOT, "554 5.6.0 malformed MIME"),
    (DOT, "554 5.7.1 virus found"),
    (DOT, "451 4.3.0 try again later"),
    (DOT, "452 4.3.1 insufficient system storage"),
    (RCPT, "421 4.3.2 closing"),
]


@pytest.mark.parametrize(("phase", "reply", "what"), ABOUT_US)
def test_a_refusal_about_us_defers_and_says_what_of_ours_it_is_about(phase, reply, what):
    outcome = outcome_of(reply, phase)
    assert outcome.about_us == what
    assert outcome.verdict is Verdict.DEFERRED or not what


@pytest.mark.parametrize(("phase", "reply"), ABOUT_THE_RECIPIENT_OR_THE_MESSAGE)
def test_a_refusal_of_a_recipient_or_a_message_is_as_final_as_its_class(phase, reply):
    outcome = outcome_of(reply, phase)
    assert outcome.about_us == ""
    assert outcome.verdict is (Verdict.REFUSED if reply.startswith("5") else Verdict.DEFERRED)


def test_a_message_that_was_taken_is_never_about_us():
    outcome = classify.smtp(250, "2.0.0 relay access denied, but taken", Phase.DOT)
    assert (outcome.verdict, outcome.about_us) == (Verdict.ACCEPTED, "")


def test_three_refusals_about_us_in_a_row_open_the_circuit_and_a_probe_refused_likewise_keeps_it_open():
    breaker, no = CircuitBreaker(), outcome_of("554 5.7.1 relay access denied", Phase.RCPT)
    for _ in range(FAILURES):
        breaker.record_outcome(no, 0.0)
    assert breaker.state is CircuitState.OPEN
    assert breaker.allows(breaker.until)
    breaker.record_outcome(no, breaker.until)
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize(
    ("status", "words", "fixed", "ours"),
    [
        (401, "", False, True),
        (403, "", False, True),
        (403, "Forbidden: bot was blocked by the user, error=403.", False, False),
        (404, "", False, False),
        (404, "", True, True),
        (400, "", True, False),
        (410, "", True, False),
    ],
)
def test_a_web_service_that_refuses_our_credential_defers(status, words, fixed, ours):
    outcome = classify.http(status, words, fixed=fixed)
    assert outcome.verdict is (Verdict.DEFERRED if ours else Verdict.REFUSED)
    assert bool(outcome.about_us) is ours
