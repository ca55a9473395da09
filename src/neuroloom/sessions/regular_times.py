"""Times that one rate describes to their last bit, so that a file may hold the rate instead of them."""

from typing import Any

import numpy as np

# How the k-th time follows from the first: in other words the same number, in floating point not quite.
FORMS = ("divided", "multiplied", "centres")


def regular_times(start_s: float, rate_hz: float, n: int, *, form: str = "divided") -> np.ndarray:
    """Return `n` times from `start_s` on, shape (n,), in seconds.

    Parameters
    ----------
    start_s, rate_hz
        The first time, and how many there are a second.
    n
        How many.
    form
        ``"divided"``: start + k / rate. ``"multiplied"``: start + k (1 / rate). ``"centres"``: the centres of
        bins whose first one begins half a step before the start.
    """
    counted, step_s = np.arange(n), 1 / rate_hz
    if form == "multiplied":
        return start_s + counted * step_s
    if form == "centres":
        return (round(start_s - step_s / 2, 9) + counted * step_s) + step_s / 2
    return start_s + counted / rate_hz


def describe_times(times_s: np.ndarray) -> dict[str, Any] | None:
    """Return ``start_s``, ``rate_hz`` and ``form`` that give these very times again, or None.

    Examples
    --------
    >>> describe_times(np.array([0.5, 0.75, 1.0]))
    {'start_s': 0.5, 'rate_hz': 4.0, 'form': 'divided'}
    >>> describe_times(np.array([0.5, 0.75, 1.5])) is None
    True
    """
    if len(times_s) < 3 or not times_s[-1] > times_s[0]:
        return None
    step_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    if np.abs(np.diff(times_s) - step_s).max() > 1e-9 + 1e-12 * abs(times_s[-1]):
        return None
    round_rates = [round(1 / step_s, digits) for digits in range(7)]
    round_steps = [round(step_s, digits) for digits in range(3, 10)]
    candidates = [*round_rates, *(1 / step for step in round_steps if step), 1 / step_s]
    for rate_hz in dict.fromkeys(float(rate) for rate in candidates if rate > 0):
        for form in FORMS:
            start_s = float(times_s[0])
            if np.array_equal(regular_times(start_s, rate_hz, len(times_s), form=form), times_s):
                return {"start_s": start_s, "rate_hz": rate_hz, "form": form}
    return None
