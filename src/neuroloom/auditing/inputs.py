"""What goes into an audit: checked responses and stimuli, stimulus groups, and splits that cannot leak."""

import hashlib
from typing import Any

import numpy as np

from neuroloom import seeds
from neuroloom.auditing.arms import Fold
from neuroloom.errors import DataError, LeakySplit
from neuroloom.findings import Finding
from neuroloom.sessions.splits import grouped_folds

DEFAULT_FOLDS = 5


def check_responses(responses: np.ndarray) -> tuple[np.ndarray, list[Finding], np.ndarray]:
    """Return responses as float64 (stimuli, units) without units that hold NaN or inf.

    Parameters
    ----------
    responses
        (stimuli, units), or (stimuli, units, repeats), which are averaged; NaN where a repeat is absent.

    Returns
    -------
    values
        (stimuli, usable units).
    findings
        What was odd.
    usable
        Indices of the units that are left.

    Raises
    ------
    DataError
        If the array has another shape, no stimuli, a single one, or no usable unit is left.
    """
    responses = np.asarray(responses)
    if responses.ndim not in (2, 3) or responses.dtype.kind not in "fiub" or min(responses.shape) == 0:
        raise DataError(
            f"responses have shape {responses.shape} and type {responses.dtype}",
            expected="numbers of shape (stimuli, units), or (stimuli, units, repeats)",
            remedy="transpose or reshape them so that each row is one stimulus",
        )
    if len(responses) == 1:
        raise DataError("there is a single stimulus", expected="two or more", remedy="give more stimuli")
    values = responses.astype(float)
    if values.ndim == 3:
        values = _averaged(values)
    findings = []
    usable = np.atleast_1d(np.isfinite(values).all(axis=0))
    if not usable.all():
        bad = np.flatnonzero(~usable)
        findings.append(
            Finding(
                "warning",
                f"{len(bad)} of {len(usable)} units hold NaN or inf and were left out",
                f"units {_listed(bad)}",
                "repair or remove those units before the audit",
            )
        )
    if not usable.any():
        raise DataError(
            "every unit holds NaN or inf",
            expected="at least one unit with finite responses to all stimuli",
            remedy="remove the stimuli without responses instead",
        )
    values = values[:, usable]
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if len(constant) == values.shape[1]:
        raise DataError(
            f"all {values.shape[1]} units answer every stimulus alike",
            expected="responses that vary",
            remedy="check that responses are (stimuli, units) and were not averaged away",
        )
    if len(constant):
        findings.append(
            Finding(
                "info",
                f"{len(constant)} units never vary and carry nothing",
                f"units {_listed(np.flatnonzero(usable)[constant])}",
                "none needed",
            )
        )
    return values, findings, np.flatnonzero(usable)


def _averaged(repeats: np.ndarray) -> np.ndarray:
    """Return the mean over the repeats that are there (stimuli, units); NaN where there is none."""
    missing = np.isnan(repeats)
    n_present = (~missing).sum(2)
    undefined = np.full(n_present.shape, np.nan)
    return np.divide(np.where(missing, 0.0, repeats).sum(2), n_present, out=undefined, where=n_present > 0)


def check_stimuli(stimuli: Any, *, n_responses: int) -> np.ndarray:
    """Return stimuli as an array with one row per response.

    Accepted are numbers (stimuli, ..), one-dimensional behaviour (stimuli,), and text (a sequence of str).

    Raises
    ------
    DataError
        If the number of rows differs, or numbers are not finite.
    """
    values = np.asarray(stimuli)
    if values.dtype.kind == "U":
        values = values.astype(object)
    if values.ndim == 0 or len(values) != n_responses:
        raise DataError(
            f"there are {n_responses} responses and stimuli of shape {values.shape}",
            expected="one stimulus per response",
            remedy="give both in the same order, repeated stimuli repeated",
        )
    if values.dtype.kind == "O":
        if not all(isinstance(item, str) for item in values):
            raise DataError(
                f"stimuli are objects such as {type(values[0]).__name__}",
                expected="numbers of one shape, or text",
                remedy="stack them into one array",
            )
        return values
    values = values.astype(float)
    if not np.isfinite(values).all():
        rows = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
        raise DataError(
            f"{len(rows)} stimuli hold NaN or inf (rows {_listed(rows)})",
            expected="finite stimuli",
            remedy="leave those rows out of responses and stimuli",
        )
    return values[:, None] if values.ndim == 1 else values


