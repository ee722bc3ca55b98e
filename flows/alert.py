"""Alert: something is wrong, or resolved."""

from datetime import timedelta
from typing import Annotated, Literal, get_args
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import (
    Category,
    Facts,
    Grouping,
    Link,
    ListAddress,
    Moment,
    NotificationType,
    Report,
    Request,
    Text,
)
from waypost.tasks import deliver, fallback, lookup, render, report

Severity = Literal["critical", "warning", "info"]
GRAVEST_FIRST: tuple[Severity, ...] = get_args(Severity)
Label = Annotated[str, Field(max_length=500)]
Status = Literal["firing", "resolved"]


class Alert(Facts):
    """What is wrong, where, and since when."""

    severity: Annotated[Severity, Field(description="How grave it is.")]
    source: Annotated[Text, Field(description="The system that reports.", examples=["db-1"])]
    summary: Annotated[Text, Field(description="The subject of the mail.", examples=["Disk almost full"])]
    started_at: Annotated[Moment, Field(description="When it began.", examples=["2026-03-25T03:14:09+01:00"])]
    status: Annotated[Status, Field(description="resolved says that it is well again.")] = "firing"
    labels: Annotated[
        dict[str, Label],
        Field(
            max_length=50, default_factory=dict, description="Shown as a table.", examples=[{"disk": "sda1"}]
        ),
    ]
    url: Annotated[
        Link | None, Field(description="A button opens this page.", examples=["https://grafana.example/d/1"])
    ] = None
    unsubscribe_url: Annotated[
        ListAddress | None,
        Field(
            description="Where the recipient stops the digests. The next digest links to it.",
            examples=["https://status.example/digests/stop?id=7"],
        ),
    ] = None
    fingerprint: Annotated[
        Annotated[str, Field(min_length=1, max_length=200)] | None,
        Field(description="What makes two alerts the same. Without it: source, summary and labels."),
    ] = None

    @property
    def group(self) -> str:
        return self.fingerprint or repr((self.source, self.summary, sorted(self.labels.items())))

    @property
    def gravity(self) -> int:
        """A higher level is more severe."""
        return -GRAVEST_FIRST.index(self.severity)


class AlertRequest(Request[Alert]):
    """One alert to one recipient."""

    digest: Annotated[bool, Field(description="Wait for the next digest instead of going out at once.")] = (
        False
    )

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
async def alert(requests: list[AlertRequest] = [], batch: UUID | None = None) -> State[Report]:
    """Send each alert at once. Repeats within five minutes are one notification with a count. An alert that
    gets worse, is resolved, or fires again after that is sent by itself."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
