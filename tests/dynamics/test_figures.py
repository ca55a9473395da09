import io

import numpy as np
import pytest

from neuroloom.dynamics.figures import (
    impulse_response_figure,
    latent_flow_figure,
    responsibility_figure,
    selection_figure,
)
from neuroloom.errors import DataError
from neuroloom.seeds import stream


def _drawn(figure) -> int:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return len(buffer.getvalue())


def test_every_figure_can_be_drawn():
    rng = stream(0, "tests", "figures")
    states = [rng.standard_normal((9, 3)) for _ in range(6)]
    figures = [
        impulse_response_figure(rng.standard_normal((3, 8, 2, 2)), bin_s=0.1),
        responsibility_figure(rng.dirichlet(np.ones(3), size=6), ["a", "b"] * 3),
        latent_flow_figure([np.eye(3) * 0.5] * 3, states, [0, 0, 0, 1, 1, 1]),
        latent_flow_figure([np.eye(1) * 0.5], [state[:, :1] for state in states], [0] * 6),
        selection_figure({1: 10.0, 2: 3.0, 3: 5.0}),
    ]
    assert all(_drawn(figure) > 1000 for figure in figures)


def test_the_responsibility_table_is_the_mean_over_trials_of_a_label():
    figure = responsibility_figure(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), [1, 1, 2])
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0.75, 0.0], [0.25, 1.0]])


def test_the_chosen_number_of_components_is_marked():
    axis = selection_figure({1: 10.0, 2: 3.0, 3: 5.0}).axes[0]
    assert axis.get_legend().get_texts()[0].get_text() == "K = 2"


def test_figures_that_make_no_sense_are_refused():
    with pytest.raises(DataError, match="without inputs"):
        impulse_response_figure(np.zeros((2, 5, 3, 0)))
    with pytest.raises(DataError, match="one each"):
        responsibility_figure(np.zeros((2, 2)), [1])
