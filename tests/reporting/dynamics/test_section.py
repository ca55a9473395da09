"""The dynamics section says what each component does, with and without inputs."""

import numpy as np
import pytest

from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.reporting.dynamics.section import dynamics_section
from neuroloom.reporting.page import Figure, Note, Table
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import random_system, simulate_mixture


@pytest.fixture(scope="module", params=[0, 1], ids=["without inputs", "with inputs"])
def fitted(request):
    systems = [
        random_system(state_dim=2, input_dim=request.param, output_dim=2, rng=stream(0, "section", k))
        for k in range(2)
    ]
    kind = "white" if request.param else "none"
    data = simulate_mixture(systems, n_trajectories=30, n_steps=20, input_kind=kind)
    inputs = list(data.inputs) if request.param else None
    mixture = MixtureOfLDS(2, 2, n_init=1, max_iter=20).fit(list(data.outputs), inputs)
    return mixture, list(data.outputs), inputs


def test_every_component_and_start_is_shown(fitted):
    mixture, outputs, inputs = fitted
    section = dynamics_section(mixture, outputs, inputs, bin_s=0.05, held_out=-1.5)
    titles = [block.title for block in section.blocks if isinstance(block, Figure)]
    shown = {int(title.split()[-1]) for title in titles if title.startswith("States of component")}
    assert shown == set(mixture.predict(outputs, inputs) + 1)
    assert ("Impulse responses" in titles) == (inputs is not None)
    assert any(isinstance(block, Note) for block in section.blocks) == (inputs is None)
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert sum("(won)" in row[0] for row in table.rows) == 1
    assert [figure.value for figure in section.key_figures] == ["2"]
    assert section.lead.endswith("Log-likelihood per bin of held-out trials: −1.50.")


def test_labels_with_one_value_or_too_many_are_not_drawn(fitted):
    mixture, outputs, inputs = fitted
    labels = {"constant": [1] * 30, "unique": np.arange(30), "half": [0, 1] * 15}
    section = dynamics_section(mixture, outputs, inputs, bin_s=0.05, labels=labels)
    titles = [block.title for block in section.blocks if isinstance(block, Figure)]
    assert [title for title in titles if title.startswith("Components by")] == ["Components by half"]
