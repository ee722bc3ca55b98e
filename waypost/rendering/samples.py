"""The sample facts of a type: `<type>/sample.json` in the folders of templates, the project's first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from waypost.mail.headers import parse_mailbox
from waypost.rendering.template_files import TemplateFiles

NAME = "sample.json"
SENDER = "{{ sender }}"


class NoSample(ValueError):
    """A type has no sample, or its file is no sample. Says which file, and what to write."""


@dataclass(frozen=True, slots=True)
class Sample:
    """file: its name in messages, `templates/alert/sample.json`. facts: as a request has them in `data`."""

    file: str
    facts: dict[str, Any]


def sample_of(type: str, folders: Sequence[Path], sender: str) -> Sample:
    """The sample of a type. sender: a mailbox, whose address stands where the file has `{{ sender }}`: a
    finished mail may only be from an allowed sender. Raises NoSample."""
    files = TemplateFiles(folders)
    file = files.display(f"{type}/{NAME}")
    if files.path(f"{type}/{NAME}") is None and not files.is_special(f"{type}/{NAME}"):
        raise NoSample(f'{type} has no sample: write {file}, {{"facts": {{...}}}}')
    return Sample(file, _facts(files, f"{type}/{NAME}", file, parse_mailbox(sender)[1]))


def _facts(files: TemplateFiles, name: str, file: str, sender: str) -> dict[str, Any]:
    try:
        read = json.loads(files.read(name).replace(SENDER, json.dumps(sender)[1:-1]))
    except (OSError, ValueError, RecursionError) as error:
        not_json = isinstance(error, (json.JSONDecodeError, UnicodeError, RecursionError))
        why = "it is not JSON" if not_json else getattr(error, "strerror", None) or error
        raise NoSample(f'{file} cannot be read ({why}): write {{"facts": {{...}}}} there') from None
    facts: object = cast("dict[str, object]", read).get("facts") if isinstance(read, dict) else None
    if not isinstance(facts, dict):
        raise NoSample(f'{file} has no facts: write {{"facts": {{...}}}} there')
    return cast("dict[str, Any]", facts)
