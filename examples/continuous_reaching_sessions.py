"""Continuous reaching (macaque M1, 50 ms counts): .npz files into neuroloom sessions.

    python examples/continuous_reaching_sessions.py ../shared/data/continuous_reaching --out outputs

Each file becomes a folder <name>.session with the behaviours velocity and position of the hand, without
trials.
"""

import argparse
from pathlib import Path

import numpy as np

from neuroloom import NeuroloomError, Session
from neuroloom.errors import MissingFile


def read(path: Path) -> Session:
    """Return the session in one file."""
    with np.load(path, allow_pickle=False) as data:
        return Session.from_counts(
            data["spike_counts"],
            bin_size_s=float(data["bin_size_s"]),
            id=path.stem,
            behavior={"velocity": data["hand_velocity"], "position": data["hand_position"]},
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
                expected="the continuous reaching data",
                remedy="pass the folder that holds m1_stevenson.npz and m1_contdata95.npz",
            )
        for path in files:
            folder = read(path).save(args.out / f"{path.stem}.session")
            print(f"wrote {folder}: {Session.load(folder)}")
    except NeuroloomError as error:
        parser.error(str(error))
    print("\nnext, decode the velocity of the hand:")
    for path in files:
        session, out = args.out / f"{path.stem}.session", args.out / f"{path.stem}_velocity"
        print(f"  neuroloom decode fit --session {session} --target velocity --model wiener --out {out}")


if __name__ == "__main__":
    main()
