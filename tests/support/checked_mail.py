"""What the checks find in the mail of a small template."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import create_model

from waypost import Facts, NotificationType
from waypost.cli.renderers import renderers
from waypost.config.settings import Settings
from waypost.model.brand import DEFAULT
from waypost.rendering.checks.rendered_samples import Samples, findings_in
from waypost.rendering.live_templates import Templates

HOUR = timedelta(hours=1)
LINE, STYLE_LINE = 8, 4  # of the content and the style in PAGE
PAGE = """\
<mjml lang="{{ lang }}" dir="{{ direction }}">
<mj-head><mj-title>{{ subject }}</mj-title>
<mj-style>
STYLE
</mj-style></mj-head>
<mj-body><mj-section><mj-column>
<mj-text><h1>Note</h1></mj-text>
CONTENT
</mj-column></mj-section></mj-body></mjml>
"""


def page(content: str = "", style: str = "") -> str:
    return PAGE.replace("STYLE", style).replace("CONTENT", content)


def checked(folder: Path, mjml: str, **facts: Any) -> list[str]:
    """A line for each finding, without the folder: `fault body.mjml:8: a link has no address; ...`."""
    home = folder / "note"
    home.mkdir(exist_ok=True)
    for name, text in (
        ("subject.txt", "Note"),
        ("body.txt", "Note"),
        ("short.txt", "Note"),
        ("body.mjml", mjml),
    ):
        (home / name).write_text(text, encoding="utf-8")
    (home / "sample.json").write_text(json.dumps({"facts": facts}))
    shape: Any = create_model("NoteFacts", __base__=Facts, **dict.fromkeys(facts, (str, ...)))
    type = NotificationType(name="note", facts=shape, category="alert", route=("email",), deadline=HOUR)
    samples = Samples(renderers(Settings(), Templates(folder))(DEFAULT, ("email",)))
    mail = samples.mail(type, "en")
    found = findings_in(mail, samples.page(type, mail))
    return [f"{one.level} {one.place.removeprefix('templates/note/')}: {one.said}" for one in found]
