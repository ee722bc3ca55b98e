"""Detects by its first line what kind a file of requests is, so that only JSONL is accepted."""

from __future__ import annotations

import codecs
import re

from pydantic_core import from_json

from waypost.gateway.http.body import ONE
from waypost.gateway.json_limits import over_limit

WANTED = "send needs JSONL: one JSON object per line, in UTF-8"
_MARKS = {  # UTF-32's mark begins with UTF-16's, so it is tried first
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_SEPARATORS = b",;\t|"
_BROKEN_UP = "JSON with line breaks inside an object (`jq -c .` writes one object per line)"
_CUT_OFF = "cut off: it ends inside its first object"


class NotJsonl(ValueError):
    """The file does not begin with a JSON object on a line of its own. Says what the file seems to be."""


def check_first(line: bytes) -> None:
    """Raise NotJsonl unless `line` begins a JSONL file. line: the first line that is not blank, without
    UTF-8's byte order mark. An invalid object passes: it is later rejected as a line."""
    if told := _seems(line.strip(), ended=line.endswith(b"\n")):
        raise NotJsonl(f"the file seems to be {told}; {WANTED}. Nothing was accepted")


def _seems(line: bytes, *, ended: bool) -> str:
    """What the file seems to be instead; empty for JSONL. ended: the line has its line break; the last line
    of a file may have none."""
    if encoding := _other_encoding(line):
        return f"text in {encoding}"
    if b"\0" in line or not _is_text(line):
        return "binary, or text in another encoding than UTF-8"
    if line.startswith(b"{"):
        return (_BROKEN_UP if ended else _CUT_OFF) if _ends_early(line) else ""
    if line.startswith(b"["):
        return "a JSON array (`jq -c '.[]'` writes one item per line)"
    if line.startswith(b"<"):
        return "XML or HTML"
    if not _is_setting(line) and any(line.count(separator) for separator in _SEPARATORS):
        return "a table such as CSV"
    return "other text: its first line is not a JSON object"


def _is_setting(line: bytes) -> bool:
    """Whether the line is a comment or a setting, as in `.env`, and not the head of a table."""
    return re.match(rb"#|(export\s+)?\w+\s*=", line) is not None


def _other_encoding(line: bytes) -> str:
    for mark, name in _MARKS.items():
        if line.startswith(mark):
            return name
    zeros = line[:64].count(0)
    halves = line[:64:2].count(0), line[1:64:2].count(0)
    return "UTF-16" if zeros and 0 in halves and zeros * 3 > len(line[:64]) else ""


def _is_text(line: bytes) -> bool:
    """Whether the line is UTF-8 text. The last character of a line cut at the limit may be incomplete."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(line)
    except UnicodeDecodeError:
        return False
    return not any(byte < 32 and byte not in b"\t\r\n\f\v" for byte in line[:1000])


def _ends_early(line: bytes) -> bool:
    """Whether an object begins in the line and does not end there. False for a line over a limit, which is
    rejected as a line."""
    if len(line) > ONE or over_limit(line):
        return False
    try:
        from_json(line)
    except ValueError as error:
        return "EOF while parsing" in str(error)
    return False
