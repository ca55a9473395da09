"""Two pairs of bodies under gravity: EIT says who is tied to whom, and its attention is beside the truth.

    python examples/many_body.py --out outputs/many_body

Simulates 200 trials, learns the pairs of 160 of them, scores the others (and systems of three pairs, which it
never met), and writes the estimator and a page with the attention of the head that told pairs best in
training. A minute on a laptop.
"""

import argparse
from pathlib import Path

import numpy as np

from neuroloom import EITClassifier, NeuroloomError, __version__
from neuroloom.decoding.eit_attention import best_head, interaction_auc
from neuroloom.reporting import sections
from neuroloom.reporting.page import Provenance, Summary, write_page
from neuroloom.simulation.many_body import simulate_many_body, two_body

N_TRIALS, N_TRAIN, N_STEPS = 200, 160, 10
CONFIG = {"individual_depth": 1, "interaction_depth": 1, "interaction_dropout": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/many_body"), help="folder for what is made")
    parser.add_argument("--steps", type=int, default=1500, help="of the training")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        trials = simulate_many_body(two_body(), N_TRIALS, seed=args.seed, cache=args.out / "trials")
        crops = [trials[:N_TRAIN].crop(N_STEPS, seed=crop) for crop in range(4)]
        test = trials[N_TRAIN:].crop(N_STEPS, seed=99)
        model = EITClassifier("pair", config=CONFIG, steps=args.steps, seed=args.seed, device="cpu")
        model.fit(
            np.concatenate([each.positions for each in crops]),
            np.concatenate([each.interactions for each in crops]),
            groups=np.concatenate([each.trial for each in crops]),
        )
        print(f"pairs of bodies: {model.score(test.positions, test.interactions):.3f} right")
        more = simulate_many_body(two_body(systems=(2, 2, 2)), 40, seed=args.seed + 1).crop(N_STEPS)
        print(f"among six bodies: {model.score(more.positions, more.interactions):.3f} right")
        learned, found = (list(model.attention(each.positions)) for each in (crops[0], test))
        chosen = best_head(learned, list(crops[0].interactions))
        areas = interaction_auc(found, list(test.interactions))
        print(f"attention of the chosen head: area under the ROC curve {areas[chosen]:.3f}")
        print(f"wrote {model.save(args.out / 'estimator')}")
        page = write_page(
            args.out,
            summary=Summary("Who is tied to whom", f"{N_TRIALS} trials of two pairs of bodies"),
            sections=[
                sections.attention_section(
                    trial_weights=found, graphs=list(test.interactions), areas=areas, chosen=chosen
                )
            ],
            provenance=Provenance(version=__version__, config=model.get_params(), seed=args.seed),
        )
        print(f"wrote {page}: open it in a browser")
    except NeuroloomError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
