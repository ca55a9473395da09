"""Audit of a decoder: how many dimensions of the population it needs, and its score without a brain."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom import artifacts, seeds
from neuroloom.auditing.arms import BRAIN, CEILING, MEAN, NO_BOTTLENECK, RANDOM, SHUFFLED
from neuroloom.auditing.metric_names import METRICS
from neuroloom.auditing.results import AuditCurve
from neuroloom.auditing.scoring import Scorer
from neuroloom.auditing.sizes import choose_sizes
from neuroloom.auditing.virtual_units import PopulationBottleneck, as_virtual_units, standardise
from neuroloom.decoding.estimator import Decoder
from neuroloom.decoding.targets import Target, behavior_at, find_target, known, trial_labels, trials_of
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.sessions.splits import split_time, split_trials
from neuroloom.sessions.windows import bin_session, bin_starts

# Bins that the bottleneck looks ahead, where a decoder does not say how many it reads.
DEFAULT_BINS = 10
# Consecutive stretches of time that are resampled as wholes, since neighbouring bins are alike.
BLOCKS_PER_SESSION = 20


@dataclass(frozen=True)
class _Part:
    """One session, cut in two, with what the bottleneck is fitted to."""

    train: Session
    test: Session
    train_counts: np.ndarray
    test_counts: np.ndarray
    train_targets: np.ndarray  # (bins, targets x lags)
    test_truth: np.ndarray  # (bins, targets), for the ceiling
    train_truth: np.ndarray


def audit_session(
    session: Session,
    target: str,
    *,
    sizes: Sequence[int] | None = None,
    bin_s: float = 0.05,
    past_bins: int = 10,
    seed: int = 0,
) -> AuditCurve:
    """Audit a Wiener decoder of `target` on one session; see `audit_decoder`."""
    from neuroloom.decoding.wiener import WienerDecoder

    def factory() -> Decoder:
        return WienerDecoder(target, bin_s=bin_s, past_bins=past_bins)

    return audit_decoder(factory, session, sizes, n_draws=1, seed=seed)


def audit_decoder(
    decoder_factory: Callable[..., Decoder],
    sessions: Session | Sequence[Session],
    sizes: Sequence[int] | None = None,
    *,
    test_fraction: float = 0.2,
    gap_s: float = 1.0,
    n_draws: int = 2,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> AuditCurve:
    """Measure how many dimensions of the population a decoder uses.

    In every session the units pass a linear bottleneck fitted on the training part; what passes becomes the
    spikes of as many virtual units, on which a new decoder is trained and tested. The largest size is the
    number of units, where nothing is changed.

    Parameters
    ----------
    decoder_factory
        Returns a new, unfitted decoder at each call. If it takes ``seed``, decoders of all arms are trained
        from several seeds, and intervals cover these too.
    sessions
        One session or several, all with the decoder's target.
    sizes
        Bottleneck sizes; default 1, 2, 5, 10, 20, .. and the number of units.
    test_fraction
        Share of each session, at its end, that is held out (whole trials for a trial label).
    gap_s
        Time left out between training and test.
    n_draws
        Draws of the random arm (uniform noise for counts) and the shuffled arm (counts that belong to
        another time), and seeds of the decoder; one whose seed changes nothing is trained from one.
    n_bootstrap
        Resamplings of blocks of test time (of trials, for a label) behind each interval.
    seed
        Seed of the draws and of resampling.

    Returns
    -------
    AuditCurve
        With metric ``r2`` or ``accuracy``. The ceiling is the decoder given the truth as virtual units.

    Raises
    ------
    UnknownTarget
        If a session does not have the target.
    DataError
        If sizes are not possible, a session has no units, or a part of a session is empty.
    """
    sessions = [sessions] if isinstance(sessions, Session) else list(sessions)
    for session in sessions:
        if not session.unit_ids:
            raise DataError(
                f"session {session.id!r} has no units",
                expected="at least one unit to audit",
                remedy="leave this session out",
            )
    takes_seed = "seed" in inspect.signature(decoder_factory).parameters
    decoder = decoder_factory()
    target, bin_s = find_target(sessions, decoder.target), float(decoder.bin_s)
    lags = np.arange(-getattr(decoder, "future_bins", 0), getattr(decoder, "past_bins", DEFAULT_BINS))
    parts = [
        _prepare(session, target, bin_s=bin_s, lags=lags, test_fraction=test_fraction, gap_s=gap_s)
        for session in sessions
    ]
    n_units = max(part.train_counts.shape[1] for part in parts)
    wanted, _ = choose_sizes(sizes, rank=n_units, n_units=n_units)
    wanted = sorted({*wanted, n_units})

    def new_decoder(draw: int) -> Decoder:
        if not takes_seed:
            return decoder_factory()
        return decoder_factory(seed=seeds.derive(seed, "decoder", draw) if draw else seed)

    def decoded(pairs: list[tuple[Session, Session]], draw: int) -> np.ndarray:
        fitted = new_decoder(draw).fit([train for train, _ in pairs])
        return np.concatenate([_rows(fitted.predict(test).values) for _, test in pairs])

    untouched = [(part.train, part.test) for part in parts]
    fitted = new_decoder(0).fit([train for train, _ in untouched])
    first = [fitted.predict(test) for _, test in untouched]
    truth, groups, usable = _truth(target, parts, [prediction.t for prediction in first], bin_s)
    metric = METRICS["r2" if target.task == "regression" else "accuracy"]
    scorer = Scorer([metric], truth[usable], groups[usable], n_bootstrap=n_bootstrap, seed=seed)

    def add(arm: str, size: int, values: np.ndarray) -> None:
        if len(values) != len(truth):
            raise DataError(
                f"{decoder!r} made {len(values)} predictions in arm {arm}",
                expected=f"{len(truth)}, as from the untouched sessions",
                remedy="let predict return the same times whatever the units do",
            )
        scorer.add(arm, size, values[usable])

    whole = np.concatenate([_rows(prediction.values) for prediction in first])
    add(BRAIN, n_units, whole)
    n_seeds = 1
    if takes_seed and n_draws > 1:
        again = decoded(untouched, 1)
        if not np.array_equal(whole, again):
            n_seeds = n_draws
            for values in (again, *(decoded(untouched, draw) for draw in range(2, n_draws))):
                add(BRAIN, n_units, values)
    arms = [(BRAIN, draw) for draw in range(n_seeds)]
    arms += [(arm, draw) for arm in (RANDOM, SHUFFLED) for draw in range(n_draws)]
    for arm, draw in arms:
        seen = [
            _counts(part, arm, seeds.stream(seed, arm, draw, number)) for number, part in enumerate(parts)
        ]
        bottlenecks = [
            PopulationBottleneck.fit(train, part.train_targets, groups=_blocks(len(train)), seed=seed)
            for part, (train, _) in zip(parts, seen, strict=True)
        ]
        for size in wanted:
            if arm == BRAIN and size == n_units:
                continue
            pairs = [
                (
                    as_virtual_units(part.train, bottleneck.encode(train, size=size), bin_s=bin_s),
                    as_virtual_units(part.test, bottleneck.encode(test, size=size), bin_s=bin_s),
                )
                for part, bottleneck, (train, test) in zip(parts, bottlenecks, seen, strict=True)
            ]
            add(arm, size, decoded(pairs, draw))
    add(MEAN, NO_BOTTLENECK, _average(target, parts, truth))
    codes = [standardise([part.train_truth, part.test_truth]) for part in parts]
    ceiling = [
        tuple(
            as_virtual_units(half, code, bin_s=bin_s)
            for half, code in zip((part.train, part.test), code_pair, strict=True)
        )
        for part, code_pair in zip(parts, codes, strict=True)
    ]
    for draw in range(n_seeds):
        add(CEILING, NO_BOTTLENECK, decoded([(train, test) for train, test in ceiling], draw))
    facts = {
        "decoder": repr(decoder),
        "bottleneck": "PopulationBottleneck",
        "generator": repr(decoder),
        "target": target.name,
        "n_sessions": len(sessions),
        "n_units": n_units,
        "n_test": int(usable.sum()),
        "n_test_groups": len(np.unique(groups)),
        "n_draws": n_draws,
        "n_seeds": n_seeds,
        "n_bootstrap": n_bootstrap,
        "lower_is_better": [],
        "seed": seed,
        "data_fingerprint": artifacts.fingerprint(*(session.fingerprint() for session in sessions)),
    }
    return AuditCurve(scorer.rows(), facts)


def _prepare(
    session: Session, target: Target, *, bin_s: float, lags: np.ndarray, test_fraction: float, gap_s: float
) -> _Part:
    fractions = (1 - test_fraction, test_fraction)
    if target.task == "classification":
        train_part, test_part = split_trials(session, fractions)
    else:
        train_part, test_part = split_time(session, fractions, gap_s=gap_s)
    train, test = session.restrict(train_part), session.restrict(test_part)
    train_counts, _ = bin_session(train, bin_s)
    test_counts, _ = bin_session(test, bin_s)
    train_truth, stretch = _targets_in_bins(train, target, bin_s)
    test_truth, _ = _targets_in_bins(test, target, bin_s)
    return _Part(
        train=train,
        test=test,
        train_counts=train_counts.astype(float),
        test_counts=test_counts.astype(float),
        train_targets=_stacked(train_truth, stretch, lags),
        test_truth=test_truth,
        train_truth=train_truth,
    )


def _targets_in_bins(session: Session, target: Target, bin_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what is decoded in every bin (bins, columns), its mean where unknown, and the bins' stretches.

    A label becomes one column per class, 1 inside trials of that class.
    """
    starts_s, stretch = bin_starts(session, bin_s)
    centres_s = starts_s + bin_s / 2
    if target.task == "regression":
        values, _ = behavior_at(session, target.name, centres_s, width_s=bin_s)
    else:
        trials, labels = trials_of(session), trial_labels(session, target.name)
        at = np.searchsorted(trials.start, centres_s, side="right") - 1
        inside = (at >= 0) & (centres_s < trials.end[np.maximum(at, 0)])
        values = np.stack([inside & (labels[at] == each) for each in target.classes], axis=1).astype(float)
    known_rows = np.isfinite(values)
    if not known_rows.any():
        raise DataError(
            f"{target.name!r} is unknown in a part of session {session.id!r}",
            expected="a target in training and test",
            remedy="restrict the session to where the target is known",
        )
    mean = np.where(known_rows, values, 0).sum(0) / np.maximum(known_rows.sum(0), 1)
    return np.where(known_rows, values, mean), stretch


