"""How often runs of a type make sense while its providers do not work."""

from __future__ import annotations

from waypost.delivery.provider_set import ProviderSet
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.policy.route_steps import steps

# Seconds from one run to the next of the same lane. A run still moves what has no time left to the next step
# of its route, and sends to recipients that another kind reaches.
APART, URGENT_APART = 12.0, 3.0


def seconds_apart(providers: ProviderSet, type: NotificationType, lane: Priority) -> float:
    """Seconds between two runs of a lane; 0 while a provider of the first kind of its route takes mail."""
    terms = providers.terms
    serving = [one for one in providers.channels if one.name not in terms or lane in terms[one.name].lanes]
    route = steps(type.route, serving)
    taking = {kind for kind, channel in route if not providers.state(channel.name).is_open()}
    if not route or route[0][0] in taking:
        return 0.0
    return URGENT_APART if taking and lane is Priority.URGENT else APART
