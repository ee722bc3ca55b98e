"""Waypost: a product's notifications as Prefect flows, accounted for in a ledger.

The names a type's file needs; everything else is imported from its own module.
"""

from waypost.batch import Batch
from waypost.mail.attachment import Attachment
from waypost.notification_type import (
    Category,
    Doubt,
    Facts,
    Grouping,
    Line,
    Link,
    Moment,
    NotificationType,
    RetryPolicy,
)
from waypost.priority import Priority
from waypost.report import Report
from waypost.request import Recipient, Request

__all__ = [
    "Attachment",
    "Batch",
    "Category",
    "Doubt",
    "Facts",
    "Grouping",
    "Line",
    "Link",
    "Moment",
    "NotificationType",
    "Priority",
    "Recipient",
    "Report",
    "Request",
    "RetryPolicy",
]
