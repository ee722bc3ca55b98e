"""Files that commands write: what was there stays until there is something better."""

from __future__ import annotations

import os
import threading

import pytest
from typer.testing import CliRunner

from waypost.cli import app
from waypost.cli.replaced_file import replaced

BEFORE = "what a person exported in spring\n"


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "out.csv"
    made.write_text(BEFORE)
    return made


def alone(file):
    return [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_new_text_takes_the_place_of_the_old_one_and_keeps_its_rights(file):
    file.chmod(0o640)
    with replaced(file) as opened:
        opened.write("new\n")
        assert file.read_text() == BEFORE
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new\n", 0o640)
    assert alone(file)


@pytest.mark.parametrize(("even_unfinished", "left"), [(False, BEFORE), (True, "half\n")])
def test_what_fails_leaves_the_old_text_or_what_was_written_until_then(file, even_unfinished, left):
    def interrupted():
        with replaced(file, even_unfinished) as opened:
            opened.write("half\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == left
    assert alone(file)


def test_a_link_stays_a_link_and_a_pipe_is_written_to(file, tmp_path):
    link, pipe, heard = tmp_path / "link.csv", tmp_path / "pipe", []
    link.symlink_to(file)
    with replaced(link) as opened:
        opened.write("new\n")
    assert link.is_symlink()
    assert file.read_text() == "new\n"
    os.mkfifo(pipe)
    reading = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reading.start()
    with replaced(pipe) as opened:
        opened.write("new\n")
    reading.join(10)
    assert heard == ["new\n"]


@pytest.mark.parametrize(
    "command",
    [
        ["suppressions", "export", "out.csv"],
        ["suppressions", "import", "in.csv", "--rejected", "out.csv"],
        ["recipients", "import", "in.csv", "--rejected", "out.csv"],
    ],
)
def test_without_a_ledger_no_command_touches_its_file(file, command, monkeypatch):
    """A ledger that is missing, and one that does not answer."""
    monkeypatch.chdir(file.parent)
    (file.parent / "in.csv").write_text("address\nada@a.example\n")
    for url in ("sqlite:////nowhere/ledger.db", "postgresql://a:b@127.0.0.1:9/c"):
        monkeypatch.setenv("WAYPOST_DATABASE_URL", url)
        assert CliRunner().invoke(app, command).exit_code == 1
        assert file.read_text() == BEFORE
    assert {one.name for one in file.parent.iterdir()} == {"in.csv", "out.csv"}


@pytest.mark.usefixtures("home")
def test_the_refused_rows_may_replace_the_file_that_is_imported(tmp_path):
    table = tmp_path / "people.csv"
    rows = "".join(f"r{number}@a.example\n" for number in range(5_000))
    table.write_text(f"address\nnobody\n{rows}neither\n")
    done = CliRunner().invoke(app, ["suppressions", "import", str(table), "--rejected", str(table)])
    assert (done.exit_code, "5,000 suppressions imported, 2 rows refused" in done.output) == (1, True)
    head, *refused = table.read_text().splitlines()
    assert head.startswith("address,category")
    assert [line.partition(",")[0] for line in refused] == ["nobody", "neither"]
