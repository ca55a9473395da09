"""Detection alone and embedding alone, on tetrodes whose truth is known (Bench A at three noise levels).

Detection: our detector beside SpikeInterface's locally exclusive threshold and matched filtering (its
prototype taken from the recording), each on the recording as we filter it, and theirs whitened as well, as
their sorters do. A detected event and a true spike are one if they are at most .4 ms apart, each event
serving one spike. Precision = events that are a spike / events. Recall = spikes found / spikes, of the
units whose mean waveform reaches 4 times the noise on some contact (--least-snr); spikes of fainter units
are neither missed nor false. Each method is swept over its threshold: ours over the network's logit, the
others over theirs. Reported are the best F1, the largest recall at a precision of .95, and both at each
method's usual setting (ours: logit 0; theirs: 5 times the noise); the JSON holds the curves.

Embedding: at the true spike times, spikes are embedded by our network and, beside it, by the principal
components of the same snippets (all contacts together, in units of noise); both are clustered by the same
isosplit on as many axes. Reported is the adjusted Rand index.

    python benchmarks/sorting_parts.py --seeds 0 1 2
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from sorting_benches import bench_a
from table import Row, conditions, finish

from neuroloom.sorting.clustering import cluster_embeddings
from neuroloom.sorting.embedding import apply_model
from neuroloom.sorting.events import SnippetReader, find_events, near_channels
from neuroloom.sorting.neighbourhoods import cover
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.pretrained import bundled_weights, load_weights
from neuroloom.sorting.simsort import SimSortOptions, write_scaled
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet, repeatable
from neuroloom.sorting.spotting import SNIPPET_AFTER, SNIPPET_BEFORE
from neuroloom.threads import set_threads

TOLERANCE_MS = 0.4
_EXCLUSIVE_MS, _EXCLUSIVE_UM = 0.25, 75.0  # as in simsort
_SURELY = 6.0  # noise units from which simsort asks no detector
_FAINTEST = 3.0
_THRESHOLDS = (3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0)
_USUAL_THRESHOLD = 5.0
_LOGITS = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
OURS = "network"


class Scene(NamedTuple):
    """A filtered tetrode recording with its truth.

    Attributes
    ----------
    recording
        As `prepare` gives it.
    scaled
        Its voltage in units of noise, shape ``(samples, channels)``.
    sample, unit
        True spikes in order of time.
    snr
        Peak of each unit's mean waveform over noise, shape ``(units,)``.
    """

    recording: Any
    scaled: np.ndarray
    sample: np.ndarray
    unit: np.ndarray
    snr: np.ndarray


class Point(NamedTuple):
    """Precision and recall at one threshold."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)


def make_scene(seed: int, noise_uv: float, folder: Path, *, duration_s: float) -> Scene:
    """Return Bench A's tetrode at a noise level, filtered."""
    with quiet():
        bench = bench_a("tetrode-5", seed, noise_uv=noise_uv, duration_s=duration_s)
        given = bench.recording.save(format="memory", n_jobs=1, progress_bar=False, verbose=False)
        recording = prepare(cast(Any, given), seed=seed).recording
        recording = recording.save(format="memory", n_jobs=1, progress_bar=False, verbose=False)
    path = folder / f"scaled-{seed}-{noise_uv:g}.npy"
    write_scaled(cast(Any, recording), path)
    scaled = np.load(path, mmap_mode="r")
    spikes = bench.truth.to_spike_vector()
    sample, unit = spikes["sample_index"].astype(np.int64), spikes["unit_index"].astype(np.int64)
    inside = (sample > 100) & (sample < len(scaled) - 100)
    sample, unit = sample[inside], unit[inside]
    around = np.arange(-15, 16)
    means = [scaled[sample[unit == one][:, None] + around].mean(axis=0) for one in range(unit.max() + 1)]
    return Scene(recording, scaled, sample, unit, np.array([-mean.min() for mean in means]))


