"""The declaration of a notification type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from waypost.mail.attachment import Attachment
from waypost.model.category import LANES, Category
from waypost.model.facts import Facts
from waypost.model.priority import Priority
from waypost.model.sensitive import misplaced_marks
from waypost.model.word_patterns import PROVIDER_PATTERN

if TYPE_CHECKING:
    from waypost.model.notification import Notification


# A number is no timedelta and a text is no number here: `deadline=24` may mean hours or seconds.
_STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
Span = Annotated[timedelta, Field(gt=timedelta())]
Number = Annotated[int, Field(gt=0)]

# A run costs 0.3 s of processors whatever it does, and this many orders go out in a second.
BATCH_SIZE = 1000

# A service that makes an invoice takes seconds; a network that drops packets never answers. A code, whose
# deadline is minutes away, may wait this long for another notification of its run.
PREPARATION = timedelta(seconds=30)


class Doubt(StrEnum):
    """What to do with a notification when it is unknown whether its provider took it."""

    RESEND = "resend"  # once, with the same Message-ID; after that a person decides
    HOLD = "hold"  # a person decides
    DROP = "drop"  # not sent again: missing is better than twice


class Outlasted(StrEnum):
    """What becomes of a notification that has to wait (for quiet hours, for what its recipient chose) longer
    than its deadline allows."""

    SEND = "send"  # at once, without the wait
    HOLD = "hold"  # after the wait: its deadline counts from there
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True, config=_STRICT)
class RetryPolicy:
    """How long a type keeps trying.

    connect: seconds to wait before each further try of a channel that does not open. These are
        Prefect task retries, seen as AwaitingRetry in its UI.
    first, factor, longest: a notification that a provider deferred is due again after
        `first * factor ** (tries - 1)`, at most `longest`, with jitter, until its deadline.
    """

    connect: Annotated[tuple[float, ...], Field(strict=False)] = (1.0, 3.0)
    first: Span = timedelta(seconds=30)
    factor: Annotated[float, Field(gt=0)] = 2.0
    longest: Span = timedelta(hours=1)


class Condition(NamedTuple):
    """The status and the level that a request reports of its group's subject."""

    status: str = ""
    level: int = 0

    def is_news_after(self, before: Condition) -> bool:
        """Whether it is sent separately after the group's last notification: if its status is another, or its
        level is higher. A lower level may wait."""
        return self.status != before.status or self.level > before.level


NOTHING_SAID = Condition()


@dataclass(frozen=True, slots=True, config=_STRICT)
class Grouping:
    """Requests with the same key inside `window` of the first become one notification with a count, unless
    they are news.

    key: from the facts; equal for requests that are repeats, so without the status and the level.
    status: a word, such as firing or resolved: a request with another word than the last is news.
    level: a number, such as a severity: a request with a higher number than the last is news.
    """

    key: Callable[[Any], str]
    window: Span
    status: Callable[[Any], str] = lambda _: ""
    level: Callable[[Any], int] = lambda _: 0

    def condition(self, facts: Any) -> Condition:
        """The condition that a request with these facts reports."""
        return Condition(self.status(facts), self.level(facts))


Attacher = Callable[[Any], Awaitable[Sequence[Attachment]]]


class MintContext(Protocol):
    """What a minter may use. secret_key: the installation's."""

    @property
    def secret_key(self) -> bytes: ...

    async def keep_codes(self, rows: Sequence[dict[str, Any]]) -> None:
        """Keep the hashes of codes before any message carries them."""
        ...


if TYPE_CHECKING:
    Minter = Callable[[MintContext, Sequence[Notification]], Awaitable[Mapping[UUID, Mapping[str, Any]]]]
