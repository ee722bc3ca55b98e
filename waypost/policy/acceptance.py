"""Finds faults in requests of valid form: a moment that cannot be kept, a channel that its type's route does
not have. Pure, except for the clock."""

from __future__ import annotations

from collections.abc import Collection

from waypost.mail.only_to import allows
from waypost.model.brand import DEFAULT, no_such_brand
from waypost.model.notification import ADDRESSED_BY
from waypost.model.notification_type import NotificationType
from waypost.model.request import AnyRequest
from waypost.system.clock import now

_TOLD = 3  # addresses in a sentence: a reply of SMTP has 512 octets at most (RFC 5321, section 4.5.3.1.5)
Wrong = tuple[str, str]  # the field's path, and the reason


def faults(
    request: AnyRequest,
    type: NotificationType,
    brands: Collection[str] = (DEFAULT,),
    of_key: str | None = None,
) -> list[Wrong]:
    """The faults of `request`; empty if it may be accepted. brands: the names of all brands. of_key: the
    brand of the client's API key, if it has one."""
    return _untimely(request) + _unroutable(request, type) + unbranded(request, type, brands, of_key)


def brand_of(request: AnyRequest, type: NotificationType, of_key: str | None = None) -> str:
    """The brand whose mail a request is: the key's, else its own, else the type's, else the default."""
    return of_key or request.brand or type.brand or DEFAULT


def unbranded(
    request: AnyRequest, type: NotificationType, brands: Collection[str], of_key: str | None = None
) -> list[Wrong]:
    """The fault of a request for a brand that does not exist, or for another than its key's."""
    if of_key and request.brand not in (None, of_key):
        return [("brand", f"this API key sends for the brand {of_key} only; leave brand out")]
    brand = brand_of(request, type, of_key)
    if brand in brands:
        return []
    if of_key:
        return [("brand", f"of the API key: {no_such_brand(brand)}")]
    whose = "of the type: " if request.brand is None else ""
    return [("brand", f"{whose}{no_such_brand(brand, brands)}")]


def beyond(request: AnyRequest, only_to: Collection[str]) -> list[Wrong]:
    """The faults of a request whose API key may send only to some addresses: it names another address, or
    none, so that it would go to whatever is stored. A digest goes to a stored address too."""
    named = request.recipient.named
    addresses = [(field, named[field]) for field in ADDRESSED_BY.values() if field in named]
    wrong = [
        (f"recipient.{field}", sends_only(only_to))
        for field, address in addresses
        if not allows(only_to, address)
    ]
    if not addresses:
        wrong.append(("recipient", f"{sends_only(only_to)}, and the request has to name the address"))
    if request.digested:
        wrong.append(("digest", f"{sends_only(only_to)}, and a digest goes to the stored address"))
    return wrong


def sends_only(only_to: Collection[str]) -> str:
    """A sentence for an address that an API key may not send to."""
    told = list(only_to)[:_TOLD]
    more = f" and {len(only_to) - _TOLD} more" if len(only_to) > _TOLD else ""
    return f"this API key sends only to {', '.join(told)}{more}"


def with_named_channels(request: AnyRequest, type: NotificationType) -> AnyRequest:
    """`request`, with only the channels whose address it names: none leads to a stored address."""
    named = request.recipient.named
    kinds = [kind for kind in type.kinds_of(request.channels) if ADDRESSED_BY.get(kind) in named]
    return request.model_copy(update={"channels": kinds})


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
