"""The secrets that sign webhook posts: derived from Waypost's own key each time, never stored. Pure."""

from __future__ import annotations

import hmac
from datetime import datetime
from uuid import UUID

from waypost.ledger.records.webhooks import Webhook
from waypost.net.webhook_signature import written


def key(secret_key: bytes, id: UUID, generation: int) -> bytes:
    """The 32 bytes of a webhook's secret after `generation` rotations."""
    return hmac.digest(secret_key, f"webhook:{id}:{generation}".encode(), "sha256")


def secret(secret_key: bytes, webhook: Webhook) -> str:
    """The newest secret as Standard Webhooks writes it: `whsec_` and base64."""
    return written(key(secret_key, webhook.id, webhook.generation))


def keys(secret_key: bytes, webhook: Webhook, moment: datetime) -> list[bytes]:
    """The keys that sign a body at `moment`."""
    return [key(secret_key, webhook.id, generation) for generation in webhook.generations(moment)]
