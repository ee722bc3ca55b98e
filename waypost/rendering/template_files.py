"""Where templates are: in the project's folder first, then in the shipped one."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from waypost.rendering.layouts import Flat, LayoutError, flatten

PARTS = ("subject.txt", "body.mjml", "body.txt", "short.txt")
LARGEST_FILE = 1_000_000  # bytes; a template that is larger is a mistake

NO_FILE = "it is no regular file, but a pipe, a socket or a device; remove it, or write a file in its place"
TOO_DEEP = "its tags or expressions are nested too deep; divide them with {% set %}, or leave some out"

# Of a file: the last change of its text, and of its mode, in nanoseconds, and its bytes; None without a file.
Stamp = tuple[int, int, int] | None


class TemplateError(ValueError):
    """A template is missing, broken, or uses an undefined variable. The message is for people.

    tried: the files that were looked for until the fault, with their stamps before."""

    def __init__(self, said: str, tried: Mapping[Path, Stamp] | None = None) -> None:
        super().__init__(said)
        self.tried = tried or {}


class TemplateFiles:
    """Folders of `<type>/{subject.txt,body.mjml,body.txt,short.txt}`, the first to search first.

    `<type>/<locale>/<part>` replaces a part for a locale. A file replaces the file of the same path in a
    later folder. If a folder has every part of a type, later folders are not searched for that type.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def of_type(self, type: str) -> list[Path]:
        """The folders whose templates of `type` are used, the first to search first. Raises TemplateError
        for a folder that cannot be read."""
        found: list[Path] = []
        with readable(f"{type}/"):
            for folder in self.folders:
                homes = [folder / type, *_subfolders(folder / type)]
                if any(_parts(home) for home in homes):
                    found.append(folder)
                if any(_parts(home) == len(PARTS) for home in homes):
                    break
        return found

    def own_languages(self, type: str) -> list[str]:
        """The languages that have parts of their own. Raises TemplateError like `of_type`."""
        with readable(f"{type}/"):
            homes = [home for folder in self.of_type(type) for home in _subfolders(folder / type)]
            return sorted({home.name for home in homes if _parts(home)})

    def part(self, type: str, langs: Sequence[str], part: str) -> str | None:
        """The name of a part's file in the nearest of the languages: `alert/de/body.txt`, `alert/body.txt`.
        None if there is none. Raises TemplateError like `of_type`."""
        with readable(f"{type}/"):
            for folder in self.of_type(type):
                for name in (*(f"{type}/{lang}/{part}" for lang in langs), f"{type}/{part}"):
                    if (folder / name).is_file():
                        return name
        return None

    def why_missing(self, name: str) -> str:
        """Why there is no such file."""
        return NO_FILE if self.is_special(name) else "No such file or directory"

    def is_special(self, name: str) -> bool:
        """Whether there is a pipe, a socket or a device of this name."""
        return any(map(_is_special, self.candidates(name)))

    def path(self, name: str) -> Path | None:
        """A file by its name; None if there is none."""
        return next((path for path in self.candidates(name) if _is_there(path)), None)

    def candidates(self, name: str) -> list[Path]:
        """Where a file may be, the first that is there counts."""
        return [folder / name for folder in self.folders]

    def display(self, name: str) -> str:
        """A file's name in messages: `templates/alert/body.txt`, or `waypost/templates/...` for a shipped
        file that is used beside a project's templates."""
        found = self.path(name)
        return f"{'' if found in (None, self.folders[0] / name) else 'waypost/'}templates/{name}"

    def flat(self, name: str) -> Flat:
        """A template with its layouts and includes in place. Raises TemplateError naming file and line, with
        the files that were tried."""
        tried: dict[Path, Stamp] = {}

        def read(name: str) -> str:
            tried.update(stamps(self.candidates(name)))
            return self.read(name)

        try:
            return flatten(name, read)
        except OSError as error:
            said = f"{self.display(name)}: {error.strerror}"
        except LayoutError as error:
            line = f", line {error.line}" if error.line else ""
            said = f"{self.display(error.file)}{line}: {error}"
        except ValueError as error:
            said = f"{self.display(name)}: {error}"
        except RecursionError:
            said = f"{self.display(name)}: {TOO_DEEP}"
        raise TemplateError(said, tried)

    def read(self, name: str) -> str:
        """The text of a file. Raises OSError, and ValueError for a file outside its templates folder. The
        folder itself may be a link."""
        for folder in self.folders:
            path = folder / name
            if not _resolved(path).is_relative_to(folder.resolve()):
                raise ValueError("a file must stay inside the templates folder")
            if not path.exists():
                continue
            if path.stat().st_size > LARGEST_FILE:
                raise ValueError(f"larger than {LARGEST_FILE // 1_000_000} MB")
            return text_of(path)
        raise FileNotFoundError(2, "No such file or directory")


def text_of(path: Path) -> str:
    """The text of a file, without the mark that some editors write first. Raises OSError and ValueError,
    also for what is no file: a pipe would be waited for, for ever."""
    if _is_special(path):
        raise ValueError(NO_FILE)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not UTF-8; save the file as UTF-8") from None


def stamp(path: Path) -> Stamp:
    """Changes whenever the file or folder does, or who may read it."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size


def stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    return {path: stamp(path) for path in paths}


@contextmanager
def readable(name: str) -> Generator[None]:
    """Raise TemplateError with the name for a file or folder in it that cannot be read."""
    try:
        yield
    except OSError as error:
        raise TemplateError(f"templates/{name}: {error.strerror}; make its files readable") from None


def _resolved(path: Path) -> Path:
    """Raises OSError, also for a link that leads to itself: Python before 3.13 has a RuntimeError for it."""
    try:
        return path.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_special(path: Path) -> bool:
    return path.exists() and not (path.is_file() or path.is_dir())


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in _entries(folder) if path.is_dir())


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _parts(folder: Path) -> int:
    return sum((folder / part).is_file() for part in PARTS)
