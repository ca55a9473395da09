"""From the cells of a chain benchmark to its tables, its figure and its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom import artifacts
from neuroloom.pipeline.known_recordings import Condition
from neuroloom.pipeline.spike_sources import NAMES, TRUE
from neuroloom.reporting.costs.rows import CostRow, Spread, columns

if TYPE_CHECKING:
    import pandas as pd

TABLE, CELLS, FIGURE = "costs", "cells", "costs.svg"


@dataclass(frozen=True)
class Cell:
    """One spike source of one recording.

    Attributes
    ----------
    condition
        The recording.
    source
        Of the spikes.
    n_units
        Units (channels, for threshold crossings) that were found; None if the source failed.
    n_true_units, n_well_detected
        Units of the truth, and those that were found with an accuracy of .8 or more.
    sorting_accuracy
        Mean over true units; those without a partner count 0.
    metric, score
        Of the decoder on held-out time; None where it failed.
    failed
        Why there is no score, or empty.
    finding_s, decoding_s
        How long it took to find the spikes, and to fit the decoder and score it.
    """

    condition: Condition
    source: str
    n_units: int | None
    n_true_units: int
    n_well_detected: int | None
    sorting_accuracy: float | None
    metric: str
    score: float | None
    failed: str
    finding_s: float
    decoding_s: float

    def sentence(self) -> str:
        """The result in one line."""
        name = f"{self.condition.name}, {NAMES.get(self.source, self.source)}"
        if self.failed or self.score is None or self.sorting_accuracy is None:
            return f"{name}: {self.failed}"
        return (
            f"{name}: {self.n_units} units, accuracy {self.sorting_accuracy:.3f}, "
            f"{self.metric} {self.score:.3f} ({self.finding_s + self.decoding_s:.0f} s)"
        )


def summarise(cells: Sequence[Cell]) -> list[CostRow]:
    """Return means and standard deviations over seeds, in the order of the cells."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        where = cell.condition
        groups.setdefault((where.kind, where.noise_uv, where.drift_um, cell.source), []).append(cell)
    from_truth = {cell.condition: cell.score for cell in cells if cell.source == TRUE}
    rows = []
    for (kind, noise_uv, drift_um, source), group in groups.items():
        pairs = [(from_truth.get(cell.condition), cell.score) for cell in group]
        losses = [best - score for best, score in pairs if best is not None and score is not None]
        rows.append(
            CostRow(
                kind=kind,
                noise_uv=noise_uv,
                drift_um=drift_um,
                source=source,
                label=str(NAMES.get(source, source)),
                is_truth=source == TRUE,
                n_seeds=len(group),
                n_failed=sum(bool(cell.failed) for cell in group),
                n_units=Spread.of([cell.n_units for cell in group]),
                sorting_accuracy=Spread.of([cell.sorting_accuracy for cell in group]),
                score=Spread.of([cell.score for cell in group]),
                loss=Spread.of(losses),
                metric=next((cell.metric for cell in group if cell.metric), ""),
            )
        )
    return rows


def cost_frame(rows: Sequence[CostRow]) -> "pd.DataFrame":
    """Return the summary as a table, one row per recording and source."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "kind": row.kind,
                "noise_uv": row.noise_uv,
                "drift_um": row.drift_um,
                "source": row.source,
                "n_seeds": row.n_seeds,
                "n_failed": row.n_failed,
                "metric": row.metric,
            }
            | {
                f"{name}_{part}": value
                for name in ("n_units", "sorting_accuracy", "score", "loss")
                for part, value in (("mean", getattr(row, name).mean), ("sd", getattr(row, name).sd))
            }
            for row in rows
        ]
    )


def cell_frame(cells: Sequence[Cell]) -> "pd.DataFrame":
    """Return every cell as a row."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "kind": cell.condition.kind,
                "noise_uv": cell.condition.noise_uv,
                "drift_um": cell.condition.drift_um,
                "seed": cell.condition.seed,
            }
            | {name: value for name, value in vars(cell).items() if name != "condition"}
            for cell in cells
        ]
    )


def markdown(rows: Sequence[CostRow]) -> str:
    """Return the summary as a Markdown table; a recording is named once."""
    lines, before = [columns(rows), tuple("---" for _ in columns(rows))], ""
    for row in rows:
        recording, *others = row.cells()
        lines.append(("" if recording == before else recording, *others))
        before = recording
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_costs(cells: Sequence[Cell], folder: Path, *, config: dict[str, Any], command: str) -> Path:
    """Write tables, figure and page of what has been measured so far; return the page's path."""
    from neuroloom.pipeline.pages import write_section_page
    from neuroloom.reporting.costs.figures import cost_curves, standalone_svg
    from neuroloom.reporting.costs.section import cost_section

    rows = summarise(cells)
    frames = {TABLE: cost_frame(rows), CELLS: cell_frame(cells)}
    for name, frame in frames.items():
        artifacts.write_text(folder / f"{name}.csv", frame.to_csv(index=False))
    tables = {
        name: frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
        for name, frame in frames.items()
    }
    about = {"config": config, "command": command}
    artifacts.write_text(folder / f"{TABLE}.json", artifacts.to_json(about | tables))
    artifacts.write_bytes(folder / FIGURE, standalone_svg(cost_curves(rows)))
    return write_section_page(
        cost_section(rows),
        folder,
        title="What sorting costs",
        subtitle=command,
        config=config,
        seed=min(cell.condition.seed for cell in cells),
    )
