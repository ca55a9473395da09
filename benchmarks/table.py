"""The table that every benchmark prints, and the JSON it writes.

    args = parse_arguments(__doc__)          # .quick, .json
    rows.append(Row("gather", ours=1.2, peer=3.4, unit="s", ratio=2.8, conditions=conditions(units=200)))
    finish(rows, args)

`ratio` says how many times better ours is than the peer: above 1 is in our favour, whatever the unit.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of a benchmark.

    Attributes
    ----------
    name
        What was measured.
    ours
        Our figure.
    peer
        The peer's figure in the same unit; None where there is no peer.
    unit
        Unit of both figures.
    ratio
        How many times better ours is; None without a peer.
    conditions
        Threads, versions, sizes, seeds; the peer's name under ``peer``.
    """

    name: str
    ours: float | None
    peer: float | None = None
    unit: str = ""
    ratio: float | None = None
    conditions: dict[str, Any] = field(default_factory=dict)


def parse_arguments(description: str | None = None) -> argparse.Namespace:
    """Parse --quick and --json."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    return parser.parse_args()


def conditions(*packages: str, threads: int = 1, **sizes: Any) -> dict[str, Any]:
    """Return the conditions of a measurement: threads, machine, versions of packages, sizes and seeds."""
    versions = {}
    for package in ("neuroloom", "numpy", *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "threads": threads,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": versions,
        **sizes,
    }


def median_times(*actions: Callable[[], Any], repeats: int) -> list[tuple[float, float]]:
    """Time actions in turns, so that a busy machine burdens all of them alike.

    Returns
    -------
    list of (wall_s, cpu_s)
        Medians over `repeats`, one pair for each action.
    """
    laps: list[list[tuple[float, float]]] = [[] for _ in actions]
    for _ in range(repeats):
        for lap, action in zip(laps, actions, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            action()
            lap.append((time.perf_counter() - wall, time.process_time() - cpu))
    return [tuple(sorted(column)[len(column) // 2] for column in zip(*lap, strict=True)) for lap in laps]  # type: ignore[misc]


def finish(rows: list[Row], args: argparse.Namespace) -> None:
    """Print the rows as a table and write them where --json says."""
    header = ("name", "ours", "peer", "unit", "ratio", "against")
    figures = [(_figure(row.ours), _figure(row.peer), _figure(row.ratio)) for row in rows]
    lines = [header]
    for row, (ours, peer, ratio) in zip(rows, figures, strict=True):
        lines.append((row.name, ours, peer, row.unit, ratio, str(row.conditions.get("peer", ""))))
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [
            cell.rjust(width) if column in (1, 2, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    if rows:
        print("conditions of the first row:", json.dumps(rows[0].conditions, default=str))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        draft = args.json.with_name(f".{args.json.name}.draft")
        draft.write_text(json.dumps([asdict(row) for row in rows], indent=2, default=str) + "\n")
        draft.replace(args.json)
        print(f"wrote {args.json}")


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
