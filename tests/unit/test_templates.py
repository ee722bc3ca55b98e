"""Templates in a folder of their own: found by language, compiled once, rendered in a sandbox."""

import html
import os
import time
from decimal import Decimal

import pytest

from waypost.rendering.catalogue_update import texts_in
from waypost.rendering.live_templates import Templates, chain
from waypost.rendering.render_fault import in_words
from waypost.rendering.samples import NoSample, sample_of
from waypost.rendering.template_files import TemplateError
from waypost.rendering.template_set import render

PARTS = {
    "subject.txt": "Hello {{ name }}",
    "body.txt": "Dear {{ name }},\nbye\n",
    "short.txt": "Hi {{ name }}",
    "body.mjml": "{{ name }}",
}
PERSON = {"name": "Ada", "locale": "en", "timezone": "UTC"}


def mjml(text):
    return f"""<mjml>
  <mj-body>
    <mj-section>
      <mj-column>
        <mj-text>{text}</mj-text>
      </mj-column>
    </mj-section>
  </mj-body>
</mjml>"""


def write(folder, lang="en", type="note", **changed):
    """A set of templates; a part given as None is missing."""
    (folder / type / lang).mkdir(parents=True, exist_ok=True)
    for name, text in {**PARTS, **{key.replace("_", "."): text for key, text in changed.items()}}.items():
        if text is not None:
            whole = text if "<mjml" in text or not name.endswith("mjml") else mjml(text)
            (folder / type / lang / name).write_text(whole, encoding="utf-8")
    return Templates(folder)


def rendered(templates, locale="en", **values):
    return render(templates.find("note", locale), {"name": "Ada", "recipient": PERSON, **values})


def test_every_part_says_its_own(tmp_path):
    words = rendered(write(tmp_path))
    assert (words.subject, words.plain, words.short) == ("Hello Ada", "Dear Ada,\nbye\n", "Hi Ada")
    assert ">Ada</div>" in words.html


def test_the_page_is_entitled_as_the_mail_is(tmp_path):
    page = mjml("x").replace("<mj-body>", "<mj-head><mj-title>{{ subject }}</mj-title></mj-head><mj-body>")
    words = rendered(write(tmp_path, body_mjml=page), name="<Ada>")
    assert (words.subject, "<title>Hello &lt;Ada&gt;</title>" in words.html) == ("Hello <Ada>", True)


@pytest.mark.parametrize(
    ("there", "asked", "default", "found"),
    [
        ("pt-BR pt en", "pt-BR", "en", "pt-BR"),
        ("pt en", "pt-BR", "en", "pt"),
        ("en de", "pt-BR", "en", "en"),
        ("en de", "pt-BR", "de", "de"),
        ("en de", "pt-BR", "de-AT", "de"),
        ("en", "pt-BR", "de-AT", "en"),
        ("en pt-PT", "pt-BR", "en", "en"),
        ("en de", "tlh-AQ", "en", "en"),
        ("en zh zh-CN zh-Hans", "zh-Hans-CN", "en", "zh-CN"),
        ("en zh zh-Hans", "zh-Hans-CN", "en", "zh-Hans"),
        ("en zh", "zh-Hans-CN", "en", "zh"),
    ],
)
def test_the_nearest_language_there_is_speaks(tmp_path, there, asked, default, found):
    for lang in there.split():
        write(tmp_path, lang, subject_txt=lang + " {{ lang }}")
    templates = Templates(tmp_path, default)
    assert rendered(templates, asked).subject == f"{found} {found}"


def test_the_chain_goes_from_near_to_far_without_repeats():
    assert chain("pt-BR", "de-AT") == ("pt-BR", "pt", "de-AT", "de", "en")
    assert chain("en", "en") == ("en",)


def test_no_language_at_all_names_the_type_and_what_was_tried(tmp_path):
    with pytest.raises(TemplateError, match=r"note in pt-BR, pt, en: add templates/note/"):
        Templates(tmp_path).find("note", "pt-BR")


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named(tmp_path, part):
    with pytest.raises(TemplateError, match=rf"^templates/note/en/{part}: No such file"):
        write(tmp_path, **{part.replace(".", "_"): None}).find("note", "en")


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_variable_is_named_with_its_part(tmp_path, part):
    templates = write(tmp_path, **{part.replace(".", "_"): "a {{ nickname }} b"})
    with pytest.raises(TemplateError, match=rf"^templates/note/en/{part}, line \d: 'nickname' is undefined$"):
        rendered(templates)


