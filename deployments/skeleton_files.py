"""New files of a project, from those in skeleton/ and, for a type, in type_skeleton/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SKELETON = Path(__file__).parent / "skeleton"
TYPE_SKELETON = Path(__file__).parent / "type_skeleton"
SUFFIX = ".tmpl"  # so that no tool takes a file of a skeleton for one of Waypost's own
NAME = "NAME"  # in a path of type_skeleton/: the type's
TEMPLATES = Path("templates")
OWNER_ALONE, EVERYBODY_READS, FOLDER = 0o600, 0o644, 0o755


@dataclass(frozen=True, slots=True)
class NewFile:
    """path: in the project's folder."""

    path: Path
    text: str


def files_of_a_project(values: Mapping[str, str]) -> list[NewFile]:
    """The files of a project without types. values: what stands in place of `{{ version }}` and others."""
    return [NewFile(path, _filled(text, values)) for path, text in _sources(SKELETON)]


def files_of_a_type(name: str, templates: Path = TEMPLATES, in_checkout: bool = False) -> list[NewFile]:
    """The files of a type that tells a reference and a link. templates: the project's folder of templates.
    in_checkout: whether they go into Waypost's own tree, where isort sets its imports apart."""
    values = {
        "{{ type name }}": name,
        "{{ type module }}": module_of(name),
        "{{ type title }}": name.replace("-", " ").capitalize(),
        "{{ type facts }}": f"{name.title().replace('-', '')}Facts",
        "{{ a line before waypost }}": "\n" if in_checkout else "",
    }
    return [
        NewFile(_path_for(path, name, templates), _filled(text, values))
        for path, text in _sources(TYPE_SKELETON)
    ]


def module_of(type: str) -> str:
    """The name of a type's module and flow: `parcel_shipped`."""
    return type.replace("-", "_")


def write(folder: Path, files: Iterable[NewFile]) -> list[Path]:
    """Write new files; returns their paths in `folder`. Raises OSError if one is there or cannot be written:
    then neither a file nor a new folder is left."""
    written: list[Path] = []
    made: list[Path] = []
    try:
        for file in files:
            made += _make_folders(folder, file.path.parent)
            (folder / file.path).touch(OWNER_ALONE, exist_ok=False)
            written.append(file.path)
            _fill(folder / file.path, file.text)
    except OSError:
        for path in written:
            (folder / path).unlink(missing_ok=True)
        for new in reversed(made):
            with suppress(OSError):  # somebody else uses it already
                new.rmdir()
        raise
    return written


def _sources(skeleton: Path) -> Iterator[tuple[Path, str]]:
    """The paths, without the suffix, and texts of a skeleton's files."""
    for source in sorted(skeleton.rglob(f"*{SUFFIX}")):
        yield source.relative_to(skeleton).with_suffix(""), source.read_text(encoding="utf-8")


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _path_for(path: Path, type: str, templates: Path) -> Path:
    name = module_of(type) if path.suffix == ".py" else type
    named = Path(str(path).replace(NAME, name))
    if named.is_relative_to(TEMPLATES):
        return templates / named.relative_to(TEMPLATES)
    return named


def _fill(path: Path, text: str) -> None:
    is_secret = path.name == ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(OWNER_ALONE if is_secret else EVERYBODY_READS)


def _make_folders(project: Path, path: Path) -> Iterator[Path]:
    """Make the folders of `path` that a container's user can read: commands make private ones. Yields those
    that are new."""
    for folder in (project, *(project / part for part in reversed((path, *path.parents)))):
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(FOLDER)
            yield folder
