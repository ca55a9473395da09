"""The page's section about the dynamics of the trials."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.reporting.dynamics.figures import choice_of_k, impulse_responses, state_flow
from neuroloom.reporting.layout import half, wide
from neuroloom.reporting.matrix import shaded_matrix
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Block, KeyFigure, Note, Section, Table

if TYPE_CHECKING:
    from neuroloom.dynamics.mixture import MixtureOfLDS

N_LAGS, MAX_LABELS = 12, 16


def dynamics_section(
    mixture: "MixtureOfLDS",
    outputs: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray] | None,
    *,
    bin_s: float,
    labels: Mapping[str, Sequence[Any]] | None = None,
    input_names: Sequence[str] = (),
    held_out: float | None = None,
    lead: str = "",
) -> Section:
    """Show what each component does: impulse responses, flow of its states, and whose trials it took.

    Parameters
    ----------
    mixture
        Fitted.
    outputs, inputs
        Trajectories to show, lists of (T_i, p) and (T_i, m).
    bin_s
        Bin width in seconds.
    labels
        Trial label -> one value per trajectory.
    input_names
        One per input.
    held_out
        Log-likelihood per bin on held-out trials, if it was measured.
    """
    k = len(mixture.components_)
    blocks: list[Block] = []
    if mixture.components_[0].input_dim:
        names = list(input_names) or [f"input {i + 1}" for i in range(mixture.components_[0].input_dim)]
        markov = mixture.markov_parameters(N_LAGS)
        blocks.append(
            wide(
                lambda width_px: impulse_responses(markov, bin_s=bin_s, input_names=names, width_px=width_px),
                title="Impulse responses",
                alt=f"What a unit of each input does to the outputs over {N_LAGS} bins, for {k} components.",
                caption="What one unit of input at time 0 does to the outputs (principal axes of the firing "
                "rates)."
                + (
                    " One kind of line per component. Components can only be compared by these: their states "
                    "are known up to a change of coordinates."
                    if k > 1
                    else ""
                ),
            )
        )
    else:
        blocks.append(Note("The systems have no inputs, so there are no impulse responses."))
    responsibilities = mixture.predict_proba(list(outputs), None if inputs is None else list(inputs))
    for name, values in (labels or {}).items() if k > 1 else ():
        blocks += _by_label(name, np.asarray(values), responsibilities)
    states = mixture.smooth(list(outputs), None if inputs is None else list(inputs))
    component_of = responsibilities.argmax(axis=1)
    for component, system in enumerate(mixture.components_):
        own = [state for state, at in zip(states, component_of, strict=True) if at == component]
        if own:
            blocks.append(
                half(
                    lambda width_px, A=system.A, own=own, component=component: state_flow(
                        A, own, component=component, width_px=width_px
                    ),
                    title="States" if k == 1 else f"States of component {component + 1}",
                    alt=f"{len(own)} smoothed trajectories of component {component + 1} and their flow.",
                    caption=f"{len(own)} trials. Arrows: where the system goes from there in one bin.",
                )
            )
    if hasattr(mixture, "selection_"):
        blocks.append(
            half(
                lambda width_px: choice_of_k(mixture.selection_, width_px=width_px),
                title="How many components",
                alt=f"Bayesian information criterion for {min(mixture.selection_)} to "
                f"{max(mixture.selection_)} components; the best is {k}.",
                caption="Lower is better.",
            )
        )
    blocks.append(_starts(mixture))
    key_figures = [
        KeyFigure(str(k), "dynamical system" if k == 1 else "dynamical systems", "over the trials")
    ]
    systems = "One linear dynamical system" if k == 1 else f"A mixture of {k} linear dynamical systems"
    lead = lead or f"{systems} with {counted(mixture.state_dim, 'state')}{' each' if k > 1 else ''}."
    if held_out is not None:
        lead += f" Log-likelihood per bin of held-out trials: {written(held_out)}."
    return Section("Dynamics", "dynamics", lead, blocks, key_figures)


def _by_label(name: str, values: np.ndarray, responsibilities: np.ndarray) -> list[Block]:
    known = np.unique(values)
    if not 1 < len(known) <= MAX_LABELS:
        return []
    means = np.stack([responsibilities[values == value].mean(axis=0) for value in known], axis=1)
    rows = [str(k + 1) for k in range(len(means))]
    return [
        half(
            lambda width_px: shaded_matrix(
                means, rows=rows, columns=[str(value) for value in known], row_title="Component",
                column_title=name, width_px=width_px,
            ),
            title=f"Components by {name}",
            alt=f"Mean responsibility of {len(rows)} components for the trials of each {name}.",
            caption="Mean probability that a trial of that label belongs to the component.",
        )
    ]  # fmt: skip


def _starts(mixture: "MixtureOfLDS") -> Table:
    rows = [
        [
            row["init"] + (" (won)" if place == 0 else ""),
            written(row["log_likelihood"], 1),
            str(row["n_iter"]),
        ]
        for place, row in enumerate(mixture.init_report_["candidates"])
    ]
    caption = "Log-likelihood after a short EM from each start; the best goes on."
    return Table(["Start", "Log-likelihood", "Steps"], rows, "Starts", caption, "half")
