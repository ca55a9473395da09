"""A recording fed to a decoder as if it were live: spikes in, velocity out every 20 ms.

    python examples/stream_decoder.py                          # simulated reaches, 10 s of real time
    python examples/stream_decoder.py --decoder DECODER --session SESSION --seconds 60

Without arguments a small causal POYO learns four minutes of simulated reaches (two minutes on one core) and
decodes the next ten seconds in real time. `decoder.stream(..)` is all that a real set-up needs: `push` what
the sorter has found, `predict` whenever the cursor must move. The program says how long each output took, and
compares what the stream gave with what the decoder makes of the same recording offline.
"""

import argparse
from pathlib import Path

import numpy as np

from neuroloom import PoyoDecoder, Session, load_decoder
from neuroloom.decoding.replay import latency_summary, replay, spikes_of
from neuroloom.decoding.targets import behavior_at
from neuroloom.simulation.populations import simulate_reaching

LEARN_S = 240.0


def simulated(steps: int) -> tuple[PoyoDecoder, Session]:
    """Return a causal decoder of simulated reaches, and what follows the part that it learned."""
    reaches = simulate_reaching(0, n_units=60, duration_s=LEARN_S + 61.0)
    session = Session.from_arrays(**reaches.as_session_arguments())
    decoder = PoyoDecoder("velocity", causal=True, steps=steps, batch_size=32)
    decoder.fit(session.restrict((0, LEARN_S)))
    return decoder, session.restrict((LEARN_S, LEARN_S + 61.0))


def show(time_s: float, velocity: np.ndarray, true: np.ndarray) -> None:
    """Draw one output as a line of text: where the horizontal velocity is, and where it should be."""
    line = [" "] * 61
    for value, mark in ((true[0], "|"), (velocity[0], "*")):
        line[int(np.clip(30 + value, 0, 60))] = mark
    print(f"{time_s:8.2f} s {''.join(line)} {velocity[0]:6.1f} {velocity[1]:6.1f}", flush=True)


def main() -> None:
    """Read the command line, decode, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoder", type=Path, help="folder of a POYO decoder of a velocity")
    parser.add_argument("--session", type=Path, help="a session that it knows")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--step-ms", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=600, help="training steps of the simulated example")
    parser.add_argument("--fast", action="store_true", help="do not wait for real time")
    arguments = parser.parse_args()
    if arguments.decoder:
        decoder, session = load_decoder(arguments.decoder), Session.load(arguments.session)
        if not isinstance(decoder, PoyoDecoder):
            parser.error(f"{arguments.decoder} is no POYO decoder")
    else:
        decoder, session = simulated(arguments.steps)
    start_s, step_s = float(session.time_support.start[0]), arguments.step_ms / 1e3

    stream = decoder.stream(session.id, start_s=start_s)
    times_s, outputs = [], []
    for number, (time_s, output) in enumerate(
        replay(
            stream,
            spikes_of(session),
            step_s=step_s,
            start_s=start_s,
            end_s=start_s + arguments.seconds,
            real_time=not arguments.fast,
        )
    ):
        times_s.append(time_s)
        outputs.append(output)
        if number % 5 == 0:
            centre = np.array([time_s - decoder.bin_s / 2])
            show(time_s, output, behavior_at(session, decoder.target, centre, width_s=decoder.bin_s)[0][0])

    summary = latency_summary(stream.latencies_s)
    print(", ".join(f"{name} {value:.2f}" for name, value in summary.items()), f"({len(times_s)} outputs)")
    # The stream's output at t stands for the bin that ends at t, the offline one for the bin around its time.
    offline = decoder.predict(session)
    ends = np.asarray(offline.t) + decoder.bin_s / 2
    pairs = [
        (index, int(np.argmin(np.abs(ends - time_s))))
        for index, time_s in enumerate(times_s)
        if np.abs(ends - time_s).min() < 1e-6
    ]
    if pairs:
        here, there = map(list, zip(*pairs, strict=True))
        apart = np.abs(np.array(outputs)[here] - offline.values[there]).max()
        print(f"largest difference from offline at the same {len(pairs)} moments: {apart:.2g}")


if __name__ == "__main__":
    main()
