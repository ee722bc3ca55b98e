"""Building mails of an order's size: ours beside the standard library's default policy.

Both build two-part messages with the same text and headers, in turn, one process, one thread.
"""

from __future__ import annotations

import email
import statistics
from dataclasses import asdict, dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from benchmarks.harness import sample_orders
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.progress import say
from benchmarks.harness.sample_mails import Letter, letters, rate
from waypost.mail.build import Sender, build, message_id

SENDER = Sender.parse("Northwind Traders <orders@northwind.example>")
ROUNDS = 5
SECONDS = 1.0  # per side and round


@dataclass(frozen=True, slots=True)
class Round:
    """Messages a second."""

    ours: float
    stock: float


async def measure() -> Measured:
    """Five rounds; the bar is the median."""
    orders = letters(sample_orders.COUNT)
    _same(orders[0])
    rounds = [_said(Round(rate(ours, orders, SECONDS), rate(stock, orders, SECONDS))) for _ in range(ROUNDS)]
    built = statistics.median(one.ours for one in rounds)
    stocks = statistics.median(one.stock for one in rounds)
    size = statistics.mean(len(ours(one)) for one in orders)
    source = sample_orders.source().name
    print(f"{len(orders)} orders of {source} in two parts, {size:.0f} bytes a mail on average")
    print(f"  ours                                {built:8.0f} /s")
    print(f"  standard library, policy.SMTP       {stocks:8.0f} /s   ratio {built / stocks:.1f}")
    return Measured(
        bars=[Bar("built_per_s", built, ">=", 8000)],
        figures={"bytes": size, "rounds": [asdict(one) for one in rounds]},
    )


def _said(one: Round) -> Round:
    say(f"{one.ours:6.0f}/s ours   {one.stock:6.0f}/s standard library")
    return one


def ours(one: Letter) -> bytes:
    """The mail as a run builds it."""
    return build(
        id=one.id, sender=SENDER, to=one.to, to_name=one.to_name, subject=one.subject,
        plain=one.plain, html=one.html, date=one.date,
    )  # fmt: skip


def stock(one: Letter) -> bytes:
    """The mail as the standard library's documentation builds it."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = Address(SENDER.display, addr_spec=SENDER.address)
    message["To"] = Address(one.to_name, addr_spec=one.to)
    message["Subject"] = one.subject
    message["Date"] = format_datetime(one.date)
    message["Message-ID"] = message_id(one.id, SENDER)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(one.plain)
    message.add_alternative(one.html, subtype="html")
    return message.as_bytes()


def _same(one: Letter) -> None:
    """Raises NotMeasured when the two sides build different mails."""
    sides = [email.message_from_bytes(raw, policy=policy.default) for raw in (ours(one), stock(one))]
    said = [
        [str(side[name]) for name in ("From", "To", "Subject", "Date", "Message-ID")]
        + [part.get_content().rstrip() for part in side.iter_parts()]
        for side in sides
    ]
    if said[0] != said[1]:
        raise NotMeasured("the two sides do not build the same mail")
