"""Layouts and includes are put in place in the text, and every line knows its file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.costly_texts import filled
from support.stopwatch import judge, spent

from waypost.rendering.checks.source_lines import marked
from waypost.rendering.html_comments import HTML_COMMENT
from waypost.rendering.layouts import LayoutError, flatten
from waypost.rendering.mjml_fault import too_deep
from waypost.rendering.raw_statements import with_raw_statements

FRAME = "<page>\n{% block top %}top{% endblock %}\n{% block card %}\nempty\n{% endblock %}\n</page>\n"

TRIMMED = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}


def flat(**files):
    return flatten("main", {"frame": FRAME, **files}.__getitem__)


def as_text(made):
    return jinja2.Environment(**TRIMMED).from_string(made.text).render()


@pytest.mark.parametrize(
    "files",
    [
        {"main": FRAME},
        {"main": '{% extends "frame" %}'},
        {"main": '{% extends "frame" %}\n{% block card %}\nmine\n{% endblock %}\n'},
        {"main": '{% extends "frame" %}\n{% block card %}\nmine and {{ super() }}{% endblock card %}\n'},
        {"main": 'a\n{% include "piece" %}\nb\n', "piece": "piece\nof two\n"},
        {
            "main": 'a {% include "piece" %} b\n  {% include "piece" %}\n',
            "piece": "{% if 1 %}\n  x\n{% endif %}\n",
        },
        {
            "main": '{% extends "shape" %}{% block inner %}mine, {{ super() }}{% endblock %}',
            "shape": '{% extends "frame" %}{% block card %}[{% block inner %}a{% endblock %}]{% endblock %}',
        },
        {
            "main": '{% extends "shape" %}{% block card %}last {{ super() }}{% endblock %}',
            "shape": '{% extends "frame" %}{% block card %}middle {{ super() }}{% endblock %}',
        },
        {"main": "{% raw %}{% extends 'x' %}{% endraw %}{# {% include 'y' %} #}{{ '{% block z %}' }}"},
        {"main": '{% extends "frame" -%}\n\n{%- block card -%}\n mine \n{%- endblock %}'},
    ],
)
def test_the_text_is_what_jinja_itself_makes_of_it(files):
    files = {"frame": FRAME, **files}
    loader = jinja2.DictLoader(files)
    theirs = jinja2.Environment(loader=loader, **TRIMMED)
    assert as_text(flat(**files)).split() == theirs.get_template("main").render().split()
    blank_lines = as_text(flat(**files)).count("\n\n")
    assert blank_lines == theirs.get_template("main").render().count("\n\n")


def test_a_value_set_in_a_block_is_seen_by_the_layout():
    made = flat(
        frame="{% block settings %}{% endblock %}<{{ accent }}>",
        main='{% extends "frame" %}{% block settings %}{% set accent = "red" %}{% endblock %}',
    )
    assert as_text(made) == "<red>"


def test_each_line_knows_its_file():
    made = flat(
        main='{% extends "frame" %}\n{% block card %}\nmine\n{% include "piece" %}\n{% endblock %}\n',
        piece="p\nq\n",
    )
    found = {line: made.origin(number) for number, line in enumerate(made.text.split("\n"), 1)}
    assert found["mine"] == ("main", 3)
    assert found["p"] == ("piece", 1)
    assert found["q"] == ("piece", 2)
    assert found["</page>"] == ("frame", 6)
    assert set(made.files) == {"main", "frame", "piece"}
    assert made.origin(99) == ("main", 0)


@pytest.mark.parametrize(
    ("files", "file", "line", "why"),
    [
        ({"main": "\n{% include name %}"}, "main", 2, "include needs a file name in quotes"),
        ({"main": '{% extends "main" %}'}, "main", 1, "may include itself"),
        ({"main": 'x{% include "a" %}', "a": '\n{% include "a" %}'}, "a", 2, "may include itself"),
        ({"main": '{% extends "frame" %}\n\nlost\n'}, "main", 3, "belongs into a block: lost"),
        ({"main": "{% block a b %}{% endblock %}"}, "main", 1, "a block needs one name, not a b"),
        ({"main": "\n{% block a %}"}, "main", 2, "a block has no endblock"),
        ({"main": "{% import 'x' as y %}"}, "main", 1, "import is not supported; use include"),
        ({"main": '\n{% include "a" %}', "a": "\n{{ 'x"}, "a", 2, "unexpected char"),
    ],
)
def test_what_cannot_be_put_in_place_is_named(files, file, line, why):
    with pytest.raises(LayoutError, match=why) as refused:
        flat(**files)
    assert (refused.value.file, refused.value.line) == (file, line)


@given(
    st.lists(
        st.sampled_from(
            ["{%", "%}", "{{", "}}", "{#", "#}", " block a ", "endblock", ' include "p" ', "x", "\n"]
        )
    )
)
def test_any_text_is_taken_or_refused_by_name(parts):
    try:
        made = flat(main="".join(parts), p="piece")
    except LayoutError as error:
        refused_in = error.file
    else:
        refused_in = "p"
        assert len(made.origins) >= made.text.count("\n")
    assert refused_in in {"main", "p"}


def test_a_line_of_several_files_belongs_to_the_one_with_an_expression_in_it():
    frame = "<title>{% block title %}{% endblock %}</title>\n<p>{{ lang }}{% block end %}{% endblock %}</p>\n"
    main = '{% extends "frame" %}\n{% block title %}{{ oder }}{% endblock %}\n{% block end %}{{ x }}'
    main += "{% endblock %}"
    made = flat(frame=frame, main=main)
    assert [made.origin(1), made.origin(2)] == [("main", 2), ("frame", 2)]


def test_includes_that_include_each_other_twice_end_soon():
    pieces = {f"p{number}": f'{{% include "p{number + 1}" %}}' * 2 for number in range(19)}
    with pytest.raises(LayoutError, match="more than 1,000 includes"):
        flat(main='{% include "p0" %}', **pieces, p19="x")


UNCLOSED = (
    "<!--",
    "{#",
    "{%",
    "{{",
    "<mj-text",
    '<mj-text a="',
    "<mj-text a='",
    "<mj-text>",
    "</mj-text>",
    "<",
    "-->",
)
READERS = {
    "statements": with_raw_statements,
    "depth": too_deep,
    "marks": marked,
    "comments": partial(HTML_COMMENT.sub, ""),
}


@pytest.mark.parametrize("read", READERS)
def test_what_is_not_closed_in_a_page_costs_by_its_size(read):
    def act(shape):
        return lambda size: replace(spent(lambda: READERS[read](BEGIN + filled(shape, size))), held=0)

    judge([(shape, act(shape), 40_000) for shape in UNCLOSED])


BEGIN = "<mjml><mj-body><mj-section><mj-column><mj-text>"
