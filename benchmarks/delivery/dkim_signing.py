"""Signing mails of an order's size (DKIM, RSA-2048): ours beside dkimpy.

Both sign the same mails with the same key, relaxed/relaxed, over the same headers, in turn, one process,
one thread. dkimpy first verifies a signature of each side.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.harness import sample_orders
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.progress import say
from benchmarks.harness.sample_mails import letters, rate
from waypost.mail.dkim import COVERED, OVERSIGNED, Signer, signed

DOMAIN, SELECTOR = "northwind.example", "bench"
ROUNDS = 5
SECONDS = 1.0  # per side and round
AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Round:
    """Signatures a second. rsa and ed25519 are ours."""

    rsa: float
    stock: float
    ed25519: float


async def measure() -> Measured:
    """Five rounds; the bar is the median."""
    mails = [letter.raw for letter in letters(sample_orders.COUNT)]
    key = generate_private_key(65537, 2048)
    rsa, ed25519 = Signer(DOMAIN, SELECTOR, key), Signer(DOMAIN, SELECTOR, Ed25519PrivateKey.generate())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    sides = (_ours(rsa), _stock(pem), _ours(ed25519))
    _hold(mails[0], rsa, sides[:2])
    rounds = [_said(Round(*(rate(side, mails, SECONDS) for side in sides))) for _ in range(ROUNDS)]
    ours = statistics.median(one.rsa for one in rounds)
    stock = statistics.median(one.stock for one in rounds)
    source = sample_orders.source().name
    print(f"{len(mails)} orders of {source}, relaxed/relaxed, {len(mails[0])} bytes the first")
    print(f"  ours, RSA-2048                      {ours:8.0f} /s")
    print(f"  dkimpy, RSA-2048                    {stock:8.0f} /s   ratio {ours / stock:.1f}")
    print(f"  ours, Ed25519                       {statistics.median(one.ed25519 for one in rounds):8.0f} /s")
    return Measured(
        bars=[Bar("signed_per_s", ours, ">=", 2000)], figures={"rounds": [asdict(one) for one in rounds]}
    )


def _said(one: Round) -> Round:
    say(f"{one.rsa:6.0f}/s ours   {one.stock:6.0f}/s dkimpy   {one.ed25519:6.0f}/s ours with Ed25519")
    return one


def _ours(signer: Signer) -> Callable[[bytes], bytes]:
    return lambda raw: signed(raw, [signer], AT)


def _stock(pem: bytes) -> Callable[[bytes], bytes]:
    names = [name.encode() for name in (*OVERSIGNED, *COVERED)]

    def sign(raw: bytes) -> bytes:
        header = dkim.sign(
            raw, SELECTOR.encode(), DOMAIN.encode(), pem,
            canonicalize=(b"relaxed", b"relaxed"), include_headers=names,
        )  # fmt: skip
        return header + raw

    return sign


def _hold(raw: bytes, signer: Signer, sides: tuple[Callable[[bytes], bytes], ...]) -> None:
    """Raises NotMeasured for a side whose signature is not valid."""
    for side in sides:
        if not dkim.verify(side(raw), dnsfunc=lambda *_, **__: signer.record.encode()):
            raise NotMeasured("a signature does not hold")
