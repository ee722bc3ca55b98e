"""Waypost: a product's notifications as Prefect flows, accounted for in a ledger.

The names a type's file needs; everything else is imported from its own module. Each is imported when it is
first used: a command does not wait for what it does not use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waypost.mail.attachment import Attachment
    from waypost.mail.raw_message import parse as parse_raw_message
    from waypost.model.batch import Batch
    from waypost.model.category import Category
    from waypost.model.facts import Facts, Line, Link, ListAddress, Moment, Text
    from waypost.model.notification import HeldItem
    from waypost.model.notification_type import Doubt, Grouping, NotificationType, Outlasted, RetryPolicy
    from waypost.model.priority import Priority
    from waypost.model.report import Report
    from waypost.model.request import Recipient, Request
    from waypost.model.sensitive import Sensitive

_PLACES = {
    "Attachment": "mail.attachment",
    "Batch": "model.batch",
    "Category": "model.category",
    "Doubt": "model.notification_type",
    "Facts": "model.facts",
    "Grouping": "model.notification_type",
    "HeldItem": "model.notification",
    "Line": "model.facts",
    "Link": "model.facts",
    "ListAddress": "model.facts",
    "Moment": "model.facts",
    "NotificationType": "model.notification_type",
    "Outlasted": "model.notification_type",
    "Priority": "model.priority",
    "Recipient": "model.request",
    "Report": "model.report",
    "Request": "model.request",
    "RetryPolicy": "model.notification_type",
    "Sensitive": "model.sensitive",
    "Text": "model.facts",
    "parse_raw_message": "mail.raw_message:parse",
}

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
    "ListAddress",
    "Moment",
    "NotificationType",
    "Outlasted",
    "Priority",
    "Recipient",
    "Report",
    "Request",
    "RetryPolicy",
    "Sensitive",
    "Text",
    "parse_raw_message",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, its_name = _PLACES[name].partition(":")
    found = globals()[name] = getattr(import_module(f"waypost.{module}"), its_name or name)
    return found
