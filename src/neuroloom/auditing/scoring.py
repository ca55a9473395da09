"""Scores of many reconstructions of the same test stimuli, with paired bootstrap intervals."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from neuroloom import seeds
from neuroloom.auditing.metrics import Metric
from neuroloom.auditing.results import Score

INTERVAL = (2.5, 97.5)  # percent


class Scorer:
    """Scores reconstructions of the same test stimuli and resamples those stimuli.

    Parameters
    ----------
    metrics
        What to score.
    truth
        Test stimuli (stimuli, ..).
    groups
        (stimuli,) ids; whole groups are resampled.
    n_bootstrap
        Number of resamplings.
    seed
        Seed of the stream "bootstrap".
    """

    def __init__(
        self, metrics: Iterable[Metric], truth: np.ndarray, groups: np.ndarray, *, n_bootstrap: int, seed: int
    ):
        self.metrics, self.groups = list(metrics), groups
        self._truths = [metric.describe(truth) for metric in self.metrics]
        unique, member = np.unique(groups, return_inverse=True)
        rng = seeds.stream(seed, "bootstrap")
        counts = rng.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=n_bootstrap)
        # One set of weights for all arms, so that their differences are paired. Row 0 is the plain score.
        self.weights = np.concatenate([np.ones((1, len(truth))), counts[:, member].astype(float)])
        self._values: dict[tuple[str, int, str], list[np.ndarray]] = {}

    def add(self, arm: str, size: int, reconstruction: np.ndarray) -> None:
        """Score one reconstruction (stimuli, ..); further draws of the same arm and size are averaged."""
        described: dict[Any, Any] = {}
        for metric, truth in zip(self.metrics, self._truths, strict=True):
            # Metrics that look through the same eyes share one look.
            eyes = getattr(metric, "eyes", metric.name)
            if eyes not in described:
                described[eyes] = metric.describe(reconstruction)
            statistic = metric.statistic(truth, described[eyes], groups=self.groups)
            self._values.setdefault((arm, size, metric.name), []).append(statistic(self.weights))

    def rows(self) -> tuple[Score, ...]:
        """Return the scores; intervals cover the resampling of stimuli and the random draws."""
        rows = []
        for (arm, size, metric), draws in self._values.items():
            values = np.stack(draws)  # (draws, 1 + resamplings)
            resampled = values[:, 1:][np.isfinite(values[:, 1:])]
            low, high = np.percentile(resampled, INTERVAL) if len(resampled) else (np.nan, np.nan)
            rows.append(Score(arm, size, metric, float(values[:, 0].mean()), float(low), float(high)))
        return tuple(rows)
