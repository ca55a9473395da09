"""Two trials of one tetrode (locust antennal lobe), sorted apart, and which of their units are the same.

    python examples/locust_two_trials.py ../shared/data/voltage/locust_tetrode --out outputs

Writes trial_01/ and trial_02/ (sorting and analyzer, as `neuroloom sort` keeps them) and pairs.csv: one row
per pair with its similarity and each unit's intervals below 1.5 ms. The command line does the same:

    neuroloom sort --recording locust_trial_01.raw --dtype int16 --channels 4 --rate-hz 15000 \\
        --probe tetrode --out trial_01        # and trial 2
    neuroloom match --first trial_01 --second trial_02 --out pairs.csv
"""

import argparse
from pathlib import Path

from neuroloom import NeuroloomError, sort
from neuroloom.sorting.matching_sessions import MatchedUnits, match_units
from neuroloom.sorting.quality import analyze
from neuroloom.sorting.reading import read_recording

TRIALS = (1, 2)


def sort_trial(data: Path, trial: int, out: Path) -> Path:
    """Sort one trial and measure its units; return its folder."""
    path = data / f"locust_trial_{trial:02d}.raw"
    recording = read_recording(path, dtype="int16", n_channels=4, rate_hz=15_000, probe="tetrode")
    folder = out / f"trial_{trial:02d}"
    sorting = sort(recording, folder=folder / "sorting")
    analyze(sorting, recording, folder / "analyzer")
    return folder


def match_trials(data: Path, out: Path) -> MatchedUnits:
    """Sort both trials, match their units and write pairs.csv."""
    first, second = (sort_trial(data, trial, out) for trial in TRIALS)
    matched = match_units(first, second)
    matched.pairs.to_csv(out / "pairs.csv", index=False)
    return matched


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of locust_trial_01.raw and locust_trial_02.raw")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="where the results go")
    args = parser.parse_args()
    try:
        matched = match_trials(args.data, args.out)
    except NeuroloomError as error:
        parser.error(str(error))
    print(matched.pairs.round(3).to_string(index=False))
    print(f"without a partner: {matched.only_first} of trial 1, {matched.only_second} of trial 2")
    print(f"wrote {args.out / 'pairs.csv'}")


if __name__ == "__main__":
    main()
