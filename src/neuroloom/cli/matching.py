"""The verb that joins sortings of one probe across days."""

from dataclasses import dataclass
from pathlib import Path

from neuroloom.cli import console


@dataclass(frozen=True, kw_only=True)
class Match:
    """Which units of two sortings are the same neurons, for recordings from one probe on two days."""

    first: Path
    """Folder that sort or run wrote."""
    second: Path
    """The same, of the other recording."""
    out: Path | None = None
    """A .csv table of the pairs to write."""
    least: float = 0.8
    """Similarity (0 to 1) from which two units may be the same."""

    def __call__(self) -> None:
        from neuroloom import artifacts
        from neuroloom.sorting.matching_sessions import match_units

        matched = match_units(self.first, self.second, least=self.least)
        if len(matched.pairs):
            console.show_table(list(matched.pairs.columns), matched.pairs.to_numpy(object).tolist())
        n_first, n_second = len(matched.only_first), len(matched.only_second)
        print(
            f"{len(matched.pairs)} pairs; without a partner: {n_first} units of the first sorting, "
            f"{n_second} of the second"
        )
        if self.out is not None:
            artifacts.write_text(self.out, matched.pairs.to_csv(index=False))
            console.wrote(self.out, "pairs of units")
