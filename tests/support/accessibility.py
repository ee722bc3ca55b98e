"""Runs axe-core in a browser's page: what in it a person with a disability cannot use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.browser import Page

PROGRAM = Path(__file__).parents[1] / "page_checkers/node_modules/axe-core/axe.min.js"
# Every rule that is on by default: WCAG 2.2, levels A and AA, and good practice.
_RUN = """axe.run(document, {resultTypes: ["violations"]}).then(found => JSON.stringify({
    passed: found.passes.length,
    violations: found.violations.map(one => `${one.id}: ${one.help}: ${one.nodes.map(node => node.html)}`),
}))"""


def program() -> str:
    """The source of axe-core. CI fails without it, elsewhere tests skip."""
    if not PROGRAM.exists():
        if os.environ.get("CI"):
            pytest.fail("axe-core is missing: .ci/run installs it")
        pytest.skip("no axe-core: install it with npm ci --prefix tests/page_checkers")
    return PROGRAM.read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """What axe-core finds in the page as it is shown. The script comes by the browser's protocol: a page has
    none, and its policy allows none."""
    page.ask("Runtime.evaluate", expression=program())
    found = json.loads(page.run(_RUN))
    assert found["passed"] > 10, "axe-core looked at nothing"
    return found["violations"]
