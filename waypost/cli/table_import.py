"""Importing the rows of a table, a thousand in a transaction: what became of them, and where those that are
refused are written."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import typer
from rich.markup import escape

from waypost.cli.interrupted import told_if_interrupted
from waypost.cli.output import complain, err, json_bytes, print_json
from waypost.cli.progress import bars
from waypost.cli.replaced_file import replaced
from waypost.config.settings import Settings
from waypost.ledger import Ledger, connect_checked
from waypost.sources.rows import Row
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.outage import is_outage
from waypost.system.plurals import counted

A_TRANSACTION = 1000  # rows
REFUSALS_SHOWN = 20


def table_file(help: str) -> Any:
    """The argument of a file to import. help: what it has to be."""
    return typer.Argument(exists=True, dir_okay=False, readable=True, metavar="FILE", help=help)


Rejected = Annotated[
    Path | None,
    typer.Option(dir_okay=False, metavar="FILE", help="CSV file for the refused rows, with reasons."),
]

T = TypeVar("T")


@dataclass(slots=True)
class TableImport(Generic[T]):
    """An import, and what became of its rows so far.

    what: what a row is, as a noun. make: a row's value; it raises ValueError, with the column, for a row that
    is refused. store: keeps values, in a transaction. header: the columns of the file of refused rows.
    refusal: what `store` raises for a row that it refuses, with the reason.
    """

    what: str
    header: Sequence[str]
    make: Callable[[Row], T]
    store: Callable[[Ledger, Sequence[T]], Awaitable[object]]
    check: Callable[[Ledger], Awaitable[object]]
    refusal: type[Exception] = ItemFailed
    imported: int = 0
    refused: int = 0
    reasons: list[str] = field(default_factory=list[str])  # the first ones

    def run(self, rows: Iterator[Row], rejected: Path | None, as_json: bool) -> None:
        """Import the rows, and print what became of them. rejected: the file of refused rows, if there is to
        be one. Exits with 1 if a row was refused."""
        with told_if_interrupted(lambda: f"interrupted: {self}; import the file again for the rest"):
            try:
                asyncio.run(self._run(rows, rejected))
            except Exception:
                if self.imported:
                    complain(f"stopped before the end of the file: {self}; import it again for the rest")
                raise
        if as_json:
            print_json({"imported": self.imported, "refused": self.refused})
        else:
            self._tell(rejected)
        if self.refused:
            raise typer.Exit(1)

    async def _run(self, rows: Iterator[Row], rejected: Path | None) -> None:
        with bars() as progress:
            task = progress.add_task("read", total=None)
            async with connect_checked(Settings()) as ledger:
                await self.check(ledger)
                with _refusals(rejected, self.header) as refuse:
                    while some := list(islice(rows, A_TRANSACTION)):
                        await self._import(ledger, some, refuse)
                        progress.update(task, completed=self.read)
            progress.update(task, total=self.read, completed=self.read)

    @property
    def read(self) -> int:
        """The rows read so far."""
        return self.imported + self.refused

    async def _import(self, ledger: Ledger, rows: Sequence[Row], refuse: Refuse) -> None:
        good: list[tuple[Row, T]] = []
        for row in rows:
            try:
                with isolated("reading", ValueError, item=row.place):
                    good.append((row, self.make(row)))
            except (ValueError, ItemFailed) as error:
                self._refuse(row, str(error), refuse)
        try:
            await self.store(ledger, [value for _, value in good])
        except Exception as error:
            if is_outage(error):
                raise
            await self._import_singly(ledger, good, refuse)
        else:
            self.imported += len(good)

    async def _import_singly(self, ledger: Ledger, rows: Sequence[tuple[Row, T]], refuse: Refuse) -> None:
        """After the ledger refused rows together: one of them is the reason, and the others are stored."""
        for row, value in rows:
            try:
                with isolated("storing", self.refusal, item=row.place, outage=is_outage):
                    await self.store(ledger, [value])
            except (ItemFailed, self.refusal) as error:
                self._refuse(row, str(error), refuse)
            else:
                self.imported += 1

    def _refuse(self, row: Row, reason: str, refuse: Refuse) -> None:
        refuse(row, reason)
        self.refused += 1
        if len(self.reasons) < REFUSALS_SHOWN:
            self.reasons.append(f"{row.place}: {reason}")

    def __str__(self) -> str:
        return f"{counted(self.imported, self.what)} imported, {counted(self.refused, 'row')} refused"

    def _tell(self, rejected: Path | None) -> None:
        """Print the result for people."""
        for reason in self.reasons:
            err.print(f"[red]refused[/] {escape(reason)}", soft_wrap=True)
        if self.refused > len(self.reasons):
            err.print(f"[red]... and {counted(self.refused - len(self.reasons), 'more row')}")
        typer.echo(str(self))
        if self.refused:
            where = "--rejected FILE writes the refused rows"
            if rejected:
                where = f"{rejected} has the refused rows"
            err.print(f"{where}: correct them, and import that file", soft_wrap=True)


Refuse = Callable[[Row, str], None]


def _cell(value: object) -> object:
    """A value as a cell of CSV: JSON for an object or a list."""
    return json_bytes(value).decode() if isinstance(value, (dict, list)) else value


@contextmanager
def _refusals(file: Path | None, header: Sequence[str]) -> Generator[Refuse]:
    """Writes refused rows to `file`, with their place and reason; nowhere for None. The file may be the one
    that is imported."""
    if file is None:
        yield lambda row, reason: None
        return
    with replaced(file, even_unfinished=True) as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow((*header, "place", "refused_because"))

        def refuse(row: Row, reason: str) -> None:
            cells = (_cell(row.values.get(name, "")) for name in header)
            table.writerow((*cells, row.place, reason))

        yield refuse
