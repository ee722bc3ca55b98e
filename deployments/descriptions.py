"""The words that a deployment shows in Prefect: what it sends, by which route, and what to do."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from waypost.config.settings import Settings
from waypost.deployments.form_schema import REQUESTS
from waypost.deployments.registry import Registered
from waypost.system.plurals import counted

POOL = "Waypost's runs. Pausing it stops every notification, urgent ones too; accepted notifications wait."
DEFAULT_QUEUE = "Prefect's own queue. Waypost puts no run here."
RETRY = """Send notifications again that failed, expired, were cancelled, are deferred or are held in doubt.

A dry run is the default: it counts them and lists the first. Then run it again with *Dry run* off. Every
notification that is retried is due at once, with the whole deadline of its type. A notification that was sent
is never sent again. `waypost retry` does the same on the command line."""

HOLD = """Stop a type of notification, or let it go out again.

What is accepted meanwhile waits, and expires at its deadline. A pause of the type's own deployment does the
same, and `waypost hold` on the command line."""

_DEFAULTS = {"string": "text", "integer": 1, "number": 1, "boolean": False}
_FORMATS = {"date": "2026-03-02", "date-time": "2026-03-02T08:00:00Z", "email": "ada@shop.example"}


def queue_description(lane: str) -> str:
    """The description of a lane's work queue."""
    return f"Runs of {lane} notifications. Pausing it stops them; accepted notifications wait in the ledger."


def description(one: Registered, form: dict[str, Any]) -> str:
    """The description of a type's deployment, in Markdown. form: the schema of its parameters."""
    name, type = one.type.name, one.type
    told = [
        " ".join((one.flow.description or "").split()),
        "",
        f"* Route: {', then '.join(type.route)}",
        f"* Deadline: {_in_words(type.deadline)} after acceptance, then it expires",
        f"* Queue: {type.lane}",
        f"* Declared in: `{one.file}`",
        "",
        f"**To stop it**, run the deployment `waypost-hold` or `waypost hold {name}`, or pause this "
        "deployment. Accepted notifications wait, at most until their deadline.",
        "",
        "**If a run is red**, `waypost explain ID` tells why. The deployment `waypost-retry`, or "
        f"`waypost retry --type {name} --state failed`, sends again what failed.",
    ]
    if (request := example(one.request, form)) is not None:
        told += ["", "**An example** of `requests`:", "", "```json", json.dumps([request], indent=2), "```"]
    return "\n".join(told)


def example(shape: TypeAdapter[Any], form: dict[str, Any]) -> Any:
    """A request made of the form's own examples; None if the type asks for more than they say."""
    items = form.get("properties", {}).get(REQUESTS, {}).get("items")
    if items is None:
        return None
    made = _example(items, form.get("definitions", {}))
    try:
        shape.validate_python(made)
    except ValidationError:
        return None
    return made


def _example(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "$ref" in schema:
        schema = {**definitions[str(schema["$ref"]).rpartition("/")[2]], **schema}
    for key in ("examples", "enum"):
        if schema.get(key):
            return cast("list[Any]", schema[key])[0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], definitions)
    match schema.get("type"):
        case "array":
            return [_example(schema.get("items", {}), definitions)]
        case "object":
            wanted = schema.get("required", []) or list(schema.get("properties", {}))[:1]
            return {field: _example(schema["properties"][field], definitions) for field in wanted}
        case kind:
            return _FORMATS.get(str(schema.get("format")), _DEFAULTS.get(str(kind), "text"))


def _in_words(span: timedelta) -> str:
    """`15 minutes`, `24 hours`, `7 days`: in the largest unit that divides it, hours up to two days."""
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0 and (unit != "day" or seconds > 2 * size):
            return counted(seconds // size, unit)
    return counted(seconds, "second")


def version_of(one: Registered) -> str:
    """The version of the project for its own types, if its pyproject.toml names one; else Waypost's."""
    return (None if one.source.shipped else _project_version(Settings().project)) or installed("waypost")


@cache
def _project_version(project: Path) -> str | None:
    try:
        found = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    named = found.get("project", {}).get("version")
    return named if isinstance(named, str) else None
