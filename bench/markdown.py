"""Format tables in GitHub's Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str] | Sequence[str]) -> str:
    """Format rows as a Markdown table with numeric columns aligned right.

    Args:
      rows: mappings; a missing key gives an empty cell.
      columns: keys of the rows, or a mapping from keys to headings.

    >>> print(table([{"size": 256, "ms": 1.2345}, {"size": 512}], {"size": "pixels", "ms": "ms"}))
    | pixels | ms |
    | ---: | ---: |
    | 256 | 1.23 |
    | 512 | |
    """
    headings = columns if isinstance(columns, Mapping) else dict(zip(columns, columns, strict=True))
    lines = [
        _line(headings.values()),
        _line("---:" if _numeric(rows, key) else "---" for key in headings),
        *(_line(text(row.get(key)) for key in headings) for row in rows),
    ]
    return "\n".join(lines)


def text(value: Any) -> str:
    """Format a cell: floats with three significant digits or thousands separators, None as empty.

    >>> text(1234.5), text(0.01234), text(12.3), text(True), text(None)
    ('1,234', '0.0123', '12.3', 'yes', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value).replace("|", "\\|")


def _line(cells) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _numeric(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    values = [row[key] for row in rows if row.get(key) is not None]
    return bool(values) and all(isinstance(value, int | float) for value in values)
