"""The parameters of a flow run, validated instead of by Prefect.

Prefect logs all of them when one is invalid. It also walks through every value, item by item, which takes
several times as long as the validation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, get_type_hints

from prefect import Flow
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from waypost.mail.masking import mask_in
from waypost.model.validation_messages import explain
from waypost.tasks.safe_error import SafeError

Parameters = dict[str, Any]


class InvalidParameters(SafeError):
    """Names the parameter or field and what is wrong, without any value."""


def validating(flow: Flow[..., Any]) -> Any:
    """`flow.validate_parameters`, which raises InvalidParameters and logs nothing. Parameters that refer to a
    block are left to Prefect, which loads it."""

    def validate(parameters: Parameters) -> Parameters:
        shape = _shape(flow.fn)
        if shape is None or any(map(_refers_to_block, parameters.values())):
            return flow.validate_parameters(parameters)
        try:
            found = shape.model_validate(parameters)
        except ValidationError as error:
            # The name of an unknown field may be an address.
            raise InvalidParameters(mask_in(explain(error, whole="parameters"))) from None
        return {name: getattr(found, name) for name in parameters}

    return validate


def _refers_to_block(value: Any) -> bool:
    return isinstance(value, dict) and "$ref" in value


@lru_cache(maxsize=256)
def _shape(function: Callable[..., Any]) -> type[BaseModel] | None:
    """A model with a field per parameter; None for a function that takes any."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in parameters):
        return None
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        one.name: (hints.get(one.name, Any), ... if one.default is one.empty else one.default)
        for one in parameters
    }
    return create_model(
        "Parameters", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields
    )
