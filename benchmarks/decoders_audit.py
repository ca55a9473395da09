"""What decoders use: the bottleneck curves of Wiener, GRU, POYO and EIT on one session, in one figure.

    python examples/reaching_sessions.py ../shared/data/reaching --out outputs
    python benchmarks/decoders_audit.py outputs/mihi_2014-03-03_100ms.session --figure what-decoders-use.svg

Every decoder is audited by `neuroloom.auditing.decoders.audit_decoder` on the same split. It is trained anew
for every arm and size, so budgets are small (`BUDGETS`); the scores are not the best that a decoder can do.
POYO starts from the bundled weights and identifies the units, as `neuroloom run` does; it reads a second
around each output. A decoder's curve is kept in --out as soon as it is whole, and not measured again.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from table import Row, conditions, finish

from neuroloom import NeuroloomError, PoyoDecoder, Session, artifacts, load_pretrained
from neuroloom.auditing.arms import BRAIN, CEILING, RANDOM, SHUFFLED
from neuroloom.auditing.curve import AuditCurve
from neuroloom.auditing.decoders import audit_decoder
from neuroloom.decoding.estimator import Decoder
from neuroloom.decoding.evaluation import make_decoder
from neuroloom.reporting.palette import GRID, HUES, MUTED, SURFACE
from neuroloom.reporting.svg import drawing, new_figure
from neuroloom.threads import set_threads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What each decoder is given; everything else is its default.
BUDGETS: dict[str, dict[str, Any]] = {
    "wiener": {},
    "gru": {"steps": 100},
    "poyo": {"steps": 400, "jitter_s": 0.1},
    "eit": {"steps": 100, "batch_size": 16, "config": {"heads": 2, "dim_head": 32}},
}
QUICK_STEPS = 5
NAMES = {"wiener": "Wiener", "gru": "GRU", "poyo": "POYO", "eit": "EIT"}


class BundledPoyo(PoyoDecoder):
    """The bundled weights, which identify the units of what they are fitted to."""

    def fit(self, sessions: Session | Sequence[Session], *, folder: str | os.PathLike | None = None) -> Any:
        """Return the bundled decoder, adapted to the sessions."""
        decoder = load_pretrained("poyo-reaching-small")
        decoder.bin_s, decoder.jitter_s, decoder.quiet = self.bin_s, self.jitter_s, True  # pyright: ignore
        return decoder.adapt(sessions, mode="units", steps=self.steps)  # pyright: ignore


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("session", type=Path, help="a session folder or NWB file")
    parser.add_argument("--target", default="velocity")
    parser.add_argument("--decoders", nargs="+", choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50])
    parser.add_argument("--bin-s", type=float, default=0.1, help="of all decoders")
    parser.add_argument("--test-fraction", type=float, default=0.2)
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/decoders_audit"), help="where curves are kept"
    )
    parser.add_argument("--figure", type=Path, help="where the figure (.svg) goes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps of training")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    args = parser.parse_args()
    set_threads()
    try:
        run(args)
    except NeuroloomError as error:
        parser.error(str(error))


def run(args: argparse.Namespace) -> None:
    """Audit every decoder, print the table, draw the figure."""
    session = Session.load(args.session)
    budgets = {name: budget(name, bin_s=args.bin_s, quick=args.quick) for name in args.decoders}
    curves = {name: kept_curve(session, name, budgets[name], args) for name in args.decoders}
    finish([row for name, curve in curves.items() for row in rows(name, curve, budgets[name])], args)
    print("\n" + markdown(curves))
    if args.figure:
        args.figure.parent.mkdir(parents=True, exist_ok=True)
        figure = draw(curves)
        figure.savefig(args.figure, facecolor=SURFACE, metadata={"Date": None, "Creator": None})
        print(f"wrote {args.figure}")


def budget(name: str, *, bin_s: float, quick: bool) -> dict[str, Any]:
    """Return a decoder's options."""
    options = {"bin_s": bin_s, **BUDGETS[name]}
    if quick and "steps" in options:
        options["steps"] = QUICK_STEPS
    return options


