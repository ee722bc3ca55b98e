"""Brands that a preview and a check of templates know: those of the settings, and those kept in Prefect."""

from __future__ import annotations

import asyncio

import pytest

from waypost.cli.brands import known_brands
from waypost.config.settings import Settings
from waypost.ledger import connect_checked
from waypost.ledger.records import kept_brands


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("WAYPOST_HOME", str(tmp_path))
    return Settings()


async def keep(settings):
    async with connect_checked(settings) as ledger:
        await kept_brands.write(ledger, {"acme": {"sender": "Acme <mail@acme.example>"}})


def test_brands_that_workers_found_in_prefect_are_known(settings, empty_ledger):
    (settings.home / "ledger.db").write_bytes(empty_ledger.read_bytes())
    asyncio.run(keep(settings))
    assert {name: one.name for name, one in known_brands(settings).items()}["acme"] == "Acme"


def test_without_a_ledger_those_of_the_settings_are_known(settings, capsys):
    assert [*known_brands(settings)] == ["default"]
    assert capsys.readouterr().err == ""


def test_a_ledger_that_cannot_be_read_is_told(settings, capsys):
    (settings.home / "ledger.db").write_bytes(b"no database" * 100)
    assert [*known_brands(settings)] == ["default"]
    assert "only the brands of the settings are known: " in capsys.readouterr().err
