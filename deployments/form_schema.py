"""The parameter schema of a deployment, written for Prefect's form of a custom run.

pydantic's schema of an optional field is "this type or null", which the form shows as a choice to make before
anything can be typed. Prefect still accepts null for a field that has a plain type and no default, and among
choices it offers those that are text. Other optional fields stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from waypost.model.locale import locales, timezones

Schema = dict[str, Any]

BATCH = "batch"  # the dispatcher's own parameter: a person leaves it out
REQUESTS = "requests"
_TYPED = "One item per notification. Prefect stores and shows what is typed here."
_ABBREVIATIONS = {"id": "ID", "url": "URL"}
_VALUES = {"default", "enum", "const", "example", "examples"}  # these hold values, not schemas


def form_schema(schema: Schema, kinds: Sequence[str] = ()) -> Schema:
    """`schema` without null as a choice, without `batch`, with titles that read as words, examples that are
    shown, and choices where only some values are right. kinds: the channels of the type's route."""
    made = cast(Schema, _written(schema, cast("dict[str, Schema]", schema.get("definitions", {}))))
    parameters = cast("dict[str, Schema]", made.get("properties", {}))
    parameters.pop(BATCH, None)
    if requests := parameters.get(REQUESTS):
        requests.setdefault("description", _TYPED)
        _offer(made["definitions"], kinds)
    for definition in cast("dict[str, Schema]", made.get("definitions", {})).values():
        _keep_first_paragraph(definition)
    return made


def with_choices(form: Schema, parameter: str, choices: Sequence[Any]) -> Schema:
    """`form`, in which a parameter is one of `choices`."""
    parameters = cast("dict[str, Schema]", form["properties"])
    chosen = {**parameters[parameter], "enum": list(choices)}
    return {**form, "properties": {**parameters, parameter: chosen}}


def _offer(definitions: dict[str, Schema], kinds: Sequence[str]) -> None:
    """Give the fields of every request their choices."""
    recipient: dict[str, Schema] = definitions.get("Recipient", {}).get("properties", {})
    for name, choices in {"locale": locales(), "timezone": timezones()}.items():
        if name in recipient:
            recipient[name] |= {"enum": [*choices, None]}
    for definition in definitions.values():
        channels = definition.get("properties", {}).get("channels")
        if kinds and channels and "recipient" in definition["properties"]:
            channels["items"] = {"type": "string", "enum": list(kinds)}


def _keep_first_paragraph(definition: Schema) -> None:
    """What follows it in a docstring is for programmers."""
    if "description" in definition:
        definition["description"] = " ".join(str(definition["description"]).partition("\n\n")[0].split())


def _written(value: Any, definitions: dict[str, Schema]) -> Any:
    if isinstance(value, list):
        return [_written(item, definitions) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    found = cast(Schema, value)
    made: Schema = {
        key: item if key in _VALUES else _written(item, definitions) for key, item in found.items()
    }
    if isinstance(properties := found.get("properties"), dict):
        fields = cast("dict[str, Schema]", properties)
        made["properties"] = {name: _field(name, field, definitions) for name, field in fields.items()}
    return made


def _field(name: str, schema: Schema, definitions: dict[str, Schema]) -> Schema:
    field = cast(Schema, _written(schema, definitions))
    kept = [option for option in field.get("anyOf", []) if option != {"type": "null"}]
    if len(kept) == 1 and field.get("default", ...) is None and (plain := _plain(kept[0], definitions)):
        field = {key: item for key, item in field.items() if key not in ("anyOf", "default")} | plain
    if (shown := _shown(field)) is not None:
        field["description"] = f"{field.get('description', '')} For example {shown}".strip()
    if field.get("title") in (None, name, name.replace("_", " ").title()) and "$ref" not in field:
        field["title"] = _title(name)
    return field


def _plain(option: Schema, definitions: dict[str, Schema]) -> Schema | None:
    """`option` in a form for which Prefect accepts null. None if there is none."""
    described = definitions.get(str(option.get("$ref", "")).rpartition("/")[2], option)
    choices: list[Any] = described.get("enum", [])
    if choices and all(isinstance(choice, str) for choice in choices):
        return {"type": "string", "enum": [*choices, None]}
    return option if "type" in option and not {"enum", "const"} & option.keys() else None


def _shown(field: Schema) -> str | None:
    """The first example as a person types it. Prefect's form shows descriptions, and no examples."""
    first: Any = next(iter(field.get("examples", [])), None)
    if first is None or isinstance(first, (dict, list)) or "\n" in str(first):
        return None
    return f"`{first}`."


def _title(name: str) -> str:
    first, *others = (_ABBREVIATIONS.get(word, word) for word in name.split("_"))
    return " ".join([first[:1].upper() + first[1:], *others])