def test_a_missing_attribute_is_missing_too(tmp_path):
    with pytest.raises(
        TemplateError, match=r"^templates/note/en/subject.txt, line 1: .*no attribute 'nickname'"
    ):
        rendered(write(tmp_path, subject_txt="{{ recipient.nickname }}"))


@pytest.mark.parametrize(
    "broken", ["{{ name", "{% if name %}", "{% endfor %}", "{{ name | nosuchfilter }}", "{% nosuchtag %}"]
)
@pytest.mark.parametrize("part", ["subject.txt", "body.txt", "short.txt"])
def test_broken_syntax_is_found_with_file_and_line(tmp_path, part, broken):
    with pytest.raises(TemplateError, match=rf"^templates/note/en/{part}, line 3: "):
        write(tmp_path, **{part.replace(".", "_"): f"one\ntwo\n{broken}"}).find("note", "en")


def test_broken_syntax_in_mjml_is_found_with_the_line_of_its_own_file(tmp_path):
    with pytest.raises(TemplateError, match=r"^templates/note/en/body.mjml, line 5: "):
        write(tmp_path, body_mjml="{% nosuchtag %}").find("note", "en")


FRAME = "{% if name %}\n{% block text %}{% endblock %}\n{% endif %}\n{% for i in [1] %}\n{% endfor %}\n"
EXTENDS = '{% extends "_layout/frame.txt" %}\n{% block text %}\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("{% if name %}x", 3, "{% if %} has no {% endif %}"),
        ("\n{% for i in [1] %}{% if i %}{% endfor %}", 4, "{% if %} has no {% endif %}"),
        ("{% set a = 1 %}{% set b %}x", 3, "{% set %} has no {% endset %}"),
        ("{% trans %}x", 3, "{% trans %} has no {% endtrans %}"),
        ("x{% endif %}", 3, "{% endif %} closes nothing"),
    ],
)
def test_a_tag_without_its_end_is_named_where_it_stands_and_not_in_the_layout(tmp_path, text, line, said):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "frame.txt").write_text(FRAME)
    templates = write(tmp_path, body_txt=f"{EXTENDS}{text}{{% endblock %}}")
    with pytest.raises(TemplateError) as refused:
        templates.find("note", "en")
    assert str(refused.value) == f"templates/note/en/body.txt, line {line}: {said}"


def test_a_tag_without_its_end_in_a_layout_or_an_include_is_named_there(tmp_path):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "frame.txt").write_text(FRAME.replace("{% endfor %}", ""))
    templates = write(tmp_path, body_txt=f"{EXTENDS}x{{% endblock %}}")
    with pytest.raises(TemplateError, match=r"^templates/_layout/frame.txt, line 4: \{% for %\} has no"):
        templates.find("note", "en")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ name | mony('EUR') }}", "No filter named 'mony'; is it money?"),
        ("{{ name is strin }}", "No test named 'strin'; is it string?"),
        ("{{ name | qqqq }}", "No filter named 'qqqq'"),
    ],
)
def test_an_unknown_filter_or_test_is_named_with_the_nearest(tmp_path, part, text, said):
    with pytest.raises(TemplateError) as refused:
        write(tmp_path, **{part.replace(".", "_"): text}).find("note", "en")
    assert str(refused.value).endswith(f": {said}")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{{ name | money('EUR') }}",
            "money needs an Amount and a currency such as EUR; it got a text and a text",
        ),
        ("{{ 1 | datetime }}", "datetime needs a moment with an offset from UTC; it got a number"),
        ("{{ [1] | date }}", "date needs a date; it got a list"),
        ("{{ name | number }}", "number needs a number; it got a text"),
        ("{{ none | percent }}", "percent needs a number such as 0.15; it got nothing (None)"),
        ("{{ 1 | listed }}", "listed needs a list; it got a number"),
        ("{{ name | relative }}", "relative needs a date or a moment with an offset from UTC; it got a text"),
        (
            "{{ name | address }}",
            "address needs an object with name, address, city and country; it got a text",
        ),
        ("{{ 1 | url }}", "url needs a text or a Link; it got a number"),
        ("{{ 1 | mailto }}", "mailto needs a text; it got a number"),
        ("{{ 1 | across(2) }}", "across needs a text and another; it got a number and a number"),
        ("{{ name | round }}", "round cannot take a text"),
        ("{{ 1 | sum }}", "sum cannot take a number"),
        ("{{ (10 ** 120) | number }}", "number cannot show this value"),
    ],
)
def test_a_filter_with_a_wrong_value_is_named_with_file_line_and_what_it_needs(tmp_path, part, text, said):
    first = "{{ 1 | money('EUR') }} {{ 1 | number }}"
    templates = write(tmp_path, **{part.replace(".", "_"): f"{first}\n{text}"})
    with pytest.raises(TemplateError) as refused:
        rendered(templates)
    line = 6 if part == "body.mjml" else 2
    assert str(refused.value) == f"templates/note/en/{part}, line {line}: the filter {said}"


