"""What a check of a code or link is asked with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]


class Check(BaseModel):
    """A code and who it was sent to (an id or an address), or the token of a link."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    recipient: _Text | None = None
    code: _Text | None = None
    token: _Text | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Check:
        if (self.token is None) == (self.code is None) or (self.code is None) != (self.recipient is None):
            raise ValueError("give a recipient and a code, or else a token")
        return self
