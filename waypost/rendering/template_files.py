"""Where templates are: in the project's folder first, then in the shipped one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from waypost.rendering.layouts import Flat, LayoutError, flatten

PARTS = ("subject.txt", "body.mjml", "body.txt", "short.txt")
LARGEST_FILE = 1_000_000  # bytes; a template that is larger is a mistake

Stamp = (
    tuple[int, int] | None
)  # of a file: its last change in nanoseconds, and its bytes; None without a file


class TemplateError(ValueError):
    """A template is missing, broken, or uses an undefined variable. The message is for people."""


class TemplateFiles:
    """Folders of `<type>/{subject.txt,body.mjml,body.txt,short.txt}`, the first to search first.

    `<type>/<locale>/<part>` replaces a part for a locale. A file replaces the file of the same path in a
    later folder. If a folder has every part of a type, later folders are not searched for that type.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def of_type(self, type: str) -> list[Path]:
        """The folders whose templates of `type` are used, the first to search first."""
        found: list[Path] = []
        for folder in self.folders:
            homes = [folder / type, *_subfolders(folder / type)]
            if any(_parts(home) for home in homes):
                found.append(folder)
            if any(_parts(home) == len(PARTS) for home in homes):
                break
        return found

    def own_languages(self, type: str) -> list[str]:
        """The languages that have parts of their own."""
        return sorted(
            {
                home.name
                for folder in self.of_type(type)
                for home in _subfolders(folder / type)
                if _parts(home)
            }
        )

    def part(self, type: str, langs: Sequence[str], part: str) -> str | None:
        """The name of a part's file in the nearest of the languages: `alert/de/body.txt`, `alert/body.txt`.
        None if there is none."""
        for folder in self.of_type(type):
            for name in (*(f"{type}/{lang}/{part}" for lang in langs), f"{type}/{part}"):
                if (folder / name).is_file():
                    return name
        return None

    def path(self, name: str) -> Path | None:
        """A file by its name; None if there is none."""
        return next((path for path in self.candidates(name) if path.is_file()), None)

    def candidates(self, name: str) -> list[Path]:
        """Where a file may be, the first that is there counts."""
        return [folder / name for folder in self.folders]

    def display(self, name: str) -> str:
        """A file's name in messages: `templates/alert/body.txt`, or `waypost/templates/...` for a shipped
        file that is used beside a project's templates."""
        found = self.path(name)
        return f"{'' if found in (None, self.folders[0] / name) else 'waypost/'}templates/{name}"

    def flat(self, name: str) -> Flat:
        """A template with its layouts and includes in place. Raises TemplateError naming file and line."""
        try:
            return flatten(name, self.read)
        except OSError as error:
            raise TemplateError(f"{self.display(name)}: {error.strerror}") from None
        except LayoutError as error:
            line = f", line {error.line}" if error.line else ""
            raise TemplateError(f"{self.display(error.file)}{line}: {error}") from None
        except ValueError as error:
            raise TemplateError(f"{self.display(name)}: {error}") from None

    def read(self, name: str) -> str:
        """The text of a file. Raises OSError, and ValueError for a file outside its templates folder. The
        folder itself may be a link."""
        for folder in self.folders:
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ValueError("a file must stay inside the templates folder")
            if not path.exists():
                continue
            if path.stat().st_size > LARGEST_FILE:
                raise ValueError(f"larger than {LARGEST_FILE // 1_000_000} MB")
            return path.read_text(encoding="utf-8-sig")  # without the mark that some editors write first
        raise FileNotFoundError(2, "No such file or directory")


def stamp(path: Path) -> Stamp:
    """Changes whenever the file or folder does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in _entries(folder) if path.is_dir())


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _parts(folder: Path) -> int:
    return sum((folder / part).is_file() for part in PARTS)