else:
    Minter = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class NotificationType:
    """One type of notification. A value of the wrong kind raises pydantic's ValidationError.

    name: kebab-case; also its template folder, its flow and its deployment `<name>/<name>`.
    route: channel kinds in order of preference, for example `("email", "sms")`; `email:ses` is only the
        provider of that name.
    deadline: counted from acceptance; a notification not sent by then expires, and is never sent.
    grouping: how repeats become one notification, if they do.
    request: the shape of its requests, when it offers more than Request[facts] does.
    cron: when its deployment is scheduled, until it is changed in the Prefect UI: `"0 8 * * *"`, or a
        function that returns such a text.
    asks_source: whether its scheduled run asks the source that WAYPOST_SOURCES names for it who is due.
        Without a source it has no schedule.
    priority: its lane; unset, the category's: security and alert are urgent, product and marketing are bulk.
    batch_size: how many notifications a run carries at most: all their messages are in memory at once.
    runs_at_once: how many Prefect runs of it, of one priority, a worker has in flight at most; requests
        accepted meanwhile form the next run, so a flood becomes a few large runs.
    brand: the name of the brand whose mail it is, unless a client's key or a request names another.
    sms_segments: the most segments of its SMS; a longer one fails its notification. None, the default, sends
        an SMS of any length: a code that costs two more segments is better than one that does not arrive, and
        `waypost templates check` tells of a sample that is long. Set it where a long SMS is a mistake.
    when_in_doubt: what to do when a provider may or may not have taken it.
    digest: whether it bundles the held notifications of another type, which then share its end.
    when_outlasted: what becomes of one that has to wait longer than its deadline.
    reply_to: a template with the type's facts: `Support <support@shop.example>`.
    list_unsubscribe: a template of https and mailto addresses, separated by blanks; empty for no header.
    one_click: its https address unsubscribes by the POST of RFC 8058, without a page.
    attachments: makes a mail's files and inline images from its facts; an exception fails that notification.
    finished: returns the complete mail of its author (RFC 5322) from the facts. It is sent without a
        template, and only from senders that the settings allow.
    confirms: the fact that names a category. Its mail's `links.confirm` then leads to a page on which the
        recipient confirms that category (double opt-in).
    mint: makes secrets (a code, a link) for the templates just before rendering, so that they are
        never facts, parameters or ledger rows. The `channels` of its notifications are set.
    minted: the names of what `mint` makes, so that a template's names can be checked.
    preparation: how long `attachments`, and `mint`, may take for one notification before it fails.
    """

    name: str
    facts: type[Facts]
    category: Annotated[Category, Field(strict=False)]
    route: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    deadline: Span
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    request: type[BaseModel] | None = None
    grouping: Grouping | None = None
    cron: str | Callable[[], str] | None = None
    asks_source: bool = False
    mint: Minter | None = None
    minted: Annotated[tuple[str, ...], Field(strict=False)] = ()
    reply_to: str = ""
    list_unsubscribe: str = ""
    one_click: bool = False
    attachments: Attacher | None = None
    preparation: Span = PREPARATION
    finished: Callable[[Any], bytes] | None = None
    priority: Annotated[Priority | None, Field(strict=False)] = None
    batch_size: Number = BATCH_SIZE
    runs_at_once: Number = 2
    brand: Annotated[str, Field(pattern=PROVIDER_PATTERN)] | None = None
    sms_segments: Number | None = None
    when_in_doubt: Annotated[Doubt, Field(strict=False)] = Doubt.RESEND
    digest: bool = False
    when_outlasted: Annotated[Outlasted, Field(strict=False)] = Outlasted.HOLD
    confirms: str = ""

    @field_validator("route", mode="before")
    @classmethod
    def _no_text(cls, route: Any) -> Any:
        """`("email")` without a comma would be read letter by letter."""
        if isinstance(route, str):
            raise ValueError(f'it is a text; write ("{route}",) with a comma')
        return route

    @field_validator("cron", mode="before")
    @classmethod
    def _text_or_function(cls, cron: Any) -> Any:
        if not (cron is None or isinstance(cron, str) or callable(cron)):
            raise ValueError("neither a text such as '0 8 * * *' nor a function that returns such a text")
        return cron

    def __post_init__(self) -> None:
        """Raises ValueError for one_click without list_unsubscribe, for confirms without a fact of that name,
        and for marks that do not count."""
        if self.one_click and not self.list_unsubscribe:
            raise ValueError("one_click needs list_unsubscribe")
        if self.confirms and self.confirms not in self.facts.model_fields:
            raise ValueError(f"confirms names no fact: {self.confirms}")
        if marks := misplaced_marks(self.facts):
            raise ValueError(
                f"Sensitive() has no effect at {', '.join(marks)}; mark a field of a class derived from Facts"
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The channel kinds of its route, each once."""
        return _kinds(tuple(self.route))

    @property
    def schedule(self) -> str | None:
        """The cron expression, if it has one. Raises what a function given as `cron` raises."""
        return self.cron() if callable(self.cron) else self.cron

    def kinds_of(self, chosen: Collection[str] | None) -> tuple[str, ...]:
        """The kinds of its route that a request chose; all if `chosen` is None."""
        return self.kinds if chosen is None else tuple(kind for kind in self.kinds if kind in chosen)

    @property
    def lane(self) -> Priority:
        """The priority of its notifications, unless a request names another."""
        return self.priority or LANES[self.category]


@lru_cache(256)
def _kinds(route: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.partition(":")[0] for word in route))
