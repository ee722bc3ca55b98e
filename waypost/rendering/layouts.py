"""Layouts and includes, put in place when a template is loaded.

A mail's page is compiled from MJML once, for all recipients, and MJML is compiled as a whole. So `extends`,
`block`, `super()` and `include` are resolved in the text of the template, before. Their names are never
variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import jinja2

MOST_NESTED = 20  # layouts and includes within each other
MOST_INCLUDED = 1_000  # layouts and includes of a template, each as often as it is put in place
MOST_WORDS = 30_000  # in tags, with their spaces and signs; a worker compiles as many in a second or two
_LEXER = jinja2.Environment(keep_trailing_newline=True, autoescape=True)  # it renders nothing
_NAME = re.compile(r"""\s*(["'])([^"']+)\1\s*""")
_BLOCK = re.compile(r"\s*([A-Za-z_]\w*)\s*")
# Tags are replaced by an empty comment: white space around it is trimmed as around the tag.
_GONE = "{##}"


class LayoutError(ValueError):
    """A layout or an include cannot be put in place. Says why; `file` and `line` say where."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(reason)
        self.file, self.line = file, line


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a template's text, and the file and line that it is from."""

    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Flat:
    """A template's text with its layouts and includes in place. origins: the file and line of each line.
    files: the names of all files that it is made of."""

    text: str
    origins: Sequence[tuple[str, int]]
    files: Sequence[str]

    @classmethod
    def of(cls, pieces: Sequence[Piece], files: Iterable[str]) -> Flat:
        origins: list[tuple[str, int]] = []
        begins, most = True, 0
        for piece in pieces:
            for number, line in enumerate(StringIO(piece.text, newline="\n")):
                origin, weight = (piece.file, piece.line + number), _weight(piece.text, line)
                if begins:
                    origins.append(origin)
                    most = weight
                elif weight > most:
                    origins[-1] = origin
                    most = weight
                begins = line.endswith("\n")
        return cls("".join(piece.text for piece in pieces), origins, tuple(dict.fromkeys(files)))

    def origin(self, line: int) -> tuple[str, int]:
        """The file and line of a line of `text`; the first line for a line that it does not have."""
        return self.origins[line - 1] if 0 < line <= len(self.origins) else (self.files[0], 0)


def _weight(piece: str, line: str) -> int:
    """How much a piece counts for a line that several files write into. The line belongs to the first file
    with an expression or a tag in it, which is where most faults are; else to the first with words in it."""
    if piece == _GONE or not line.strip():
        return 0
    return 2 if "{{" in line or "{%" in line else 1


def flatten(name: str, read: Callable[[str], str]) -> Flat:
    """The template `name` with its layouts and includes in place. read: returns the text of a file by name,
    and raises OSError or ValueError. Raises LayoutError, and what `read` raises for `name` itself."""
    reader = _Reader(read)
    try:
        pieces = reader.template(name, {}, 0)
    except jinja2.TemplateSyntaxError as error:
        raise LayoutError(name, error.lineno, error.message or "") from None
    return Flat.of(pieces, reader.files)


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag `{% word rest %}`, or `{{ super() }}`, or text with other tags in it (then word is empty)."""

    word: str
    rest: str
    text: str
    line: int


_Blocks = Mapping[str, Sequence[Piece]]


class _Reader:
    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self.files: list[str] = []
        self._words = 0

    def template(self, name: str, blocks: _Blocks, depth: int) -> list[Piece]:
        """The pieces of a template. blocks: those of the templates that extend it; they replace its own."""
        self.files.append(name)
        tags = self._tags(name)
        layout = next((tag for tag in tags if tag.word == "extends"), None)
        if layout is None:
            return self._body(name, iter(tags), blocks, depth)
        own = {**blocks, **dict(self._blocks_of(name, tags, blocks, depth))}
        return self._other(name, layout, own, depth)

    def _tags(self, name: str) -> list[_Tag]:
        words = [*_lexed(self._read(name))]
        self._words += len(words)
        if self._words > MOST_WORDS:
            over = words[-1 - min(self._words - MOST_WORDS, len(words) - 1)]
            raise LayoutError(name, over[0], _TOO_LONG)
        return _tags(words)

    def _other(self, name: str, tag: _Tag, blocks: _Blocks, depth: int) -> list[Piece]:
        """The template that a tag names."""
        found = _NAME.fullmatch(tag.rest)
        if found is None:
            raise LayoutError(
                name, tag.line, f'{tag.word} needs a file name in quotes: {tag.word} "_layout/..."'
            )
        if depth >= MOST_NESTED:
            raise LayoutError(name, tag.line, f"{found[2]} is {depth} files deep; it may include itself")
        if len(self.files) > MOST_INCLUDED:
            raise LayoutError(name, tag.line, f"it has more than {MOST_INCLUDED:,} includes; use a loop")
        try:
            return self.template(found[2], blocks, depth + 1)
        except LayoutError:
            raise
        except OSError as error:
            raise LayoutError(name, tag.line, f"{found[2]}: {error.strerror}") from None
        except jinja2.TemplateSyntaxError as error:
            raise LayoutError(found[2], error.lineno, error.message or "") from None
        except ValueError as error:
            raise LayoutError(name, tag.line, f"{found[2]}: {error}") from None

    def _body(
        self, name: str, tags: Iterator[_Tag], blocks: _Blocks, depth: int, block: _Tag | None = None
    ) -> list[Piece]:
        """The pieces up to the end of a block, or to the end of the text."""
        pieces: list[Piece] = []
        for tag in tags:
            if block and tag.word == "endblock":
                return pieces
            pieces += self._pieces(name, tag, tags, blocks, depth)
        if block:
            raise LayoutError(name, block.line, "a block has no endblock")
        return pieces

    def _pieces(self, name: str, tag: _Tag, tags: Iterator[_Tag], blocks: _Blocks, depth: int) -> list[Piece]:
        gone = Piece(_GONE, name, tag.line)
        match tag.word:
            case "include":
                return [*self._other(name, tag, blocks, depth), gone]
            case "block":
                inner = self._body(name, tags, blocks, depth, tag)
                replaced = blocks.get(_block_name(name, tag))
                return [gone, *(inner if replaced is None else _with_super(replaced, inner)), gone]
            case "import" | "from":
                raise LayoutError(name, tag.line, f"{tag.word} is not supported; use include")
            case _:
                return [Piece(tag.text, name, tag.line)]

    def _blocks_of(
        self, name: str, tags: Sequence[_Tag], blocks: _Blocks, depth: int
    ) -> Iterator[tuple[str, Sequence[Piece]]]:
        """The blocks of a template that extends another; it has nothing else."""
        rest = iter(tags)
        for tag in rest:
            if tag.word == "block":
                inner = self._body(name, rest, blocks, depth, tag)
                block = _block_name(name, tag)
                replaced = blocks.get(block)
                yield block, inner if replaced is None else _with_super(replaced, inner)
            elif tag.word != "extends" and _written(tag):
                reason = f"it extends a layout, so this belongs into a block: {tag.text.strip()[:40]}"
                raise LayoutError(name, tag.line + _leading_lines(tag.text), reason)


def _block_name(name: str, tag: _Tag) -> str:
    found = _BLOCK.fullmatch(tag.rest)
    if found is None:
        raise LayoutError(name, tag.line, f"a block needs one name, not {tag.rest.strip() or 'none'}")
    return found[1]


def _with_super(replaced: Sequence[Piece], inner: Sequence[Piece]) -> list[Piece]:
    """The pieces of a block, with those of the block that it replaces for `{{ super() }}`."""
    return [one for piece in replaced for one in (inner if _is_super(piece.text) else (piece,))]


def _is_super(text: str) -> bool:
    return text.startswith("{{") and re.sub(r"[\s{}-]", "", text) == "super()"


def _written(tag: _Tag) -> bool:
    return bool(re.sub(r"\{#.*?#\}", "", tag.text, flags=re.DOTALL).strip())


def _leading_lines(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")


_TOO_LONG = f"the tags up to here are more than {MOST_WORDS:,} words and signs; use a loop, or leave some out"
_OURS = frozenset({"extends", "block", "endblock", "include", "import", "from"})


def _tags(words: Iterable[tuple[int, str, str]]) -> list[_Tag]:
    """The text cut at the tags about layouts."""
    found: list[_Tag] = []
    text, line, tokens = "", 1, iter(words)
    for number, kind, value in tokens:
        if kind not in ("block_begin", "variable_begin"):
            text += value
            continue
        tag = _rest_of_tag(value, number, tokens, kind.replace("begin", "end"))
        if tag.word in _OURS or _is_super(tag.text):
            found += [_Tag("", "", text, line), tag]
            text, line = "", number + tag.text.count("\n")
            continue
        text += tag.text
    return [*found, _Tag("", "", text, line)]


def statements(source: str) -> Iterator[tuple[int, str, str]]:
    """The line of each tag `{% word rest %}`, its word and its rest. Raises jinja2.TemplateSyntaxError."""
    tokens = iter(_lexed(source))
    for number, kind, value in tokens:
        if kind in ("block_begin", "variable_begin"):
            tag = _rest_of_tag(value, number, tokens, kind.replace("begin", "end"))
            if tag.word:
                yield number, tag.word, tag.rest


def _lexed(source: str) -> Iterable[tuple[int, str, str]]:
    tokens: Any = _LEXER.lex(source)
    return tokens


def _rest_of_tag(begin: str, line: int, tokens: Iterator[tuple[int, str, str]], end: str) -> _Tag:
    text, word, rest = begin, "", ""
    for _, kind, value in tokens:
        text += value
        if kind == end:
            break
        if not word and kind == "name":
            word = value
        elif word:
            rest += value
    return _Tag(word if begin.startswith("{%") else "", rest, text, line)
