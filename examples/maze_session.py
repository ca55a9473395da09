"""Running on a linear track (rat CA1, true spike times): the .npz file into a neuroloom session.

    python examples/maze_session.py ../shared/data/maze_running --out outputs

It becomes the folder linear-track.session with the behaviours position (pixels; NaN where tracking was lost)
and speed (pixels per second, over half a second).
"""

import argparse
from pathlib import Path

import numpy as np

from neuroloom import NeuroloomError, Session
from neuroloom.errors import MissingFile

SMOOTHING_SAMPLES = 31  # half a second at 60 Hz


def speed_px_s(times_s: np.ndarray, position_px: np.ndarray) -> np.ndarray:
    """Return the speed of a tracked position, shape (samples, 2), over a moving stretch of samples."""
    half = SMOOTHING_SAMPLES // 2
    first = np.maximum(np.arange(len(times_s)) - half, 0)
    last = np.minimum(np.arange(len(times_s)) + half, len(times_s) - 1)
    return np.linalg.norm(position_px[last] - position_px[first], axis=1) / (times_s[last] - times_s[first])


def read(path: Path) -> Session:
    """Return the session in the file."""
    with np.load(path, allow_pickle=False) as data:
        units = data["spike_units"]
        times_s = data["position_times_s"]
        position = np.where(
            (data["position_px"] == 0).all(axis=1, keepdims=True), np.nan, data["position_px"]
        )
        return Session.from_arrays(
            id=path.stem,
            subject="rat",
            spike_times_s={int(unit): data["spike_times_s"][units == unit] for unit in np.unique(units)},
            behavior={
                "position": (times_s, position, ["x", "y"]),
                "speed": (times_s, speed_px_s(times_s, position)),
            },
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of linear-track.npz")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="where the session goes")
    args = parser.parse_args()
    path = args.data / "linear-track.npz"
    try:
        if not path.is_file():
            raise MissingFile(
                f"{path} does not exist",
                expected="the linear track data",
                remedy="pass the folder that holds it",
            )
        folder = read(path).save(args.out / f"{path.stem}.session")
        session = Session.load(folder)
        print(f"wrote {folder}: {session}")
        for finding in session.findings:
            print(f"  {finding}")
    except NeuroloomError as error:
        parser.error(str(error))
    out = args.out / f"{path.stem}_position"
    print("\nnext, decode where the rat is:")
    print(f"  neuroloom decode fit --session {folder} --target position --model wiener --out {out}")


if __name__ == "__main__":
    main()
