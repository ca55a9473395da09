"""The verb chain-benchmark: what sorting costs in decoding."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuroloom.cli import console


@dataclass(frozen=True, kw_only=True)
class ChainBenchmark:
    """What sorting costs: decoding from true spikes, from every installed sorter, and from no sorting."""

    out: Path
    """Folder for tables, figure and page; a rerun resumes."""
    noise_uv: tuple[float, ...] = (15.0, 30.0, 45.0)
    """Noise levels; the neurons' troughs are 60 to 250 uV deep."""
    drift_um: float = 30.0
    """Range of the drift of one more recording at the middle noise level; 0 leaves it out."""
    seeds: tuple[int, ...] = (0, 1)
    """Every recording is made once for each."""
    minutes: float = 2.0
    """Length of every recording."""
    probe: str = "columns-32"
    """Name of a built-in probe."""
    sorters: tuple[str, ...] | None = None
    """simsort, simsort:PRESET (motion by that preset, or none) or sorters of SpikeInterface; default all."""
    hybrid: Path | None = None
    """A session folder or NWB file whose real spike trains are put into simulated voltage as well."""
    target: str | None = None
    """What to decode of that session; default its only behaviour."""
    simulated: bool = True
    """Also simulate reaching, with velocity as the target."""
    model: Literal["auto", "wiener", "gru", "poyo", "eit"] = "wiener"
    """Decoder; auto adapts the bundled POYO to velocity, and is a Wiener filter for other targets."""
    test_fraction: float = 0.2
    """The last part of every recording, on which decoders are scored."""
    threshold: float = 4.5
    """Of the threshold crossings, in multiples of a channel's noise."""

    measure: bool = True
    """Without it only tables, figure and page are written, of the cells that an earlier run has kept."""

    def __call__(self) -> None:
        from tqdm import tqdm

        from neuroloom.pipeline.chain_benchmark import BenchmarkConfig, run_chain_benchmark
        from neuroloom.pipeline.sorting_costs import FIGURE, TABLE, markdown, summarise
        from neuroloom.pipeline.spike_sources import CROSSINGS, TRUE, installed_sources
        from neuroloom.sessions.session import Session
        from neuroloom.threads import set_threads

        set_threads()
        sources = installed_sources() if self.sorters is None else [TRUE, *self.sorters, CROSSINGS]
        config = BenchmarkConfig(
            noise_uv=self.noise_uv,
            drift_um=self.drift_um,
            seeds=self.seeds,
            minutes=self.minutes,
            probe=self.probe,
            sources=tuple(sources),
            simulated=self.simulated,
            model=self.model,
            target=self.target,
            test_fraction=self.test_fraction,
            threshold=self.threshold,
        )
        cells = run_chain_benchmark(
            self.out,
            session=None if self.hybrid is None else Session.load(self.hybrid),
            config=config,
            measure=self.measure,
            command=shlex.join(["neuroloom", *sys.argv[1:]]),
            say=tqdm.write,
            quiet=not sys.stderr.isatty(),
        )
        print(f"\n{markdown(summarise(cells))}\n")
        console.wrote(self.out / f"{TABLE}.csv", "this table; cells.csv has every cell, costs.json both")
        console.wrote(self.out / FIGURE, "the figure")
        console.wrote(self.out / "report.html", "figure and table: open it in a browser")
