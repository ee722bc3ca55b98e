"""The files that the peers get: orders with finished texts, and templates that render the same texts."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import sample_mails, sample_orders
from waypost.config.settings import Settings
from waypost.flows.order_confirmation import TYPE
from waypost.rendering.catalogues import FOLDER
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_set import html_of


@dataclass(frozen=True, slots=True)
class Samples:
    """mails: a file with an order a line. templates: a folder with subject.txt, body.txt, body.html and the
    catalogues of every language."""

    mails: Path
    templates: Path


def written(home: Path) -> Samples:
    """Write the samples to files."""
    samples = Samples(home / "mails.jsonl", home / "templates")
    _write_mails(samples.mails)
    _write_templates(samples.templates)
    return samples


def _write_mails(file: Path) -> None:
    requests = sample_orders.requests("-")
    letters = sample_mails.letters(sample_orders.COUNT)
    with file.open("w", encoding="utf-8") as lines:
        for request, letter in zip(requests, letters, strict=True):
            texts = {"subject": letter.subject, "text": letter.plain, "html": letter.html}
            order = {"recipient": request["recipient"], "data": request["data"], **texts}
            lines.write(json.dumps(order) + "\n")


def _write_templates(folder: Path) -> None:
    """Jinja2 templates with layouts and includes in place, and MJML compiled, as a run compiles them."""
    templates = Templates(Settings().template_folders)
    parts = templates.parts(TYPE.name, "en")
    sources = {
        "subject.txt": parts["subject.txt"].text,
        "body.txt": parts["body.txt"].text,
        "body.html": html_of(templates.files, parts["body.mjml"]),
    }
    folder.mkdir()
    for name, source in sources.items():
        (folder / name).write_text(source, encoding="utf-8")
    for catalogues in (one / FOLDER for one in templates.files.folders):
        if catalogues.is_dir():
            shutil.copytree(catalogues, folder / FOLDER, dirs_exist_ok=True)