def stimulus_groups(stimuli: np.ndarray, groups: Any, *, identify_repeats: bool) -> np.ndarray:
    """Return one integer group per stimulus; a group never lies on both sides of a split.

    Parameters
    ----------
    stimuli
        As `check_stimuli` returned them.
    groups
        The user's ids (stimuli,) or ``None``.
    identify_repeats
        Whether equal rows mean the same stimulus (images, text). Ids that part them are then refused. For
        behaviour two moments may well be equal by chance: ids are believed, and equal rows without ids are
        refused instead of guessed about.

    Raises
    ------
    DataError
        If ids have the wrong length, or are needed and missing.
    LeakySplit
        If ids put equal images or texts into different groups.
    """
    if groups is not None:
        ids = np.asarray(groups)
        if ids.shape != (len(stimuli),):
            raise DataError(
                f"groups have shape {ids.shape}",
                expected=f"one id per stimulus, ({len(stimuli)},)",
                remedy="give groups=stimulus_id",
            )
        numbers = np.unique(ids, return_inverse=True)[1]
        if identify_repeats:
            _refuse_parted(stimuli, numbers)
        return numbers
    ids = np.unique(row_digests(stimuli), return_inverse=True)[1]
    if identify_repeats:
        return ids
    if ids.max() + 1 < len(stimuli):
        raise DataError(
            f"{len(stimuli) - ids.max() - 1} targets repeat earlier ones, and no groups were given",
            expected="to know which rows belong together",
            remedy="pass groups=stimulus ids or time blocks (or groups=np.arange(n) if every row is its own)",
        )
    return np.arange(len(stimuli))


def check_parted(targets: np.ndarray, groups: np.ndarray) -> list[Finding]:
    """Say how many targets equal one of another group: by chance, or because the groups part repetitions."""
    parted = _parted(targets, groups)
    if not len(parted):
        return []
    what = f"{len(parted)} targets (rows {_listed(parted)}) equal one of another group"
    remedy = "if they are repetitions of one stimulus, give these one id: scores are too good otherwise"
    return [Finding("info", what, "groups", remedy)]


