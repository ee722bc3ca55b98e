"""`waypost suppressions`: what it keeps, lists, lifts, and that a table goes out and comes in the same."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.testing import CliRunner, Result

from waypost.cli import app
from waypost.cli.errors import explained

HEAD = "address,category,cause,client,evidence,expires_at\n"


pytestmark = pytest.mark.usefixtures("home")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["suppressions", *arguments])


def good(*arguments: str) -> Result:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done


def listed(*arguments: str):
    return json.loads(good("list", "--reveal", "--json", *arguments).stdout)


def test_an_added_address_is_masked_in_the_list_unless_it_is_revealed():
    assert good("add", "ADA@shop.example", "--reason", "by letter").stdout == (
        "a***a@shop.example: suppressed for all categories\n"
    )
    head, line = good("list").stdout.splitlines()
    assert head.split()[:4] == ["address", "category", "cause", "client"]
    assert line.split()[:4] == ["a***a@shop.example", "all", "manual", "all"]
    assert "ada@shop.example" in good("list", "--reveal").stdout
    [one] = listed()
    assert (one["address"], one["client"], one["evidence"]) == ("ada@shop.example", "*", "by letter")


def test_a_list_is_narrowed_by_address_category_cause_and_client():
    good("add", "ada@shop.example", "--category", "marketing", "--client", "-")
    good("add", "bob@shop.example", "--cause", "complaint", "--expires-in", "3")
    good("add", "+49 170 1234512")

    def found(*arguments):
        return sorted(one["address"] for one in listed(*arguments))

    assert found() == ["+491701234512", "ada@shop.example", "bob@shop.example"]
    assert found("--category", "marketing") == found("--client", "-") == ["ada@shop.example"]
    assert found("--cause", "complaint") == found("BOB@shop.example") == ["bob@shop.example"]
    assert found("--client", "*") == ["+491701234512", "bob@shop.example"]
    assert len(found("--limit", "1")) == 1


def test_what_is_lifted_is_gone_and_the_rest_stays():
    good("add", "ada@shop.example")
    good("add", "ada@shop.example", "--category", "product")
    done = good("remove", "ada@shop.example", "--category", "product")
    assert done.stdout == "a***a@shop.example: 1 suppression lifted\n"
    assert [one["category"] for one in listed()] == [None]
    again = run("remove", "ada@shop.example", "--category", "product")
    assert again.exit_code == 1
    assert explained(again.exception) == (
        "a***a@shop.example has no such suppression; see `waypost suppressions list`"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "nobody"], "neither an email address nor a phone number"),
        (["add", "ada@shop.example", "--client", "No"], "use small letters"),
        (["add", "ada@shop.example", "--client", "nosuch"], "unknown client nosuch"),
        (["add", "ada@shop.example", "--category", "digest"], "digest"),
        (["add", "ada@shop.example", "--reason", "x" * 501], "longer than 500 characters"),
    ],
)
def test_what_cannot_be_added_is_refused(arguments, said):
    done = run(*arguments)
    assert done.exit_code != 0
    assert said in done.output + str(explained(done.exception) if done.exception else "")
    assert listed() == []


def test_what_is_exported_and_imported_again_is_the_same(tmp_path):
    good("add", "ada@shop.example", "--category", "marketing", "--client", "-", "--cause", "unsubscribe")
    good("add", "Größe@shop.example", "--reason", 'said "no",\nagain; =1+1', "--expires-in", "3")
    good("add", "+491701234512", "--cause", "hard bounce")
    file = tmp_path / "all.csv"
    good("export", str(file))
    before = listed()
    assert good("export").stdout == file.read_text()
    for one in before:
        good("remove", one["address"])
    assert listed() == []
    assert good("import", str(file)).stdout == "3 suppressions imported, no rows refused\n"
    fields = ("address", "category", "cause", "client", "evidence", "expires_at")
    assert [[one[name] for name in fields] for one in listed()] == [
        [one[name] for name in fields] for one in before
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_in_the_encoding_and_with_the_delimiter_that_it_has(tmp_path, encoding, delimiter):
    file = tmp_path / "bounces.txt"
    rows = ["Email,Reason,Code", "ada@shop.example,Empfänger unbekannt,550", "bob@shop.example,,"]
    file.write_bytes("\r\n".join(rows).replace(",", delimiter).encode(encoding))
    done = good("import", str(file), "--cause", "hard bounce", "--reason", "from the old system")
    assert done.stdout == "2 suppressions imported, no rows refused\n"
    assert sorted((one["address"], one["cause"], one["evidence"]) for one in listed()) == [
        ("ada@shop.example", "hard bounce", "Empfänger unbekannt"),
        ("bob@shop.example", "hard bounce", "from the old system"),
    ]


def test_wrong_rows_are_refused_with_their_reasons_and_the_others_imported(tmp_path):
    file, rejected = tmp_path / "some.csv", tmp_path / "rejected.csv"
    rows = [
        "ada@shop.example,,,,,",
        "nobody,,,,,",
        ",marketing,,,,",
        "a@shop.example,digest,,,,",
        "b@shop.example,,because,,,",
        "c@shop.example,,,No,,",
        "d@shop.example,,,,,tomorrow",
        "e@shop.example,,,,,2020-01-01T00:00:00Z",
        "f@shop.example,,",
    ]
    file.write_text(HEAD + "\n".join(rows) + "\n")
    done = run("import", str(file), "--rejected", str(rejected), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {"imported": 1, "refused": 8}
    refused = list(csv.DictReader(io.StringIO(rejected.read_text())))
    assert [(one["address"], one["refused_because"]) for one in refused] == [
        ("nobody", "address: neither an email address nor a phone number"),
        ("", "address: missing"),
        ("a@shop.example", "category: not one of security, transactional, alert, product, marketing; leave "
         "it empty for all categories"),
        ("b@shop.example", "cause: not one of hard bounce, repeated soft bounce, complaint, unsubscribe, "
         "manual"),
        ("c@shop.example", "client: use small letters a to z, digits and hyphens, 41 at most; * for all "
         "clients"),
        ("d@shop.example", "expires_at: not a moment with an offset, such as 2027-01-31T00:00:00Z"),
        ("e@shop.example", "expires_at: it is past, so the row stops nothing"),
        ("", "it has 3 columns; the first line has 6"),
    ]  # fmt: skip
    assert [one["place"] for one in refused][:2] == ["some.csv, line 3", "some.csv, line 4"]
    assert [one["address"] for one in listed()] == ["ada@shop.example"]
    told = run("import", str(file))
    assert "refused some.csv, line 3: address: neither" in told.output
    assert "1 suppression imported, 8 rows refused" in told.output


def test_a_table_without_addresses_is_refused(tmp_path):
    file = tmp_path / "names.csv"
    file.write_text("name,age\nAda,36\n")
    done = run("import", str(file))
    assert str(explained(done.exception)).startswith("names.csv has no column address")


def test_thousands_of_rows_are_imported_a_thousand_at_a_time(tmp_path):
    file = tmp_path / "many.csv"
    file.write_text("address\n" + "".join(f"r{number}@shop.example\n" for number in range(2_500)))
    assert good("import", str(file)).stdout == "2,500 suppressions imported, no rows refused\n"
    assert good("export").stdout.count("\n") == 2_501
