"""`waypost recipients import`: tables and lines as people have them."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner, Result

from waypost.cli import app
from waypost.cli.errors import explained
from waypost.config.settings import Settings

pytestmark = pytest.mark.usefixtures("home")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recipients", *arguments])


def imported(file, content: str | bytes, *arguments: str) -> Result:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return run("import", str(file), *arguments)


def known(key: str):
    return json.loads(run("show", key, "--json").stdout)


@pytest.mark.parametrize(
    "content",
    [
        b"id,email,name\n1,ada@shop.example,Ad\xc3\xa8le\n",
        b"\xef\xbb\xbfID;E-Mail;Name\r\n1;ada@shop.example;Ad\xc3\xa8le\r\n",
        b"id\temail address\tname\n1\tada@shop.example\tAd\xe8le\n",
        b'name,id,email,plan\n"Ad\xc3\xa8le",1,"ada@shop.example","gold\nold"\n',
    ],
)
def test_tables_of_many_programs_are_read(tmp_path, content):
    done = imported(tmp_path / "people.csv", content)
    assert (done.exit_code, done.stdout) == (0, "1 recipient imported, no rows refused\n"), done.output
    found = known("1")
    assert (found["email"], found["name"]) == ("ada@shop.example", "Adèle")


def test_lines_of_json_are_read_too_and_a_number_is_an_id(tmp_path):
    lines = '{"id": 7, "email": "ada@shop.example"}\n{"Mail": "bob@shop.example", "plan": 3}\n'
    assert imported(tmp_path / "people.jsonl", lines).exit_code == 0
    assert known("7")["email"] == known("mailto:bob@shop.example")["email"].replace("bob", "ada")


def test_columns_with_other_names_are_mapped(tmp_path):
    table = "Kunde,Mailadresse,Sprache\n1,ada@shop.example,de_CH\n"
    options = ("--column", "Kunde=id", "--column", "Mailadresse=email", "--column", "Sprache=locale")
    assert imported(tmp_path / "kunden.csv", table, *options).exit_code == 0
    assert known("1")["locale"] == "de-CH"


def test_what_a_row_does_not_say_stays_and_of_two_rows_the_later_counts(tmp_path):
    assert imported(tmp_path / "a.csv", "id,email,name\n1,ada@shop.example,Ada\n").exit_code == 0
    assert (
        imported(tmp_path / "b.csv", "id,email,name\n1,old@shop.example,\n1,new@shop.example,\n").exit_code
        == 0
    )
    found = known("1")
    assert (found["email"], found["name"]) == ("new@shop.example", "Ada")


def test_wrong_rows_are_refused_with_their_reason_and_the_others_are_imported(tmp_path):
    table = (
        "id,email,timezone\n1,ada@shop.example,Mars/Olympus\n2,nobody@,\n3,bob@shop.example,Europe/Rome\n,,\n"
        '4,"eve@shop.example\n5,mia@shop.example,UTC\n'
    )
    refused = tmp_path / "refused.csv"
    done = imported(tmp_path / "people.csv", table, "--rejected", str(refused))
    assert (done.exit_code, done.stdout) == (1, "1 recipient imported, 3 rows refused\n"), done.output
    rows = list(csv.DictReader(refused.open()))
    assert [(row["id"], row["place"]) for row in rows[:2]] == [
        ("1", "people.csv, line 2"), ("2", "people.csv, line 3"),
    ]  # fmt: skip
    assert rows[0]["refused_because"] == "timezone: not an IANA time zone such as 'Europe/Paris'"
    assert "nobody@" not in done.output
    assert known("3")["timezone"] == "Europe/Rome"


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("name,plan\nAda,gold\n", (), "has no column id, email or phone, which name a recipient"),
        ("id,ID\n1,2\n", (), "has two columns id; rename one"),
        ("id,mail,email\n1,a@b.example,c@d.example\n", (), "has two columns email; rename one"),
        ("", (), "is empty; its first line names the columns"),
        (",".join(f"c{n}" for n in range(20_000)) + "\n", (), "people.csv, line 1: longer than 65,536 bytes"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_a_sentence(tmp_path, table, options, said):
    done = imported(tmp_path / "people.csv", table, *options)
    assert done.exit_code == 1
    assert said in done.output or said in str(explained(done.exception))


@pytest.mark.parametrize("column", ["Kunde", "Kunde=key", "=id"])
def test_a_mapping_that_is_none_is_told(tmp_path, column):
    done = imported(tmp_path / "people.csv", "id\n1\n", "--column", column)
    assert done.exit_code == 2
    assert "write COLUMN=FIELD, where FIELD is one of id, email, phone" in " ".join(done.output.split())


def test_an_unknown_client_is_told_before_anything_is_read(tmp_path):
    done = imported(tmp_path / "people.csv", "id\n1\n", "--client", "nobody")
    assert done.exit_code == 1
    assert run("show", "1").exit_code == 1


def test_a_row_that_the_ledger_never_takes_is_refused_alone(tmp_path):
    """A trigger refuses it, as PostgreSQL refuses texts that SQLite takes."""
    with closing(sqlite3.connect(Settings().home / "ledger.db")) as ledger:
        ledger.execute(
            "CREATE TRIGGER poison BEFORE INSERT ON recipients WHEN NEW.key = '2' "
            "BEGIN SELECT RAISE(ABORT, 'hunter2'); END"
        )
    refused = tmp_path / "refused.csv"
    done = imported(tmp_path / "people.csv", "id,name\n1,a\n2,b\n3,c\n", "--rejected", str(refused))
    assert (done.exit_code, done.stdout) == (1, "2 recipients imported, 1 row refused\n"), done.output
    [row] = csv.DictReader(refused.open())
    assert row["place"] == "people.csv, line 3"
    assert row["refused_because"] == "storing failed unexpectedly: IntegrityError (see the log)"
    assert "hunter2" not in done.output
    assert known("3")["name"] == "c"


def test_attributes_are_columns_and_stay_where_a_row_does_not_say_them(tmp_path):
    table = "id,email,Tarif,attributes.city\n1,ada@shop.example,gold,Bern\n2,bob@shop.example,,\n"
    assert imported(tmp_path / "people.csv", table, "--column", "Tarif=attributes.plan").exit_code == 0
    assert (known("1")["attributes"], known("2")["attributes"]) == ({"plan": "gold", "city": "Bern"}, {})
    one = {"id": 1, "attributes": {"plan": "free", "visits": 3}, "attributes.vip": True}
    lines = "\n".join(map(json.dumps, [one, {"id": 1, "name": "A"}]))
    assert imported(tmp_path / "people.jsonl", lines).exit_code == 0
    assert known("1")["attributes"] == {"plan": "free", "city": "Bern", "visits": 3, "vip": True}


def test_rows_with_attributes_that_cannot_be_kept_are_refused_and_corrected_in_their_file(tmp_path):
    file, refused = tmp_path / "people.csv", tmp_path / "refused.csv"
    content = f"id,attributes.plan,attributes\n1,gold,\n2,{'x' * 1001},\n3,,[1]\n4,,nothing\n"
    done = imported(file, content, "--rejected", str(refused))
    assert (done.exit_code, done.stdout) == (1, "1 recipient imported, 3 rows refused\n")
    rows = list(csv.DictReader(refused.open(encoding="utf-8")))
    assert json.loads(rows[0]["attributes"]) == {"plan": "x" * 1001}
    assert rows[0]["refused_because"] == "attributes: plan: a text has more than 1,000 characters"
    rows[0]["attributes"] = '{"plan": "free"}'
    with refused.open("w", encoding="utf-8", newline="") as opened:
        table = csv.DictWriter(opened, rows[0])
        table.writeheader()
        table.writerow(rows[0])
    assert run("import", str(refused)).exit_code == 0
    assert known("2")["attributes"] == {"plan": "free"}


def test_a_row_that_brings_too_many_attributes_is_refused_alone(tmp_path):
    first = {"id": 1, "attributes": {f"a{n}": n for n in range(50)}}
    assert imported(tmp_path / "a.jsonl", json.dumps(first)).exit_code == 0
    lines = [{"id": 1, "attributes": {"b": 1}}, {"id": 2, "attributes": {"b": 1}}]
    done = imported(tmp_path / "b.jsonl", "\n".join(map(json.dumps, lines)))
    assert (done.exit_code, done.stdout) == (1, "1 recipient imported, 1 row refused\n")
    assert "more than 50 names" in done.stderr
    assert known("2")["attributes"] == {"b": 1}


def test_phones_are_kept_in_e164_and_impossible_ones_are_refused(tmp_path):
    table = "id,phone,locale\n1,+49 (0)30 123456,\n2,030 123456,de-DE\n3,030 123456,\n4,+1 555 0100,en\n"
    done = imported(tmp_path / "people.csv", table)
    assert (done.exit_code, done.stdout) == (1, "2 recipients imported, 2 rows refused\n")
    assert known("1")["phone"] == known("2")["phone"] == "+4930123456"
    assert "people.csv, line 4: phone: give its country code, such as +442079460018" in done.stderr
    assert "555" not in done.stderr
