"""Figures of a mixture of linear dynamical systems: impulse responses, flow of the states, choice of K."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import few_values, name_lines
from neuroloom.reporting.palette import BLUE, GRID, HALF, INK, LINE, MUTED, VERMILLION, WIDE, dash, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_OUTPUTS, MAX_TRAJECTORIES = 6, 30


@drawing
def impulse_responses(
    markov: np.ndarray, *, bin_s: float, input_names: Sequence[str], width_px: float = WIDE
) -> "Figure":
    """Draw what one unit of input does to the outputs, a line per component.

    Parameters
    ----------
    markov
        (K, lags, outputs, inputs); the first six outputs are drawn.
    bin_s
        Bin width for the time axis.
    input_names
        One per input.
    """
    n_components, n_lags, n_outputs, n_inputs = markov.shape
    shown = min(n_outputs, MAX_OUTPUTS)
    figure = new_figure(width_px, 70 + 84 * shown)
    panels = figure.subplots(shown, n_inputs, sharex=True, sharey="row", squeeze=False)
    lags_s = np.arange(n_lags) * bin_s
    for (row, column), axes in np.ndenumerate(panels):
        axes.axhline(0, color=LINE, linewidth=1)
        for component in range(n_components):
            axes.plot(
                lags_s,
                markov[component, :, row, column],
                color=hue(component),
                linestyle=dash(component),
                linewidth=1.6,
            )
        few_values(axes.yaxis, 3)
        few_values(axes.xaxis, 4)
        if column == 0:
            axes.set_ylabel(f"Output {row + 1}")
        if row == 0:
            axes.set_title(shorten(input_names[column], 24), color=MUTED, fontweight="normal")
    if n_components > 1:
        ks = range(n_components)
        names = [str(k + 1) for k in ks]
        name_lines(panels[0, -1], names, [hue(k) for k in ks], dashes=[dash(k) for k in ks])
    for axes in panels[-1]:
        axes.set_xlabel("After the input (s)")
    return figure


@drawing
def state_flow(
    transition: np.ndarray, states: Sequence[np.ndarray], *, component: int, width_px: float = HALF
) -> "Figure":
    """Draw where the states of one component go, in the plane of their two largest principal axes.

    Parameters
    ----------
    transition
        A, shape (n, n); arrows show A x - x.
    states
        Smoothed trajectories (T_i, n) of that component.
    component
        Chooses the colour.
    """
    figure = new_figure(width_px, width_px * 0.8)
    axes = figure.subplots()
    every = np.concatenate(list(states))
    center = every.mean(axis=0)
    _, vectors = np.linalg.eigh((every - center).T @ (every - center))
    plane = np.zeros((len(transition), 2))
    plane[:, : min(len(transition), 2)] = vectors[:, ::-1][:, :2]
    shown = (every - center) @ plane
    reach = np.maximum(np.abs(shown).max(axis=0), 1e-12)
    grid = np.stack(np.meshgrid(*(np.linspace(-r, r, 9) for r in reach)), axis=-1).reshape(-1, 2)
    at = center + grid @ plane.T
    flow = (at @ transition.T - at) @ plane
    for trajectory in states[:MAX_TRAJECTORIES]:
        axes.plot(*((trajectory - center) @ plane).T, color=hue(component), alpha=0.4, linewidth=0.8)
    axes.quiver(*grid.T, *flow.T, angles="xy", color=INK, width=0.005, alpha=0.7)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("First principal axis of the states")
    return figure


@drawing
def choice_of_k(selection: Mapping[int, float], *, width_px: float = HALF) -> "Figure":
    """Draw the Bayesian information criterion above its minimum, over the number of components."""
    numbers = sorted(selection)
    values = np.array([selection[number] for number in numbers])
    figure = new_figure(width_px, 210)
    axes = figure.subplots()
    axes.plot(numbers, values - values.min(), color=BLUE, linewidth=1.6, marker="o", markersize=5)
    axes.plot(numbers[int(values.argmin())], 0, color=VERMILLION, marker="o", markersize=8)
    axes.grid(axis="y", color=GRID)
    axes.set_xticks(numbers)
    few_values(axes.yaxis, 4)
    axes.set_title("BIC above the best", color=MUTED, fontweight="normal")
    axes.set_xlabel("Components")
    return figure
