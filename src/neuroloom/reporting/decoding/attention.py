"""The page's section about individuals: accuracy over time, and who attends to whom."""

from collections.abc import Sequence

import numpy as np

from neuroloom.errors import DataError
from neuroloom.reporting.decoding.figures import score_dots
from neuroloom.reporting.decoding.figures_attention import accuracy_over_time
from neuroloom.reporting.layout import half
from neuroloom.reporting.matrix import shaded_matrix
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Block, Figure, Note, Section

# More groups than these are shown as one; more individuals than these are not drawn one by one.
MAX_GROUPS, MAX_DRAWN = 10, 24
OTHERS = "others"


def attention_section(
    *,
    weights: np.ndarray | None = None,
    groups: Sequence[str] | None = None,
    trial_weights: Sequence[np.ndarray] = (),
    graphs: Sequence[np.ndarray] = (),
    areas: np.ndarray | None = None,
    chosen: tuple[int, int] | None = None,
    times_s: np.ndarray | None = None,
    accuracy: np.ndarray | None = None,
    chance: float | None = None,
    anchor: str = "attention",
    title: str = "Individuals",
) -> Section:
    """Show accuracy over the time of a trial, and attention by group or against the true interactions.

    Parameters
    ----------
    weights, groups
        Attention between individuals, (individuals, individuals), rows attend to columns; and the group
        (e.g. the brain area) of each.
    trial_weights, graphs
        For each trial attention (layers, heads, individuals, individuals), and who interacts with whom
        (individuals, individuals) bool.
    areas
        Shape (layers, heads): the area under the ROC curve of each head, from `interaction_auc`.
    chosen
        Layer and head whose attention is drawn.
    times_s, accuracy, chance
        As of `accuracy_over_time`.

    Raises
    ------
    DataError
        If there is not one group for each individual.
    """
    blocks: list[Block] = []
    if times_s is not None and accuracy is not None and len(times_s):
        blocks.append(_over_time(np.asarray(times_s, float), np.asarray(accuracy, float), chance))
    if weights is not None and groups is not None:
        if len(weights) != len(groups):
            raise DataError(
                f"{len(groups)} groups of {len(weights)} individuals", expected="one for each",
                remedy="pass the group of every row of weights",
            )  # fmt: skip
        blocks.append(_by_group(np.asarray(weights, float), [str(each) for each in groups]))
    if areas is not None:
        blocks.append(_by_head(np.atleast_2d(areas), chosen))
    if len(trial_weights) and len(graphs):
        blocks += _beside_truth(trial_weights[0], graphs[0], chosen)
    if not blocks:
        blocks.append(Note("Nothing is known of groups, interactions or time, so there is nothing to draw."))
    return Section(title, anchor, lead=_lead(areas, chosen), blocks=blocks)


def _lead(areas: np.ndarray | None, chosen: tuple[int, int] | None) -> str:
    if areas is None or chosen is None:
        return "What each time bin told, and whom the individuals attended to."
    return (
        "Attention of the chosen head tells pairs that interact from others with an area under the ROC "
        f"curve of {written(float(np.atleast_2d(areas)[chosen]))} (0.5 is a guess)."
    )


def _over_time(times_s: np.ndarray, accuracy: np.ndarray, chance: float | None) -> Figure:
    ends = [int(np.nanargmax(accuracy)), len(accuracy) - 1] if np.isfinite(accuracy).any() else []
    said = "; ".join(f"{written(accuracy[at])} at {times_s[at]:.2f} s" for at in dict.fromkeys(ends))
    return half(
        lambda width_px: accuracy_over_time(times_s, accuracy, chance=chance, width_px=width_px),
        title="Accuracy over the trial",
        alt=f"Accuracy in {counted(len(times_s), 'time bin')} of the held-out trials: {said or 'unknown'}.",
        caption="Share of right labels in each bin from the start of the trial; late bins have fewer trials.",
    )


