"""From membrane currents to the voltage at contacts: line sources in a homogeneous medium."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from probeinterface import Probe

CONDUCTIVITY_S_PER_M = 0.3


def contact_positions(probe: "Probe") -> np.ndarray:
    """Return the contacts of a probe as ``(contacts, 3)`` in um; a planar probe lies in the plane z = 0.

    A two-dimensional probe's (x, y) become (x, y, 0): y runs along the shank, z away from its face.
    """
    positions = np.asarray(probe.contact_positions, dtype=float)
    if positions.shape[1] == 2:
        positions = np.column_stack([positions, np.zeros(len(positions))])
    return positions


def transfer_matrix(
    segment_start_um: np.ndarray,
    segment_end_um: np.ndarray,
    contacts_um: np.ndarray,
    *,
    method: str = "line",
    conductivity_s_per_m: float = CONDUCTIVITY_S_PER_M,
    closest_um: float = 2.0,
) -> np.ndarray:
    r"""Return the potential at each contact per nA of membrane current of each segment.

    Line source (Holt and Koch 1999, eq. 4), with the current spread evenly over a segment of length
    :math:`l` at distance :math:`r` from the contact, from :math:`a` to :math:`b` along its axis:
    :math:`\phi = \frac{I}{4 \pi \sigma l} [\sinh^{-1}(b / r) - \sinh^{-1}(a / r)]`.

    Parameters
    ----------
    segment_start_um, segment_end_um
        Ends of the segments, shape ``(..., segments, 3)``; leading axes are placements.
    contacts_um
        Contacts, shape ``(..., contacts, 3)``.
    method
        ``"line"``, or ``"point"`` (all current at the middle of the segment).
    conductivity_s_per_m
        Of the tissue.
    closest_um
        Distances below this are taken as this: a contact cannot be inside a neuron.

    Returns
    -------
    ndarray
        Shape ``(..., contacts, segments)`` in uV per nA.

    Examples
    --------
    A point far away: 1 nA at 100 um in .3 S/m gives 1000 / (4 pi .3 100) uV.

    >>> start, end = np.array([[-1.0, 0, 0]]), np.array([[1.0, 0, 0]])
    >>> transfer_matrix(start, end, np.array([[0.0, 100, 0]])).round(3)
    array([[2.653]])
    """
    if method not in ("line", "point"):
        raise DataError(f"method {method!r}", expected="'line' or 'point'", remedy="choose one of them")
    start = np.asarray(segment_start_um, dtype=float)[..., None, :, :]
    end = np.asarray(segment_end_um, dtype=float)[..., None, :, :]
    contact = np.asarray(contacts_um, dtype=float)[..., :, None, :]
    # uV = 1000 * nA / (S/m * um)
    scale = 1000.0 / (4 * np.pi * conductivity_s_per_m)
    if method == "point":
        distance = np.linalg.norm(contact - (start + end) / 2, axis=-1)
        return scale / np.maximum(distance, closest_um)
    axis = end - start
    length = np.maximum(np.linalg.norm(axis, axis=-1), 1e-6)
    along = axis / length[..., None]
    a = np.einsum("...k,...k->...", start - contact, along)
    radial = np.linalg.norm((start - contact) - a[..., None] * along, axis=-1)
    radial = np.maximum(radial, closest_um)
    return scale / length * (np.arcsinh((a + length) / radial) - np.arcsinh(a / radial))


def contact_potentials(
    currents_na: np.ndarray,
    segment_start_um: np.ndarray,
    segment_end_um: np.ndarray,
    contacts_um: np.ndarray,
    *,
    method: str = "line",
    conductivity_s_per_m: float = CONDUCTIVITY_S_PER_M,
) -> np.ndarray:
    """Return the voltage in uV at every contact.

    Parameters
    ----------
    currents_na
        Membrane currents, shape ``(..., segments, samples)``.
    segment_start_um, segment_end_um, contacts_um, method, conductivity_s_per_m
        As in `transfer_matrix`.

    Returns
    -------
    ndarray
        Shape ``(..., contacts, samples)``.
    """
    matrix = transfer_matrix(
        segment_start_um,
        segment_end_um,
        contacts_um,
        method=method,
        conductivity_s_per_m=conductivity_s_per_m,
    )
    return matrix @ currents_na


def random_rotations(n: int, *, random: np.random.Generator, upright_fraction: float = 0.5) -> np.ndarray:
    """Return rotation matrices, shape ``(n, 3, 3)``, to be applied as ``points @ rotation.T``.

    A share `upright_fraction` keeps the dendrites' axis (y) within about 15 degrees of the probe's shank,
    as in cortex; the others point anywhere.
    """
    quaternion = random.normal(size=(n, 4))
    upright = random.random(n) < upright_fraction
    spin = random.uniform(0, 2 * np.pi, n)
    tilt = random.normal(0, 0.065, (n, 2))
    upright_quaternion = np.column_stack([np.cos(spin / 2), tilt[:, 0], np.sin(spin / 2), tilt[:, 1]])
    quaternion[upright] = upright_quaternion[upright]
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
