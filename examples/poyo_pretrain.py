"""Pre-train POYO on simulated animals, and measure what that gives on animals it has never met.

    python examples/poyo_pretrain.py --out FOLDER
    python examples/poyo_pretrain.py --pack FOLDER --to src/neuroloom/decoding/weights/poyo-reaching-small

The first command needs torch, numpy, scipy, scikit-learn, safetensors and tqdm alone, so that it runs on a
bare GPU machine with ``PYTHONPATH=src``. It writes ``model.safetensors`` and ``card.json``: the size, the
training, R² on held-out time of every session, and the transfer table (unseen animals, minutes of data:
unit identification, full fine-tuning, the same model trained on those minutes alone, a Wiener filter). The
second, in a full installation, turns them into a decoder that `neuroloom.load_pretrained` opens.
"""

import argparse
import copy
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from neuroloom.decoding.poyo import Poyo, poyo_config
from neuroloom.decoding.poyo_adapt import SESSIONS, UNITS, extend, learning
from neuroloom.decoding.poyo_data import Outputs, PoyoData
from neuroloom.decoding.poyo_predict import predict_overlapping
from neuroloom.decoding.rows import parameter_groups, weights_from
from neuroloom.decoding.tokens import Train
from neuroloom.simulation.populations import ReachingSession, simulate_cohort, simulate_reaching
from neuroloom.training.loop import TrainConfig, train

BIN_S = 0.05
KEEP_UNITS = (20, 60, 100)
TEST_S, GAP_S = 180.0, 1.0
UNSEEN_ANIMALS = 100


def recording(
    session: ReachingSession, row: int, first_unit: int, low_s: float, high_s: float, scale=None
) -> tuple[Train, Outputs, tuple[np.ndarray, np.ndarray]]:
    """Return spikes and scaled velocity of a stretch of a session, and the scale (mean, spread)."""
    times = np.concatenate(session.spike_times_s)
    unit = np.repeat(np.arange(len(session.spike_times_s)), [len(train) for train in session.spike_times_s])
    order = np.argsort(times, kind="stable")
    order = order[(times[order] >= low_s) & (times[order] < high_s)]
    centres = np.arange(low_s + BIN_S / 2, high_s - BIN_S / 4, BIN_S)
    columns = [np.interp(centres, session.times_s, column) for column in session.velocity_cm_s.T]
    velocity = np.column_stack(columns)
    mean, spread = scale or (velocity.mean(0), velocity.std(0))
    units = np.arange(len(session.spike_times_s)) + first_unit
    outputs = Outputs(
        centres,
        np.zeros(len(centres), dtype=np.int64),
        np.array([[low_s, high_s]]),
        (velocity - mean) / spread,
        np.ones(len(centres)),
    )
    return Train(times[order], unit[order] + first_unit, units, row), outputs, (mean, spread)


def data_of(trains: list[Train], outputs: list[Outputs], context_s: float, *, augment: bool) -> PoyoData:
    """Return recordings as examples."""
    keep_units = KEEP_UNITS if augment else None
    return PoyoData(trains, outputs, context_s, "regression", keep_units=keep_units)


def r2(model: Poyo, spikes: Train, outputs: Outputs, context_s: float) -> float:
    """Return R² (mean over dimensions) on one recording."""
    data = data_of([spikes], [outputs], context_s, augment=False)
    values = predict_overlapping(model, data, classes=False)
    residual = ((values - outputs.values) ** 2).sum(0)
    return float(np.mean(1 - residual / ((outputs.values - outputs.values.mean(0)) ** 2).sum(0)))


