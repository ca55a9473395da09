"""Centre-out reaching (macaque M1, binned counts): .npz files into neuroloom sessions.

    python examples/reaching_sessions.py ../shared/data/reaching --out outputs

Each file becomes a folder <name>.session with the behaviours velocity, position and force (where they were
measured) and the trial label direction (0 to 7). The trials of a file are not continuous in time: they are
laid out with a second of unobserved time between them, so that no window of up to a second sees two.
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
        behavior = {name: data[name] for name in ("velocity", "position", "force")}
        return Session.from_counts(
            data["spike_counts"],
            bin_size_s=float(data["bin_size_s"]),
            id=path.stem,
            subject=path.stem.split("_")[0],
            # A behaviour that was not measured is stored as zeros.
            behavior={name: values for name, values in behavior.items() if values.any()},
            trial_lengths=data["trial_lengths"],
            trial_labels={"direction": data["target"]},
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
        files = sorted(args.data.glob("*.npz"))
        if not files:
            raise MissingFile(
                f"{args.data} has no .npz files",
                expected="the reaching data",
                remedy="pass the folder that holds chewie_*.npz and mihi_*.npz",
            )
        for path in files:
            folder = read(path).save(args.out / f"{path.stem}.session")
            print(f"wrote {folder}: {Session.load(folder)}")
    except NeuroloomError as error:
        parser.error(str(error))
    name = next((path.stem for path in files if "whole" not in path.stem), files[0].stem)
    session = args.out / f"{name}.session"
    print("\nnext, decode the velocity of the hand or the direction of the reach:")
    for target in ("velocity", "direction"):
        out = args.out / f"{name}_{target}"
        print(f"  neuroloom decode fit --session {session} --target {target} --model wiener --out {out}")


if __name__ == "__main__":
    main()
