"""What an analyzer knows of each unit, read once for all that draws them."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer


class Units:
    """What is known of each unit, read once from an analyzer."""

    def __init__(self, analyzer: "SortingAnalyzer"):
        self.analyzer, self.sorting = analyzer, analyzer.sorting
        self.ids = list(analyzer.unit_ids)
        self.rate_hz = analyzer.sampling_frequency
        self.duration_s = analyzer.get_total_duration()
        self.unit = "µV" if analyzer.return_in_uV else "steps"
        self.locations_um = np.asarray(analyzer.get_channel_locations(), float)
        self.channel_ids = list(analyzer.channel_ids)
        templates = analyzer.get_extension("templates") if analyzer.has_extension("templates") else None
        operators = [] if templates is None else list(templates.params["operators"])
        self.templates = templates.get_templates(operator="average") if "average" in operators else None  # pyright: ignore
        self.spreads = templates.get_templates(operator="std") if "std" in operators else None  # pyright: ignore
        # Several segments are laid end to end, as the reader's clock went.
        lengths = [analyzer.get_num_samples(segment) for segment in range(analyzer.get_num_segments())]
        self.starts_s = np.concatenate([[0], np.cumsum(lengths)[:-1]]) / self.rate_hz
        spikes: Any = self.sorting.to_spike_vector()
        self.times_s = spikes["sample_index"] / self.rate_hz + self.starts_s[spikes["segment_index"]]
        self.index = spikes["unit_index"]
        amplitudes = (
            analyzer.get_extension("spike_amplitudes") if analyzer.has_extension("spike_amplitudes") else None
        )
        self.amplitudes = None if amplitudes is None else np.asarray(amplitudes.get_data())

    def strongest(self, row: int) -> int:
        return int(np.argmax(np.ptp(self.templates[row], axis=0)))  # pyright: ignore

    def amplitude(self, row: int) -> float:
        return float(np.ptp(self.templates[row], axis=0).max()) if self.templates is not None else np.nan

    def spikes(self, row: int) -> np.ndarray:
        return self.times_s[self.index == row]

    def data(self, name: str) -> Any:
        return self.analyzer.get_extension(name).get_data() if self.analyzer.has_extension(name) else None  # pyright: ignore