def fit(model: Poyo, data: PoyoData, arguments, *, steps: int, batch: int, rate: float, label: str) -> dict:
    """Train on all but the last tenth of the data, which chooses the weights; return the end of the log."""
    training, held_out = data.split(0.1)
    on_gpu = arguments.device.startswith("cuda")
    config = TrainConfig(
        steps=steps,
        batch_size=batch,
        accumulate=1 if on_gpu else max(1, batch // 16),
        learning_rate=rate,
        weight_decay=1e-2,
        evaluate_every=max(1, steps // 20),
        seed=arguments.seed,
        device=arguments.device,
        precision=arguments.precision,
        prefetch=4 if on_gpu else 0,
        log_every=max(1, steps // 50),
    )
    result = train(
        model,
        training.training(),
        config=config,
        validation=held_out.validation(),
        parameter_groups=lambda model: parameter_groups(model, weight_decay=config.weight_decay),
        label=label,
        quiet=label != "pre-training",
    )
    return {"steps": result.step, "best_step": result.best_step, "best_loss": result.best_loss}


def pretrain(arguments) -> None:
    """Simulate, train, measure, write."""
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    config = poyo_config(arguments.config)
    duration_s = arguments.minutes * 60.0 + GAP_S + TEST_S
    cohort = simulate_cohort(n_sessions=arguments.sessions, duration_s=duration_s, seed=arguments.seed)
    train_s = arguments.minutes * 60.0
    trains, outputs, tests, n_units = [], [], [], 0
    for row, session in enumerate(cohort):
        spikes, truth, scale = recording(session, row, n_units, 0.0, train_s)
        tests.append(recording(session, row, n_units, train_s + GAP_S, duration_s, scale)[:2])
        trains.append(spikes)
        outputs.append(truth)
        n_units += len(session.spike_times_s)
    print(
        f"{len(cohort)} sessions, {n_units} units, {sum(len(t.times_s) for t in trains):,} spikes", flush=True
    )
    with weights_from(arguments.seed, "weights"):
        model = Poyo(config, n_units=n_units, n_sessions=len(cohort), dim_out=2)
    data = data_of(trains, outputs, config.context_s, augment=True)
    began = time.monotonic()
    log = fit(
        model, data, arguments, steps=arguments.steps, batch=arguments.batch, rate=2e-3, label="pre-training"
    )
    seconds = time.monotonic() - began
    scores = [r2(model, spikes, truth, config.context_s) for spikes, truth in tests]
    print(f"trained {seconds:.0f} s, {log}; R² on held-out time {np.mean(scores):.3f}", flush=True)
    card = {
        "name": arguments.name,
        "config": asdict(config),
        "bin_s": BIN_S,
        "data": f"neuroloom.simulation.populations.simulate_cohort(seed={arguments.seed})",
        "sessions": len(cohort),
        "units": n_units,
        "minutes_per_session": arguments.minutes,
        "batch": arguments.batch,
        "log": log,
        "seconds": seconds,
        "device": torch.cuda.get_device_name() if arguments.device.startswith("cuda") else "cpu",
        "r2_held_out_time": {session.id: score for session, score in zip(cohort, scores, strict=True)},
    }
    weights = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    centres = {f"centre/{name}": weights.pop(f"{name}.weight").mean(0) for name in (UNITS, SESSIONS)}
    save_file(weights | centres, out / "model.safetensors")
    write_card(out, card)
    card["transfer"] = transfer(model, arguments, out, card)
    write_card(out, card)


def transfer(model: Poyo, arguments, out: Path, card: dict) -> list[dict]:
    """Meet unseen animals with a few minutes of data each; return the table."""
    rows, context_s = [], model.config.context_s
    for number in range(arguments.unseen):
        task = ("center_out", "random_target")[number % 2]
        longest_s = 60.0 * max(arguments.transfer_minutes)
        session = simulate_reaching(
            UNSEEN_ANIMALS + number,
            task=task,
            n_units=60,
            duration_s=longest_s + GAP_S + TEST_S,
            seed=arguments.seed,
        )
        for minutes in arguments.transfer_minutes:
            # The last minutes before the test, so that the test is equally far for all.
            low_s, high_s = longest_s - 60.0 * minutes, longest_s
            row = {"animal": session.subject, "task": task, "minutes": minutes}
            row |= meet(model, session, (low_s, high_s), arguments, context_s)
            rows.append(row)
            print(
                json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}),
                flush=True,
            )
            write_card(out, card | {"transfer": rows})
    return rows


def meet(model: Poyo, session: ReachingSession, span_s, arguments, context_s: float) -> dict[str, float]:
    """Return R² on the session's last minutes after learning from `span_s`, in four ways."""
    n_units, end_s = len(session.spike_times_s), session.duration_s
    n_known, n_sessions = model.unit_embedding.num_embeddings, model.session_embedding.num_embeddings
    spikes, truth, scale = recording(session, n_sessions, n_known, *span_s)
    test = recording(session, n_sessions, n_known, span_s[1] + GAP_S, end_s, scale)[:2]
    data = data_of([spikes], [truth], context_s, augment=True)
    units, steps = range(n_known, n_known + n_units), arguments.adapt_steps
    scores = {}
    adapted = copy.deepcopy(model)
    extend(adapted, n_units=n_units, n_sessions=1, seed=arguments.seed)
    for name, stage, rate in (("unit_identification", "units", 1e-2), ("fine_tuned", "all", 5e-4)):
        with learning(adapted, stage, units=units, sessions=[n_sessions]):
            fit(adapted, data, arguments, steps=steps, batch=64, rate=rate, label=name)
        scores[name] = r2(adapted, *test, context_s)
    with weights_from(arguments.seed, "alone"):
        alone = Poyo(model.config, n_units=n_units, n_sessions=1, dim_out=2)
    fresh = (replace(s, unit=s.unit - n_known, units=s.units - n_known, session=0) for s in (spikes, test[0]))
    spikes_alone, test_alone = fresh
    data = data_of([spikes_alone], [truth], context_s, augment=True)
    fit(alone, data, arguments, steps=3 * steps, batch=64, rate=2e-3, label="alone")
    scores["single_session"] = r2(alone, test_alone, test[1], context_s)
    scores["wiener"] = wiener(spikes_alone, truth, test_alone, test[1])
    return scores


def wiener(spikes: Train, truth: Outputs, test_spikes: Train, test: Outputs) -> float:
    """Return R² of ridge regression on 13 bins (6 future), its penalty chosen on the last fifth."""
    from sklearn.linear_model import Ridge

    def features(train: Train, outputs: Outputs) -> np.ndarray:
        low = outputs.times_s[0] - BIN_S / 2
        counts = np.zeros((len(outputs.times_s) + 12, len(train.units)), dtype=np.float32)
        at = np.floor((train.times_s - low) / BIN_S).astype(int)
        inside = (at >= 0) & (at < len(outputs.times_s))
        np.add.at(counts, (at[inside] + 6, train.unit[inside]), 1.0)
        return np.concatenate([counts[lag : lag + len(outputs.times_s)] for lag in range(13)], axis=1)

    x, y, x_test = features(spikes, truth), truth.values, features(test_spikes, test)
    cut = round(len(x) * 0.8)
    best = max(
        np.logspace(1, 5, 9), key=lambda a: Ridge(alpha=a).fit(x[:cut], y[:cut]).score(x[cut:], y[cut:])
    )
    return float(Ridge(alpha=best).fit(x, y).score(x_test, test.values))


def pack(folder: Path, to: Path) -> None:
    """Turn the files of `pretrain` into a saved decoder without sessions."""
    from neuroloom.decoding.poyo_decoder import PoyoDecoder
    from neuroloom.decoding.targets import Target

    card = json.loads((folder / "card.json").read_text())
    arrays = load_file(folder / "model.safetensors")
    dim = card["config"]["dim"]
    arrays |= {f"{name}.weight": np.zeros((0, dim), dtype=np.float32) for name in (UNITS, SESSIONS)}
    decoder = PoyoDecoder("velocity", config=card["config"], bin_s=card["bin_s"], unit_dropout=KEEP_UNITS)
    decoder.target_ = Target("velocity", "regression", columns=(0, 1))
    decoder.units_, decoder.findings_, decoder.data_fingerprint_ = {}, [], card["data"]
    decoder.card_ = card
    decoder._unpack({"network": card["config"], "sessions": [], "unit_rows": {}, "scales": {}}, arrays)
    decoder.save(to)
    print(f"wrote {to}; open it with neuroloom.load_pretrained({to.name!r})")


def write_card(out: Path, card: dict) -> None:
    """Write what is known so far."""
    (out / "card.json").write_text(json.dumps(card, indent=1))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", help="where the model and its card go")
    parser.add_argument("--pack", type=Path, help="folder of a finished run, to be turned into a decoder")
    parser.add_argument("--to", type=Path, help="where the decoder goes")
    parser.add_argument("--name", default="poyo-reaching-small")
    parser.add_argument("--config", default="small")
    parser.add_argument("--sessions", type=int, default=48)
    parser.add_argument("--minutes", type=float, default=10.0, help="training data per session")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--unseen", type=int, default=4, help="unseen animals in the transfer table")
    parser.add_argument("--transfer-minutes", type=float, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--adapt-steps", type=int, default=300)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.pack:
        pack(arguments.pack, arguments.to)
    elif arguments.out:
        pretrain(arguments)
    else:
        parser.error("pass --out, or --pack and --to")


if __name__ == "__main__":
    main()