def _parted(stimuli: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the rows that equal an earlier row of another group."""
    _, first, member = np.unique(row_digests(stimuli), return_index=True, return_inverse=True)
    return np.flatnonzero(groups != groups[first[member]])


def _refuse_parted(stimuli: np.ndarray, groups: np.ndarray) -> None:
    """Refuse groups that could put a stimulus on one side of a split and its repetition on the other."""
    parted = _parted(stimuli, groups)
    if len(parted):
        raise LeakySplit(
            f"{len(parted)} stimuli (rows {_listed(parted)}) equal one of another group",
            expected="repetitions of a stimulus in one group",
            remedy="give repeated stimuli one id, or leave groups out: equal images and texts are then found",
        )


def check_independence(responses: np.ndarray, targets: np.ndarray) -> list[Finding]:
    """Say so when neighbouring rows of responses and targets are alike, as in a time series cut into bins.

    Random folds then put each bin's neighbours on the other side, and scores are too good.
    """
    alike = min(_neighbour_correlation(responses), _neighbour_correlation(targets))
    if alike < 0.3 or len(targets) < 30:
        return []
    what = f"neighbouring rows are alike (correlation {alike:.2f}), and no groups were given"
    remedy = "pass groups=time blocks, e.g. np.arange(n) // 200, or give shuffled independent stimuli"
    return [Finding("warning", what, "responses and targets", remedy)]


def _neighbour_correlation(values: np.ndarray) -> float:
    """Return the mean correlation of each column with itself one row later."""
    centred = values - values.mean(0)
    power = np.square(centred).mean(0)
    lagged = (centred[1:] * centred[:-1]).mean(0)
    defined = power > 0
    return float(np.mean(lagged[defined] / power[defined])) if defined.any() else 0.0


def row_digests(stimuli: np.ndarray) -> np.ndarray:
    """Return a short hash per stimulus; equal stimuli, and only they, share it."""
    if stimuli.dtype.kind == "O":
        contents = [str(item).encode() for item in stimuli]
    else:
        contents = [np.ascontiguousarray(row, dtype=np.float32).tobytes() for row in stimuli]
    return np.array([hashlib.blake2b(content, digest_size=12).hexdigest() for content in contents])


def without_duplicates(stimuli: np.ndarray, *, of: np.ndarray) -> np.ndarray:
    """Return the stimuli that are not exactly equal to one `of` the others, to train a generator on.

    Examples
    --------
    >>> without_duplicates(np.array([[1.0], [2.0], [3.0]]), of=np.array([[2.0]])).ravel()
    array([1., 3.])
    """
    return stimuli[~np.isin(row_digests(stimuli), row_digests(of))]


def choose_folds(
    groups: np.ndarray,
    *,
    n_folds: int | None = None,
    test_fraction: float | None = None,
    test: Any = None,
    seed: int = 0,
) -> list[Fold]:
    """Return splits of the stimuli in which no group lies on both sides.

    At most one of `n_folds`, `test_fraction` and `test` (indices or mask) may be given; with none of them,
    five folds, or as many as there are groups.

    Raises
    ------
    LeakySplit
        If the `test` asked for shares a group with the rest.
    DataError
        If there are fewer groups than folds, or a side would be empty.
    """
    if sum(option is not None for option in (n_folds, test_fraction, test)) > 1:
        raise DataError(
            f"n_folds={n_folds}, test_fraction={test_fraction} and test were given together",
            expected="one way to split",
            remedy="keep one of them",
        )
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise DataError(
            f"all {len(groups)} stimuli belong to one group",
            expected="two or more groups, so that one can be held out",
            remedy="give more stimuli, or groups that tell them apart",
        )
    if test is not None:
        return [_explicit_fold(groups, np.asarray(test))]
    if test_fraction is not None:
        if not 0 < test_fraction < 1:
            raise DataError(
                f"test_fraction is {test_fraction}",
                expected="a number between 0 and 1",
                remedy="use e.g. 0.2",
            )
        order = seeds.stream(seed, "test groups").permutation(np.unique(groups))
        sizes = np.bincount(groups, minlength=groups.max() + 1)[order]
        # The fewest groups that hold the fraction asked for, but never all of them.
        n_held_out = min(
            int(np.searchsorted(np.cumsum(sizes), test_fraction * len(groups))) + 1, n_groups - 1
        )
        held_out = np.isin(groups, order[:n_held_out])
        return [Fold(np.flatnonzero(~held_out), np.flatnonzero(held_out))]
    if n_folds is not None and not 2 <= n_folds <= n_groups:
        raise DataError(
            f"{n_folds} folds were asked for over {n_groups} different stimuli or groups",
            expected=f"between 2 and {n_groups} folds",
            remedy="lower n_folds or give more stimuli",
        )
    folds = grouped_folds(groups, n_folds or min(DEFAULT_FOLDS, n_groups), seed=seed)
    return [Fold(train, held_out, index) for index, (train, held_out) in enumerate(folds)]


def _explicit_fold(groups: np.ndarray, test: np.ndarray) -> Fold:
    mask = np.zeros(len(groups), dtype=bool)
    if test.dtype.kind == "b" and test.shape != mask.shape:
        raise DataError(
            f"the test mask has shape {test.shape}",
            expected=f"({len(groups)},)",
            remedy="one entry per stimulus",
        )
    if test.dtype.kind != "b" and (len(test) == 0 or test.min() < 0 or test.max() >= len(groups)):
        raise DataError(
            f"test indices are {_listed(test)}",
            expected=f"indices from 0 to {len(groups) - 1}",
            remedy="correct them",
        )
    mask[test] = True
    if not 0 < mask.sum() < len(mask):
        raise DataError(
            f"{mask.sum()} of {len(mask)} stimuli are test stimuli",
            expected="both training and test stimuli",
            remedy="choose another test set",
        )
    shared = np.intersect1d(groups[mask], groups[~mask])
    if len(shared):
        raise LeakySplit(
            f"{len(shared)} groups (repeated stimuli) lie in both training and test",
            expected="every group on one side",
            remedy="choose test by group, or let audit split with n_folds or test_fraction",
        )
    return Fold(np.flatnonzero(~mask), np.flatnonzero(mask))


def _listed(indices: np.ndarray, *, most: int = 8) -> str:
    shown = ", ".join(str(index) for index in indices[:most])
    return shown + (", .." if len(indices) > most else "")
