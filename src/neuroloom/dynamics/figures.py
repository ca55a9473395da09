"""Figures of a fitted mixture of linear dynamical systems: pure functions from arrays to figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def impulse_response_figure(markov: np.ndarray, *, bin_s: float | None = None) -> "Figure":
    """Draw the impulse responses of the components.

    Parameters
    ----------
    markov
        (K, n, p, m), from `MixtureOfLDS.markov_parameters`.
    bin_s
        Bin width for the time axis; lags in bins when ``None``.
    """
    n_components, n_lags, n_outputs, n_inputs = markov.shape
    if not n_inputs:
        raise DataError("a mixture without inputs", expected="inputs", remedy="draw the latent flow instead")
    shown = min(n_outputs, 8)
    figure = _figure(2.2 * n_inputs + 1.2, 1.3 * shown + 0.8)
    axes = figure.subplots(shown, n_inputs, sharex=True, sharey="row", squeeze=False)
    lags = np.arange(n_lags) * (1.0 if bin_s is None else bin_s)
    for (row, column), axis in np.ndenumerate(axes):
        for k in range(n_components):
            axis.plot(lags, markov[k, :, row, column], color=f"C{k}", label=f"component {k + 1}")
        axis.axhline(0, color="0.8", zorder=0)
        if column == 0:
            axis.set_ylabel(f"output {row + 1}")
        if row == 0:
            axis.set_title(f"input {column + 1}", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("lag (bins)" if bin_s is None else "lag (s)")
    axes[0, -1].legend(fontsize=7, frameon=False)
    return figure


def responsibility_figure(responsibilities: np.ndarray, labels: Sequence[Any] | np.ndarray) -> "Figure":
    """Draw the mean responsibility (components x labels) of each component for the trials of each label.

    Parameters
    ----------
    responsibilities
        (N, K), from `MixtureOfLDS.predict_proba`.
    labels
        (N,), e.g. the target of each trial.
    """
    labels = np.asarray(labels)
    if len(labels) != len(responsibilities):
        raise DataError(
            f"{len(labels)} labels for {len(responsibilities)} trials",
            expected="one each",
            remedy="align them",
        )
    names = np.unique(labels)
    table = np.stack([responsibilities[labels == name].mean(axis=0) for name in names], axis=1)
    figure = _figure(0.5 * len(names) + 2.0, 0.45 * len(table) + 1.4)
    axis = figure.subplots()
    image = axis.imshow(table, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (k, column), value in np.ndenumerate(table):
        axis.text(
            column, k, f"{value:.2f}"[1:] if value < 0.995 else "1", ha="center", va="center", fontsize=7
        )
    axis.set_xticks(range(len(names)), [str(name) for name in names])
    axis.set_yticks(range(len(table)), [f"component {k + 1}" for k in range(len(table))])
    axis.set_xlabel("trial label")
    figure.colorbar(image, ax=axis, label="mean responsibility")
    return figure


def latent_flow_figure(
    transitions: Sequence[np.ndarray], states: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray
) -> "Figure":
    """Draw, for each component, where its states go from where they are, with smoothed trajectories.

    The plane is that of the two largest principal axes of the component's own states; the arrows show
    A x - x there.

    Parameters
    ----------
    transitions
        K matrices A (n, n).
    states
        N arrays (T_i, n), from `MixtureOfLDS.smooth`.
    labels
        (N,) component of each trajectory.
    """
    labels = np.asarray(labels)
    figure = _figure(2.6 * len(transitions), 2.8)
    axes = figure.subplots(1, len(transitions), squeeze=False)[0]
    for k, (A, axis) in enumerate(zip(transitions, axes, strict=True)):
        axis.set_title(f"component {k + 1}", fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
        own = [state for state, label in zip(states, labels, strict=True) if label == k]
        if not own:
            axis.text(0.5, 0.5, "no trajectory", ha="center", transform=axis.transAxes)
            continue
        n = len(A)
        every = np.concatenate(own)
        center = every.mean(axis=0)
        _, vectors = np.linalg.eigh((every - center).T @ (every - center))
        plane = np.zeros((n, 2))
        plane[:, : min(n, 2)] = vectors[:, ::-1][:, :2]
        shown = (every - center) @ plane
        reach = np.maximum(np.abs(shown).max(axis=0), 1e-12)
        grid = np.stack(np.meshgrid(*(np.linspace(-r, r, 9) for r in reach)), axis=-1).reshape(-1, 2)
        points = center + grid @ plane.T
        flow = (points @ A.T - points) @ plane
        for trajectory in own[:30]:
            axis.plot(*((trajectory - center) @ plane).T, color=f"C{k}", alpha=0.35, linewidth=0.7)
        axis.quiver(*grid.T, *flow.T, angles="xy", color="0.3", width=0.005)
    return figure


def selection_figure(selection: Mapping[int, float]) -> "Figure":
    """Draw the Bayesian information criterion over the number of components.

    Parameters
    ----------
    selection
        K -> BIC, from ``MixtureOfLDS(n_components="bic").selection_``.
    """
    figure = _figure(3.4, 2.4)
    axis = figure.subplots()
    numbers = sorted(selection)
    values = np.array([selection[k] for k in numbers])
    axis.plot(numbers, values - values.min(), "o-", color="C0")
    best = int(values.argmin())
    axis.plot(numbers[best], 0, "o", color="C3", label=f"K = {numbers[best]}")
    axis.set_xticks(numbers)
    axis.set_xlabel("components")
    axis.set_ylabel("BIC above the best")
    axis.legend(frameon=False)
    return figure


def _figure(width: float, height: float) -> "Figure":
    # A figure of its own, outside pyplot, so that nothing has to be closed.
    from matplotlib.figure import Figure

    return Figure(figsize=(max(width, 3.0), max(height, 2.2)), layout="constrained")
