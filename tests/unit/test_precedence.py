"""Whether a notification may be sent: the table of docs/recipients.md, against thousands of combinations."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

import pytest

from waypost.model.cadence import Cadence, Every
from waypost.model.category import Category, CategoryTerms, FrequencyCap, QuietHours, terms_of
from waypost.model.permission import Circumstances, Preference, Rule, rule_in
from waypost.model.states import State
from waypost.model.suppression import Cause, Suppressed
from waypost.policy.precedence import decide

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
BOUNCED = Suppressed(Cause.HARD_BOUNCE)
NEVER = Preference(Cadence(Every.NEVER))


def circumstances(**more):
    return Circumstances(
        **{
            "category": Category.PRODUCT,
            "kinds": ("email", "sms"),
            "accepted_at": NOON,
            "zone": BERLIN,
            **more,
        }
    )


# The table: a row for each rule, the first that applies decides. It is written here from docs/recipients.md,
# and shares no code with the policy.
def by_the_table(found, terms):
    """The rule that decides, and the channels that are left."""
    open_kinds = [kind for kind in found.kinds if not found.suppressed.get(kind)]
    chosen = found.recipient or found.audience
    whose = "recipient" if found.recipient else "audience" if found.audience else "default"
    cadence = chosen.cadence if chosen else terms.cadence
    wanted = chosen.channels if chosen else terms.channels
    kinds = [kind for kind in open_kinds if wanted is None or kind in wanted]
    rows = [
        (terms.mandatory, "mandatory", list(found.kinds)),
        (not open_kinds, "suppression", []),
        (cadence.every is Every.NEVER, whose, []),
        (not kinds, whose, []),
        (terms.confirm and not (found.recipient and found.recipient.confirmed), "consent", []),
        (terms.at_most is not None and found.sent >= terms.at_most.count, "frequency cap", []),
        (True, whose, kinds),
    ]
    return next((rule, left) for applies, rule, left in rows if applies)


def combinations(random):
    def preference():
        cadence = Cadence(random.choice([Every.ONCE, Every.ONCE, Every.NEVER]))
        channels = random.choice([None, None, ("email",), ("sms",), ("push",)])
        return random.choice([None, None, Preference(cadence, channels, random.random() < 0.5)])

    while True:
        kinds = tuple(random.sample(["email", "sms", "push"], random.randint(1, 3)))
        suppressed = {kind: [BOUNCED] for kind in kinds if random.random() < 0.3}
        terms = CategoryTerms(
            mandatory=random.random() < 0.2,
            cadence=Cadence(random.choice([Every.ONCE, Every.ONCE, Every.NEVER])),
            channels=random.choice([None, None, ["email"], ["sms"]]),
            at_most=random.choice([None, FrequencyCap(count=3)]),
            confirm=random.random() < 0.2,
        )
        yield terms, circumstances(
            category=random.choice(list(Category)), kinds=kinds, suppressed=suppressed,
            recipient=preference(), audience=preference(), sent=random.randint(0, 5),
            urgent=random.random() < 0.2,
        )  # fmt: skip


def test_ten_thousand_combinations_are_decided_by_the_table():
    seen = set()
    for terms, found in islice(combinations(Random(19)), 10_000):
        verdict = decide(found, terms, NOON)
        assert (str(verdict.rule), list(verdict.kinds)) == by_the_table(found, terms)
        seen.add((verdict.rule, verdict.sends))
    assert {rule for rule, _ in seen} == set(Rule) - {Rule.QUIET_HOURS}
    assert (Rule.RECIPIENT, True) in seen
    assert (Rule.RECIPIENT, False) in seen


def test_a_code_is_sent_whatever_a_newsletter_did_and_it_is_said():
    security = terms_of(Category.SECURITY, {})
    unsubscribed = Suppressed(Cause.UNSUBSCRIBE)
    found = circumstances(category=Category.SECURITY, suppressed={"email": [unsubscribed]}, recipient=NEVER)
    verdict = decide(found, security, NOON)
    assert verdict.kinds == ("email", "sms")
    assert verdict.why == "although suppressed: unsubscribe, all categories"


@pytest.mark.parametrize(
    ("found", "terms", "why"),
    [
        (
            circumstances(suppressed={"email": [BOUNCED], "sms": [BOUNCED]}),
            CategoryTerms(),
            "hard bounce, all categories",
        ),
        (circumstances(recipient=NEVER), CategoryTerms(), "product is turned off"),
        (
            circumstances(recipient=Preference(channels=("push",))),
            CategoryTerms(),
            "product is not wanted by email, sms",
        ),
        (circumstances(), CategoryTerms(confirm=True), "product is not confirmed by the recipient"),
        (
            circumstances(sent=3),
            CategoryTerms(at_most=FrequencyCap(count=3, days=7)),
            "3 of product were sent within 7 days",
        ),
    ],
)
def test_what_is_not_sent_says_why(found, terms, why):
    verdict = decide(found, terms, NOON)
    assert not verdict.sends
    assert verdict.why == why
    assert rule_in(State.SUPPRESSED, verdict.reason) is verdict.rule


def test_the_rule_of_each_decision_is_read_from_its_reason():
    seen = set()
    for terms, found in islice(combinations(Random(7)), 5_000):
        daily = Preference(Cadence.parse("daily at 09:00"))
        quiet = QuietHours(time(11), time(15))
        more = {"quiet_hours": quiet, "at_most": None} if found.sent in (1, 4) else {}
        waiting = terms.model_copy(update=more)
        verdict = decide(replace(found, audience=daily) if found.sent == 2 else found, waiting, NOON)
        if verdict.sends and verdict.until is None:
            continue
        state = State.DEFERRED if verdict.sends else State.SUPPRESSED
        assert rule_in(state, verdict.reason) is verdict.rule, verdict.reason
        seen.add((state, verdict.rule))
    stop = (Rule.SUPPRESSION, Rule.RECIPIENT, Rule.AUDIENCE, Rule.DEFAULT, Rule.CONSENT, Rule.CAP)
    assert seen >= {(State.SUPPRESSED, rule) for rule in stop}
    assert seen >= {(State.DEFERRED, rule) for rule in (Rule.AUDIENCE, Rule.QUIET_HOURS)}


@pytest.mark.parametrize(
    ("state", "reason", "rule"),
    [
        ("suppressed", "its category was turned off (one click)", Rule.RECIPIENT),
        ("suppressed", "", None),
        ("suppressed", "in an earlier way", None),
        ("suppressed", "(recipient)", None),
        ("deferred", "4.2.1 mailbox is busy (recipient)", None),
        ("deferred", "the mail server said: product is sent daily (recipient)", None),
        ("deferred", "product is sent 4.2.1 (busy) (recipient)", None),
        ("sent", "product is sent daily at 09:00 (recipient)", None),
        ("no state", "product is turned off (recipient)", None),
    ],
)
def test_a_reason_without_a_rule_names_none(state, reason, rule):
    assert rule_in(state, reason) is rule


def test_quiet_hours_are_those_of_the_recipients_clock_and_nothing_urgent_waits():
    terms = CategoryTerms(quiet_hours=QuietHours(time(22), time(8)))
    night = datetime(2026, 3, 3, 22, 30, tzinfo=UTC)  # 23:30 in Berlin, 17:30 in New York
    verdict = decide(circumstances(accepted_at=night), terms, night)
    assert verdict.until == datetime(2026, 3, 4, 7, tzinfo=UTC)
    assert verdict.why == "quiet hours are 22:00-08:00 in Europe/Berlin"
    assert decide(circumstances(zone=ZoneInfo("America/New_York")), terms, night).until is None
    assert decide(circumstances(urgent=True), terms, night).until is None


def test_what_is_wanted_weekly_waits_for_its_day_and_then_goes():
    weekly = circumstances(recipient=Preference(Cadence.parse("weekly on friday at 10:00")))
    friday = datetime(2026, 3, 6, 9, tzinfo=UTC)
    verdict = decide(weekly, CategoryTerms(), NOON)
    assert (verdict.until, verdict.rule) == (friday, Rule.RECIPIENT)
    assert verdict.why == "product is sent weekly on friday at 10:00"
    assert decide(weekly, CategoryTerms(), friday + timedelta(seconds=1)).until is None


@pytest.mark.parametrize("text", ["22:00", "22:00-22:00", "8-22h", "25:00-08:00", "22:00+01:00-08:00", ""])
def test_hours_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="not hours such as 22:00-08:00"):
        CategoryTerms.model_validate({"quiet_hours": text})


def test_a_setting_changes_the_terms_that_it_names_and_no_others():
    quiet = CategoryTerms.model_validate({"quiet_hours": "22:00-08:00"})
    security = terms_of(Category.SECURITY, {Category.SECURITY: quiet})
    assert (security.mandatory, security.optional, str(security.quiet_hours)) == (True, False, "22:00-08:00")
    off = CategoryTerms(mandatory=False)
    assert not terms_of(Category.SECURITY, {Category.SECURITY: off}).mandatory