def match(found: np.ndarray, true: np.ndarray, *, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair events with spikes one to one, earliest first; return which events and spikes are paired.

    Both must be in order of time.
    """
    hit, met = np.zeros(len(found), bool), np.zeros(len(true), bool)
    spike = 0
    for event in range(len(found)):
        while spike < len(true) and true[spike] < found[event] - tolerance:
            spike += 1
        if spike < len(true) and abs(true[spike] - found[event]) <= tolerance:
            hit[event] = met[spike] = True
            spike += 1
    return hit, met


def point(found: np.ndarray, scene: Scene, *, least_snr: float) -> Point:
    """Return precision and recall of detected samples."""
    found = np.sort(found)
    tolerance = TOLERANCE_MS / 1000 * scene.recording.get_sampling_frequency()
    asked_for = scene.snr[scene.unit] >= least_snr
    hit, met = match(found, scene.sample[asked_for], tolerance=tolerance)
    # What is left may be a fainter unit's spike, which is not held against a method.
    also, _ = match(found[~hit], scene.sample[~asked_for], tolerance=tolerance)
    n_wrong = len(found) - int(hit.sum()) - int(also.sum())
    return Point(hit.sum() / max(hit.sum() + n_wrong, 1), met.sum() / max(len(met), 1))


def our_curve(scene: Scene, detector: Any, *, least_snr: float) -> dict[float, Point]:
    """Return logit -> precision and recall of troughs that the network believes."""
    rate_hz = scene.recording.get_sampling_frequency()
    locations = np.asarray(scene.recording.get_channel_locations(), float)
    reader = SnippetReader(scene.scaled, rate_hz=rate_hz, before=64, after=64)
    events = find_events(
        scene.scaled,
        near_channels(locations, radius_um=_EXCLUSIVE_UM),
        threshold=_FAINTEST,
        exclude_samples=round(_EXCLUSIVE_MS / 1000 * rate_hz),
        margin=reader.margin,
    )
    (place,) = cover(locations)
    logits = apply_model(detector, reader.read(events.sample, place.channels), place)[:, 62:67].max(axis=1)
    # As in the sorter, deep troughs need no detector, and the faintest are not looked at.
    curve = {
        logit: point(events.sample[(logits > logit) | (events.depth >= _SURELY)], scene, least_snr=least_snr)
        for logit in _LOGITS
    }
    usual = (events.depth >= SimSortOptions().faint) & ((logits > 0) | (events.depth >= _SURELY))
    return curve | {np.nan: point(events.sample[usual], scene, least_snr=least_snr)}


def their_curve(
    scene: Scene, method: str, *, whitened: bool, exclude_ms: float, least_snr: float, seed: int
) -> dict[float, Point]:
    """Return threshold -> precision and recall of a method of SpikeInterface; its usual one under NaN too."""
    from spikeinterface.preprocessing import whiten
    from spikeinterface.sortingcomponents.peak_detection import detect_peaks
    from spikeinterface.sortingcomponents.tools import get_prototype_and_waveforms_from_recording

    recording = scene.recording
    curve = {}
    jobs = {"n_jobs": 1, "progress_bar": False}
    with quiet(), repeatable(seed, "parts", method):
        if whitened:
            recording = whiten(recording, dtype="float32", mode="global", seed=seed)
        settings: dict[str, Any] = {
            "peak_sign": "neg",
            "exclude_sweep_ms": exclude_ms,
            "radius_um": _EXCLUSIVE_UM,
        }
        if method == "matched_filtering":
            found = get_prototype_and_waveforms_from_recording(
                recording, n_peaks=10_000, ms_before=0.5, ms_after=1.5, seed=seed, job_kwargs=jobs
            )
            settings |= {"prototype": found[0], "ms_before": 0.5}
        for threshold in _THRESHOLDS:
            told = settings | {"detect_threshold": threshold}
            peaks = detect_peaks(recording, method=method, method_kwargs=told, job_kwargs=jobs)
            curve[threshold] = point(peaks["sample_index"], scene, least_snr=least_snr)
    return curve | {np.nan: curve[_USUAL_THRESHOLD]}


def summary(curve: dict[float, Point]) -> dict[str, float]:
    """Return what the table says of a curve."""
    usual = next(value for key, value in curve.items() if np.isnan(key))
    recall = max((one.recall for one in curve.values() if one.precision >= 0.95), default=0.0)
    best = max(one.f1 for one in curve.values())
    return {"best F1": best, "recall at .95": recall, "precision": usual.precision, "recall": usual.recall}


def detection(scene: Scene, detector: Any, *, least_snr: float, seed: int) -> dict[str, dict[float, Point]]:
    """Return method -> curve."""
    found = {OURS: our_curve(scene, detector, least_snr=least_snr)}
    for method in ("locally_exclusive", "matched_filtering"):
        for whitened in (False, True):
            for exclude_ms in (1.0, _EXCLUSIVE_MS):
                name = f"{method}, {exclude_ms:g} ms{', whitened' if whitened else ''}"
                found[name] = their_curve(
                    scene, method, whitened=whitened, exclude_ms=exclude_ms, least_snr=least_snr, seed=seed
                )
    return found


def embedding(scene: Scene, extractor: Any, *, seed: int) -> dict[str, dict[str, float]]:
    """Return method -> adjusted Rand index at the true spike times."""
    from sklearn.metrics import adjusted_rand_score

    rate_hz = scene.recording.get_sampling_frequency()
    (place,) = cover(np.asarray(scene.recording.get_channel_locations(), float))
    reader = SnippetReader(scene.scaled, rate_hz=rate_hz, before=SNIPPET_BEFORE, after=SNIPPET_AFTER)
    snippets = reader.read(scene.sample, place.channels)
    points = {
        OURS: apply_model(extractor, snippets, place),
        "principal components": snippets.reshape(len(snippets), -1),
    }
    found = {}
    for name, rows in points.items():
        label = cluster_embeddings(rows, seed=seed)
        units = float(len(np.unique(label[label >= 0])))
        found[name] = {
            "adjusted Rand index": float(adjusted_rand_score(scene.unit, label)),
            "clusters": units,
        }
    return found


def parse() -> argparse.Namespace:
    """Parse arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed, one noise level, 10 s")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--noise-uv", type=float, nargs="+", default=[5.0, 10.0, 20.0])
    parser.add_argument("--least-snr", type=float, default=4.0, help="of units whose spikes are asked for")
    parser.add_argument(
        "--parts", nargs="+", choices=["detection", "embedding"], default=["detection", "embedding"]
    )
    parser.add_argument("--extractor", type=Path, help="weights instead of the bundled ones")
    parser.add_argument("--detector", type=Path)
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.noise_uv = args.seeds[:1], args.noise_uv[:1]
    return args


