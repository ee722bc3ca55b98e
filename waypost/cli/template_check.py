"""`waypost templates check`: what is wrong with templates and with the mails that they make."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import typer

from waypost.cli.output import AsJson, out, plain, print_json
from waypost.cli.progress import bars
from waypost.config.settings import Settings
from waypost.model.brand import DEFAULT
from waypost.model.notification_type import NotificationType
from waypost.rendering.checks.finding import Finding, Found, Grouped, Level, grouped, of_sentence
from waypost.rendering.checks.long_sms import long_sms
from waypost.rendering.checks.rendered_samples import NotRendered, SampleMail, Samples, findings_in
from waypost.rendering.checks.spam import NoSpamAssassin, spam_scores
from waypost.rendering.template_check import examine, untranslated
from waypost.rendering.templates import Templates


def check(
    type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Type to check. Default: every type.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check templates, and the mails that they make, without sending.

    It names unknown variables, broken MJML, files that are missing, empty texts, and texts without a
    translation. Then it renders each type's sample in every language and looks at the mail: links, images,
    headings, contrast, weight, what mail programs do not know, the segments of an SMS, and the spam score
    where SpamAssassin is installed. Each finding is one line, with file and line. Exit status 1 if there is
    a fault; notes alone are status 0.
    """
    from waypost.deployments.registry import find, registered

    types = [find(type).type] if type else [one.type for one in registered().values()]
    found, mails = _checked(types, Settings())
    groups = grouped(found)
    if as_json:
        print_json([_fields(group) for group in groups])
    else:
        for group in groups:
            typer.echo(plain(_line(group)))
        out.print(_summary(groups, len(types), mails), soft_wrap=True)
    if any(group.finding.level is Level.FAULT for group in groups):
        raise typer.Exit(1)


def _checked(types: Sequence[NotificationType], settings: Settings) -> tuple[list[Found], int]:
    """All findings, and how many mails were looked at."""
    from waypost.cli.renderers import renderers
    from waypost.config.brands import brands

    templates = Templates(settings.template_folders, settings.default_locale)
    make = renderers(settings, templates)
    samples = Samples(make(DEFAULT, ("email",)))
    of_brands = {
        name: Samples(make(name, ("email",)), samples) for name in brands(settings) if name != DEFAULT
    }
    found = [("", "", of_sentence(said)) for said in templates.broken_catalogues()]
    mails = list[SampleMail]()
    with bars() as progress:
        task = progress.add_task("types", total=len(types))
        for type in types:
            broken = [*examine(templates, type)]
            lacking = [] if broken else [*untranslated(templates, type)]
            found += [(type.name, "", of_sentence(said)) for said in (*broken, *lacking)]
            if not broken:
                found += long_sms(make(type.brand or DEFAULT, type.route), type)
            if not broken and "email" in type.kinds_of(None):
                of_type = [*_of_mails(type, samples, mails)]
                found += of_type
                told = {one for _, _, one in of_type}
                for name, of_brand in of_brands.items():
                    found += _of_brand(type, name, of_brand, settings.default_locale, told)
            progress.advance(task)
        task = progress.add_task("spam", total=1)
        found += _spam(mails)
        progress.advance(task)
    return found, len(mails)


def _of_mails(type: NotificationType, samples: Samples, mails: list[SampleMail]) -> Iterator[Found]:
    """Findings about the type's mail in each language. mails: gets the mails."""
    for lang in samples.languages(type):
        try:
            mail = samples.mail(type, lang)
        except NotRendered as error:
            yield type.name, lang, error.finding
            continue
        mails.append(mail)
        yield from ((type.name, lang, one) for one in findings_in(mail, samples.page(type, mail)))


def _of_brand(
    type: NotificationType, brand: str, samples: Samples, lang: str, told: Collection[Finding]
) -> Iterator[Found]:
    """Findings that a brand's colours and logo alone make, in one language. told: those of the
    default brand."""
    if type.finished is not None:
        return  # its author made the whole mail
    with suppress(NotRendered):  # told of the default brand
        mail = samples.mail(type, lang)
        for one in findings_in(mail, samples.page(type, mail)):
            if one not in told:
                yield type.name, lang, replace(one, said=f"brand {brand}: {one.said}")


def _spam(mails: Sequence[SampleMail]) -> Iterator[Found]:
    try:
        scores = spam_scores({f"{mail.type} {mail.lang}": mail.wire for mail in mails})
    except NoSpamAssassin as error:
        yield "", "", Finding(Level.NOTE, "", 0, str(error))
        return
    for mail in mails:
        score = scores[f"{mail.type} {mail.lang}"]
        if score.level:
            yield mail.type, mail.lang, Finding(score.level, mail.file, 0, score.said)


def _line(group: Grouped) -> str:
    one = group.finding
    about = [", ".join(group.types), " ".join(group.locales)]
    where = f"{one.place}: " if one.file else ""
    return f"{where}{one.said} ({'; '.join([one.level, *filter(None, about)])})"


def _fields(group: Grouped) -> dict[str, object]:
    one = group.finding
    of = {"level": one.level, "types": group.types, "locales": group.locales}
    return {**of, "file": one.file, "line": one.line, "finding": one.said}


def _summary(groups: Sequence[Grouped], types: int, mails: int) -> str:
    faults = sum(group.finding.level is Level.FAULT for group in groups)
    checked = (
        f"{types} {'types' if types > 1 else 'type'} and {mails} {'mails' if mails != 1 else 'mail'} checked"
    )
    return f"{checked}: {_many(faults, 'fault')}, {_many(len(groups) - faults, 'note')}"


def _many(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
