"""A little OpenID Connect issuer: an HTTP server with its two documents, and tokens signed by its keys."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from support.certificates import Pair

AUDIENCE = "https://notify.example"
ABOUT, KEYS = "/.well-known/openid-configuration", "/keys"


def make_key(alg: str, kid: str) -> RSAKey | ECKey | OKPKey:
    parameters: Any = {"kid": kid, "use": "sig"}
    if alg.startswith(("RS", "PS")):
        return RSAKey.generate_key(2048, parameters)
    if alg.startswith("ES"):
        curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
        return ECKey.generate_key(curve, parameters)
    return OKPKey.generate_key("Ed25519", parameters)


class LittleIssuer:
    """url: its own. keys: those it publishes, by kid. asked: requests for each of its documents."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.keys: dict[str, Any] = {"one": make_key("ES256", "one")}
        self.about: dict[str, Any] = {"issuer": self.url, "jwks_uri": self.url + KEYS}
        self.status = 200
        self.asked: Counter[str] = Counter()

    def claims(self, **changed: Any) -> dict[str, Any]:
        """The claims of a valid token; a value of None leaves a claim out."""
        moment = int(time.time())
        usual = {
            "iss": self.about["issuer"],
            "aud": AUDIENCE,
            "sub": "user-7",
            "client_id": "shop",
            "scope": "openid send read",
            "iat": moment,
            "exp": moment + 300,
        }
        return {name: value for name, value in {**usual, **changed}.items() if value is not None}

    def token(self, kid: str = "one", alg: str = "ES256", key: Any = None, **changed: Any) -> str:
        """A token of this issuer. header: added or changed header fields."""
        header = {"alg": alg, "kid": kid, "typ": "at+jwt", **changed.pop("header", {})}
        shown = {name: value for name, value in header.items() if value is not None}
        return jwt.encode(shown, self.claims(**changed), key or self.keys[kid], [alg], default_type=None)

    def document(self, path: str) -> bytes:
        if path == ABOUT:
            return json.dumps(self.about).encode()
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys.values()]}).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked[path] += 1
        body = self.document(path)
        writer.write(
            f"HTTP/1.1 {self.status} x\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def issuing(port: int = 0) -> AsyncIterator[LittleIssuer]:
    """An issuer that runs as long as the block."""
    waiting: list[LittleIssuer] = []
    server = await asyncio.start_server(lambda *ends: waiting[0].answer(*ends), "127.0.0.1", port)
    waiting.append(LittleIssuer(server.sockets[0].getsockname()[1]))
    async with server:
        yield waiting[0]


@dataclass
class LittleProxy:
    """url: its own. asked: the first line of every request."""

    url: str = ""
    asked: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def proxying(issuer: LittleIssuer, pair: Pair) -> AsyncIterator[LittleProxy]:
    """A proxy that connects every CONNECT to `issuer`, which then speaks TLS with the certificate `pair`."""
    proxy, tls = LittleProxy(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 x\r\n\r\n")
        await writer.start_tls(tls)
        await issuer.answer(reader, writer)

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield proxy
