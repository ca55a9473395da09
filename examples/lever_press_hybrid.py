"""How much does sorting cost? Real spike trains, put into simulated voltage, sorted, and decoded again.

    python examples/lever_press_session.py ../shared/data/lever_press --out outputs
    python examples/lever_press_hybrid.py outputs/lever_press.session

takes the first 50 lever trials of the rat and 12 of its neurons, gives each neuron a place and a waveform
near a 32-channel probe, sorts the voltage as if nothing were known, and prints the agreement of every unit
with the truth, and the time since the first tap as decoded from the true and from the sorted units. About a
minute; some more in the first run, which compiles.
"""

import argparse
from pathlib import Path

import numpy as np

from neuroloom import NeuroloomError, Session, WienerDecoder
from neuroloom.decoding.evaluation import fit_and_evaluate
from neuroloom.errors import DataError
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.agreement import compare_with_truth
from neuroloom.sorting.folders import write_recording
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.quality import analyze, unit_table
from neuroloom.sorting.sorter import sort
from neuroloom.threads import set_threads


def choose(session: Session, *, n_trials: int, n_units: int, highest_hz: float) -> Session:
    """Return the first trials of the most active neurons below a rate, starting at time 0."""
    if session.trials is None or len(session.trials) < n_trials:
        raise DataError(
            f"{session} is too small", expected=f"{n_trials} trials", remedy="pass fewer --trials"
        )
    part = session.restrict(session.trials[:n_trials])
    # Multi-unit channels fire faster than any single neuron near a probe would.
    rates_hz = {key: len(part.spikes[key]) / part.duration_s for key in part.spikes}
    single = [key for key, rate_hz in rates_hz.items() if rate_hz <= highest_hz]
    keys = sorted(single, key=lambda key: rates_hz[key], reverse=True)[:n_units]
    start_s = float(part.time_support.start[0])
    return Session.from_arrays(
        id="true units",
        subject=session.subject,
        spike_times_s={key: part.spikes[key].t - start_s for key in keys},
        behavior={name: (series.t - start_s, series.values) for name, series in part.behavior.items()},
        time_support=part.time_support.values - start_s,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("session", type=Path, help="folder that lever_press_session.py wrote")
    parser.add_argument("--out", type=Path, default=Path("outputs/lever_press_hybrid"))
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--units", type=int, default=12)
    parser.add_argument("--highest-hz", type=float, default=20.0, help="leave out what fires faster")
    parser.add_argument("--probe", default="columns-32")
    parser.add_argument("--noise-uv", type=float, default=12.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    set_threads()
    try:
        run(args)
    except NeuroloomError as error:
        parser.error(str(error))


def run(args: argparse.Namespace) -> None:
    """Inject, sort, compare, decode; print every result."""
    true = choose(
        Session.load(args.session), n_trials=args.trials, n_units=args.units, highest_hz=args.highest_hz
    )
    print(f"true units: {true}")
    recording, truth = inject(
        {int(key): true.spikes[key].t for key in true.spikes},
        probe=args.probe,
        duration_s=float(true.time_support.end[-1]) + 0.5,
        noise_uv=args.noise_uv,
        amplitudes_uv=(50.0, 200.0),
        seed=args.seed,
    )
    recording = write_recording(recording, args.out / "recording")
    prepared = prepare(recording, folder=args.out / "prepared", seed=args.seed)
    print(f"voltage: {args.out / 'recording'}; {', '.join(prepared.steps)}")
    found = sort(prepared.recording, seed=args.seed, folder=args.out / "sorting")
    analyzer = analyze(found, prepared.recording, args.out / "analyzer", seed=args.seed)
    print(f"\n{unit_table(analyzer).round(2).to_string()}")
    agreement = compare_with_truth(found, truth)
    print(f"\nagreement with the truth:\n{agreement.round(3).to_string()}")
    print(f"mean accuracy {np.mean(agreement['accuracy']):.3f}")
    as_found = Session.from_arrays(
        id="sorted units",
        subject=true.subject,
        spike_times_s={
            int(unit): found.get_unit_spike_train(unit_id=unit) / found.get_sampling_frequency()
            for unit in found.unit_ids
        },
        behavior={name: (series.t, series.values) for name, series in true.behavior.items()},
        time_support=true.time_support.values,
    )
    print("\ntime since the first tap, decoded on the last fifth of the trials:")
    for session in (true, as_found):
        held_out = fit_and_evaluate(WienerDecoder(target="time_from_tap1"), [session])[session.id]
        print(f"  {session.id}: {held_out.scores.metric} {held_out.scores.value:.3f}")


if __name__ == "__main__":
    main()