def _by_group(weights: np.ndarray, groups: list[str]) -> Figure:
    """Draw how much more than evenly a group's members attend to members of another."""
    names, count = np.unique(groups, return_counts=True)
    named = names[np.argsort(-count, kind="stable")][:MAX_GROUPS].tolist()
    where = np.array([named.index(each) if each in named else len(named) for each in groups])
    named += [OTHERS] * bool((where == len(named)).any())
    member = where[:, None] == np.arange(len(named))  # (individuals, groups)
    size = member.sum(axis=0)
    # Mean weight of a member of the column's group, over what an even spread would give it.
    ratio = (member.T @ weights @ member) / np.outer(size, size) * len(groups)
    strongest = np.dstack(np.unravel_index(np.argsort(-ratio, axis=None)[:3], ratio.shape))[0]
    said = "; ".join(f"{named[a]} to {named[b]} {ratio[a, b]:.1f}" for a, b in strongest)
    labels = [f"{name} ({n})" for name, n in zip(named, size, strict=True)]
    # Depth of colour is what is beyond an even spread, so that little structure does not look like much.
    largest = max(float(ratio.max()), 1.1)
    beyond = np.maximum(ratio - 1, 0) / (largest - 1)
    return half(
        lambda width_px: shaded_matrix(
            beyond, rows=labels, columns=named, row_title="From", column_title="To", width_px=width_px
        ),
        title="Attention between groups",
        alt=f"Attention beyond an even spread, the strongest: {said}.",
        caption="Mean attention to a member of the group, over all heads, beyond an even spread: 0 is even, "
        f"1 is {largest:.1f} times that. In brackets: members.",
    )  # fmt: skip


def _by_head(areas: np.ndarray, chosen: tuple[int, int] | None) -> Figure:
    layers = ["" if len(areas) == 1 else f"layer {layer + 1}, " for layer in range(len(areas))]
    scores = {
        f"{layers[layer]}head {head + 1}" + " *" * ((layer, head) == chosen): float(value)
        for (layer, head), value in np.ndenumerate(areas)
    }
    return half(
        lambda width_px: score_dots(scores, metric="area under the curve", chance=0.5, width_px=width_px),
        title="Attention as a guess of interactions",
        alt="Area under the ROC curve by head: "
        + ", ".join(f"{name} {written(value)}" for name, value in list(scores.items())[:20])
        + ".",
        caption="A head below a half avoids those that interact. A star: the head that is drawn.",
    )


def _beside_truth(weights: np.ndarray, graph: np.ndarray, chosen: tuple[int, int] | None) -> list[Block]:
    n = len(graph)
    if n > MAX_DRAWN:
        return [Note(f"{n} individuals are too many to be drawn one by one.")]
    drawn = np.mean(weights, axis=(0, 1)) if chosen is None else np.asarray(weights)[chosen]
    names = [str(number + 1) for number in range(n)]
    of = "mean of heads" if chosen is None else f"layer {chosen[0] + 1}, head {chosen[1] + 1}"
    parts = (
        ("Attention in one trial", drawn, "To", f"Rows sum to one; {of}."),
        ("Interactions in that trial", np.asarray(graph, float), "With", "The truth."),
    )
    return [
        half(
            lambda width_px, values=values, column=column: shaded_matrix(
                values, rows=names, columns=names, row_title="Individual", column_title=column,
                width_px=width_px,
            ),
            title=heading,
            alt=f"{heading}, {counted(n, 'individual')}: " + _pairs(values),
            caption=caption,
        )
        for heading, values, column, caption in parts
    ]  # fmt: skip


def _pairs(values: np.ndarray) -> str:
    off = np.where(np.eye(len(values), dtype=bool), -1.0, values)
    partner = off.argmax(axis=1)
    return ", ".join(
        f"{at + 1} with {other + 1} ({written(float(values[at, other]))})" for at, other in enumerate(partner)
    )
