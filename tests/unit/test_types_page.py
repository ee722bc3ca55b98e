"""docs/types.md lists the shipped types with their facts, as the code has them."""

from __future__ import annotations

from importlib import import_module

from support.shipped_types import REPOSITORY, SHIPPED

PAGE = REPOSITORY / "docs" / "types.md"


def row(name):
    module = import_module(f"waypost.flows.{name.replace('-', '_')}")
    said = (module.__doc__ or "").partition("\n")[0].partition(": ")[2].rstrip(".")
    fields = module.TYPE.facts.model_fields.items()
    facts = ", ".join(f"`{name}`" if field.is_required() else f"*{name}*" for name, field in fields)
    return f"| `{name}` | {said} | {facts} |"


def test_the_page_lists_every_shipped_type_with_its_facts():
    shown = PAGE.read_text().splitlines()
    wanted = [row(name) for name in sorted(SHIPPED)]
    assert [line for line in wanted if line not in shown] == []
