"""JSON of this project's own files, whole and damaged."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from jaxstyle.errors import DamagedError
from jaxstyle.machine.plain_json import parsed


@dataclass(frozen=True)
class Record:
    name: str
    size: int = 0
    share: float | None = None
    bits: Literal[8, 16] = 8
    parts: list[str] = field(default_factory=list)


def test_whole_records_are_read():
    text = '{"name": "caf\\udce9", "size": 3, "share": 2, "bits": 16, "parts": ["a"]}'
    found = parsed(text, Record)
    assert found == Record("caf\udce9", 3, 2.0, 16, ["a"])  # a file's name beyond UTF-8
    assert isinstance(found.share, float)
    assert parsed(b'\xef\xbb\xbf{"name": "a"}', Record) == Record("a")
    assert parsed("[[1, 2], []]", list[tuple[int, ...]]) == [(1, 2), ()]
    assert parsed('{"a": [null, true]}', dict[str, Any]) == {"a": [None, True]}


DAMAGED = [
    b"",
    b" ",
    b"\0",
    b"{",
    b'{"name": "a"',
    b'{"name": "a"} {}',
    b"\xff\xfe",
    '{"name": "a"}'.encode("utf-16"),
    b"[" * 100_000,
    b'{"name": ' * 100_000,
    b"null",
    b"7",
    b"[]",
    b"{}",
    b'{"name": null}',
    b'{"name": 7}',
    b'{"name": ["a"]}',
    b'{"name": "a", "name": "b"}',
    b'{"name": "a", "other": 1}',
    b'{"name": "a\\u0000"}',
    b'{"name": "\\ud800"}',
    b'{"name": "a", "size": true}',
    b'{"name": "a", "size": 1.5}',
    b'{"name": "a", "size": "1"}',
    b'{"name": "a", "size": ' + b"9" * 5000 + b"}",
    b'{"name": "a", "size": ' + b"9" * 400 + b"}",
    b'{"name": "a", "share": NaN}',
    b'{"name": "a", "share": -Infinity}',
    b'{"name": "a", "share": 1e999}',
    b'{"name": "a", "share": false}',
    b'{"name": "a", "bits": 8.0}',
    b'{"name": "a", "bits": 9}',
    b'{"name": "a", "parts": "a"}',
    b'{"name": "a", "parts": [1]}',
    b'{"name": "a", "parts": {"a": 1}}',
]


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: str(text[:40]))
def test_damage_is_one_line(text):
    with pytest.raises(DamagedError) as failure:
        parsed(text, Record)
    line = str(failure.value)
    assert line.isprintable() and 5 < len(line) < 250


def test_the_message_says_where():
    with pytest.raises(DamagedError, match=r"a\.b must be a number, not text"):
        parsed('{"a": {"b": "1"}}', dict[str, dict[str, float]])
    with pytest.raises(DamagedError, match="one of parts must be text, not a whole number"):
        parsed('{"name": "a", "parts": [1]}', Record)
    with pytest.raises(DamagedError, match="^name is missing$"):
        parsed("{}", Record)


def test_texts_anywhere_are_checked_however_deep():
    deep = json.dumps("a\0")
    for _ in range(200):
        deep = f'{{"x": [{deep}]}}'
    with pytest.raises(DamagedError, match="null character"):
        parsed(deep, dict[str, Any])
