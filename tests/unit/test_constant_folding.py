"""What a template sets once stands where it is used, and means the same there."""

import jinja2
import pytest

from waypost.rendering.constant_folding import put_in_place

TEMPLATES = {
    "text": '{% set a = "<b>" %}{{ a }}{{ a | length }}',
    "words": '{% set w = {"x": "one & two", "n": 3} %}{{ w.x }} {{ w.n }} {{ w["x"] }} {{ w.y }}',
    "a key twice": '{% set w = {"x": "one", "x": "two"} %}{{ w.x }}',
    "before it is set": '{{ fact }}{% set fact = "mine" %}{{ fact }}',
    "set twice": '{% set a = "1" %}{{ a }}{% set a = "2" %}{{ a }}',
    "set where it may not come to": '{% if no %}{% set a = "1" %}{% endif %}{{ a }}',
    "a loop's": '{% set a = "1" %}{% for a in "xy" %}{{ a }}{% endfor %}{{ a }}',
    "a macro's": '{% set a = "1" %}{% macro m(a) %}{{ a }}{% endmacro %}{{ m("2") }}{{ a }}',
    "a block's": '{% set a = "1" %}{% with a = "2" %}{{ a }}{% endwith %}{{ a }}',
    "a text block": '{% set a = "1" %}{% set a %}2{% endset %}{{ a }}',
    "in expressions": '{% set a = "1" %}{{ "x" ~ a if yes else a }}{% if a == "1" %}!{% endif %}',
    "of a loop": '{% set a = "," %}{% for one in "xy" %}{{ one }}{{ a }}{% endfor %}',
}


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("name", TEMPLATES)
def test_it_reads_as_jinja_alone_would_have_it(name, escaped):
    environment, facts = jinja2.Environment(autoescape=escaped), {"fact": "<given>", "yes": 1, "no": 0}
    plain = environment.from_string(TEMPLATES[name])
    code = environment.compile(put_in_place(environment.parse(TEMPLATES[name])))
    placed = jinja2.Template.from_code(environment, code, {})
    assert placed.render(facts) == plain.render(facts)


def test_nothing_is_looked_up_for_it():
    tree = put_in_place(jinja2.Environment().parse('{% set a = "1" %}{% set w = {"x": "2"} %}{{ a ~ w.x }}'))
    assert [name.name for name in tree.find_all(jinja2.nodes.Name) if name.ctx == "load"] == []