WRONG_KIND = "an operator or a call has a value of the wrong kind"
UNDERSCORE = "a template may not read attributes that begin with an underscore; leave it out"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 1 | money }}", "money() missing 1 required positional argument: 'currency'"),
        ("{{ name + 1 }}", f"{WRONG_KIND}; look at what kind each fact has"),
        ("{{ 1 / 0 }}", "it divides by zero; look at the number first with {% if %}"),
        ("{{ 2.0 ** 10000 }}", "a number becomes too large; write a smaller one"),
        ("{{ ''.__class__ }}", UNDERSCORE),
        ("{{ ''['__class__'] }}", UNDERSCORE),
        ("{{ '' | attr('__class__') }}", UNDERSCORE),
        (
            "{{ recipient.update({'name': 'x'}) }}",
            "a template may not change a fact or call this; make a value of its own with {% set %}",
        ),
        (
            "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
            "a macro calls itself without end; call it under a condition that ends",
        ),
        ("{{ {'k4n4ry': 1}[name] * [] }}", "'dict object' has no attribute 'Ada'"),
    ],
)
def test_another_error_is_named_with_its_line_and_without_a_value(tmp_path, text, said):
    with pytest.raises(TemplateError) as refused:
        rendered(write(tmp_path, body_txt=f"one\n{text}"))
    assert str(refused.value).removeprefix("templates/note/en/body.txt, ").endswith(f": {said}")
    assert (
        "line 2" in str(refused.value)
        or "undefined" in str(refused.value)
        or "attribute" in str(refused.value)
    )


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), TypeError("k4n4ry")])
def test_an_error_without_a_text_of_its_own_has_one(error):
    assert in_words(error)
    assert "k4n4ry" not in in_words(error)


@pytest.mark.parametrize("broken", ["note/en/body.txt", "_layout/piece.txt"])
def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path, broken):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "piece.txt").write_text("x")
    templates = write(tmp_path, body_txt="{% include '_layout/piece.txt' %}")
    (tmp_path / broken).write_bytes("a\nGrüße".encode("latin-1"))
    with pytest.raises(TemplateError) as refused:
        templates.find("note", "en")
    place = "" if broken.startswith("note") else ", line 1: _layout/piece.txt"
    said = "line 2 is not UTF-8; save the file as UTF-8"
    assert str(refused.value) == f"templates/note/en/body.txt{place}: {said}"


@pytest.mark.parametrize("pipe", ["note/en/body.txt", "_layout/piece.txt"])
def test_a_pipe_in_place_of_a_template_is_named_and_not_waited_for(tmp_path, pipe):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "piece.txt").write_text("x")
    templates = write(tmp_path, body_txt="{% include '_layout/piece.txt' %}")
    (tmp_path / pipe).unlink()
    os.mkfifo(tmp_path / pipe)
    with pytest.raises(
        TemplateError, match=r"^templates/note/en/body.txt.*: it is no regular file, but a pipe"
    ):
        templates.find("note", "en")


def test_a_pipe_in_place_of_a_catalogue_is_named_and_not_waited_for(tmp_path):
    templates = write(tmp_path)
    folder = tmp_path / "_locales" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "messages.po")
    [said] = templates.broken_catalogues()
    assert said.startswith("templates/_locales/de/LC_MESSAGES/messages.po: it is no regular file, but a pipe")


def test_a_pipe_in_place_of_a_sample_is_named_and_not_waited_for(tmp_path):
    write(tmp_path)
    os.mkfifo(tmp_path / "note" / "sample.json")
    with pytest.raises(NoSample, match=r"^templates/note/sample.json cannot be read \(it is no regular file"):
        sample_of("note", [tmp_path], "Waypost <a@b.example>")


