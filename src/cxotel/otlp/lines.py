"""From a file's bytes to parsed JSON documents: one a line, or printed over many lines, plain or gzip.

A document that cannot be read is named with its lines and left out; the next one is read again.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxotel.otlp.document import BadDocumentError, is_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Stream = io.BufferedIOBase | io.RawIOBase

GZIP_MAGIC = b"\x1f\x8b"
# One document. Tempo refuses traces over 5 MB; a request is 64 MiB at most (Python OTLP exporter's default).
MAX_DOCUMENT = 256 * 2**20
OPENING = (b"{", b"[")
# What follows a document that is an item of a list printed over many lines.
CLOSING = (b"]", b"}", b",")
NO_END = "the JSON that begins here has no end (line {} begins another)"
# A string without its closing quote runs to the end: so no match ever fails and none is tried twice.
TOKENS = re.compile(rb'"(?:[^"\\]|\\.?)*("|$)|[\[{]|[\]}]', re.DOTALL)


@dataclass(slots=True)
class Parsed:
    """A JSON document and the line it starts at, counted from 1."""

    value: Any
    line: int


def documents(stream: Stream, problem: Callable[[int, str], None]) -> Iterator[Parsed]:
    """The JSON documents of a stream.

    Args:
        stream: bytes, plain or gzip; only read forward.
        problem: called with the line and the reason for each document that could not be read.
    """
    held: list[bytes] = []
    start = size = depth = 0
    rival: Parsed | None = None  # a line of the held one that is a whole document by itself
    for number, line in _lines(stream, problem):
        if rival and line.strip():
            if line.lstrip()[:1] not in CLOSING:
                problem(start, NO_END.format(rival.line))
                yield rival
                held = []
            rival = None
        if not held:
            if not line.strip():
                continue
            found, depth = _one_line(number, line, problem)
            yield from found
            if depth > 0:
                start, held, size = number, [line], len(line)
            continue
        held.append(line)
        size += len(line)
        if line[:1] in OPENING and is_known(value := _try(line)):
            rival = Parsed(value, number)
            continue
        depth += _depth(line)
        if size > MAX_DOCUMENT:
            problem(start, f"the JSON that begins here is longer than {MAX_DOCUMENT >> 20} MiB, left out")
            held = []
        elif depth <= 0:
            yield from _many(start, b"".join(held), problem)
            held = []
    if rival:
        problem(start, NO_END.format(rival.line))
        yield rival
    elif held:
        problem(start, "the JSON that begins here has no end (was the file cut off?)")


def loads(data: bytes | str) -> Any:
    """As `json.loads`, but a whole number of more digits than Python reads is an infinite one, no error."""
    try:
        return json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # only this raises it bare; a parse_int takes time, so it is not there from the start
        return json.loads(data, parse_int=_whole)


def _whole(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def parse(data: bytes | str) -> Any:
    """One JSON document.

    Raises:
        BadDocumentError: it is no JSON; the text says where.
    """
    try:
        return loads(data)
    except json.JSONDecodeError as error:
        raise BadDocumentError(f"not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise BadDocumentError(f"not JSON in UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise BadDocumentError("JSON nested too deeply") from None


def _lines(stream: Stream, problem: Callable[[int, str], None]) -> Iterator[tuple[int, bytes]]:
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
    zipped = buffered.peek(2)[:2] == GZIP_MAGIC
    source: Any = gzip.GzipFile(fileobj=buffered) if zipped else buffered
    number = 0
    while True:
        try:
            line = source.readline(MAX_DOCUMENT)
            too_long = len(line) == MAX_DOCUMENT and not line.endswith(b"\n")
            while line and len(line) == MAX_DOCUMENT and not line.endswith(b"\n"):
                line = source.readline(MAX_DOCUMENT)
        except (EOFError, zlib.error, OSError) as error:
            problem(number + 1, f"cannot be read from here on: {error}")
            return
        number += 1
        if too_long:
            problem(number, f"a line longer than {MAX_DOCUMENT >> 20} MiB, left out")
        elif not line:
            return
        else:
            yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


BLANKS = re.compile(r"\s*")


def _one_line(number: int, line: bytes, problem: Callable[[int, str], None]) -> tuple[list[Parsed], int]:
    """The documents of a line, or how many brackets stay open in it."""
    value = _try(line)
    if value is not None:
        return [Parsed(value, number)], 0
    if line.lstrip()[:1] in OPENING:
        depth = _depth(line, whole_strings=True)
        if depth > 0:
            return [], depth
    return list(_many(number, line, problem)), 0


def _try(line: bytes) -> Any:
    """A line's object or list, None if it is not just that."""
    try:
        value = loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _many(start: int, data: bytes, problem: Callable[[int, str], None]) -> Iterator[Parsed]:
    """Documents written behind each other."""
    try:
        text = data.decode().strip()
    except UnicodeDecodeError as error:
        problem(start, f"not JSON in UTF-8 ({error.reason} at byte {error.start})")
        return
    decoder, lenient = json.JSONDecoder(), json.JSONDecoder(parse_int=_whole)
    at, line = 0, start
    while at < len(text):
        try:
            value, end = _next(text, at, decoder, lenient)
        except json.JSONDecodeError as error:
            problem(
                start + error.lineno - 1,
                f"not JSON at column {error.colno}: {error.msg.removesuffix(' starting at')}",
            )
            return
        except RecursionError:
            problem(start, "JSON nested too deeply")
            return
        yield Parsed(value, line)
        after = BLANKS.match(text, end).end()  # type: ignore[union-attr]  # matches nothing too
        line += text.count("\n", at, after)
        at = after


def _next(text: str, at: int, decoder: json.JSONDecoder, lenient: json.JSONDecoder) -> tuple[Any, int]:
    """The document that begins there, and where it ends; read again where a number has too many digits."""
    try:
        return decoder.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return lenient.raw_decode(text, at)


def _depth(line: bytes, *, whole_strings: bool = False) -> int:
    """Brackets opened less closed, outside strings. With `whole_strings` 0 if a string has no end."""
    depth = 0
    for token in TOKENS.finditer(line):
        text = token[0]
        if text[:1] == b'"':
            if whole_strings and not token[1]:
                return 0
        else:
            depth += 1 if text in b"[{" else -1
    return depth