def kept_curve(
    session: Session, name: str, options: Mapping[str, Any], args: argparse.Namespace
) -> AuditCurve:
    """Return a decoder's curve from an earlier run with the same choices, or measure it."""
    choices = (
        session.fingerprint(),
        args.target,
        name,
        dict(options),
        args.sizes,
        args.test_fraction,
        args.seed,
    )
    folder = args.out / f"{name}-{artifacts.fingerprint(*choices)[:12]}"
    if folder.exists():
        return AuditCurve.load(folder)
    print(f"{NAMES[name]} ..", flush=True)

    def untrained() -> Decoder:
        if name == "poyo":
            return BundledPoyo(args.target, seed=args.seed, quiet=True, **options)
        decoder = make_decoder(name, args.target, seed=args.seed, options=options)
        if hasattr(decoder, "quiet"):
            decoder.quiet = True  # pyright: ignore[reportAttributeAccessIssue]
        return decoder

    n_units = len(session.spikes)
    sizes = [size for size in args.sizes if size < n_units]
    curve = audit_decoder(
        untrained, session, [*sizes, n_units], test_fraction=args.test_fraction, n_draws=1, seed=args.seed
    )
    curve.save(folder)
    return curve


def rows(name: str, curve: AuditCurve, options: Mapping[str, Any]) -> list[Row]:
    """Return one row per arm and size."""
    told = conditions(
        "torch", decoder=curve.facts["decoder"], options=dict(options), n_test=curve.facts["n_test"]
    )
    return [
        Row(f"{name} {row.arm} {row.size}", row.score, unit=row.metric, conditions=told) for row in curve.rows
    ]


def markdown(curves: Mapping[str, AuditCurve]) -> str:
    """Return a Markdown table: the score at every size, what is left without a brain, and the ceiling."""
    some = next(iter(curves.values()))
    metric = some.metrics[0]
    sizes = [row.size for row in some.curve(BRAIN, metric)]
    header = ["decoder", *(f"{size}" for size in sizes), "noise", "shuffled", "ceiling", "95 % from"]
    lines = [header, ["---"] * len(header)]
    for name, curve in curves.items():
        brain = [f"{row.score:.2f}" for row in curve.curve(BRAIN, metric)]
        others = [f"{curve.score(arm, metric):.2f}" for arm in (RANDOM, SHUFFLED, CEILING)]
        enough = curve.summary().iloc[0]["size_95"]
        lines.append([NAMES[name], *brain, *others, "–" if enough is None else f"{enough:g}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@drawing
def draw(curves: Mapping[str, AuditCurve]) -> "Figure":
    """Draw score against bottleneck size, with intervals, and what every decoder scores without a brain."""
    figure = new_figure(760, 380)
    axes = figure.subplots()
    metric = next(iter(curves.values())).metrics[0]
    for (name, curve), color in zip(curves.items(), HUES, strict=False):
        _line(axes, curve, BRAIN, color=color, label=NAMES[name])
        _line(axes, curve, RANDOM, color=color, label=None)
    sizes = [row.size for row in next(iter(curves.values())).curve(BRAIN, metric)]
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("Dimensions of the population that pass (the last: all units, untouched)")
    axes.set_title("R² on held-out time" if metric == "r2" else metric, color=MUTED, fontweight="normal")
    axes.grid(axis="y", color=GRID)
    axes.plot([], [], color=MUTED, linestyle=(0, (1.5, 2)), label="noise in place of the brain")
    figure.legend(loc="outside upper left", ncols=len(curves) + 1)
    return figure


def _line(axes: "Axes", curve: AuditCurve, arm: str, *, color: str, label: str | None) -> None:
    found = curve.curve(arm, curve.metrics[0])
    x = [row.size for row in found]
    if arm == BRAIN:
        axes.fill_between(
            x, [row.low for row in found], [row.high for row in found], color=color, alpha=0.12, linewidth=0
        )
    style: dict[str, Any] = {"marker": "o", "markersize": 4} if arm == BRAIN else {"linestyle": (0, (1.5, 2))}
    axes.plot(x, [row.score for row in found], color=color, label=label, **style)


if __name__ == "__main__":
    main()
