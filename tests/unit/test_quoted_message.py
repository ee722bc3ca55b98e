"""What a reply repeats of the message decides nothing: no recipient, sender, subject or file name."""

import pytest
from support.stopwatch import judge, spent

from waypost.model.outcome import Phase, Verdict
from waypost.policy import blame, classify
from waypost.policy.domain_throttle import is_throttling_us
from waypost.policy.redaction import quoted_message

RCPT = Phase.RCPT
NEUTRAL = "ada"
# For each rule that reads replies, words that it looks for.
WORDS = [
    *("ehlo", "helo.7", "ehlo.0.1", "EHLO+tag"),
    *("authentication", "authentication.required", "login", "please.login", "invalid.credentials"),
    *("relay", "relay.access.denied", "relaying-not-permitted"),
    *("sender", "sender.rejected", "unverified.domain", "your.domain", "SendAsDenied"),
    *("spf", "spf-failed", "dkim-reports", "dmarc", "dmarc.policy"),
    *("client.host", "blocked.using", "rbl", "dnsbl", "spamhaus", "ip", "ptr.record", "banned-sending"),
    *("quota", "daily.limit.exceeded", "throttling.failure", "your.account.suspended"),
    *("links", "virus", "url", "unknown.user", "user.unknown", "mailbox", "recipient", "over.quota"),
    *("6h", "5m", "in.6.hours", "30s"),
    *("greylist", "graylisted", "pipelining", "synchronization"),
]
# How servers write an address; the word stands in its local part or in its domain.
SPELLINGS = [
    *("<{}@x.example>", "{}@x.example", "({}@x.example)", "'{}@x.example'", '<"{} {}"@x.example>'),
    *("{}%40x.example", "rcpt:{}@x.example", "bounce+{}=x.example@b.example", "<{}>", '"{}.x.example"'),
    *("<ada@{}.example>", "ada@{}.example"),
]
REPLIES = [
    (RCPT, 554, "5.7.1 {}: Recipient address rejected: Access denied"),
    (RCPT, 554, "5.7.1 {}: Relay access denied"),
    (RCPT, 554, "5.7.1 Relay access denied (mail to {})"),
    (RCPT, 450, "4.7.1 Client host rejected: cannot find your hostname; rcpt {}"),
    (RCPT, 504, "5.5.2 <localhost>: Helo command rejected, for {}"),
    (RCPT, 451, "4.7.1 {}: Recipient address rejected: try later"),
    (RCPT, 451, "4.7.1 {}: try again in 5 minutes"),
    (RCPT, 450, "4.7.0 {}: greylisted"),
    (Phase.MAIL, 450, "4.7.1 {}: Sender address rejected: Domain not found"),
    (Phase.DOT, 554, "5.7.1 message to {} rejected due to content"),
    (Phase.DOT, 550, "5.7.1 domain's DMARC policy, see {}"),
]
FILLED = [(phase, code, text, spelling) for phase, code, text in REPLIES for spelling in SPELLINGS]


def meaning(phase, code, text, spelling, word):
    said = text.format(spelling.replace("{}", word))
    outcome = classify.smtp(code, said, phase)
    assert outcome.words == said.partition(" ")[2], "people read all of it"
    doubted = classify.pipelining_doubted(said)
    return outcome.verdict, outcome.about_us, outcome.wait, is_throttling_us(outcome), doubted


@pytest.mark.parametrize("word", WORDS)
def test_a_word_inside_an_address_changes_no_reading(word):
    for reply in FILLED:
        assert meaning(*reply, word) == meaning(*reply, NEUTRAL), reply


# The words of an address as they stand, without a sign that it is an address.
BARE = ["554 5.7.1 user {} is not welcome", "550 {}: access denied", "554 5.7.1 {} at x.example: no"]


@pytest.mark.parametrize("word", WORDS)
def test_a_recipients_name_without_its_domain_blames_nobody(word):
    for reply in BARE:
        said, chosen = reply.format(word.partition("+")[0]), quoted_message.names_in(f"{word}@x.example")
        outcome = classify.smtp(int(said[:3]), said[4:], RCPT, chosen)
        assert (outcome.about_us, outcome.wait) == ("", None), reply


@pytest.mark.parametrize("word", WORDS)
def test_no_recipient_turns_a_refusal_of_us_into_its_own_end(word):
    chosen = quoted_message.names_in(f"{word}@x.example")
    for text in ("5.7.1 Relay access denied", f"5.7.1 <{word}@x.example>: Relay access denied"):
        outcome = classify.smtp(554, text, RCPT, chosen)
        assert outcome.verdict is Verdict.DEFERRED
        assert outcome.about_us == ("" if word in ("relay", "relay.access.denied") else blame.RELAY)


ABOUT_A_TEXT = (
    *('554 5.7.1 "{}" is not wanted', "554 5.7.1 Subject {}: no"),
    "451 4.7.1 {} is in doubt: later",
)
TEXTS = [
    *("Helo, EHLO", "ehlo", "SPF fail for you", "Relay access denied", "sender rejected", "spamhaus.exe"),
    *("Authentication required today", "Blocked using zen.spamhaus.org", "Your daily limit was exceeded"),
    *("Retry in 6 hours", "6h", "greylisted, try again in 300 seconds", "pipelining"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_subject_or_file_name_blames_nobody_and_names_no_wait(text):
    for reply in (
        '554 5.7.1 "{}" is not wanted',
        "554 5.7.1 Subject {}: no",
        "451 4.7.1 {} is in doubt: later",
    ):
        said = reply.format(text)
        outcome = classify.smtp(int(said[:3]), said[4:], Phase.DOT, [text])
        assert (outcome.about_us, outcome.wait) == ("", None), reply


def test_a_subject_that_shares_words_with_a_refusal_of_us_hides_it_not():
    said = "Message rejected: Email address is not verified. The following identities failed the check"
    outcome = classify.smtp(554, said, Phase.DOT, ["Confirm your email address"])
    assert outcome.about_us == blame.SENDER


def test_the_file_names_of_a_mail_are_found_however_they_are_written():
    mail = (
        b'Content-Type: application/pdf; name="spf.pdf"\r\nContent-Disposition: attachment;\r\n'
        b" filename*=utf-8''ehlo%20me.pdf\r\nContent-Disposition: attachment; filename=plain.txt\r\n\r\nbody"
    )
    assert quoted_message.file_names(mail) == ["spf.pdf", "ehlo me.pdf", "plain.txt"]


@pytest.mark.parametrize(
    "shape", ["<", ">", '"', "'", "@", "a", "a@", "<a@", '"a', "%40", "(a ", "relay access "]
)
def test_reading_a_reply_costs_as_much_as_it_is_long(shape):
    def act(size):
        said = shape * (size // len(shape))
        return spent(
            lambda: quoted_message.without_words_of(quoted_message.without_addresses(said), [said, "a b c"])
        )

    judge([(f"a reply of {shape!r}", act, 20_000)])


def test_the_file_names_of_a_large_mail_are_found_in_time():
    judge(
        (
            f"a mail of {line!r}",
            lambda n, a=line: spent(lambda: quoted_message.file_names(a * (n // len(a)))),
            1 << 20,
        )
        for line in (b"name=", b"name*0", b"nam", b'name="' + b"a" * 70 + b"\r\n", b"QUJD" * 19 + b"\r\n")
    )
