"""Windows of spikes per second: ours beside pynapple's TsGroup.restrict and torch_brain's slicing.

The session has 200 units that fire at 10 Hz on average for 3,500 s: 7 million spikes, 2,000 in each window
of one second. All run on one core, in turns, from the same spikes; each peer cuts as many windows as it can
in the same order of time. torch_brain slices `temporaldata` objects lazily (a session's Data holding an
IrregularTimeSeries), which is what its data sets do per sample; without it that row has no peer.
"""

import numpy as np
import pynapple as nap
from table import Row, conditions, finish, median_times, parse_arguments

from neuroloom import Session
from neuroloom.seeds import stream
from neuroloom.sessions.windows import bin_session, count_windows, flatten, spike_windows
from neuroloom.threads import set_threads

SEED = 0
WINDOW_S, BIN_S = 1.0, 0.05
N_UNITS, RATE_HZ = 200, 10.0


def simulate(duration_s: float) -> Session:
    """Return a session of Poisson spikes, with rates that differ from unit to unit."""
    rng = stream(SEED, "windows")
    rates = rng.gamma(2.0, RATE_HZ / 2, N_UNITS)
    rates *= RATE_HZ / rates.mean()
    trains = [np.sort(rng.uniform(0, duration_s, rng.poisson(rate * duration_s))) for rate in rates]
    return Session.from_arrays(id="poisson", spike_times_s=trains, time_support=(0, duration_s))


def temporal_data(session: Session):
    """Return the session as torch_brain holds one, or None where its packages are absent."""
    try:
        import torch_brain  # noqa: F401
        from temporaldata import Data, IrregularTimeSeries
    except ImportError:
        return None
    flat = flatten(session)
    spikes = IrregularTimeSeries(timestamps=flat.times_s, unit_index=flat.unit, domain="auto")
    return Data(spikes=spikes, domain="auto")


def main() -> None:
    args = parse_arguments(__doc__)
    set_threads(1)
    duration_s = 350.0 if args.quick else 3_500.0
    n_ours, n_peer = (2_000, 20) if args.quick else (5_000, 50)
    session = simulate(duration_s)
    flat = flatten(session)
    starts = stream(SEED, "starts").uniform(0, duration_s - WINDOW_S, n_ours)
    told = conditions(
        *("pynapple", "torch-brain", "temporaldata", "numba"),
        threads=1,
        seed=SEED,
        spikes=len(flat.times_s),
        units=N_UNITS,
        window_s=WINDOW_S,
        spikes_per_window=float(len(flat.times_s) * WINDOW_S / duration_s),
        windows=n_ours,
        windows_of_peer=n_peer,
    )

    def ours():
        # In batches, as training asks for them: memory stays bounded.
        for first in range(0, n_ours, 500):
            spike_windows(flat, starts[first : first + 500], WINDOW_S)

    def ours_binned():
        for first in range(0, n_ours, 500):
            count_windows(flat, starts[first : first + 500], window_s=WINDOW_S, bin_s=BIN_S)

    def restrict():
        for start in starts[:n_peer]:
            session.spikes.restrict(nap.IntervalSet(start, start + WINDOW_S))

    def restrict_and_count():
        for start in starts[:n_peer]:
            session.spikes.restrict(nap.IntervalSet(start, start + WINDOW_S)).count(BIN_S)

    lazy = temporal_data(session)

    def sliced():
        for start in starts[: 10 * n_peer]:
            part = lazy.slice(start, start + WINDOW_S)
            # Slices are lazy; a model needs the arrays.
            _ = part.spikes.timestamps, part.spikes.unit_index

    def binned_session():
        bin_session(flat, BIN_S)

    def binned_by_pynapple():
        session.spikes.count(BIN_S)

    actions = [ours, ours_binned, restrict, restrict_and_count, binned_session, binned_by_pynapple]
    actions += [sliced] if lazy is not None else []
    for action in actions:
        action()
    times = dict(zip(actions, median_times(*actions, repeats=3 if args.quick else 7), strict=True))

    def per_second(action, n: int) -> float:
        # Processor time: other jobs of the machine do not slow it.
        return n / times[action][1]

    def row(name: str, mine: float, peer: float | None, peer_name: str, **more) -> Row:
        ratio = None if peer is None else mine / peer
        return Row(name, mine, peer, "windows/s", ratio, {**told, "peer": peer_name, **more})

    gather, count = per_second(ours, n_ours), per_second(ours_binned, n_ours)
    wall = {"ours_per_wall_s": n_ours / times[ours][0], "binned_per_wall_s": n_ours / times[ours_binned][0]}
    rows = [
        row("spikes of 1 s windows", gather, per_second(restrict, n_peer), "TsGroup.restrict", **wall),
        row(
            "spikes of 1 s windows",
            gather,
            per_second(sliced, 10 * n_peer) if lazy is not None else None,
            "torch_brain / temporaldata slice" if lazy is not None else "torch_brain (not installed)",
        ),
        row(
            f"counts in {BIN_S:g} s bins of 1 s windows",
            count,
            per_second(restrict_and_count, n_peer),
            "TsGroup.restrict().count",
        ),
    ]
    seconds, peer_seconds = times[binned_session][1], times[binned_by_pynapple][1]
    rows.append(
        Row(
            f"whole session in {BIN_S:g} s bins",
            seconds,
            peer_seconds,
            "s",
            peer_seconds / seconds,
            {**told, "peer": "TsGroup.count"},
        )
    )
    finish(rows, args)


if __name__ == "__main__":
    main()
