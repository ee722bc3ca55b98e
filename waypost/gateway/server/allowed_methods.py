"""The methods of a path, which a 405 response lists in Allow (RFC 9110, section 15.5.6)."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from starlette.routing import Match, Route
from starlette.types import Scope


def allowed(routers: Iterable[APIRouter], scope: Scope) -> str:
    """Every method of the path of `scope`, as Allow lists them; empty for an unknown path.

    A router names only the methods of one route, though several routes may share a path. Of several paths
    that match, the first counts, as `/v1/recipients/{id}/preferences` before `/v1/recipients/{id}`.
    """
    routes = (route for router in routers for route in router.routes if isinstance(route, Route))
    found = [route for route in routes if route.matches(scope)[0] is not Match.NONE]
    methods = {method for route in found if route.path == found[0].path for method in route.methods or ()}
    if "GET" in methods:
        methods.add("HEAD")  # RFC 9110, section 9.1: every server must support GET and HEAD
    return ", ".join(sorted(methods))
