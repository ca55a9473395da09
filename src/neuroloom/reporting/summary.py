"""What a run came to, and the words for it: the one source of the page's summary and of the terminal's."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom.findings import Finding
from neuroloom.reporting.numbers import counted, spoken_duration, written
from neuroloom.reporting.page import Point, Step, gravest_first
from neuroloom.reporting.sorting.section import SURE

# Differences between scores that a reader should not make anything of.
ALIKE = 0.005
MOST_FINDINGS, MOST_STEPS = 2, 3


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the stages of a run said of themselves; None (or empty) where one was not done or does not know.

    Attributes
    ----------
    duration_s, n_channels
        Of the recording.
    behaviors, n_trials
        Of the session.
    sorter, n_units
        Who sorted, and how many units came out.
    confidence
        One per unit, 0 to 1.
    n_true_units, n_well_detected, mean_accuracy
        Against the truth, where it is known: true units, those found with an accuracy of at least .8, and
        the mean over all of them.
    target, metric, score
        What was decoded and how well, on held-out data.
    said
        The decoder's own sentence.
    chance
        Score of a decoder that always says the mean, or the most frequent label.
    baseline_score
        Of a Wiener filter; None where the decoder is one itself.
    true_unit_score
        The same decoder on the true units.
    dynamics
        What the dynamics' stage said.
    size_95, n_audited, audit_metric
        The smallest bottleneck that keeps 95 % of what all units tell above chance (None where they tell
        nothing), out of how many units, by which metric; `n_audited` is None without an audit.
    findings
        Of all checks.
    has_phy
        Whether the sorting was exported for curation.
    """

    duration_s: float | None = None
    n_channels: int | None = None
    behaviors: Sequence[str] = ()
    n_trials: int = 0
    sorter: str | None = None
    n_units: int | None = None
    confidence: Sequence[float] = ()
    n_true_units: int | None = None
    n_well_detected: int | None = None
    mean_accuracy: float | None = None
    target: str | None = None
    metric: str | None = None
    score: float | None = None
    said: str = ""
    chance: float | None = None
    baseline_score: float | None = None
    true_unit_score: float | None = None
    dynamics: str = ""
    size_95: int | None = None
    n_audited: int | None = None
    audit_metric: str = ""
    findings: Sequence[Finding] = ()
    has_phy: bool = False

    @property
    def n_doubtful(self) -> int:
        """Units that are less sure than .8."""
        return sum(value < SURE for value in self.confidence)


def points(outcome: Outcome) -> list[Point]:
    """Return what a reader in a hurry takes away, in the order in which the data flow.

    Examples
    --------
    >>> for point in points(Outcome(duration_s=754.0, n_channels=4, sorter="simsort", n_units=1)):
    ...     print(point.label, point.text, sep=": ")
    Recorded: 12 min 34 s on 4 channels.
    Units: simsort found 1 unit in 754 s.
    Findings: The checks found nothing to report.
    """
    told = [
        Point("Recorded", _recorded(outcome), "recording"),
        Point("Units", _units(outcome), "sorting"),
        Point("Decoding", _decoding(outcome), "decoding"),
        Point("Cost of sorting", _cost(outcome), "decoding"),
        Point("Dynamics", outcome.dynamics, "dynamics"),
        Point("Bottleneck", _bottleneck(outcome), "audit"),
        Point("Findings", _findings(outcome), "findings"),
    ]
    return [point for point in told if point.text]


def steps(outcome: Outcome, *, folder: str = "") -> list[Step]:
    """Return what to do next, the most urgent first.

    Parameters
    ----------
    folder
        Put before the paths in commands; the page itself leaves it out, since it lies in that folder.
    """
    at = f"{folder.rstrip('/')}/" if folder else ""
    session = shlex.quote(f"{at}session/session.session")
    target = shlex.quote(outcome.target or "NAME")
    found: list[Step] = []
    grave = [finding for finding in outcome.findings if finding.level == "error"]
    if grave:
        found.append(Step(f"Mend the data: {grave[0].remedy}."))
    if outcome.n_units == 0:
        why = "Look at the voltage, or try another sorter."
        return [*found, Step(why, "neuroloom run ... --sorter NAME")]
    if outcome.n_doubtful and outcome.has_phy:
        why = f"Look at the {counted(outcome.n_doubtful, 'unit')} below a confidence of {SURE:g}."
        found.append(Step(why, f"phy template-gui {shlex.quote(at + 'sorting/phy/params.py')}"))
    if outcome.score is None:
        why = "Bring behaviour, to decode it."
        found += [] if outcome.n_units is None else [Step(why, "neuroloom run ... --behavior FILE")]
        return found[:MOST_STEPS]
    fit = f"neuroloom decode fit --session {session} --target {target}"
    if _by_chance(outcome):
        found.append(Step("Check that behaviour and voltage share one clock: nothing was decoded."))
    elif outcome.baseline_score is not None and outcome.baseline_score > outcome.score + ALIKE:
        found.append(Step("Take the Wiener filter: it does better here.", f"{fit} --model wiener --out DIR"))
    else:
        found.append(Step("Compare with another decoder.", f"{fit} --model gru --out DIR"))
    audit = f"neuroloom audit decoder --session {session} --target {target}"
    if outcome.n_audited is None:
        found.append(Step("Ask how much of the population the decoder uses.", f"{audit} --out DIR"))
    elif outcome.size_95 is None:
        found.append(Step("Believe no score of this target while noise in place of the units does as well."))
    else:
        found.append(
            Step("See whether another decoder uses more of the population.", f"{audit} --model gru --out DIR")
        )
    return found[:MOST_STEPS]