def test_a_pipe_stops_no_collection_of_texts(tmp_path):
    write(tmp_path)
    os.mkfifo(tmp_path / "note" / "en" / "pipe.txt")
    with pytest.raises(TemplateError, match=r"^templates/note/en/pipe.txt: it is no regular file"):
        [*texts_in(tmp_path)]


@pytest.mark.parametrize(
    "text",
    [
        "{{ name }}\n" * 50_000,
        "{{ name" + "\n~ name" * 50_000 + " }}",
        "{% include '_layout/x.txt' %}\n" * 900,
    ],
)
def test_more_than_compiles_in_a_moment_is_refused_with_file_and_line(tmp_path, text):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "x.txt").write_text("{{ name }}\n" * 50)
    templates = write(tmp_path, body_txt=text)
    before = time.monotonic()
    with pytest.raises(
        TemplateError, match=r"\.txt, line \d+: the tags up to here are more than 30,000 words"
    ):
        templates.find("note", "en")
    assert time.monotonic() - before < 4


def test_a_long_text_with_few_tags_is_taken(tmp_path):
    words = rendered(write(tmp_path, body_txt="a word, " * 100_000 + "{{ name }}" * 1_000))
    assert words.plain.endswith("AdaAda\n")


def test_the_mark_at_the_start_of_a_file_reaches_no_mail(tmp_path):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "piece.txt").write_text("\ufeffpiece", encoding="utf-8")
    templates = write(tmp_path)
    for name, text in {
        **PARTS,
        "body.txt": "a {% include '_layout/piece.txt' %}",
        "body.mjml": mjml("x"),
    }.items():
        (tmp_path / "note" / "en" / name).write_text(f"\ufeff{text}", encoding="utf-8")
    words = rendered(templates)
    assert (words.subject, words.plain) == ("Hello Ada", "a piece\n")
    assert "\ufeff" not in words.subject + words.plain + words.html + words.short
    assert "&#65279;" not in words.html


HEAD, FOOT = "<mjml><mj-body><mj-section><mj-column>\n", "\n</mj-column></mj-section></mj-body></mjml>"
LESS = "a < inside a Jinja expression breaks the XML; compare with > instead"
BROKEN = [
    ("{% if 1 < 2 %}<mj-text>x</mj-text>{% endif %}", f", line 2: {LESS}"),
    ("<mj-text a='>'>\n{{ 'x' if 1\n <= 2 else 'y' }}</mj-text>", f", line 4: {LESS}"),
    ('<mj-text>{{ "<b>" }}</mj-text>', f", line 2: {LESS}"),
    ("<mj-text>1 < 2</mj-text>", ", line 2: a < does not begin an element; write &lt;"),
    ('<!-- <mj-raw> --><mj-text a="{% if 1 > 2 %}<{% endif %}">\nx', ", line 2: <mj-text> has no end tag"),
    ("<mj-text>1<br>2 <img src='{{ name }}'>\n<b>x</mj-text>", ", line 3: <b> has no end tag"),
    ("</mj-column></mj-section>\n<mj-section>", ", line 4: </mj-column> has no start tag"),
    # The compiler would end the process.
    (f"<mj-text>\n{'<div>' * 20_000}", ", line 3: <div> is within 100 other elements; a template has fewer"),
]


@pytest.mark.parametrize(("text", "said"), BROKEN)
def test_a_fault_in_mjml_is_named_in_words_with_its_line(tmp_path, text, said):
    with pytest.raises(TemplateError) as refused:
        write(tmp_path, body_mjml=HEAD + text + FOOT).find("note", "en")
    assert str(refused.value) == f"templates/note/en/body.mjml{said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<mjml>\n<mj-body>\n", ", line 2: <mj-body> has no end tag"),
        ("hello<mjml", ", line 1: <mjml has no >"),
        ("\n<p>x</p><mjml></mjml>", ", line 2: this is not allowed here; a template is one <mjml> element"),
        (
            "<mjml><mj-head>\n<mj-raw></mj-raw></mj-head><p/></mjml>",
            ", line 2: an element is not allowed here",
        ),
    ],
)
def test_a_fault_of_a_whole_page_is_named_in_words(tmp_path, text, said):
    templates = write(tmp_path)
    (tmp_path / "note" / "en" / "body.mjml").write_text(text)
    with pytest.raises(TemplateError) as refused:
        templates.find("note", "en")
    assert str(refused.value) == f"templates/note/en/body.mjml{said}"


