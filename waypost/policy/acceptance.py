"""Finds faults in requests of valid form: a moment that cannot be kept, a channel that its type's route does
not have. Pure, except for the clock."""

from __future__ import annotations

from waypost.model.notification_type import NotificationType
from waypost.model.request import AnyRequest
from waypost.system.clock import now

Wrong = tuple[str, str]  # the field's path, and the reason


def faults(request: AnyRequest, type: NotificationType) -> list[Wrong]:
    """The faults of `request`; empty if it may be accepted."""
    return _untimely(request) + _unroutable(request, type)


def _untimely(request: AnyRequest) -> list[Wrong]:
    ends, begins = request.expires_at, request.deliver_at
    if ends is None:
        return []
    if ends <= now():
        return [("expires_at", "in the past; nothing would be sent")]
    if begins is not None and ends <= begins:
        return [("expires_at", "not after deliver_at; nothing would be sent")]
    return []


def _unroutable(request: AnyRequest, type: NotificationType) -> list[Wrong]:
    return [
        (f"channels.{number}", f"not one of the type's route: {', '.join(type.kinds)}")
        for number, kind in enumerate(request.channels or ())
        if kind not in type.kinds
    ]
