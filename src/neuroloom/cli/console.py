"""What verbs print: what they wrote, a small table, and what to do next."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from neuroloom.findings import Finding


def wrote(path: Path, what: str) -> None:
    """Say that something was written."""
    print(f"wrote {path}  ({what})")


def following(command: str) -> None:
    """Say what a user would do next."""
    print(f"next: {command}")


def show_findings(findings: Iterable[Finding]) -> None:
    """Print one line per finding."""
    for finding in findings:
        print(f"  {finding}")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under right-aligned columns; numbers with three decimals, undefined ones as a dash."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        print("  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))


def _cell(value: object) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