def test_many_elements_beside_each_other_are_not_deep(tmp_path):
    lines = "<p>{{ name }}</p><br><p></p>" * 300
    write(tmp_path, body_mjml=f"{HEAD}<mj-text>{lines}</mj-text>{FOOT}").find("note", "en")


def test_an_empty_mjml_file_lacks_its_element(tmp_path):
    templates = write(tmp_path)
    (tmp_path / "note" / "en" / "body.mjml").write_text("")
    with pytest.raises(TemplateError, match=r"body.mjml: it has no <mjml> element$"):
        templates.find("note", "en")


def test_a_fault_in_an_included_file_is_named_with_that_file(tmp_path):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "foot.mjml").write_text("<mj-text>\n{% if 1 < 2 %}x{% endif %}</mj-text>")
    page = mjml("Hello").replace("</mj-column>", '{% include "_layout/foot.mjml" %}</mj-column>')
    with pytest.raises(TemplateError) as refused:
        write(tmp_path, body_mjml=page).find("note", "en")
    assert str(refused.value) == f"templates/_layout/foot.mjml, line 2: {LESS}"


def test_a_less_than_in_an_attribute_is_right(tmp_path):
    assert "x" in rendered(write(tmp_path, body_mjml='<a title="{{ 1 if 1 < 2 }}">x</a>')).html


@pytest.mark.parametrize("broken", ["<mjml><mj-body>", "<mjml></mj-body>", "<mjml><mj-nothing /></mjml>"])
def test_broken_mjml_is_found_when_loaded(tmp_path, broken):
    with pytest.raises(TemplateError, match=r"^templates/note/en/body.mjml"):
        write(tmp_path, body_mjml=broken).find("note", "en")


@pytest.mark.parametrize(
    "escape",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ name.__init__.__globals__ }}",
        "{{ ''['__class__'] }}",
        "{{ '' | attr('__class__') }}",
        "{{ '{0.__class__}' | format(name) ~ '{0.__class__}'.format(name) }}",
        "{{ self._TemplateReference__context }}",
        "{{ recipient.update({'name': 'evil'}) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ range(10000000) | length }}",
    ],
)
def test_the_sandbox_lets_no_template_out(tmp_path, escape):
    with pytest.raises(TemplateError, match=r"^templates/note/en/subject.txt(, line 1)?: "):
        rendered(write(tmp_path, subject_txt=escape))


def test_a_runaway_loop_is_stopped_by_its_size(tmp_path):
    runaway = "{% for a in range(3000) %}{{ 'x' * 1000 }}{% endfor %}"
    with pytest.raises(TemplateError, match=r"^templates/note/en/short.txt: it makes more than 2,000,000"):
        rendered(write(tmp_path, short_txt=runaway))


