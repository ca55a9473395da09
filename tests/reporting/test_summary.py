"""The summary: every fact that is known, said once, with its chance and its cost; and what to do next."""

import dataclasses

import pytest

from neuroloom.findings import Finding
from neuroloom.reporting.summary import Outcome, lines, points, steps

WHOLE = Outcome(
    duration_s=120.0,
    n_channels=32,
    behaviors=["position", "velocity"],
    n_trials=94,
    sorter="simsort",
    n_units=20,
    confidence=[0.99] * 18 + [0.7, 0.6],
    n_true_units=20,
    n_well_detected=18,
    mean_accuracy=0.94,
    target="velocity",
    metric="R²",
    score=0.85,
    said="POYO decodes velocity: R² 0.85 on held-out time; a Wiener filter 0.77.",
    chance=0.0,
    baseline_score=0.77,
    true_unit_score=0.9,
    dynamics="By BIC one linear system describes the trials, driven by velocity.",
    size_95=2,
    n_audited=20,
    audit_metric="R²",
    findings=[
        Finding("info", "17 duplicate spikes dropped", "unit 4", "none needed"),
        Finding("warning", "2 samples are NaN", "channel 3", "look at the amplifier"),
    ],
    has_phy=True,
)


def told(outcome):
    return {point.label: point.text for point in points(outcome)}


def changed(**facts):
    return dataclasses.replace(WHOLE, **facts)


def test_every_part_of_the_chain_has_its_line_in_the_order_of_the_data():
    assert list(told(WHOLE)) == [
        "Recorded", "Units", "Decoding", "Cost of sorting", "Dynamics", "Bottleneck", "Findings",
    ]  # fmt: skip
    assert told(WHOLE)["Recorded"] == "2 min on 32 channels; behaviours position and velocity, 94 trials."
    assert "18 of the 20 true units" in told(WHOLE)["Units"]
    assert "Median confidence 0.99, 2 below 0.80." in told(WHOLE)["Units"]


def test_a_score_never_stands_without_its_chance():
    assert told(WHOLE)["Decoding"].endswith("Chance is 0.00 (always the mean).")
    labels = told(changed(metric="accuracy", chance=0.25))["Decoding"]
    assert labels.endswith("Chance is 0.25 (always the most frequent label).")


@pytest.mark.parametrize("score", [0.0, -0.3, float("nan")])
def test_a_decoder_at_chance_is_called_that_and_the_clock_is_to_be_checked(score):
    outcome = changed(score=score)
    assert "no better than that" in told(outcome)["Decoding"]
    assert any("one clock" in step.text for step in steps(outcome))


def test_what_sorting_cost_is_the_difference_to_the_true_units():
    assert (
        told(WHOLE)["Cost of sorting"]
        == "0.05 of R²: R² 0.85 from the sorted units, 0.90 from the true ones."
    )
    assert told(changed(true_unit_score=0.84))["Cost of sorting"].startswith(
        "None: R² 0.85 from the sorted units"
    )
    assert "Cost of sorting" not in told(changed(true_unit_score=None))


def test_the_bottleneck_is_told_or_denied():
    assert told(WHOLE)["Bottleneck"].startswith("2 numbers from the brain keep 95 %")
    assert told(changed(size_95=1))["Bottleneck"].startswith("1 number from the brain keeps 95 %")
    assert "no more of the target than noise" in told(changed(size_95=None))["Bottleneck"]
    assert "Bottleneck" not in told(changed(n_audited=None))


def test_the_gravest_finding_comes_first():
    said = told(WHOLE)["Findings"]
    assert said.startswith("1 warning and 1 note. channel 3: 2 samples are NaN; unit 4")


def test_units_to_doubt_come_before_other_decoders():
    first, second, *_ = steps(WHOLE, folder="monday")
    assert "2 units below a confidence of 0.8" in first.text
    assert first.command == "phy template-gui monday/sorting/phy/params.py"
    assert second.command.startswith("neuroloom decode fit --session monday/session/session.session ")
    assert len(steps(WHOLE)) == 3
    assert steps(WHOLE)[0].command == "phy template-gui sorting/phy/params.py"


def test_a_plain_filter_that_does_better_is_recommended():
    assert any("--model wiener" in step.command for step in steps(changed(baseline_score=0.95)))


def test_without_units_only_the_voltage_is_worth_a_look():
    outcome = Outcome(duration_s=3.0, n_channels=4, sorter="simsort", n_units=0)
    assert told(outcome)["Units"] == "simsort found no units in 3 s."
    assert [step.text for step in steps(outcome)] == ["Look at the voltage, or try another sorter."]


def test_without_behaviour_it_is_asked_for():
    outcome = Outcome(duration_s=3.0, n_channels=4, sorter="simsort", n_units=2)
    assert steps(outcome)[-1].command == "neuroloom run ... --behavior FILE"


def test_nothing_known_is_no_error():
    assert list(told(Outcome())) == ["Findings"]
    assert steps(Outcome()) == []


def test_a_name_with_spaces_is_one_word_of_a_command():
    outcome = changed(target="hand velocity")
    assert any("--target 'hand velocity'" in step.command for step in steps(outcome))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_gets_the_same_words_wrapped_to_its_width(width):
    wrapped = lines(WHOLE, width=width)
    assert max(map(len, wrapped)) <= width
    words = " ".join(" ".join(wrapped).split())
    for point in points(WHOLE):
        assert point.label in words
        assert " ".join(point.text.split()) in words
