"""Alert: something is wrong, or is well again."""

from datetime import timedelta
from typing import Annotated, Literal, get_args
from uuid import UUID

from prefect import flow
from pydantic import Field

from tasks import deliver, fallback, lookup, render, report
from waypost import Category, Facts, Grouping, Link, Moment, NotificationType, Report, Request, Text

Severity = Literal["critical", "warning", "info"]
GRAVEST_FIRST: tuple[Severity, ...] = get_args(Severity)
Label = Annotated[str, Field(max_length=500)]
Status = Literal["firing", "resolved"]


class Alert(Facts):
    """fingerprint: what makes two alerts the same; source, summary and labels if unset."""

    severity: Severity
    source: Text
    summary: Text
    labels: Annotated[dict[str, Label], Field(max_length=50, default_factory=dict)]
    started_at: Moment
    status: Status = "firing"
    url: Link | None = None
    fingerprint: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @property
    def group(self) -> str:
        return self.fingerprint or repr((self.source, self.summary, sorted(self.labels.items())))

    @property
    def gravity(self) -> int:
        """Higher is graver."""
        return -GRAVEST_FIRST.index(self.severity)


class AlertRequest(Request[Alert]):
    """digest: let it wait for the next digest instead of going out at once."""

    digest: bool = False

    @property
    def digested(self) -> bool:
        return self.digest


TYPE = NotificationType(
    name="alert",
    facts=Alert,
    request=AlertRequest,
    category=Category.ALERT,
    route=("email", "chat"),
    deadline=timedelta(hours=12),
    grouping=Grouping(
        key=lambda alert: alert.group,
        window=timedelta(minutes=5),
        status=lambda alert: alert.status,
        level=lambda alert: alert.gravity,
    ),
)


@flow(name=TYPE.name)
async def alert(requests: list[AlertRequest] = [], batch: UUID | None = None) -> Report:
    """Tell each recipient at once; repeats inside five minutes are one notification with a count. An alert
    that gets worse, is resolved, or fires again after that is sent by itself."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
