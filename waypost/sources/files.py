"""Rows of CSV and JSONL files."""

from __future__ import annotations

import codecs
import csv
import os
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic_core import from_json

from waypost.model.source import TABLES
from waypost.sources.rows import LONGEST, Row, SourceFailed, column
from waypost.system.file_lines import lines_of

_DELIMITERS = ",;\t"
_TOO_LONG = f"longer than {LONGEST:,} bytes"
_BOM = b"\xef\xbb\xbf"


def rows_of(file: Path, needed: Collection[str] = ()) -> Generator[Row]:
    """The rows of `file`, read as they are asked for. A line that cannot be read is a row without values.
    needed: columns that a table has to have.

    Raises SourceFailed for a file that is missing, cannot be read, or is a table without a usable head."""
    with _opened(file) as opened:
        if file.suffix.lower() in TABLES:
            yield from _table(opened, file.name, partial(checked_columns, of=file.name, needed=needed))
        else:
            yield from _json_lines(opened, file.name)


def table_rows(file: Path, check: Callable[[Sequence[str]], list[str]]) -> Generator[Row]:
    """The rows of a table in UTF-8 or Latin-1, whatever the file's name ends in, read as they are asked for.
    check: the columns, by the cells of the first line; it raises SourceFailed if some are wrong.

    Raises SourceFailed as `rows_of` does."""
    with _opened(file) as opened:
        encoding = _encoding(opened)
        opened.seek(0)
        yield from _table(opened, file.name, check, encoding)


@contextmanager
def _opened(file: Path) -> Generator[BinaryIO]:
    if not file.exists():
        raise SourceFailed(f"the file {file} does not exist")
    if not file.is_file():
        raise SourceFailed(f"{file} is not a file")
    try:
        with file.open("rb") as opened:
            yield opened
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise SourceFailed(f"the file {file} cannot be read ({why})") from None


def _encoding(file: BinaryIO) -> str:
    """UTF-8 if the whole file is valid in it, which text in Latin-1 with a letter beyond ASCII seldom is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while part := file.read(LONGEST):
            decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _json_lines(file: BinaryIO, name: str) -> Iterator[Row]:
    for number, line in enumerate(lines_of(file, LONGEST), 1):
        line = line.removeprefix(_BOM) if number == 1 else line
        if line.strip():
            yield _object(line, f"{name}, line {number}")


def _object(line: bytes, place: str) -> Row:
    if len(line) > LONGEST:
        return Row(place, wrong=_TOO_LONG)
    try:
        values = from_json(line, allow_inf_nan=False)
    except ValueError:
        return Row(place, wrong="not JSON in UTF-8")
    if not isinstance(values, dict):
        return Row(place, wrong="not a JSON object")
    return Row(place, {column(key): value for key, value in cast("dict[str, Any]", values).items()})


class _Lines:
    """The lines of a table as text, without those that cannot be read. begin, end: the numbers of the first
    and the last line since `next_row`. unreadable: a row for each line left out since then."""

    def __init__(self, file: BinaryIO, name: str, encoding: str) -> None:
        self._lines = lines_of(file, LONGEST)
        self._name = name
        self._encoding = encoding
        self.begin = self.end = 0
        self.unreadable: list[Row] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.end += 1
            line = line.removeprefix(_BOM) if self.end == 1 else line
            if wrong := _fault(line, self._encoding):
                self.unreadable.append(Row(f"{self._name}, line {self.end}", wrong=wrong))
                continue
            self.begin = self.begin or self.end
            yield line.decode(self._encoding)

    def next_row(self) -> None:
        self.begin, self.unreadable = 0, []

    @property
    def place(self) -> str:
        lines = f"line {self.begin}" if self.begin == self.end else f"lines {self.begin} to {self.end}"
        return f"{self._name}, {lines}"


def _fault(line: bytes, encoding: str) -> str:
    if len(line) > LONGEST:
        return _TOO_LONG
    if b"\0" in line:
        return "it contains a NUL character"
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return "not text in UTF-8"
    return ""


def _table(
    file: BinaryIO, name: str, check: Callable[[Sequence[str]], list[str]], encoding: str = "utf-8"
) -> Iterator[Row]:
    lines = _Lines(file, name, encoding)
    texts = iter(lines)
    first = next((line for line in texts if line.strip()), None)
    if lines.unreadable:  # else a row of values would be the head
        [unreadable, *_] = lines.unreadable
        raise SourceFailed(f"{unreadable.place}: {unreadable.wrong}; it names the columns")
    if first is None:
        raise SourceFailed(f"{name} is empty; its first line names the columns")
    delimiter = max(_DELIMITERS, key=first.count)
    head = _head(first, delimiter, name, check)
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    while True:
        lines.next_row()
        row: Row | None = None
        ended = False
        try:
            row = _row(next(reader), head, lines.place)
        except StopIteration:
            ended = True
        except csv.Error as error:
            row = Row(lines.place, wrong=f"not CSV ({error})")
        yield from lines.unreadable
        if row is not None:
            yield row
        if ended:
            return


def _head(line: str, delimiter: str, name: str, check: Callable[[Sequence[str]], list[str]]) -> list[str]:
    try:
        [cells] = csv.reader([line], delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise SourceFailed(f"the first line of {name}, with the columns, is not CSV ({error})") from None
    return check(cells)


def checked_columns(names: Sequence[str], of: str, needed: Collection[str] = ()) -> list[str]:
    """The columns, named as facts are. Raises SourceFailed for two columns with a name, if none says who the
    recipient is, or if a needed one is missing. of: what has the columns."""
    columns = distinct_columns(names, of)
    if not {"email", "phone", "id"} & {*columns}:
        raise SourceFailed(f"{of} has no column email, phone or id; add one that names the recipient")
    if lacking := [name for name in needed if name not in columns]:
        raise SourceFailed(f"{of} has no column {', '.join(lacking)}; the type needs it")
    return columns


def distinct_columns(names: Sequence[str], of: str) -> list[str]:
    """The columns, named as facts are. Raises SourceFailed for two with one name. of: what has them."""
    columns = [column(name) for name in names]
    times = Counter(columns)
    if twice := next((one for one in columns if one and times[one] > 1), None):
        raise SourceFailed(f"{of} has two columns {_shown(twice)}; rename one")
    return columns


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:60])


def _row(cells: list[str], head: list[str], place: str) -> Row | None:
    """The row, or None for a line without values."""
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) != len(head):
        return Row(place, wrong=f"it has {len(cells)} columns; the first line has {len(head)}")
    return Row(place, {name: cell for name, cell in zip(head, cells, strict=True) if name})