DOUBLES = "{% set ns = namespace(x='x' | string) %}{% for i in range(40) %}{% set ns.x = TWICE %}{% endfor %}"
FREEZES = [
    ("{{ 10 ** (10 ** 9) }}", "** is refused"),
    ("{% set far = 10 ** 9 %}{{ 10 ** far }}", "** is refused"),
    (
        "{% set n = namespace(x=10) %}{% for i in range(40) %}{% set n.x = n.x * n.x %}{% endfor %}",
        "* is refused",
    ),
    ("{{ 'x' * 10 ** 9 }}", "* is refused"),
    ("{{ 10 ** 9 * name }}", "* is refused"),
    ("{{ [1] * 10 ** 9 }}", "* is refused"),
    ("{{ (1, 2) * 10 ** 9 }}", "* is refused"),
    ("{{ '%1000000000d' % 1 }}", "% is refused"),
    ("{{ '%.1000000000f' % 1 }}", "% is refused"),
    ("{{ '%*d' % (10 ** 9, 1) }}", "% is refused"),
    ("{{ '%(a)1000000000d' % {'a': 1} }}", "% is refused"),
    ("{{ '%1000000000d' | format(1) }}", "format is refused"),
    ("{{ '{:>1000000000}'.format(1) }}", "format is refused"),
    ("{{ '{:{}}'.format(1, 10 ** 9) }}", "format is refused"),
    ("{{ '{a:>1000000000}'.format_map({'a': 1}) }}", "format_map is refused"),
    ("{{ name.ljust(10 ** 9) }}", "ljust is refused"),
    ("{{ name.zfill(10 ** 9) }}", "zfill is refused"),
    ("{{ name['center'](10 ** 9) }}", "center is refused"),
    ("{{ '\t'.expandtabs(10 ** 9) }}", "expandtabs is refused"),
    ("{{ ('x' * 90000).replace('x', 'x' * 90000) }}", "replace is refused"),
    ("{{ ('x' * 90000).join('x' * 90000) }}", "join is refused"),
    ("{{ 'x' | center(10 ** 9) }}", "center is refused"),
    ("{{ 'x' | center(1000000000) }}", "center is refused"),
    ("{{ 'x' | indent(10 ** 9) }}", "indent is refused"),
    ("{{ 'x' | indent(10 ** 9, first=True) }}", "indent is refused"),
    ("{{ 'x' | across('y', 10 ** 9) }}", "across is refused"),
    ("{{ [1] | batch(10 ** 9, 'x') | list | length }}", "batch is refused"),
    ("{{ [1] | slice(10 ** 9) | list | length }}", "slice is refused"),
    ("{{ [[1]] | tojson(10 ** 9) }}", "tojson is refused"),
    ("{{ 1.5 | round(1000000000, 'floor') }}", "round is refused"),
    ("{{ ['x'] | map('center', 10 ** 9) | list }}", "center is refused"),
    ("{{ ('x' * 90000) | replace('x', 'x' * 90000) }}", "replace is refused"),
    ("{{ ('x' * 90000) | list | join('x' * 90000) }}", "join is refused"),
    ("{{ lipsum(10 ** 9) }}", "lipsum is refused"),
    (DOUBLES.replace("TWICE", "ns.x ~ ns.x"), "~ is refused"),
    (DOUBLES.replace("TWICE", "ns.x + ns.x"), "+ is refused"),
    (DOUBLES.replace("TWICE", "[ns.x, ns.x] | join"), "join is refused"),
    (DOUBLES.replace("TWICE", "'%s%s' % (ns.x, ns.x)"), "% is refused"),
    (DOUBLES.replace("TWICE", "'{}{}'.format(ns.x, ns.x)"), "format is refused"),
    (DOUBLES.replace("TWICE", "(ns.x | list) + (ns.x | list)").replace("| string", "| list"), "+ is refused"),
    (
        "".join("{% set a = (a or name) ~ (a or name) %}" for _ in range(40)).replace("a or", "a|d('') or"),
        "~ is",
    ),
    ("{% set a0 = 'xy' %}" + "".join(f"{{% set a{n + 1} = a{n} ~ a{n} %}}" for n in range(40)), "refused"),
    ("{% macro m(x, n) %}{{ m(x ~ x, n - 1) if n }}{% endmacro %}{{ m('xy', 40) }}", "~ is refused"),
    ("{% set x %}{{ 'x' * 90000 }}{% endset %}{{ " + " ~ ".join(["x"] * 500) + " }}", "~ is refused"),
]


@pytest.mark.parametrize(("text", "said"), FREEZES)
@pytest.mark.parametrize("part", ["body.txt", "body.mjml"])
def test_what_would_freeze_a_worker_is_refused_at_once_with_file_and_line(tmp_path, part, text, said):
    templates = write(tmp_path, **{part.replace(".", "_"): f"a\n{text}"})
    before = time.monotonic()
    with pytest.raises(TemplateError) as refused:
        rendered(templates)
    assert time.monotonic() - before < 1
    line = 6 if part == "body.mjml" else 2
    assert str(refused.value).startswith(f"templates/note/en/{part}, line {line}: ")
    assert said in str(refused.value)


