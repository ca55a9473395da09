"""What sorting costs is measured once per cell, whatever stops the benchmark, and told as it is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroloom.cli import main
from neuroloom.errors import DataError
from neuroloom.pipeline import chain_benchmark
from neuroloom.pipeline.chain_benchmark import BenchmarkConfig, plan, run_chain_benchmark
from neuroloom.pipeline.known_recordings import Condition
from neuroloom.pipeline.sorting_costs import Cell, markdown, summarise
from neuroloom.sorting.other_sorters import SortingFailed

CONFIG = BenchmarkConfig(
    noise_uv=(20.0,), drift_um=0.0, seeds=(1,), minutes=0.5, probe="tetrode", sources=("simsort", "crossings")
)
COMMAND = ["chain-benchmark", "--noise-uv", "20", "--drift-um", "0", "--seeds", "1", "--minutes", "0.5",
           "--probe", "tetrode", "--sorters", "simsort"]  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Path, list[Cell]]:
    """A finished benchmark of three cells, and what it returned."""
    folder = tmp_path_factory.mktemp("costs") / "benchmark"
    return folder, run_chain_benchmark(folder, config=CONFIG)


@pytest.fixture
def finished(measured, tmp_path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(measured[0], tmp_path / "benchmark"))


def events(folder: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["stage"].partition(".")[2], line["event"]) for line in lines]


def cell(*, seed: int, source: str, score: float | None, accuracy: float | None = 0.5, noise_uv=10.0) -> Cell:
    return Cell(
        condition=Condition("simulated", noise_uv, 0.0, seed),
        source=source,
        n_units=None if score is None else 8,
        n_true_units=10,
        n_well_detected=None if score is None else 5,
        sorting_accuracy=accuracy,
        metric="" if score is None else "R²",
        score=score,
        failed="it stopped" if score is None else "",
        finding_s=1.0,
        decoding_s=1.0,
    )


def test_true_spikes_are_right_and_the_best_to_decode_from(measured):
    true, sorted_, crossings = measured[1]
    assert (true.source, sorted_.source, crossings.source) == ("true", "simsort", "crossings")
    assert (true.sorting_accuracy, true.n_units, true.n_well_detected) == (1.0, 20, 20)
    assert true.score > 0.3
    assert true.score > sorted_.score - 0.1
    assert true.score > crossings.score
    assert 0.2 < sorted_.sorting_accuracy < 1
    assert crossings.n_units <= 4


def test_tables_figure_and_page_are_left_and_the_voltage_is_not(measured):
    folder, cells = measured
    assert {"costs.csv", "cells.csv", "costs.json", "costs.svg", "report.html"} <= {
        path.name for path in folder.iterdir()
    }
    assert not (folder / "recording").exists()
    table = pd.read_csv(folder / "cells.csv")
    assert table["source"].tolist() == [cell.source for cell in cells]
    assert table["score"].to_numpy() == pytest.approx([cell.score for cell in cells])
    document = json.loads((folder / "costs.json").read_text())
    assert document["config"]["probe"] == "tetrode"
    assert [row["source"] for row in document["costs"]] == table["source"].tolist()
    assert "threshold crossings" in (folder / "report.html").read_text()


def test_a_rerun_measures_nothing_again(measured, finished):
    assert run_chain_benchmark(finished, config=CONFIG) == measured[1]
    assert {event for _, event in events(finished)[-6:]} == {"kept"}


def test_what_a_stopped_benchmark_has_finished_is_kept(measured, finished):
    shutil.rmtree(next(finished.glob("*.crossings.spikes")))
    before = len(events(finished))
    again = run_chain_benchmark(finished, config=CONFIG)
    made = [stage for stage, event in events(finished)[before:] if event == "done"]
    # Without its spikes the voltage is needed again; that the same spikes were decoded before still counts.
    assert [stage for stage in made if stage] == ["crossings.spikes"]
    assert [each.score for each in again] == [each.score for each in measured[1]]


def test_tables_of_what_is_kept_measure_nothing(measured, finished):
    shutil.rmtree(next(finished.glob("*.simsort.spikes")))
    before = len(events(finished))
    cells = run_chain_benchmark(finished, config=CONFIG, measure=False)
    assert [each.source for each in cells] == ["true", "crossings"]
    assert {event for _, event in events(finished)[before:]} == {"kept"}
    assert len(pd.read_csv(finished / "costs.csv")) == 2


def test_another_way_of_decoding_needs_no_second_sorting(finished):
    config = BenchmarkConfig(**(vars(CONFIG) | {"test_fraction": 0.3}))
    before = len(events(finished))
    run_chain_benchmark(finished, config=config)
    made = [stage for stage, event in events(finished)[before:] if event == "done"]
    assert made == ["true.wiener", "simsort.wiener", "crossings.wiener"]


def test_a_sorter_that_stops_costs_its_cell_and_no_other(monkeypatch, tmp_path):
    real = chain_benchmark.find_spikes

    def find_spikes(source, *args, **kwargs):
        if source == "simsort":
            raise SortingFailed("simsort stopped", expected="a recording", remedy="leave it out")
        return real(source, *args, **kwargs)

    monkeypatch.setattr(chain_benchmark, "find_spikes", find_spikes)
    lines: list[str] = []
    _, failed, crossings = run_chain_benchmark(tmp_path / "benchmark", config=CONFIG, say=lines.append)
    assert failed.score is None
    assert "simsort stopped" in failed.failed
    assert crossings.score is not None
    assert "simsort stopped" in lines[1]
    assert "–" in markdown(summarise([failed]))


def test_an_unknown_sorter_is_refused_before_anything_is_made(tmp_path):
    config = BenchmarkConfig(sources=("simsort", "klustakwik"))
    with pytest.raises(DataError, match="klustakwik"):
        run_chain_benchmark(tmp_path / "benchmark", config=config)
    assert not (tmp_path / "benchmark").exists()


def test_a_benchmark_of_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="no recording"):
        run_chain_benchmark(tmp_path / "benchmark", config=BenchmarkConfig(simulated=False))


def test_every_kind_is_made_at_each_noise_and_drifting_at_the_middle_one():
    config = BenchmarkConfig(noise_uv=(40.0, 10.0, 20.0), drift_um=25.0, seeds=(3, 4))
    conditions = plan(config, with_hybrid=True)
    assert len(conditions) == len(set(conditions)) == 16
    assert [each.seed for each in conditions] == [3] * 8 + [4] * 8
    assert {each.noise_uv for each in conditions if each.drift_um} == {20.0}


def test_a_summary_has_mean_and_spread_over_seeds_and_pairs_each_loss_with_its_own_truth():
    cells = [
        cell(seed=0, source="true", score=0.9, accuracy=1.0),
        cell(seed=0, source="lupin", score=0.7, accuracy=0.4),
        cell(seed=1, source="true", score=0.5, accuracy=1.0),
        cell(seed=1, source="lupin", score=0.4, accuracy=0.8),
    ]
    true, lupin = summarise(cells)
    assert (true.n_seeds, true.loss.mean) == (2, 0.0)
    assert lupin.sorting_accuracy.mean == pytest.approx(0.6)
    assert lupin.score.sd == pytest.approx(np.std([0.7, 0.4], ddof=1))
    assert lupin.loss.mean == pytest.approx(0.15)
    assert lupin.loss.sd == pytest.approx(np.std([0.2, 0.1], ddof=1))


def test_a_failed_seed_is_counted_and_not_averaged():
    cells = [
        cell(seed=0, source="lupin", score=0.7),
        cell(seed=1, source="lupin", score=None, accuracy=None),
    ]
    (row,) = summarise(cells)
    assert (row.n_seeds, row.n_failed, row.score.mean, row.score.sd) == (2, 1, 0.7, None)


def test_the_terminal_table_names_a_recording_once():
    cells = [
        cell(seed=0, source=source, score=0.5, noise_uv=noise)
        for noise in (10.0, 20.0)
        for source in ("true", "x")
    ]
    lines = markdown(summarise(cells)).splitlines()
    assert len(lines) == 6
    assert sum("10 µV" in line for line in lines) == 1
    assert "decoding R²" in lines[0]


def test_the_verb_prints_the_table_and_what_it_wrote(finished, capsys):
    assert main([*COMMAND, "--out", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert "| simulated, 20 µV | true spikes | 20 | 1.000 |" in printed
    assert "costs.csv" in printed
    assert {event for _, event in events(finished)[-6:]} == {"kept"}


def test_the_verb_names_the_sorters_that_there_are(tmp_path, capsys):
    assert main([*COMMAND[:-1], "klustakwik", "--out", str(tmp_path / "benchmark")]) == 2
    assert "one of true, simsort" in capsys.readouterr().err
