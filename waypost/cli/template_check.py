"""`waypost templates check`: what is wrong with templates and with the mails that they make."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli.output import AsJson, complain, out, plain, print_json
from waypost.cli.progress import bars
from waypost.config.settings import Settings
from waypost.model.brand import DEFAULT, Brand
from waypost.model.notification_type import NotificationType
from waypost.rendering.checks.finding import Finding, Found, Grouped, Level, grouped, of_sentence
from waypost.rendering.checks.long_sms import long_sms
from waypost.rendering.checks.rendered_samples import NotRendered, SampleMail, Samples, findings_in
from waypost.rendering.checks.spam import NoSpamAssassin, spam_scores
from waypost.rendering.language_folders import misnamed_catalogues, misnamed_parts
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_check import examine, left_out, scarce, untranslated
from waypost.rendering.translation_check import losses
from waypost.system.plurals import counted

if TYPE_CHECKING:
    from waypost.channels.channel import Channel
    from waypost.deployments.registry import Registered


def check(
    type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Type to check. Default: every type.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check templates, and the mails that they make, without sending.

    It names unknown variables, broken MJML, files that are missing, empty texts, texts without a
    translation, and translations that lose a value. Then it renders each type's sample in every language and
    looks at the mail: links, images, headings, contrast, weight, what mail programs do not know, the segments
    of an SMS, and the spam score where SpamAssassin is installed. Each finding is one line, with file and
    line. Exit status 1 if there is a fault; notes alone are status 0.
    """
    from waypost.cli.brands import known_brands
    from waypost.deployments.registry import broken, find, registered

    settings = Settings()
    types = [find(type)] if type else [*registered().values()]
    known = known_brands(settings)
    unusable = [] if type else [("", "", of_sentence(said)) for said in broken()]
    found, mails = _checked([one.type for one in types], settings, known)
    groups = grouped([*unusable, *_of_declarations(types, settings, known), *found])
    if as_json:
        print_json([_fields(group) for group in groups])
    else:
        for group in groups:
            typer.echo(plain(_line(group)))
        out.print(_summary(groups, len(types), mails), soft_wrap=True)
    if why := _nothing_checked([one.type for one in types], mails):
        complain(why)
    if why or any(group.finding.level is Level.FAULT for group in groups):
        raise typer.Exit(1)


def _nothing_checked(types: Sequence[NotificationType], mails: int) -> str:
    """Why the check says nothing about any mail; empty if it looked at one, or no type has mails."""
    if not types:
        return "no type was checked: flows/ has none that can be used, and the shipped types are switched off"
    if not mails and any("email" in type.kinds for type in types):
        return "no mail was checked: correct what is found above; each mail is made of its type's sample.json"
    return ""


def _of_declarations(
    types: Sequence[Registered], settings: Settings, known: Mapping[str, Brand]
) -> Iterator[Found]:
    """What `waypost doctor` too finds in the declarations of types. A provider or a brand that these settings
    lack is a note: the settings may be those of another machine."""
    from waypost.delivery.channel_factory import providers
    from waypost.deployments.doctor.brands import unknown_brands
    from waypost.deployments.doctor.type_faults import route_faults, unseen

    for one in types:
        yield from ((one.type.name, "", of_sentence(said)) for said in unseen(one))
    available: Sequence[Channel] = ()
    with suppress(ValueError):  # `waypost doctor` names a setting that is wrong
        available = providers(settings)
    for said in (*route_faults(types, available), *unknown_brands(types, known)):
        yield "", "", replace(of_sentence(said), level=Level.NOTE)


def _checked(
    types: Sequence[NotificationType], settings: Settings, known: Mapping[str, Brand]
) -> tuple[list[Found], int]:
    """Findings in templates and mails, and how many mails were looked at."""
    from waypost.cli.renderers import renderers

    templates = Templates(settings.template_folders, settings.default_locale)
    make = renderers(settings, templates, known)
    samples = Samples(make(DEFAULT, ("email",)))
    of_brands = {name: Samples(make(name, ("email",)), samples) for name in known if name != DEFAULT}
    found = [("", "", of_sentence(said)) for said in templates.broken_catalogues()]
    found += [("", "", one) for one in misnamed_catalogues(templates.files)]
    mails = list[SampleMail]()
    first: dict[str, Finding] = {}  # what a brand makes wrong, wherever its colour or logo is
    with bars() as progress:
        task = progress.add_task("types", total=len(types))
        for type in types:
            broken = [*examine(templates, type)]
            lacking = [] if broken else [*untranslated(templates, type), *scarce(templates, type)]
            found += [(type.name, "", of_sentence(said)) for said in (*broken, *lacking)]
            found += [(type.name, "", Finding(Level.NOTE, "", 0, said)) for said in left_out(templates, type)]
            found += [(type.name, "", one) for one in misnamed_parts(templates.files, type)]
            if not broken:
                found += [
                    (type.name, "", replace(of_sentence(said), level=Level.NOTE))
                    for said in losses(templates, type)
                ]
                found += long_sms(make(type.brand or DEFAULT, type.route), type)
            if not broken and "email" in type.kinds_of(None):
                of_type = [*_of_mails(type, samples, mails)]
                found += of_type
                told = {one for _, _, one in of_type}
                for name, of_brand in of_brands.items():
                    of_it = _of_brand(type, name, of_brand, settings.default_locale, told)
                    found += [(of, lang, first.setdefault(one.said, one)) for of, lang, one in of_it]
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
    checked = f"{counted(types, 'type')} and {counted(mails, 'mail')} checked"
    return f"{checked}: {counted(faults, 'fault')}, {counted(len(groups) - faults, 'note')}"
