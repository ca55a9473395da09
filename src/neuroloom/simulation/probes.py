"""Probes that are known by name: where the contacts of the usual small electrodes lie."""

import re
from typing import TYPE_CHECKING

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from probeinterface import Probe

PROBE_NAMES = ("single", "stereotrode", "tetrode", "linear-<n>", "columns-<n>")
_PITCH_UM = {"stereotrode": 25.0, "tetrode": 25.0, "linear": 25.0, "columns": 20.0}
_MAX_CONTACTS = 10_000


def make_probe(name: str) -> "Probe":
    """Return the probe of that name, wired contact by contact to channels 0, 1, ..

    Parameters
    ----------
    name
        ``single``; ``stereotrode`` and ``tetrode`` (contacts on a square, 25 um apart); ``linear-<n>``
        (one column, 25 um apart); ``columns-<n>`` (two columns and rows 20 um apart, n even).

    Raises
    ------
    DataError
        If no probe has that name.

    Examples
    --------
    >>> make_probe("tetrode").get_contact_count()
    4
    >>> make_probe("linear-32").contact_positions[:, 1].max()
    np.float64(775.0)
    """
    import numpy as np
    from probeinterface import generate_linear_probe, generate_multi_columns_probe

    match = re.fullmatch(r"(linear|columns)-(\d{1,5})", name)
    n_contacts = int(match[2]) if match else 0
    if match and match[1] == "linear" and 1 <= n_contacts <= _MAX_CONTACTS:
        probe = generate_linear_probe(num_elec=n_contacts, ypitch=_PITCH_UM["linear"])
    elif match and match[1] == "columns" and n_contacts % 2 == 0 and 2 <= n_contacts <= _MAX_CONTACTS:
        pitch_um = _PITCH_UM["columns"]
        probe = generate_multi_columns_probe(2, n_contacts // 2, xpitch=pitch_um, ypitch=pitch_um)
    elif name == "single":
        probe = generate_linear_probe(num_elec=1)
    elif name == "stereotrode":
        probe = generate_linear_probe(num_elec=2, ypitch=_PITCH_UM[name])
    elif name == "tetrode":
        probe = generate_multi_columns_probe(2, 2, xpitch=_PITCH_UM[name], ypitch=_PITCH_UM[name])
    else:
        raise DataError(
            f"there is no built-in probe {name!r}",
            expected=f"one of {', '.join(PROBE_NAMES)} (n even for columns), or a probeinterface file",
            remedy="pass one of these names, or the path of the file including its .json ending",
        )
    probe.set_device_channel_indices(np.arange(probe.get_contact_count()))
    probe.annotate(name=name)
    return probe
