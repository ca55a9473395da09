import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from neuroloom.errors import DataError
from neuroloom.simulation.electrodes import (
    contact_positions,
    contact_potentials,
    random_rotations,
    transfer_matrix,
)


def test_line_source_equals_the_integral_over_point_sources():
    start, end, contact = np.array([3.0, -2, 5]), np.array([-20.0, 30, 11]), np.array([12.0, 7, -4])
    length = np.linalg.norm(end - start)
    integrand = lambda u: 1 / np.linalg.norm(start + u * (end - start) - contact)  # noqa: E731
    expected = 1000 / (4 * np.pi * 0.3) * quad(integrand, 0, 1)[0]
    assert length > 1
    np.testing.assert_allclose(transfer_matrix(start[None], end[None], contact[None])[0, 0], expected)


def test_line_source_tends_to_the_point_source_far_away():
    start, end = np.array([[0.0, 0, 0]]), np.array([[10.0, 0, 0]])
    contact = np.array([[5.0, 800, 0]])
    line, point = (transfer_matrix(start, end, contact, method=kind) for kind in ("line", "point"))
    np.testing.assert_allclose(line, point, rtol=1e-4)


def test_voltage_of_a_dipole_falls_with_the_square_of_distance():
    start = np.array([[0.0, 0, 0], [0.0, 10, 0]])
    end = start + np.array([0.0, 2, 0])
    far = np.array([[0.0, 500, 0], [0.0, 1000, 0]])
    near, further = contact_potentials(np.array([[1.0], [-1.0]]), start, end, far)[:, 0]
    assert near / further == pytest.approx(4, rel=0.05)


def test_a_contact_on_the_axis_or_inside_stays_finite():
    start, end = np.array([[0.0, 0, 0]]), np.array([[10.0, 0, 0]])
    contacts = np.array([[5.0, 0, 0], [10.0, 0, 0], [0.0, 0, 0], [20.0, 0, 0]])
    assert np.isfinite(transfer_matrix(start, end, contacts)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_turning_and_moving_everything_together_changes_nothing(seed):
    random = np.random.default_rng(seed)
    start, end = random.normal(size=(2, 5, 3)) * 30
    contacts = random.normal(size=(4, 3)) * 50
    turn = random_rotations(1, random=random)[0]
    shift = random.normal(size=3) * 100
    moved = [points @ turn.T + shift for points in (start, end, contacts)]
    np.testing.assert_allclose(transfer_matrix(*moved), transfer_matrix(start, end, contacts), rtol=1e-6)


def test_rotations_are_proper():
    turns = random_rotations(200, random=np.random.default_rng(0))
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (200, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(turns), 1)


def test_planar_probe_lies_at_depth_zero():
    from probeinterface import generate_linear_probe

    assert contact_positions(generate_linear_probe(4)).shape == (4, 3)


def test_unknown_method_is_refused():
    with pytest.raises(DataError, match="disk"):
        transfer_matrix(np.zeros((1, 3)), np.ones((1, 3)), np.ones((1, 3)), method="disk")