def _stacked(values: np.ndarray, stretch: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Return each bin's targets at all lags (bins, targets x lags); a stretch's ends are repeated."""
    first = np.searchsorted(stretch, stretch, side="left")
    last = np.searchsorted(stretch, stretch, side="right") - 1
    at = np.clip(np.arange(len(values))[:, None] + lags, first[:, None], last[:, None])
    return values[at].reshape(len(values), -1)


def _counts(part: _Part, arm: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test counts as an arm sees them."""
    if arm == RANDOM:
        return rng.uniform(size=part.train_counts.shape), rng.uniform(size=part.test_counts.shape)
    if arm == SHUFFLED:
        # Rotated by a tenth to nine tenths of the time: counts keep their own order and lose their partner.
        n = len(part.train_counts)
        shift = int(rng.integers(max(1, n // 10), max(2, n - n // 10)))
        return np.roll(part.train_counts, shift, axis=0), part.test_counts
    return part.train_counts, part.test_counts


def _truth(
    target: Target, parts: list[_Part], times_s: list[np.ndarray], bin_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the truth at the predictions' times, groups for resampling, and which rows are known."""
    values, groups, n_groups = [], [], 0
    for part, t in zip(parts, times_s, strict=True):
        if target.task == "regression":
            values.append(behavior_at(part.test, target.name, t, width_s=bin_s)[0])
            group = _blocks(len(t))
        else:
            group = np.searchsorted(trials_of(part.test).start, t, side="right") - 1
            values.append(trial_labels(part.test, target.name)[group])
        groups.append(group + n_groups)
        n_groups = groups[-1].max() + 1
    truth = np.concatenate(values)
    usable = known(truth) if target.task == "classification" else np.atleast_1d(np.isfinite(truth).all(1))
    return truth, np.concatenate(groups), usable


def _average(target: Target, parts: list[_Part], truth: np.ndarray) -> np.ndarray:
    """Return the training mean, or the most frequent label, for every test row."""
    mean = np.concatenate([part.train_truth for part in parts]).mean(0)
    if target.task == "classification":
        return np.full(len(truth), np.asarray(target.classes)[mean.argmax()])
    return np.tile(mean, (len(truth), 1))


def _rows(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    return values[:, None] if values.ndim == 1 and values.dtype.kind == "f" else values


def _blocks(n_bins: int) -> np.ndarray:
    return np.arange(n_bins) * BLOCKS_PER_SESSION // max(n_bins, 1)
