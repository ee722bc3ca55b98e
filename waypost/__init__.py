"""Waypost: a product's notifications as Prefect flows, accounted for in a ledger.

The names a type's file needs; everything else is imported from its own module.
"""

from waypost.mail.attachment import Attachment
from waypost.mail.raw_message import parse as parse_raw_message
from waypost.model.batch import Batch
from waypost.model.facts import Facts, Line, Link, Moment, Text
from waypost.model.notification import HeldItem
from waypost.model.notification_type import Category, Doubt, Grouping, NotificationType, RetryPolicy
from waypost.model.priority import Priority
from waypost.model.report import Report
from waypost.model.request import Recipient, Request

__all__ = [
    "Attachment",
    "Batch",
    "Category",
    "Doubt",
    "Facts",
    "Grouping",
    "HeldItem",
    "Line",
    "Link",
    "Moment",
    "NotificationType",
    "Priority",
    "Recipient",
    "Report",
    "Request",
    "RetryPolicy",
    "Text",
    "parse_raw_message",
]