def test_a_text_that_loops_make_is_refused_before_it_is_whole(tmp_path):
    text = "{% for i in range(99999) %}{{ name * 30000 }}{% endfor %}"
    before = time.monotonic()
    with pytest.raises(TemplateError, match=r"^templates/note/en/body.txt: it makes more than 2,000,000"):
        rendered(write(tmp_path, body_txt=text))
    assert time.monotonic() - before < 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ 2 ** 10 }} {{ 2 ** 0.5 > 1 }} {{ 1 ** 10 ** 9 }} {{ 2 ** -1 }}", "1024 True 1 0.5"),
        ("{{ 3 * 4 }} {{ 7 % 4 }} {{ 1 + 1 }} {{ '-' * 3 }} {{ name * 2 }}", "12 3 2 --- AdaAda"),
        ("{{ '%3d|%-4s|%s' % (123, 'a', name) }} {{ '%s' | format(name) }}", "123|a   |Ada Ada"),
        ("{{ '%(a)s' % {'a': name} }} {{ '{:>5}{}'.format(name, 1) }}", "Ada   Ada1"),
        ("{{ name.ljust(5) }}| {{ name.replace('A', 'O') }} {{ ', '.join('ab') }}", "Ada  | Oda a, b"),
        ("{{ [{'a': 1}, {'a': 2}] | join('-', attribute='a') }} {{ [1, 2] | join }}", "1-2 12"),
        ("{{ [1] + [2] }} {{ [1] * 2 }} {{ 1.25 | round(1) }}", "[1, 2] [1, 1] 1.2"),
        ("{{ 'a' ~ 1 ~ 'b' ~ 2 ~ 'c' ~ 3 ~ 'd' ~ 4 ~ 'e' ~ 5 ~ name }}", "a1b2c3d4e5Ada"),
    ],
)
def test_expressions_of_ordinary_size_say_what_they_said(tmp_path, text, shown):
    assert rendered(write(tmp_path, body_txt=text)).plain == f"{shown}\n"


def test_a_long_chain_of_texts_is_escaped_as_a_short_one_is(tmp_path):
    text = "{{ name ~ 1 ~ 2 ~ 3 ~ 4 ~ 5 ~ 6 ~ 7 ~ 8 ~ ('<b>' | safe) ~ name }}|"
    assert "&lt;i&gt;12345678<b>&lt;i&gt;|" in rendered(
        write(tmp_path, body_mjml=text.replace("<b>", "&lt;")), name="<i>"
    ).html.replace("&lt;&lt;i", "<b>&lt;i")


@pytest.mark.parametrize(
    "loop",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(999) %}{% for b in range(999) | map('string') %}{% endfor %}{% endfor %}",
        "{% for a in range(600) %}{% for b in 'x' * 600 %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{% for a in [[60]] recursive %}{% if loop.depth < 60 %}{{ loop([a]) }}{{ loop([a]) }}{% endif %}"
        "{% endfor %}",
    ],
)
def test_a_loop_that_takes_for_ever_is_ended(tmp_path, loop):
    with pytest.raises(
        TemplateError,
        match=r"^templates/note/en/body.txt, line 1: its loops and macros take more than 200,000 rounds",
    ):
        rendered(write(tmp_path, body_txt=loop))


def test_loops_know_their_place_as_ever(tmp_path):
    text = (
        "{% for a in 'xy' if a %}{{ loop.index }}{{ a }}{{ '' if loop.last else ',' }}{% else %}-{% endfor %}"
    )
    assert rendered(write(tmp_path, subject_txt=text)).subject == "1x,2y"


@pytest.mark.parametrize("value", ["a", ""])
def test_conditions_stand_between_elements_as_they_are(tmp_path, value):
    page = """<mjml><mj-body>{% if name %}<mj-section>{# which #}<mj-column>
      {% for one in "ab" %}<mj-text>{{ one }}{{ name }}{% if name %}!{% endif %}</mj-text>{% endfor %}
    </mj-column></mj-section>{% endif %}<mj-section><mj-column><mj-text>end</mj-text></mj-column></mj-section>
    </mj-body></mjml>"""
    templates = write(tmp_path)
    (tmp_path / "note" / "en" / "body.mjml").write_text(page)
    shown = rendered(templates, name=value).html
    assert ("aa!" in shown, "ba!" in shown) == (bool(value), bool(value))
    assert ">end<" in shown
    assert "mj-raw" not in shown


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</td></table><h1>x",
    "<!--",
    "]]>",
    "<mj-text>x</mj-text>",
    "{{ 7 * 7 }}",
    "{% include 'x' %}",
    "{# gone #}",
    "${7*7} #{7*7} <%= 7*7 %>",
    "&amp;lt;b&amp;gt;",
    "\u202egnp.exe",
    "﷽ Z̮̞̠͙͔ͅa̗l̝g͘o 😀 語",
    "=?utf-8?q?=0D=0A?=",
    ".\r\nQUIT",
    "\x1b[31mred",
    "1;DROP TABLE notifications",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_stays_text_in_html(tmp_path, value):
    shown = rendered(write(tmp_path, body_mjml="ZZBEGIN{{ name }}ENDZZ"), name=value).html
    inside = shown.partition("ZZBEGIN")[2].partition("ENDZZ")[0]
    assert not set(inside) & set("<>\"'")
    assert html.unescape(inside) == value


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_is_untouched_in_plain_text(tmp_path, value):
    words = rendered(write(tmp_path), name=value)
    assert words.plain == f"Dear {value},\nbye\n"
    assert (words.subject, words.short) == (f"Hello {value}", f"Hi {value}")


