"""Parse the command line, run one verb, and turn refusals into one clear message."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

from neuroloom.cli.auditing import AuditArrays, AuditDecoder, AuditImages, AuditText, TrainGenerator
from neuroloom.cli.chain import Demo, Report, Run
from neuroloom.cli.chain_benchmark import ChainBenchmark
from neuroloom.cli.decoding import Adapt, Fit, Predict, Recalibrate, Score
from neuroloom.cli.dynamics import FitDynamics, ScoreDynamics, SimulateDynamics
from neuroloom.cli.many import SortMany
from neuroloom.cli.matching import Match
from neuroloom.cli.pretraining import PretrainDetector, PretrainExtractor, PretrainPoyo
from neuroloom.cli.recordings import Check, Sort
from neuroloom.cli.simulation import SimulateCorpus, SimulateLibrary, SimulateRecording
from neuroloom.cli.streaming import Stream
from neuroloom.cli.watching import Watch
from neuroloom.errors import NeuroloomError
from neuroloom.threads import let_waiting_threads_sleep
from neuroloom.workplaces import refuse_full_disk

DESCRIPTION = (
    "From a neural recording's voltage to a decoder you can trust. "
    "Add --debug to any verb for full tracebacks. Exit codes: 0 done, 1 a defect of ours, 2 bad input."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 1 a defect, 2 bad input, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    let_waiting_threads_sleep()
    try:
        verb = _parse([argument for argument in arguments if argument != "--debug"])
        if not debug:
            # What the user must know is a finding or an error; libraries' own warnings would bury it.
            warnings.simplefilter("ignore")
        with refuse_full_disk():
            return verb() or 0
    except NeuroloomError as error:
        if debug:
            raise
        print(f"neuroloom: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has seen enough, e.g. `| head`; what was to be written is written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("neuroloom: stopped; the same command goes on from the last finished stage", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        print(
            f"neuroloom: this is a defect of ours: {type(error).__name__}: {error}\n"
            "Run the command again with --debug and report what it prints.",
            file=sys.stderr,
        )
        return 1


def _parse(arguments: list[str]):
    import tyro
    from tyro.conf import subcommand

    decode = Annotated[
        Annotated[Fit, subcommand("fit")]
        | Annotated[Predict, subcommand("predict")]
        | Annotated[Score, subcommand("score")]
        | Annotated[Adapt, subcommand("adapt")]
        | Annotated[Recalibrate, subcommand("recalibrate")]
        | Annotated[Stream, subcommand("stream")],
        subcommand(
            "decode",
            description="From spikes to behaviour: fit, predict, score, adapt, recalibrate, stream.",
        ),
    ]
    audit = Annotated[
        Annotated[AuditImages, subcommand("images")]
        | Annotated[AuditText, subcommand("text")]
        | Annotated[AuditArrays, subcommand("arrays")]
        | Annotated[AuditDecoder, subcommand("decoder")]
        | Annotated[TrainGenerator, subcommand("train-generator")],
        subcommand("audit", description="How much of the brain is used: images, text, arrays, decoder."),
    ]
    dynamics = Annotated[
        Annotated[FitDynamics, subcommand("fit")]
        | Annotated[ScoreDynamics, subcommand("score")]
        | Annotated[SimulateDynamics, subcommand("simulate")],
        subcommand("dynamics", description="Mixtures of linear dynamical systems: fit, score, simulate."),
    ]
    simulate = Annotated[
        Annotated[SimulateRecording, subcommand("recording")]
        | Annotated[SimulateCorpus, subcommand("corpus")]
        | Annotated[SimulateLibrary, subcommand("library")],
        subcommand("simulate", description="Voltage whose true units are known: recording, corpus, library."),
    ]
    pretrain = Annotated[
        Annotated[PretrainDetector, subcommand("detector")]
        | Annotated[PretrainExtractor, subcommand("extractor")]
        | Annotated[PretrainPoyo, subcommand("poyo")],
        subcommand("pretrain", description="Weights learned from simulations: detector, extractor, poyo."),
    ]
    verbs = (
        Annotated[Demo, subcommand("demo")]
        | Annotated[Run, subcommand("run")]
        | Annotated[Sort, subcommand("sort")]
        | Annotated[SortMany, subcommand("sort-many")]
        | Annotated[Match, subcommand("match")]
        | decode
        | dynamics
        | audit
        | simulate
        | pretrain
        | Annotated[Check, subcommand("check")]
        | Annotated[Report, subcommand("report")]
        | Annotated[Watch, subcommand("watch")]
        | Annotated[ChainBenchmark, subcommand("chain-benchmark")]
    )
    return tyro.cli(verbs, prog="neuroloom", description=DESCRIPTION, args=arguments)  # type: ignore[arg-type]
