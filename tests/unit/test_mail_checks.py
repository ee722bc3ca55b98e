"""What makes a mail bad is found, with its file and line; what only looks like it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.checked_mail import LINE, STYLE_LINE, checked, page
from support.shipped_mails import TYPES, alert_facts, shown
from support.stopwatch import judge, spent

from waypost.model.brand import Brand
from waypost.rendering.checks.cascade import Cascade
from waypost.rendering.checks.client_support import BREAKS, HARMLESS, lacking
from waypost.rendering.checks.colours import colour_of, contrast
from waypost.rendering.checks.finding import Finding, Grouped, Level, grouped, of_sentence
from waypost.rendering.checks.page import page_of
from waypost.rendering.checks.rendered_samples import findings_in
from waypost.rendering.checks.source_lines import marked
from waypost.rendering.checks.weight import weight
from waypost.rendering.template_set import html_of

AT, STYLE_AT = f"body.mjml:{LINE}", f"body.mjml:{STYLE_LINE}"
ICON = "https://shop.de/i.png"
PICTURE = f"src='{ICON}' width='9'"
GOOD = '<a href="https://shop.de/orders">Your orders</a>'


def text(inner):
    return f"<mj-text>{inner}</mj-text>"


def link(href, words="Your orders"):
    return text(f'<a href="{href}">{words}</a>')


def image(attributes):
    return text(f"<img {attributes} />")


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (link(""), "fault: a link has no address"),
        (text("<a>Your orders</a>"), "fault: a link has no address"),
        ('<mj-button href="">Your orders</mj-button>', "fault: a link has no address"),
        (link("#"), "fault: a link leads nowhere (#)"),
        (link("{{ 'javascript:alert(1)' | url }}"), "fault: a link leads nowhere (#)"),
        (link("#top"), "fault: no element has the id of the link #top"),
        (link("/orders"), "fault: the link /orders is relative"),
        (link("orders.html"), "fault: the link orders.html is relative"),
        (link("//shop.de/x"), "fault: the link //shop.de/x is relative"),
        (link("http://shop.de/x"), "note: the link http://shop.de/x is not encrypted"),
        (link("javascript:alert(1)"), "fault: mail programs do not open a link to javascript:"),
        (link("ftp://shop.de/x"), "fault: mail programs do not open a link to ftp:"),
        (link("https://example.com/x"), "fault: the link https://example.com/x is a placeholder"),
        (link("https://www.shop.example/x"), "fault: the link https://www.shop.example/x is a placeholder"),
        (link("https://localhost:8000"), "fault: the link https://localhost:8000 is a placeholder"),
        (link("https://shop.de", ""), "fault: a link has no text"),
        (link("https://shop.de", f"<img {PICTURE} alt='' />"), "fault: a link has no text"),
        (link("https://shop.de", "Click here"), "fault: the link text 'click here' does not say"),
        (link("https://shop.de", "<b>Click</b> here!"), "fault: the link text 'click here' does not say"),
        (link("https://shop.de", "Hier klicken"), "fault: the link text 'hier klicken' does not say"),
        (link("https://shop.de", "Haz clic aquí"), "fault: the link text 'haz clic aquí' does not say"),
        (link("https://shop.de", "Cliquez ici"), "fault: the link text 'cliquez ici' does not say"),
        (link("https://shop.de", "Clique aqui"), "fault: the link text 'clique aqui' does not say"),
        (link("https://shop.de", "点击这里"), "fault: the link text '点击这里' does not say"),
        (image('alt="a" width="9"'), "fault: an image has no address"),
        (image('src="i.png" alt="a" width="9"'), "fault: the image i.png has a relative address"),
        (image('src="http://shop.de/i.png" alt="a" width="9"'), "fault: the image http://shop.de/i.png is"),
        (image('src="file:///i.png" alt="a" width="9"'), "fault: mail programs do not load an image from"),
        (image('src="https://shop.de/i.png" width="9"'), "fault: an image has no alternative text"),
        (image('src="https://shop.de/i.png" alt="a"'), "fault: an image has no width"),
        (text("<h1>Another</h1>"), "fault: <h1> stands beside the title, <h1>"),
        (text("<h3>Deep</h3>"), "fault: <h3> follows <h1>; use <h2>"),
    ],
)  # fmt: skip
def test_a_bad_element_is_named_with_its_line(tmp_path, content, finding):
    [found] = checked(tmp_path, page(content))
    level, _, said = finding.partition(": ")
    assert found.startswith(f"{level} {AT}: {said}")
    assert "; " in found, "it says what to do"


@pytest.mark.parametrize(
    "content",
    [
        text(GOOD),
        link("mailto:help@shop.de"), link("tel:+4930123"), link("HTTPS://shop.de"),
        text('<a id="top"></a><a href="#top">To the top</a>'),
        link("https://shop.de", "Here is your order"), link("https://shop.de", "Orders from here"),
        link("https://shop.de", "<img src='https://shop.de/i.png' alt='Shop' width='9' />"),
        link("https://shop.de/example.com"), link("https://myexample.com"),
        image('src="https://shop.de/i.png" alt="" width="9"'),
        image('src="cid:logo" alt="Shop" height="32"'),
        text("<h2>Part</h2><h3>Piece</h3><h2>Part</h2>"),
        "<!-- <mj-text><a href=''>later</a></mj-text> -->",
        "{# <a href=''>never</a> #}",
    ],
)  # fmt: skip
def test_a_good_element_is_not_named(tmp_path, content):
    assert checked(tmp_path, page(content)) == []


def test_an_address_of_an_example_that_a_fact_has_is_no_placeholder(tmp_path):
    content = link("{{ target | url }}")
    assert checked(tmp_path, page(content), target="https://shop.example/x") == []
    [found] = checked(tmp_path, page(content), target="javascript:alert(1)")
    assert found.startswith(f"fault {AT}: a link leads nowhere")


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (' lang="{{ lang }}"', ' lang="de"', "the page says that its language is de"),
        (' dir="{{ direction }}"', ' dir="rtl"', "the direction rtl is wrong"),
        ("{{ subject }}", "", "the page has no title"),
        ("h1", "b", "the mail has no heading"),
    ],
)
def test_a_bad_page_is_named(tmp_path, old, new, finding):
    [found] = checked(tmp_path, page(text(GOOD)).replace(old, new))
    assert found.startswith(f"fault body.mjml: {finding}")


def test_a_page_without_language_and_direction_is_named():
    html = "<html><head><title>a</title></head><body><h1>a</h1></body></html>"
    said = [one.said.partition(";")[0] for one in in_page(html)]
    assert said == ["the page does not name its language", "the page has no direction"]


def in_page(html, lang="en"):
    from waypost.rendering.checks.rendered_samples import SampleMail

    found = page_of(html, lang, "ltr", lambda line: ("a", line))
    return findings_in(SampleMail("note", lang, b"", html, "a"), found)


@pytest.mark.parametrize(
    ("content", "style", "finding"),
    [
        (text('<b style="color:#888888">pale</b>'), "", "text #888888 on #ffffff has a contrast of 3.5:1"),
        (text('<b style="color:#777777">pale</b>'), "", "text #777777 on #ffffff has a contrast of 4.4:1"),
        ('<mj-text color="#888888">pale</mj-text>', "", "text #888888 on #ffffff"),
        ('<mj-text css-class="a">pale</mj-text>', ".a div { color: #888 !important }", "text #888888 on"),
        (text('<font color="#888888">pale</font>'), "", "text #888888 on #ffffff"),
        ('<mj-button background-color="#ffcc00" color="#ffffff" href="https://shop.de">Go on</mj-button>', "",
         "text #ffffff on #ffcc00 has a contrast of 1.5:1 in light"),
        ('<mj-raw><tr><td bgcolor="#333333" style="font-size:9px">a</td></tr></mj-raw>', "", "text #000000"),
        (text('<b style="color:rgb(0 0 0 / 30%);color:#b3b3b3">faint</b>'), "", "text #b3b3b3 on #ffffff"),
        (text('<b style="color:#999999;font-size:24px">big</b>'), "", "large text #999999 on #ffffff has a"),
    ],
)  # fmt: skip
def test_text_with_too_little_contrast_is_named_with_its_line(tmp_path, content, style, finding):
    found = checked(tmp_path, page(content, style))
    assert found[0].startswith(f"fault {AT}: {finding}")
    assert [" in light mode" in one for one in found] == [True, False], "dark mode has the same colours"


@pytest.mark.parametrize(
    ("content", "style"),
    [
        (text('<b style="color:#767676">4.5</b>'), ""),
        (text('<b style="color:#949494;font-size:24px">large</b>'), ""),
        (text('<b style="color:#949494;font-size:14pt;font-weight:700">large and bold</b>'), ""),
        (text('<b style="color:#ffffff;background:#333">white on dark</b>'), ""),
        (text('<b style="color:#fff;display:none">hidden</b>'), ""),
        (text('<b class="a b">both</b>'), ".a { color: #888 } .a.b { color: #333 }"),
        (text('<b class="a" id="x">id</b>'), "#x { color: #333 } .a { color: #888 }"),
        (text('<b class="a" style="color:#333">inline</b>'), ".a { color: #888 }"),
        (text('<b class="a">print</b>'), "@media print { .a { color: #888 } }"),
        (text('<b class="a" style="color:#888">important</b>'), ".a { color: #333 !important }"),
    ],
)
def test_text_with_enough_contrast_is_not_named(tmp_path, content, style):
    assert checked(tmp_path, page(content, style)) == []


def contrasts_in(tmp_path, content, style=""):
    return [one for one in checked(tmp_path, page(content, style)) if "contrast" in one and "light" in one]


@pytest.mark.parametrize(
    ("content", "style", "finding"),
    [
        (text('<b style="color:#000;opacity:.4">pale</b>'), "", "text #999999 on #ffffff"),
        (text('<b style="color:#000;opacity:40%">pale</b>'), "", "text #999999 on #ffffff"),
        (text('<div style="opacity:.5"><b style="color:#000;opacity:.8">a</b></div>'), "", "text #999999 on"),
        (text('<div style="opacity:.4;background:#000"><b style="color:#fff">a</b></div>'), "",
         "text #ffffff on #999999"),
        (text('<b class="a">a</b>'), "@media screen, print { .a { color: #888 } }", "text #888888 on"),
        (text('<b class="a">a</b>'), "@media print, only screen { .a { color: #888 } }", "text #888888 on"),
        (text('<b style="color:#888;color:nonsense">a</b>'), "", "text #888888 on"),
        (text('<b style="color:#888;color:#33">a</b>'), "", "text #888888 on"),
        (text('<b style="color:#888;color:#333 #444">a</b>'), "", "text #888888 on"),
        (text('<b style="color:#888;color:rgb(1,2)">a</b>'), "", "text #888888 on"),
        (text('<b style="background:#000;color:#000;background:#ffg">a</b>'), "", "text #000000 on #000000"),
        (text('<b style="color:#999;font-size:16px;font-size:\'30px\'">a</b>'), "", "text #999999 on"),
        (text('<b class="a" style="color:#888">a</b>'), ".a { color: none !important }", "text #888888 on"),
        (text('<b style="max-height:0;color:#888">in the open</b>'), "", "text #888888 on"),
    ],
)  # fmt: skip
def test_colours_are_those_that_a_browser_paints(tmp_path, content, style, finding):
    [found] = contrasts_in(tmp_path, content, style)
    assert found.startswith(f"fault {AT}: {finding}")


@pytest.mark.parametrize(
    ("content", "style"),
    [
        *((text(f'<div style="color:#fff;{hides}">the order is on its way</div>'), "") for hides in (
            "display:none", "display:none !important;mso-hide:all", "max-height:0;overflow:hidden",
            "max-height:0px;max-width:0px;overflow:hidden", "font-size:0", "font-size:1px;line-height:1px",
            "opacity:0", "visibility:hidden",
        )),
        (text('<b class="a">a</b>'), "@media print, (max-width: 9px) { .a { color: #888 } }"),
        (text('<b style="color:#888;color:inherit">a</b>'), ""),
        (text('<b style="color:#888;color:color-mix(in srgb, red, blue)">a</b>'), ""),
        (text('<b style="color:#333;opacity:2">a</b>'), ""),
    ],
)  # fmt: skip
def test_what_nobody_sees_and_what_a_later_value_replaces_is_not_named(tmp_path, content, style):
    assert contrasts_in(tmp_path, content, style) == []


DARK = "@media (prefers-color-scheme: dark) { %s }"


def test_dark_mode_has_its_own_colours(tmp_path):
    content = '<mj-text css-class="a">text</mj-text>'
    half = DARK % ".a { background: #111111 }"
    [found] = checked(tmp_path, page(content, half))
    assert found.startswith(f"fault {AT}: text #000000 on #111111 has a contrast of 1.1:1 in dark mode")
    whole = DARK % ".a { background: #111111 } .a div { color: #eeeeee !important }"
    assert checked(tmp_path, page(content, whole)) == []
    screen = f"@media screen {{ {half} }}"
    assert len(checked(tmp_path, page(content, screen))) == 1


def test_text_on_an_image_is_not_judged_unless_a_colour_covers_it(tmp_path):
    on_image = '<div style="background:#000 url(https://shop.de/i.png)"><b style="color:#111">{}</b></div>'
    assert not [one for one in checked(tmp_path, page(text(on_image.format("a")))) if "contrast" in one]
    covered = on_image.format('<i style="background:#222">a</i>')
    assert [one for one in checked(tmp_path, page(text(covered))) if "contrast" in one]


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000", "#fff", 21),
        ("#777", "#fff", 4.48),
        ("#0000ff", "#ffffff", 8.59),
        ("hsl(0 0% 50%)", "#000", 5.28),
    ],
)
def test_contrast_is_that_of_the_standard(one, other, ratio):
    assert contrast(colour_of(one), colour_of(other)) == pytest.approx(ratio, abs=0.05)


@pytest.mark.parametrize(
    ("content", "style", "finding"),
    [
        (text('<div style="display:flex">a</div>'), "", "fault: Outlook does not know display:flex"),
        (text('<div style="display:grid">a</div>'), "", "fault: Gmail and Outlook do not know display:grid"),
        (text('<p style="position:fixed">a</p>'), "", "fault: Gmail and Outlook do not know position:fixed"),
        (text('<b style="color:var(--ink)">a</b>'), "", "fault: Gmail and Outlook do not know var()"),
        (text('<b style="color:rgba(0,0,0,0.9)">a</b>'), "", "fault: Outlook does not know rgba()"),
        (text(f'<p style="background:url({ICON})">a</p>'), "", "fault: Outlook does not know background-"),
        (text('<b hidden="hidden">a</b>'), "", "fault: Gmail and Outlook do not know hidden="),
        (text("<svg></svg>"), "", "fault: Gmail and Outlook do not know <svg>"),
        (text("<video></video>"), "", "fault: Gmail and Outlook do not know <video>"),
        (text("<form></form>"), "", "fault: Outlook does not know <form>"),
        (image(f'src="{ICON}.WEBP?v=2" alt="a" width="9"'), "", "fault: Outlook does not know .webp"),
        (image('src="data:image/png;base64,AA" alt="a" width="9"'), "", "fault: Gmail does not know data:"),
        (text('<b style="opacity:0.9">a</b>'), "", "note: Outlook does not know opacity"),
        (text('<b style="padding-top:1rem">a</b>'), "", "note: Outlook does not know 1rem"),
        (text('<b style="width:calc(1px + 1em)">a</b>'), "", "note: Outlook does not know calc()"),
    ],
)  # fmt: skip
def test_what_a_mail_program_does_not_know_is_named_with_its_line(tmp_path, content, style, finding):
    [found] = checked(tmp_path, page(content, style))
    level, _, said = finding.partition(": ")
    assert found.startswith(f"{level} {AT}: {said}")


def test_what_a_style_sheet_has_is_named_with_its_own_line(tmp_path):
    [found] = checked(tmp_path, page("", ".a { color: #333 }\n.b {\n  display: flex;\n}"))
    assert found.startswith(f"fault body.mjml:{STYLE_LINE + 2}: Outlook does not know display:flex")
    [found] = checked(tmp_path, page("", "@import url(https://shop.de/a.css);"))
    assert found.startswith(f"fault {STYLE_AT}: Gmail does not know @import")


@pytest.mark.parametrize(
    ("content", "style"),
    [
        (text('<div style="border-radius:6px;box-shadow:0 0 1px #000;overflow-wrap:anywhere">a</div>'), ""),
        (text('<b style="color:#333;color:var(--ink)">a plain colour before it</b>'), ""),
        (text('<div style="background-color:#fff;background-image:url(https://shop.de/i.png)">a</div>'), ""),
        (text('<div style="background-image:none;position:static">a</div>'), ""),
        ("", "@media (min-width: 600px) { .a { display: flex } }"),
        ("", "@supports (display: grid) { .a { display: grid } }"),
        ("", ".a > b:first-child { color: #333 }"),
        ("<mj-divider /><mj-spacer />", ""),
    ],
)
def test_what_a_mail_stands_without_is_not_named(tmp_path, content, style):
    assert checked(tmp_path, page(content, style)) == []


def test_what_breaks_and_what_is_harmless_is_in_the_data():
    known = lacking().keys()
    assert known >= HARMLESS, "the data has changed: what all mail programs know by now needs no entry"
    assert known >= BREAKS.keys()
    assert not HARMLESS & BREAKS.keys()


@pytest.mark.parametrize(
    ("bytes", "said"),
    [(80_000, []), (81_000, ["note"]), (102_000, ["note"]), (103_000, ["fault"]), (500_000, ["fault"])],
)
def test_a_heavy_mail_is_named(bytes, said):
    html = f"<html>{' ' * (bytes - 13)}</html>"
    found = page_of(html, "en", "ltr", lambda line: ("a", line))
    assert [one.level for one in weight(html, found)] == said


def test_a_line_is_that_of_an_included_file_too(tmp_path):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "piece.mjml").write_text(f"\n\n{link('')}")
    [found] = checked(tmp_path, page('{% include "_layout/piece.mjml" %}'))
    assert found.startswith("fault templates/_layout/piece.mjml:3: a link has no address")


def test_lines_are_found_among_conditions_loops_and_texts_to_translate(tmp_path):
    content = (
        "{% if count > 0 %}\n"
        """<mj-text css-class="{{ 'a' }}">{% trans %}<a href="tel:+1">Us</a>{% endtrans %}</mj-text>\n"""
        "{% for item in [1, 2] %}\n"
        """<mj-text><a href="{{ '#' if item > 1 else 'https://shop.de' }}">The shop</a></mj-text>\n"""
        "{% endfor %}\n{% endif %}"
    )
    [found] = checked(tmp_path, page(content))
    assert found.startswith(f"fault body.mjml:{LINE + 3}: a link leads nowhere")


def test_marks_change_no_line_and_no_text_to_translate():
    source = page("{% trans %}<b>a</b>{% endtrans %}\n<mj-text\n css-class='x'>{{ '<b>' }}</mj-text>")
    assert len(marked(source).splitlines()) == len(source.splitlines())
    assert "{% trans %}<b>a</b>{% endtrans %}" in marked(source)
    assert "{{ '<b>' }}" in marked(source)


HOSTILE = {
    "nesting": lambda size: "<mj-raw><tr><td>" + "<div>" * size + "</div>" * size + "</td></tr></mj-raw>",
    "elements": lambda size: text("<b>a</b>" * size),
    "links": lambda size: text(f"{GOOD}" * size),
    "formatting": lambda size: text("<i><b>" * size + "</b></i>" * size),
}
SHEETS = {
    "rules": lambda size: "b { color: #333 }\n" * size,
    "selectors": lambda size: "".join(f".a{n} b i u {{ color: #333 }}\n" for n in range(size)),
    "brackets": lambda size: "(" * size,
    "open rules": lambda size: "a {" * size,
    "media": lambda size: "@media screen {" * size,
    "not": lambda size: ":not(" * size + " { color: red }",
    "comment": lambda size: "/*" * size,
    "values": lambda size: f"b {{ color: {'rgb(' * size} }}",
}


@pytest.mark.parametrize("kind", [*HOSTILE, *SHEETS])
def test_a_hostile_template_takes_time_linear_in_its_size(kind):
    def check(size):
        style, content = (
            (SHEETS[kind](size), "<b>a</b>" * 10) if kind in SHEETS else ("", HOSTILE[kind](size))
        )
        html = f"<html lang=en dir=ltr><title>a</title><style>{style}</style><body>{content}</html>"
        return replace(spent(lambda: in_page(html)), held=0)

    judge([(kind, check, 8_000)])


def test_a_mail_too_large_is_told_and_no_further_looked_at():
    html = "<html lang=en dir=ltr><style>" + "b{color:red}" * 90_000 + "</style><b>a</b></html>"
    [found] = in_page(html)
    assert "nothing else of it is checked" in found.said


def test_deep_nesting_is_named():
    html = f"<html lang=en dir=ltr><title>a</title><h1>a</h1>{'<div>' * 400}a"
    assert [one.said.partition(";")[0] for one in in_page(html)] == ["elements are nested 250 deep or deeper"]


def test_the_same_finding_of_several_languages_is_told_once():
    one = Finding(Level.NOTE, "a", 1, "x; y")
    other = replace(one, level=Level.FAULT)
    found = [("t", "en", one), ("t", "de", one), ("s", "de", one), ("t", "en", other)]
    assert grouped(found) == [Grouped(other, ("t",), ("en",)), Grouped(one, ("t", "s"), ("de", "en"))]


@pytest.mark.parametrize(
    ("sentence", "place", "said"),
    [
        ("templates/a/body.txt, line 2: it is: so", "templates/a/body.txt:2", "it is: so"),
        ("templates/a/body.txt: empty", "templates/a/body.txt", "empty"),
        ("reply_to of order: wrong", "", "reply_to of order: wrong"),
    ],
)
def test_a_fault_of_the_templates_is_told_in_the_same_form(sentence, place, said):
    found = of_sentence(sentence)
    assert (found.place, found.said, found.level) == (place, said, Level.FAULT)


def findings(mail, lang):
    return in_page(mail.html, lang)


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_every_tone_of_an_alert_can_be_read(severity, status):
    mail = shown("alert", "en", alert_facts(severity=severity, status=status))
    assert findings(mail, "en") == []


@pytest.mark.parametrize("type", TYPES)
def test_the_colours_and_the_logo_of_a_brand_are_looked_at(type):
    def of_brand(**terms):
        brand = Brand("acme", "Acme", "Acme <a@acme.example>", **terms)
        return [one.said.partition(";")[0] for one in findings(shown(type, "en", brand=brand), "en")]

    has_button = 'class="button"' in shown(type, "en").html
    pale = of_brand(accent="#ffcc00", accent_dark="#222222", logo="https://acme.example/logo.png")
    assert (
        pale
        == [
            "text #ffffff on #ffcc00 has a contrast of 1.5:1 in light mode",
            "text #0e1b1a on #222222 has a contrast of 1.1:1 in dark mode",
        ]
        * has_button
    )
    assert of_brand(accent="#123456", accent_dark="#abcdef") == []


def test_marked_shipped_pages_compile(tmp_path):
    from support.shipped_mails import TEMPLATES

    for type in TYPES:
        flat = TEMPLATES.parts(type, "en")["body.mjml"]
        assert html_of(TEMPLATES.files, replace(flat, text=marked(flat.text))), Path(type)


@pytest.mark.parametrize("selector", ["p " * 95, "p~" * 60, "b" * 2000])
def test_a_long_selector_is_left_out(selector):
    sheet = f"<style>{selector}b{{color:#fff}}</style>"
    found = page_of(f"<html>{sheet}{'<b>x</b>' * 200}</html>", "en", "ltr", lambda line: ("a", line))
    assert not [one for one in found.elements if Cascade(found).of(one, "light")]


@pytest.mark.parametrize(
    "text", ['<?xml version="1.0" encoding="UTF-8"?><html><p>x</p></html>', " ", "<!-- x -->", "<p>x</p>"]
)
def test_any_html_is_a_page(text):
    assert page_of(text, "en", "ltr", lambda line: ("a", line)).elements
