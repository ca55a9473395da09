"""How much does sorting cost? Real spike trains, put into simulated voltage, sorted, and decoded again.

    python examples/lever_press_session.py ../shared/data/lever_press --out outputs
    python examples/lever_press_hybrid.py outputs/lever_press.session

takes the first 50 lever trials of the rat and 12 of its neurons, gives each neuron a place and a waveform
near a 32-channel probe, sorts the voltage as if nothing were known, and prints the agreement of every unit
with the truth. Then the time since the first tap is decoded from the true and from the sorted units: its R2,
and by how many milliseconds it is missed. About a minute; some more in the first run, which compiles.

`neuroloom chain-benchmark --hybrid outputs/lever_press.session` does so for every sorter and noise.
"""

import argparse
from pathlib import Path

import numpy as np

from neuroloom import NeuroloomError, Session, WienerDecoder
from neuroloom.decoding.evaluation import HeldOut, fit_and_evaluate
from neuroloom.pipeline.known_recordings import HIGHEST_HZ, HYBRID_UNITS, Condition, first_minutes, hybrid
from neuroloom.sorting.agreement import compare_with_truth
from neuroloom.sorting.folders import write_recording
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.quality import analyze, unit_table
from neuroloom.sorting.sorter import sort
from neuroloom.threads import set_threads

TARGET = "time_from_tap1"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("session", type=Path, help="folder that lever_press_session.py wrote")
    parser.add_argument("--out", type=Path, default=Path("outputs/lever_press_hybrid"))
    parser.add_argument("--minutes", type=float, default=2.5, help="2.5 are 50 trials with their gaps")
    parser.add_argument("--units", type=int, default=HYBRID_UNITS)
    parser.add_argument("--highest-hz", type=float, default=HIGHEST_HZ, help="leave out what fires faster")
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
    true = first_minutes(
        Session.load(args.session), args.minutes, n_units=args.units, highest_hz=args.highest_hz
    )
    print(f"true units: {true}")
    condition = Condition("hybrid", args.noise_uv, 0.0, args.seed)
    known = hybrid(condition, true, probe=args.probe, amplitudes_uv=(50.0, 200.0))
    recording = write_recording(known.recording, args.out / "recording")
    prepared = prepare(recording, folder=args.out / "prepared", seed=args.seed)
    print(f"voltage: {args.out / 'recording'}; {', '.join(prepared.steps)}")
    found = sort(prepared.recording, seed=args.seed, folder=args.out / "sorting")
    analyzer = analyze(found, prepared.recording, args.out / "analyzer", seed=args.seed)
    print(f"\n{unit_table(analyzer).round(2).to_string()}")
    agreement = compare_with_truth(found, known.truth)
    print(f"\nagreement with the truth:\n{agreement.round(3).to_string()}")
    print(f"mean accuracy {np.mean(agreement['accuracy']):.3f}")
    print("\ntime since the first tap, decoded on the last fifth of the time:")
    scores = {}
    for name, session in (("true units", true), ("sorted units", known.session_of(found))):
        held_out = fit_and_evaluate(WienerDecoder(target=TARGET), [session])[session.id]
        scores[name] = held_out.scores.value
        missed_ms, guessed_ms = error_ms(held_out)
        print(
            f"  {name}: {held_out.scores.metric} {held_out.scores.value:.3f}, {missed_ms:.0f} ms off on "
            f"average ({guessed_ms:.0f} ms without spikes)"
        )
    print(f"sorting costs {scores['true units'] - scores['sorted units']:.3f} of R2")


def error_ms(held_out: HeldOut) -> tuple[float, float]:
    """Return by how much the time since the tap is missed, on average, and without any spikes.

    The second is the error of always naming the middle of what is to be decoded.
    """
    true, predicted = np.ravel(held_out.true), np.ravel(held_out.predicted)
    known = np.isfinite(true) & np.isfinite(predicted)
    guess = np.median(true[known])
    missed_s, guessed_s = (np.mean(np.abs(true[known] - said)) for said in (predicted[known], guess))
    return 1e3 * float(missed_s), 1e3 * float(guessed_s)


if __name__ == "__main__":
    main()
