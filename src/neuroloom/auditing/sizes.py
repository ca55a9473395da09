"""The sizes of bottleneck that an audit tries."""

from collections.abc import Sequence

from neuroloom.errors import DataError
from neuroloom.findings import Finding


def choose_sizes(sizes: Sequence[int] | None, *, rank: int, n_units: int) -> tuple[list[int], list[Finding]]:
    """Return growing sizes, and what to know about them.

    Parameters
    ----------
    sizes
        What was asked for; ``None`` takes 1, 2, 5, 10, 20, .. and the rank.
    rank
        The size beyond which nothing changes.
    n_units
        The largest size allowed.

    Raises
    ------
    DataError
        If sizes are not distinct whole numbers from 1 to the number of units.

    Examples
    --------
    >>> choose_sizes(None, rank=12, n_units=30)[0]
    [1, 2, 5, 10, 12]
    """
    if sizes is None:
        steps = [base * 10**power for power in range(6) for base in (1, 2, 5)]
        return [*(step for step in steps if step < rank), rank], []
    wanted = sorted({int(size) for size in sizes if float(size).is_integer()})
    if not wanted or wanted[0] < 1 or wanted[-1] > n_units or len(wanted) < len(set(sizes)):
        raise DataError(
            f"sizes are {list(sizes)}",
            expected=f"whole numbers from 1 to {n_units}, the number of usable units",
            remedy="drop the others; a bottleneck wider than the brain is none",
        )
    if wanted[-1] <= rank:
        return wanted, []
    what = f"sizes above {rank} repeat the result at {rank}, the rank of the regression"
    return wanted, [Finding("info", what, f"sizes {wanted}", f"use sizes up to {rank}")]
