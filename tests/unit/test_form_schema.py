"""The form of a custom run in the Prefect UI: every field can be typed in at once, and says what it is."""

from typing import Annotated, Any, Literal

import pytest
from prefect import flow
from prefect.utilities.schema_tools.validation import validate
from pydantic import BaseModel, Field
from support.shipped_types import COMPOSED, SHIPPED, sample

from waypost.deployments import retry_flow
from waypost.deployments.deploy import described
from waypost.deployments.descriptions import example
from waypost.deployments.form_schema import form_schema
from waypost.deployments.registry import registered

TYPES = sorted(registered())


def schema_of(name) -> dict[str, Any]:
    return described("pool", registered()[name])["parameter_openapi_schema"]


def parts(value, path=""):
    """Every mapping in a schema, with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from parts(item, f"{path}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from parts(item, f"{path}/{number}")


@pytest.mark.parametrize("name", TYPES)
def test_no_field_offers_none(name):
    assert [path for path, part in parts(schema_of(name)) if part.get("type") == "null"] == []
    assert [
        path for path, part in parts(schema_of(name)) if "default" in part and part["default"] is None
    ] == []


@pytest.mark.parametrize("name", TYPES)
def test_the_dispatchers_own_parameter_is_hidden(name):
    assert "batch" not in schema_of(name)["properties"]


@pytest.mark.parametrize("name", sorted(set(TYPES) - {"digest"}))
def test_the_form_says_that_prefect_shows_what_is_typed(name):
    assert "Prefect stores and shows" in schema_of(name)["properties"]["requests"]["description"]


@pytest.mark.parametrize("name", sorted(SHIPPED - COMPOSED))
def test_every_field_says_what_it_is(name):
    definitions = schema_of(name)["definitions"]
    for title, model in definitions.items():
        for field, part in model.get("properties", {}).items():
            of_it = definitions.get(part.get("$ref", "").rpartition("/")[2], part)
            assert part.get("description") or of_it.get("description"), f"{title}.{field}"


@pytest.mark.parametrize("name", sorted(set(TYPES) - {"digest"}))
def test_what_only_some_values_fit_is_a_choice(name):
    fields = schema_of(name)["definitions"]
    assert {"en", "de-CH", "pt-BR"} < set(fields["Recipient"]["properties"]["locale"]["enum"])
    assert "Europe/Zurich" in fields["Recipient"]["properties"]["timezone"]["enum"]
    [asked] = [one for one in fields.values() if "recipient" in one.get("properties", {})]
    assert asked["properties"]["channels"]["items"]["enum"] == list(registered()[name].type.kinds)
    request = {"recipient": {"email": "ada@a.example"}, "data": FACTS[name]}
    for wrong in ({"channels": ["pigeon"]}, {"priority": "high"}):
        assert refused({"requests": [request | wrong]}, schema_of(name)), wrong
    for wrong in ({"locale": "klingon"}, {"timezone": "Mars/Base"}):
        assert refused({"requests": [request | {"recipient": wrong}]}, schema_of(name)), wrong


@pytest.mark.parametrize("name", sorted(set(TYPES) - {"digest"}))
def test_an_example_of_the_form_is_a_request_that_is_accepted(name):
    made = example(registered()[name].request, schema_of(name))
    assert refused({"requests": [made]}, schema_of(name)) == []


def test_the_form_of_a_retry_offers_the_types_and_no_none():
    found = retry_flow.form()["properties"]
    assert found["type"]["enum"] == [*TYPES, None]
    assert all(one["title"] and one["description"] for one in found.values())
    assert refused({"type": None, "state": "expired", "dry_run": False}, retry_flow.form()) == []
    assert refused({"type": "nosuch"}, retry_flow.form())


@pytest.mark.parametrize("name", TYPES)
def test_titles_are_words(name):
    for path, part in parts(schema_of(name)):
        for field, shown in part.get("properties", {}).items() if path else ():
            assert shown.get("title", "") == shown.get("title", "").strip("_"), f"{path}/{field}"
            assert " Id" not in shown.get("title", ""), f"{path}/{field}"


def test_what_comes_first_is_used_first():
    assert list(schema_of("alert")["definitions"]["Recipient"]["properties"])[:2] == ["email", "phone"]


def refused(sent, schema):
    return [str(error) for error in validate(sent, schema, preprocess=True)]


FACTS = {name: sample(name) for name in SHIPPED - COMPOSED}


@pytest.mark.parametrize("name", sorted(FACTS))
def test_null_may_still_be_sent_for_every_optional_field(name):
    """A program that serialises a request sends null for what is not set."""
    shape, schema = registered()[name].shape, schema_of(name)
    request = {"recipient": {"email": "ada@a.example"}, "data": FACTS[name]}
    asked = shape.model_validate(request).model_dump(mode="json", round_trip=True)
    assert None in asked.values()
    assert refused({"requests": [asked]}, schema) == []
    assert refused({"batch": "01a229a8-5342-735c-916d-1d44510043d9"}, schema) == []
    assert refused({"requests": [{**request, "priority": "high"}]}, schema)
    assert refused({"requests": [{**request, "recipient": {"email": 7}}]}, schema)


class Place(BaseModel):
    name: str


class Choice(BaseModel):
    grade: Literal["a", "b"] | None = None
    place: Place | None = None
    needed: str | None
    shape: Annotated[dict, Field(examples=[{"type": "Feature", "properties": {"name": "Zurich"}}])] = {}
    either: int | str
    perhaps: Annotated[int | str | None, Field(title="As it was")] = None
    names: list[str | None] = []
    page_url: str | None = None
    kept: str | None = "x"


@flow
def mine(choice: Choice, batch: str = "", other: int | None = 5):
    """A type of a reader's own."""


def test_a_readers_own_fields_keep_what_they_mean():
    found = form_schema(mine.parameters.model_dump_for_openapi())
    fields = found["definitions"]["Choice"]["properties"]
    assert [option["type"] for option in fields["either"]["anyOf"]] == ["integer", "string"]
    assert fields["perhaps"]["title"] == "As it was"
    assert (fields["page_url"]["title"], fields["page_url"]["type"]) == ("Page URL", "string")
    assert fields["kept"]["default"] == "x"
    assert fields["shape"]["examples"] == [{"type": "Feature", "properties": {"name": "Zurich"}}]
    nothing = dict.fromkeys(("grade", "place", "needed", "kept", "perhaps", "page_url"))
    assert refused({"choice": {"either": 1, **nothing}}, found) == []
    assert refused({"choice": {"either": 1, **nothing, "grade": "c"}}, found)
    assert found["properties"]["other"]["default"] == 5
