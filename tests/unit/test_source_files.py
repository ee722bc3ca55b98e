"""Rows of CSV and JSONL files: good ones as they are, bad ones with their place and reason."""

import tracemalloc

import pytest

from waypost.sources.files import rows_of
from waypost.sources.rows import SourceFailed


def read(tmp_path, content, name="due.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(row.place, row.wrong or dict(row.values)) for row in rows_of(file)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("email,expires_on\nada@a.example,2026-03-31\n", "due.csv"),
        (
            "\ufeffE-Mail;Expires on\r\n".replace("E-Mail", "EMail") + "ada@a.example;2026-03-31\r\n",
            "due.CSV",
        ),
        ("email\texpires_on\nada@a.example\t2026-03-31", "due.tsv"),
        ('\n"email","expires_on"\n\n"ada@a.example","2026-03-31"\n ,\n', "due.csv"),
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path, text, name):
    [(_, values)] = read(tmp_path, text.replace("EMail", "Email"), name)
    assert values == {"email": "ada@a.example", "expires_on": "2026-03-31"}


def test_a_row_is_named_by_its_lines(tmp_path):
    rows = read(tmp_path, 'email,note\na@a.example,"two\nlines"\nb@a.example,\n')
    assert [place for place, _ in rows] == ["due.csv, lines 2 to 3", "due.csv, line 4"]
    assert rows[0][1] == {"email": "a@a.example", "note": "two\nlines"}


def test_bad_lines_of_a_table_are_named_and_the_rest_goes_on(tmp_path):
    long = b"x" * 70_000 + b",1\n"
    text = b'email,n\na@a.example\n"b"b,1\n\xff,1\nz\x00,1\n' + long + b"c@a.example,1\n"
    assert read(tmp_path, text) == [
        ("due.csv, line 2", "it has 1 columns; the first line has 2"),
        ("due.csv, line 3", "not CSV (',' expected after '\"')"),
        ("due.csv, line 4", "not text in UTF-8"),
        ("due.csv, line 5", "it contains a NUL character"),
        ("due.csv, line 6", "longer than 65,536 bytes"),
        ("due.csv, line 7", {"email": "c@a.example", "n": "1"}),
    ]


def test_a_quote_that_never_ends_does_not_swallow_the_file(tmp_path):
    text = 'email,n\n"a@a.example,1\n' + "b@a.example,1\n" * 20_000
    rows = read(tmp_path, text)
    assert rows[0] == ("due.csv, lines 2 to 9364", "not CSV (field larger than field limit (131072))")
    assert rows[-1] == ("due.csv, line 20002", {"email": "b@a.example", "n": "1"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "due.csv is empty; its first line names the columns"),
        (b"name,n\nAda,1\n", "due.csv has no column email, phone or id; add one that names the recipient"),
        (b"email,n,N\n", "due.csv has two columns n; rename one"),
        ("email,n\n".encode("utf-16"), "due.csv, line 1: it contains a NUL character; it names the columns"),
        (b"PK\x03\x04\xff\xfe\n", "due.csv, line 1: not text in UTF-8"),
    ],
)
def test_a_table_without_a_head_is_refused(tmp_path, content, said):
    with pytest.raises(SourceFailed) as failed:
        read(tmp_path, content)
    assert said in str(failed.value)


def test_lines_of_json(tmp_path):
    text = b'\xef\xbb\xbf{"Email": "a@a.example", "n": 1.50, "tags": ["x"]}\n\n[1]\n{"email": \n"\xff"\n'
    text += b"9" * 70_000 + b'\n{"n": NaN}\n{"id": "ada"}'
    assert read(tmp_path, text, "due.jsonl") == [
        ("due.jsonl, line 1", {"email": "a@a.example", "n": 1.5, "tags": ["x"]}),
        ("due.jsonl, line 3", "not a JSON object"),
        ("due.jsonl, line 4", "not JSON in UTF-8"),
        ("due.jsonl, line 5", "not JSON in UTF-8"),
        ("due.jsonl, line 6", "longer than 65,536 bytes"),
        ("due.jsonl, line 7", "not JSON in UTF-8"),
        ("due.jsonl, line 8", {"id": "ada"}),
    ]


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path):
    with pytest.raises(SourceFailed, match=r"the file .*/due\.csv does not exist"):
        list(rows_of(tmp_path / "due.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceFailed, match="is not a file"):
        list(rows_of(tmp_path / "folder.csv"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["due.csv", "due.jsonl"])
def test_a_large_file_is_read_in_little_memory(tmp_path, name):
    line = '{"email": "a@a.example", "n": 1}\n' if name.endswith("l") else "a@a.example,1\n"
    (tmp_path / name).write_text("email,n\n" + line * 100_000)
    tracemalloc.start()
    count = sum(1 for _ in rows_of(tmp_path / name))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count >= 100_000
    assert most < 1_000_000