def test_an_attribute_cannot_be_left(tmp_path):
    page = write(tmp_path, body_mjml='<a href="{{ name | url }}" title="{{ name }}">x</a>')
    shown = rendered(page, name='https://a.example/" onclick="alert(1)').html
    assert 'onclick="' not in shown


def test_an_include_is_part_of_the_page(tmp_path):
    (tmp_path / "_layout").mkdir()
    (tmp_path / "_layout" / "foot.mjml").write_text("<mj-text>Yours, {{ name }}</mj-text>")
    page = mjml("Hello").replace("</mj-column>", '{% include "_layout/foot.mjml" %}</mj-column>')
    assert "Yours, Ada" in rendered(write(tmp_path, body_mjml=page)).html


@pytest.mark.parametrize(
    "path", ["../secret.mjml", "_layout/../../secret.mjml", "{root}/secret.mjml", "link"]
)
def test_an_include_stays_inside_the_folder(tmp_path, path):
    (tmp_path / "secret.mjml").write_text("<mj-text>hunter2</mj-text>")
    (tmp_path / "inside" / "_layout").mkdir(parents=True)
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "secret.mjml")
    included = f'{{% include "{path.format(root=tmp_path)}" %}}</mj-column>'
    page = mjml("Hello").replace("</mj-column>", included)
    with pytest.raises(TemplateError, match=r"^templates/note/en/body.mjml, line \d: .*must stay inside"):
        write(tmp_path / "inside", body_mjml=page).find("note", "en")


@pytest.mark.parametrize(
    ("path", "why"), [("_layout/gone.mjml", "No such file"), ("../gone.mjml", "must stay inside")]
)
def test_an_include_that_cannot_be_taken_is_named_with_the_reason(tmp_path, path, why):
    page = mjml("Hello").replace("</mj-column>", f'{{% include "{path}" %}}</mj-column>')
    with pytest.raises(TemplateError, match=rf"^templates/note/en/body.mjml, line \d: {path}.*{why}"):
        write(tmp_path, body_mjml=page).find("note", "en")


def test_filters_know_the_reader(tmp_path):
    templates = write(tmp_path, subject_txt="{{ due | money('EUR') }}")
    reader = {**PERSON, "locale": "de"}
    assert rendered(templates, due=Decimal("1234.5"), recipient=reader).subject == "1.234,50\xa0€"


def test_a_set_is_compiled_once_and_kept(tmp_path):
    templates = write(tmp_path)
    assert templates.find("note", "en") is templates.find("note", "en")


def test_html_is_ascii_and_reads_the_same(tmp_path):
    shown = rendered(write(tmp_path, body_mjml="Grüße für 12 € · {{ name }}" + " word" * 40), name="Zoë").html
    assert shown.isascii()
    assert "Grüße für 12 € · Zoë word" in html.unescape(shown)


def test_html_in_another_alphabet_keeps_its_letters(tmp_path):
    assert "こんにちは" in rendered(write(tmp_path, body_mjml="こんにちは" * 2000), name="x").html


def test_a_style_sheet_keeps_its_letters(tmp_path):
    style = "<mj-head><mj-style>p::after {{ '{' }} content: '→' }</mj-style></mj-head>"
    page = mjml("für {{ name }}").replace("<mj-body>", f"{style}<mj-body>")
    assert "content: '→'" in rendered(write(tmp_path, body_mjml=page), name="x").html


@pytest.mark.parametrize(
    "raw",
    [
        '<script type="application/ld+json">{"name": "Müller"}</script>',
        "<STYLE>p::after {{ '{' }} content: 'Müller' }</STYLE>",
    ],
)
def test_what_is_read_without_character_references_keeps_its_letters(tmp_path, raw):
    mjml = (
        f"<mjml><mj-body><mj-raw>{raw}</mj-raw><mj-section><mj-column><mj-text>für {{{{ name }}}}</mj-text>"
    )
    mjml += "</mj-column></mj-section></mj-body></mjml>"
    assert "Müller" in rendered(write(tmp_path, body_mjml=mjml), name="x").html
