"""What a type accepts the ledger keeps, and a run reads it again: no rule is stricter the second time."""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from support.requests import alert, order
from support.shipped_types import SHIPPED, sample

from waypost import Link, Request
from waypost.deployments.registry import registered
from waypost.model.validation_messages import explain

PROMQL = 'https://prom.example/graph?g0.expr=sum(rate(http{code="500"}[5m]))'
CYRILLIC = "https://shop.example/проверка?q="
SIGNUP = {
    "recipient": {"email": "ada@a.example"},
    "data": {"product": "P", "verify_url": "https://a.example"},
}


class Page(BaseModel):
    url: Link


def read_again(value):
    return type(value).model_validate(orjson.loads(value.__pydantic_serializer__.to_json(value)))


@pytest.mark.parametrize("url", [PROMQL, CYRILLIC, "http://bücher.example/a b"])
def test_a_link_is_read_again_as_it_was_accepted(url):
    accepted = Page(url=url)
    assert str(read_again(accepted).url) == str(accepted.url)


@pytest.mark.parametrize("url", [PROMQL + '{}[]" ' * 297, CYRILLIC + "ж" * 350])
def test_a_link_that_grows_too_long_when_it_is_kept_is_refused_at_the_door(url):
    assert len(url) < 2083
    with pytest.raises(ValidationError) as refused:
        Page(url=url)
    assert explain(refused.value) == ("url: longer than 2,083 characters when percent-encoded")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(path=st.text(min_size=1, max_size=800), host=st.text(alphabet="aü-.я1", min_size=1, max_size=40))
def test_no_link_that_is_accepted_is_refused_when_it_is_read_again(path, host):
    try:
        accepted = Page(url=f"https://{host}/{path}")
    except ValidationError:
        return
    assert str(read_again(accepted).url) == str(accepted.url)


@pytest.mark.parametrize(
    ("type", "asked"),
    [
        ("order-confirmation", order("A-1")),
        ("alert", alert(data={"url": PROMQL, "labels": {"job": "{}[] \"'"}})),
        ("signup-verification", SIGNUP),
        ("message", {**SIGNUP, "data": {"mime": "From: a@waypost.example\r\nBcc: b@b.example\r\n\r\nHi"}}),
    ],
)
def test_facts_are_read_again_as_they_were_accepted(type, asked):
    one = registered()[type]
    request: Request = TypeAdapter(one.shape).validate_python(asked)
    assert one.type.facts.model_validate(orjson.loads(request.data_json)) == request.data


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_sample_of_every_type_is_valid_and_is_read_again_as_it_was_accepted(name):
    facts = registered()[name].type.facts
    kept = facts.model_validate(sample(name))
    assert facts.model_validate_json(kept.model_dump_json(round_trip=True)) == kept
