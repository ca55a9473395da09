"""Template spikes in tissue that moves along the probe: put in where the tissue is at that moment."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.simulation.motion import MOTION_RATE_HZ

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting


def inject_drifting(
    parent: "BaseRecording",
    sorting: "BaseSorting",
    templates: np.ndarray,
    *,
    grid_um: np.ndarray,
    moved_um: np.ndarray,
    n_before: int,
    factors: np.ndarray,
) -> "BaseRecording":
    """Return a recording with spikes added whose shapes follow a rigid drift.

    Parameters
    ----------
    parent
        Single-segment voltage with its probe.
    sorting
        One unit per template, registered to nothing.
    templates
        Shape ``(positions, units, samples, channels)``: every template with the tissue at each of `grid_um`.
    grid_um
        Evenly spaced positions that enclose the drift, shape ``(positions,)``.
    moved_um
        Displacement of the tissue towards +y at `neuroloom.simulation.motion.MOTION_RATE_HZ`.
    n_before
        Samples of a template before its spike.
    factors
        Height of each spike relative to its template, in the order of the sorting's spike vector.

    Returns
    -------
    BaseRecording
        Lazy.
    """
    from spikeinterface.generation import DriftingTemplates, InjectDriftingTemplatesRecording

    rate_hz = parent.get_sampling_frequency()
    drifting = DriftingTemplates.from_precomputed_templates(
        templates_array_moved=templates,
        displacements=np.column_stack([np.zeros(len(grid_um)), grid_um]),
        sampling_frequency=rate_hz,
        nbefore=n_before,
        probe=parent.get_probe(),
    )
    # SpikeInterface takes the nearest position; a spike between two is put in twice, by its share of each.
    step_um = grid_um[1] - grid_um[0] if len(grid_um) > 1 else 1.0
    lower = np.clip(np.searchsorted(grid_um, moved_um, side="right") - 1, 0, max(len(grid_um) - 2, 0))
    upper = np.minimum(lower + 1, len(grid_um) - 1)
    share = (moved_um - grid_um[lower]) / step_um
    samples = np.asarray(sorting.to_spike_vector())["sample_index"]
    at_spike = np.minimum((samples / rate_hz * MOTION_RATE_HZ).astype(int), len(moved_um) - 1)
    recording = parent
    for index, weight in ((lower, 1 - share), (upper, share)):
        if not weight.any():
            continue
        along = np.zeros((len(moved_um), 2, 1))
        along[:, 1, 0] = grid_um[index]
        recording = InjectDriftingTemplatesRecording(
            sorting,
            drifting,
            [along],
            MOTION_RATE_HZ,
            displacement_unit_factor=np.ones((templates.shape[1], 1)),
            parent_recording=recording,
            amplitude_factor=(weight[at_spike] * factors).astype(np.float32),
        )
    return recording