def lines(outcome: Outcome, *, width: int = 80) -> list[str]:
    """Return the points for a terminal: labels to the left, sentences wrapped beside them.

    Examples
    --------
    >>> print(*lines(Outcome(duration_s=60.0, n_channels=4), width=60), sep="\\n")
    Recorded  1 min on 4 channels.
    Findings  The checks found nothing to report.
    """
    import textwrap

    told = points(outcome)
    margin = max((len(point.label) for point in told), default=0) + 2
    wrapped = []
    for point in told:
        wrapped += textwrap.wrap(
            point.text.replace("\N{NO-BREAK SPACE}", " "),
            max(width, margin + 20),
            initial_indent=point.label.ljust(margin),
            subsequent_indent=" " * margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return wrapped


def _recorded(outcome: Outcome) -> str:
    if outcome.duration_s is None:
        return ""
    text = spoken_duration(outcome.duration_s)
    if outcome.n_channels is not None:
        text += f" on {counted(outcome.n_channels, 'channel')}"
    besides = []
    if outcome.behaviors:
        thing = "behaviour" if len(outcome.behaviors) == 1 else "behaviours"
        besides.append(f"{thing} {_listed(outcome.behaviors)}")
    if outcome.n_trials:
        besides.append(counted(outcome.n_trials, "trial"))
    return f"{text}{'; ' if besides else ''}{', '.join(besides)}."


def _units(outcome: Outcome) -> str:
    if outcome.n_units is None:
        return ""
    text = [f"{outcome.sorter} found {counted(outcome.n_units, 'unit')} in {outcome.duration_s or 0:.0f} s."]
    if len(outcome.confidence):
        middle = written(np.median(outcome.confidence))
        doubtful = outcome.n_doubtful
        lower = f"{doubtful} below {SURE:.2f}" if doubtful else f"none below {SURE:.2f}"
        text.append(f"Median confidence {middle}, {lower}.")
    if outcome.n_true_units:
        text.append(
            f"{outcome.n_well_detected} of the {outcome.n_true_units} true units were found with an accuracy "
            f"of .8 or more (mean accuracy {written(outcome.mean_accuracy)})."
        )
    return " ".join(text)


def _decoding(outcome: Outcome) -> str:
    if outcome.score is None:
        return ""
    text = [outcome.said] if outcome.said else []
    if outcome.chance is not None:
        guess = "most frequent label" if _is_share(outcome) else "mean"
        text.append(f"Chance is {written(outcome.chance)} (always the {guess}).")
    if _by_chance(outcome):
        text.append("The decoder is no better than that.")
    return " ".join(text)


def _cost(outcome: Outcome) -> str:
    if outcome.score is None or outcome.true_unit_score is None:
        return ""
    lost = outcome.true_unit_score - outcome.score
    what = "None" if lost < ALIKE else f"{written(lost)} of {outcome.metric}"
    return (
        f"{what}: {outcome.metric} {written(outcome.score)} from the sorted units, "
        f"{written(outcome.true_unit_score)} from the true ones."
    )


def _bottleneck(outcome: Outcome) -> str:
    if outcome.n_audited is None:
        return ""
    metric = f" ({outcome.audit_metric})" if outcome.audit_metric else ""
    if outcome.size_95 is None:
        return f"The units tell no more of the target than noise in their place does{metric}."
    numbers = counted(outcome.size_95, "number")
    keep = "keeps" if outcome.size_95 == 1 else "keep"
    return (
        f"{numbers} from the brain {keep} 95 % of what all {counted(outcome.n_audited, 'unit')} tell above "
        f"chance{metric}."
    )


def _findings(outcome: Outcome) -> str:
    if not outcome.findings:
        return "The checks found nothing to report."
    ordered = gravest_first(outcome.findings)
    worst = [f"{finding.where}: {finding.what.rstrip('.')}" for finding in ordered[:MOST_FINDINGS]]
    counts = [
        counted(n, word)
        for level, word in (("error", "error"), ("warning", "warning"), ("info", "note"))
        if (n := sum(finding.level == level for finding in ordered))
    ]
    return f"{_listed(counts).capitalize()}. {'; '.join(worst)}."


def _by_chance(outcome: Outcome) -> bool:
    """Say whether a score is no better than saying always the same."""
    score = outcome.score
    return score is None or not np.isfinite(score) or score <= (outcome.chance or 0.0) + ALIKE


def _is_share(outcome: Outcome) -> bool:
    return "accuracy" in (outcome.metric or "").lower()


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
