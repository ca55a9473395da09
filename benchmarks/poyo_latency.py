"""How long one window takes: our POYO, and as a stream decodes it, beside torch_brain's.

Times are of the processor, medians of 60 turns; both have the same window (100 units at 10 Hz, 1 s, 100
output times). A stream computes once what the spikes do not change (`decoding/poyo_online.py`), and is then
given spikes alone.
"fresh process": one that has not trained. One that has keeps freed memory, which helps the peer most.

    python benchmarks/poyo_latency.py --json latency.json          # also a part of benchmarks/poyo.py
"""

from collections.abc import Callable

import torch
from poyo_pair import N_UNITS, SIZES, Pair, forward_flop, in_child, interleaved, measured_gflops, windows
from table import Row, conditions, finish, parse_arguments

from neuroloom.decoding.linear import multiply
from neuroloom.decoding.poyo import SPIKE, Poyo, PoyoInputs
from neuroloom.decoding.poyo_online import OnlinePoyo


def latency_rows(pair: Pair, name: str, where: str, *, quick: bool, gflops: float, facts: dict) -> list[Row]:
    """Measure the latency of one window, as it comes and with what a stream prepares."""
    inputs, theirs = windows(1)
    theirs |= pair.latents
    model, peer = pair.model.eval(), pair.peer.eval()
    now = facts | {"floor_ms": round(forward_flop(pair.config, 1) / gflops / 1e6, 2), "gflops": round(gflops)}
    rows = []
    with torch.inference_mode():
        for what, ours_once in (
            ("one window", lambda: model(inputs)),
            ("one window of a stream", online(model, inputs)),
        ):

            def measure(ours_once=ours_once) -> tuple[float, float]:
                return interleaved(ours_once, lambda: peer(**theirs), 10 if quick else 60)

            ours, reference = in_child(measure) if where else measure()
            row = f"{name}: {what}{where}"
            rows.append(Row(row, 1e3 * ours, 1e3 * reference, "CPU ms", reference / ours, now))
    return rows


def online(model: Poyo, inputs: PoyoInputs) -> Callable[[], torch.Tensor]:
    """Return what a stream does with the spikes of a window; units start at 1 in the benchmark's windows."""
    units = torch.arange(1, N_UNITS + 1)
    network = OnlinePoyo(model, units=units, session=1, query_times_s=inputs.query_times_s[0])
    spikes = inputs.kind == SPIKE
    unit, times_s = inputs.unit[spikes] - 1, inputs.times_s[spikes]
    return lambda: network(unit, times_s)


def main() -> None:
    args = parse_arguments(__doc__)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    facts = conditions("torch", "torch-brain", peer="torch_brain.models.POYO", units=N_UNITS, seed=0)
    names, gflops = list(SIZES)[:2] if args.quick else list(SIZES), measured_gflops(multiply)
    rows = []
    for where in (", fresh process", ""):
        for name in names:
            pair = Pair(name)
            if not where:
                for step in pair.steps(pair.batches[0]):
                    step()
            rows += latency_rows(pair, name, where, quick=args.quick, gflops=gflops, facts=facts)
    finish(rows, args)


if __name__ == "__main__":
    main()
