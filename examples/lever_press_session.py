"""Two taps on a lever (rat motor cortex, true spike times per trial): the .npz file into a neuroloom session.

    python examples/lever_press_session.py ../shared/data/lever_press --out outputs

It becomes the folder lever_press.session: 1,266 trials of two seconds with the labels tap1_s and tap2_s (in
the trial), interval_s and pace ("fast" or "slow", cut at the median interval), and the behaviour
time_from_tap1 (seconds, 50 Hz).

The file holds the trials in order of their interval. A chronological split of that order would train on fast
trials and test on slow ones, so the trials are laid out in a random order that belongs to a fixed seed.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from neuroloom import NeuroloomError, Session
from neuroloom.errors import MissingFile
from neuroloom.seeds import stream

GAP_S = 1.0
BEHAVIOR_RATE_HZ = 50.0


def read(path: Path) -> Session:
    """Return the session in the file."""
    with np.load(path, allow_pickle=False) as data:
        trial, neuron, spike_s = data["trial_ids"], data["neuron_ids"], data["spiketimes"] / 1e3
        taps_s = np.column_stack([data["tap1"], data["tap2"]]) / 1e3
        length_s = (float(data["tmax"][0]) - float(data["tmin"][0])) / 1e3
    n_trials = len(taps_s)
    order = stream(0, "lever press", "trials").permutation(n_trials)
    starts_s = np.empty(n_trials)
    starts_s[order] = np.arange(n_trials) * (length_s + GAP_S)
    times_s = starts_s[trial] + spike_s
    interval_s = taps_s[:, 1] - taps_s[:, 0]
    trials = pd.DataFrame(
        {
            "start": starts_s,
            "end": starts_s + length_s,
            "tap1_s": taps_s[:, 0],
            "tap2_s": taps_s[:, 1],
            "interval_s": interval_s,
            "pace": np.where(interval_s > np.median(interval_s), "slow", "fast"),
            "file_trial": np.arange(n_trials),
        }
    )
    within_s = np.arange(round(length_s * BEHAVIOR_RATE_HZ)) / BEHAVIOR_RATE_HZ
    samples_s = (starts_s[order, None] + within_s).ravel()
    from_tap1_s = (within_s - taps_s[order, :1]).ravel()
    ordered = trials.iloc[order]
    return Session.from_arrays(
        id=path.parent.name,
        subject="rat",
        spike_times_s={int(key): np.sort(times_s[neuron == key]) for key in np.unique(neuron)},
        behavior={"time_from_tap1": (samples_s, from_tap1_s)},
        trials=ordered,
        time_support=ordered[["start", "end"]].to_numpy(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of motor_ctx_data.npz")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="where the session goes")
    args = parser.parse_args()
    path = args.data / "motor_ctx_data.npz"
    try:
        if not path.is_file():
            raise MissingFile(
                f"{path} does not exist", expected="the lever data", remedy="pass the folder that holds it"
            )
        folder = read(path.resolve()).save(args.out / "lever_press.session")
        session = Session.load(folder)
        print(f"wrote {folder}: {session}")
        for finding in session.findings:
            print(f"  {finding}")
    except NeuroloomError as error:
        parser.error(str(error))
    out = args.out / "lever_press_time"
    print("\nnext, decode the time since the first tap:")
    print(f"  neuroloom decode fit --session {folder} --target time_from_tap1 --model wiener --out {out}")


if __name__ == "__main__":
    main()
