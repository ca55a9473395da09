"""Visual decisions (mouse, Neuropixels, 10 ms counts after the stimulus): .npz files into neuroloom sessions.

    python examples/visual_decision_sessions.py ../shared/data/visual_decision --out outputs

Each file becomes a folder <name>.session: trials of 0.4 s from stimulus onset, with the labels contrast_left,
contrast_right, stimulus ("left", "right", or missing where both contrasts are equal) and feedback (1 for
reward, -1); units carry their brain_area. The trials are laid out with a second of unobserved time between
them.
"""

import argparse
from pathlib import Path

import numpy as np

from neuroloom import NeuroloomError, Session
from neuroloom.errors import MissingFile

GAP_S = 1.0


def read(path: Path) -> Session:
    """Return the session in one file."""
    with np.load(path, allow_pickle=False) as data:
        counts = data["spike_counts"]  # (trials, units, bins)
        left, right = data["contrast_left"], data["contrast_right"]
        n_trials, n_units, n_bins = counts.shape
        return Session.from_counts(
            counts.transpose(0, 2, 1).reshape(n_trials * n_bins, n_units),
            bin_size_s=float(data["bin_size_s"]),
            id=path.stem,
            subject=str(data["mouse"]),
            trial_lengths=np.full(n_trials, n_bins),
            trial_labels={
                "contrast_left": left,
                "contrast_right": right,
                # Which side was stronger; an empty label is a missing one.
                "stimulus": np.select([left > right, right > left], ["left", "right"], ""),
                "feedback": data["feedback"],
            },
            unit_metadata={"brain_area": data["brain_area"]},
            trial_gap_s=GAP_S,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the .npz files")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="where the sessions go")
    args = parser.parse_args()
    try:
        files = sorted(args.data.glob("session*.npz"))
        if not files:
            raise MissingFile(
                f"{args.data} has no session*.npz files",
                expected="the visual decision data",
                remedy="pass the folder that holds them",
            )
        for path in files:
            folder = read(path).save(args.out / f"{path.stem}.session")
            print(f"wrote {folder}: {Session.load(folder)}")
    except NeuroloomError as error:
        parser.error(str(error))
    session, out = args.out / f"{files[0].stem}.session", args.out / f"{files[0].stem}_stimulus"
    print("\nnext, decode the side of the stimulus:")
    print(f"  neuroloom decode fit --session {session} --target stimulus --model wiener --out {out}")


if __name__ == "__main__":
    main()
