"""The shipped mails: every type in every language with its sample, as it is sent.

The largest HTML, the highest score of SpamAssassin, and how many lines of templates/ make the first types in
their first languages, beside those of an earlier checkout (BENCH_BEFORE).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from babel.messages.pofile import read_po

from benchmarks.harness import servers
from benchmarks.harness.checkouts import BEFORE, HERE, checkouts
from benchmarks.harness.figures import Bar, Measured
from waypost.cli.renderers import renderers
from waypost.config.settings import Settings
from waypost.deployments.registry import registered
from waypost.model.brand import DEFAULT
from waypost.rendering.checks.rendered_samples import SampleMail, Samples
from waypost.rendering.checks.spam import NoSpamAssassin, spam_scores
from waypost.rendering.live_templates import Templates

# Those that there were before gettext, with a folder for each language.
TYPES = ("alert", "digest", "order-confirmation", "signup-verification")
LANGUAGES = ("de", "en", "es", "fr", "pt")
_LAYOUT = re.compile(r"_layout/[a-z_]+\.(?:mjml|txt)")


async def measure() -> Measured:
    """The largest and the most suspicious mail, and the lines."""
    with servers.new_home() as home:
        mails = list(_mails(Settings(home=home)))
    kilobytes = {_name(one): len(one.html.encode()) / 1000 for one in mails}
    largest = max(kilobytes, key=lambda name: kilobytes[name])
    print(f"  {len(mails)} mails; the largest HTML is {largest}: {kilobytes[largest]:.1f} kB")
    bars = [Bar("largest_html_kb", kilobytes[largest], "<", 40), *_spam(mails), *_lines()]
    return Measured(bars, {"kilobytes": kilobytes})


def _mails(settings: Settings) -> Iterator[SampleMail]:
    templates = Templates(settings.template_folders, settings.default_locale)
    samples = Samples(renderers(settings, templates)(DEFAULT, ("email",)))
    for one in registered().values():
        for lang in samples.languages(one.type):
            yield samples.mail(one.type, lang)


def _name(mail: SampleMail) -> str:
    return f"{mail.type} {mail.lang}"


def _spam(mails: list[SampleMail]) -> Iterator[Bar]:
    try:
        scores = spam_scores({_name(one): one.wire for one in mails})
    except NoSpamAssassin as error:
        print(f"  {error}")
        return
    worst = max(scores, key=lambda name: scores[name].score)
    print(f"  SpamAssassin's highest score is that of {worst}: {scores[worst].score:g}")
    yield Bar("highest_spam_score", scores[worst].score, "<", 2)


def _lines() -> Iterator[Bar]:
    lines = {name: _lines_of(folder / "templates") for name, folder in checkouts().items()}
    for name, count in lines.items():
        print(f"  {', '.join(TYPES)} in {len(LANGUAGES)} languages, {name}: {count:,} lines")
    if BEFORE in lines:
        yield Bar("lines_beside_before", lines[HERE] / lines[BEFORE], "<", 0.5)


def _lines_of(templates: Path) -> int:
    """The lines of those types in those languages, of the layouts and the translations that they use."""
    own = [path for type in TYPES for path in (templates / type).rglob("*") if _wanted(path, templates)]
    files = _with_layouts(templates, [path for path in own if path.suffix in (".txt", ".mjml")])
    names = {str(path.relative_to(templates)) for path in files}
    translated = sum(_lines_in(path, names) for path in templates.glob("_locales/*/LC_MESSAGES/*.po"))
    return sum(len(path.read_text("utf-8").splitlines()) for path in files) + translated


def _wanted(path: Path, templates: Path) -> bool:
    """Whether a file belongs to no language, or to one of those."""
    _, *folders, _ = path.relative_to(templates).parts
    return not folders or folders[0] in LANGUAGES


def _with_layouts(templates: Path, files: list[Path]) -> set[Path]:
    """`files`, the layouts that they name, and those that these name."""
    found: set[Path] = set()
    while files:
        found.update(files)
        named = {name for path in files for name in _LAYOUT.findall(path.read_text("utf-8"))}
        files = [path for name in named if (path := templates / name).is_file() and path not in found]
    return found


def _lines_in(catalogue: Path, files: set[str]) -> int:
    """The lines of the texts that those files use, as a catalogue writes them."""
    if catalogue.parts[-3] not in LANGUAGES:
        return 0
    with catalogue.open("rb") as file:
        used = [one for one in read_po(file) if any(place in files for place, _ in one.locations)]
    return sum(_forms(one.id) + _forms(one.string) for one in used)


def _forms(text: object) -> int:
    """The lines of a text: a line for each plural form."""
    return len(cast("tuple[str, ...]", text)) if isinstance(text, tuple) else 1