def main() -> None:
    """Run, print and write the table."""
    args = parse()
    set_threads(1)
    keep_compiled()
    models = {
        kind: load_weights(getattr(args, kind) or bundled_weights(kind)) for kind in ("extractor", "detector")
    }
    duration_s = 10.0 if args.quick else 60.0
    rows = []
    for noise_uv in args.noise_uv:
        found: dict[str, list[dict[str, dict[str, float]]]] = {part: [] for part in args.parts}
        curves: list[dict[str, dict[float, Point]]] = []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                scene = make_scene(seed, noise_uv, Path(folder), duration_s=duration_s)
                if "detection" in args.parts:
                    one = detection(scene, models["detector"], least_snr=args.least_snr, seed=seed)
                    curves.append(one)
                    found["detection"].append({method: summary(curve) for method, curve in one.items()})
                if "embedding" in args.parts:
                    found["embedding"].append(embedding(scene, models["extractor"], seed=seed))
        told = conditions(
            "spikeinterface", "torch", seeds=args.seeds, duration_s=duration_s, noise_uv=noise_uv
        )
        told |= {"least_snr": args.least_snr, "tolerance_ms": TOLERANCE_MS}
        for part, of_seeds in found.items():
            rows += _rows(f"{part} {noise_uv:g} uV", of_seeds, told)
        if curves:  # once per noise level, with its first row
            first = next(row for row in rows if row.name.startswith(f"detection {noise_uv:g} uV"))
            first.conditions["curves"] = {method: _mean_curve(curves, method) for method in curves[0]}
    finish(rows, args)


def _mean_curve(curves: list[dict[str, dict[float, Point]]], method: str) -> list[dict[str, float]]:
    thresholds = [key for key in curves[0][method] if not np.isnan(key)]
    mean = {key: np.mean([one[method][key] for one in curves], axis=0) for key in thresholds}
    return [{"threshold": k, "precision": float(v[0]), "recall": float(v[1])} for k, v in mean.items()]


def _rows(name: str, of_seeds: list[dict[str, dict[str, float]]], told: dict[str, Any]) -> list[Row]:
    rows = []
    first = of_seeds[0]
    mean = {m: {f: float(np.mean([s[m][f] for s in of_seeds])) for f in first[m]} for m in first}
    for figure in first[OURS]:
        for peer in (method for method in first if method != OURS):
            ours, other = mean[OURS][figure], mean[peer][figure]
            ratio = ours / other if other and figure != "clusters" else None
            each = {method: [one[method][figure] for one in of_seeds] for method in (OURS, peer)}
            rows.append(Row(f"{name}: {figure}", ours, other, "", ratio, told | {"peer": peer, "each": each}))
    return rows


if __name__ == "__main__":
    main()
