"""The request bodies that check a code or a link."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field

from waypost.model.word_patterns import NO_NUL_PATTERN

_Text = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL_PATTERN)]


class _Check(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Annotated[_Text | None, Field(description="The type that sent it. Default: any.")] = None


class CodeCheck(_Check):
    """A code and its recipient: an id or an address. The code may have blanks and hyphens. Text that cannot
    be a code is wrong and does not count as a try."""

    recipient: _Text
    code: _Text


class LinkCheck(_Check):
    """The token of a link."""

    token: _Text


def asked(sent: Any) -> CodeCheck | LinkCheck:
    """Parse `sent` as the check of a link or of a code. Raises ValidationError."""
    by_link = isinstance(sent, dict) and "token" in cast("dict[str, Any]", sent)
    return (LinkCheck if by_link else CodeCheck).model_validate(sent)
