"""Where a type on a schedule finds who is due: a file, or a query on a database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

TABLES = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")
_DATABASES = ("postgresql", "postgres", "sqlite")
Query = Annotated[str, Field(min_length=1, max_length=100_000)]


class Source(BaseModel):
    """Rows, one for each person who is due. Its columns are the recipient's fields and the type's facts.

    file: CSV or JSONL, by its ending; relative to the project's folder. url: a database on PostgreSQL or
    SQLite. query: a SELECT on it, in which `:date` is the date asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    file: Path | None = None
    url: SecretStr | None = None
    query: Query | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) is (self.url is None) or (self.url is None) is not (self.query is None):
            raise ValueError('give a file, or a url and its query: {"file": "due.csv"}')
        if self.file is not None and self.file.suffix.lower() not in (*TABLES, *JSON_LINES):
            raise ValueError(f"the file must end in {', '.join((*TABLES, *JSON_LINES))}")
        scheme = self.url.get_secret_value().partition(":")[0].partition("+")[0] if self.url else ""
        if self.url is not None and scheme not in _DATABASES:
            raise ValueError(
                "the url's database is not supported; use postgresql://user:password@host/name or "
                "sqlite:///file, or export a file"
            )
        return self
