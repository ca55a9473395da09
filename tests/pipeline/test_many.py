"""Many recordings become as many run folders, here or on a cluster, and one bad file stops no other."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from neuroloom.cli import main
from neuroloom.errors import DataError
from neuroloom.pipeline.chain import RunConfig
from neuroloom.pipeline.many import run_names, sort_many
from neuroloom.simulation.workers import workers
from neuroloom.sorting.export import read_sorting
from neuroloom.sorting.reading import read_recording

RATE_HZ = 30_000.0


@pytest.fixture(scope="module")
def raws(tmp_path_factory) -> list[Path]:
    """Three raw binaries of a tetrode, 10 s each."""
    import spikeinterface.core as si

    folder, paths = tmp_path_factory.mktemp("raws"), []
    for seed in range(3):
        recording, _ = si.generate_ground_truth_recording(
            durations=[10.0], num_channels=4, num_units=3, seed=seed, sampling_frequency=RATE_HZ
        )
        paths.append(folder / f"day{seed}.raw")
        recording.get_traces().astype("float32").tofile(paths[-1])
    return paths


@pytest.fixture(scope="module")
def read():
    return partial(read_recording, dtype="float32", n_channels=4, rate_hz=RATE_HZ, probe="tetrode")


def spikes(folder: Path) -> np.ndarray:
    return read_sorting(folder / "sorting" / "sorting").to_spike_vector()


def test_recordings_that_share_a_name_are_told_apart_by_the_folder_above():
    assert run_names([Path("a/recording"), Path("b/recording"), Path("c/other.raw")]) == [
        "a-recording", "b-recording", "other",
    ]  # fmt: skip


def test_no_recordings_and_those_that_cannot_be_told_apart_are_refused(tmp_path):
    with pytest.raises(DataError, match="no recordings"):
        sort_many([], out=tmp_path / "out")
    with pytest.raises(DataError, match="a-recording"):
        sort_many(["1/a/recording", "2/a/recording"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recording_that_cannot_be_sorted_is_told_and_stops_no_other(raws, tmp_path, capsys):
    torn = tmp_path / "torn.raw"
    torn.write_bytes(raws[0].read_bytes()[:-3])
    options = ["--dtype", "float32", "--channels", "4", "--rate-hz", str(RATE_HZ), "--probe", "tetrode"]
    files = [str(torn), str(raws[1])]
    command = ["sort-many", "--recording", *files, *options, "--no-phy", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    printed = capsys.readouterr()
    assert "torn.raw: DataError" in printed.err
    assert "Remedy" in printed.err
    assert "1 sorted recordings" in printed.out
    assert (tmp_path / "out" / "day1" / "report.html").is_file()
    assert len(spikes(tmp_path / "out" / "day1")) > 100


@pytest.mark.slow
def test_a_dask_cluster_of_processes_sorts_the_same_units_and_a_second_call_sorts_none_again(
    raws, read, tmp_path
):
    distributed = pytest.importorskip("distributed")
    config = RunConfig(phy=False)
    alone = sort_many(raws[:2], out=tmp_path / "alone", read=read, config=config, quiet=True)
    assert [outcome.error for outcome in alone] == ["", ""]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        workers(dask=cluster.scheduler_address),
    ):
        together = sort_many(raws, out=tmp_path / "dask", read=read, config=config, quiet=True)
        assert [outcome.error for outcome in together] == ["", "", ""]
        pages = [outcome.folder / "sorting" / "stage.json" for outcome in together]
        before = [page.stat().st_mtime_ns for page in pages]
        again = sort_many(raws, out=tmp_path / "dask", read=read, config=config, quiet=True)
    assert again == together
    assert [page.stat().st_mtime_ns for page in pages] == before
    for one, other in zip(alone, together, strict=False):
        assert one.n_units == other.n_units > 0
        np.testing.assert_array_equal(spikes(one.folder), spikes(other.folder))


@pytest.mark.slow
def test_a_sweep_on_a_dask_cluster_of_processes_gives_the_scores_of_a_loop():
    distributed = pytest.importorskip("distributed")
    from joblib import Parallel, delayed

    sweep = [(past_bins, seed) for past_bins in (1, 4) for seed in (0, 1)]
    alone = [held_out_score(*chosen) for chosen in sweep]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        workers(dask=cluster.scheduler_address),
    ):
        together = Parallel()(delayed(held_out_score)(*chosen) for chosen in sweep)
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def held_out_score(past_bins: int, seed: int) -> float:
    """Return what a Wiener filter reaches on the last fifth of a simulated session."""
    from neuroloom.decoding.wiener import WienerDecoder
    from neuroloom.sessions.session import Session
    from neuroloom.sessions.splits import split_time
    from neuroloom.simulation.populations import simulate_reaching

    session = Session.from_arrays(
        **simulate_reaching(seed, n_units=8, duration_s=60.0).as_session_arguments()
    )
    train, test = split_time(session, (0.8, 0.2), gap_s=1.0)
    decoder = WienerDecoder("velocity", past_bins=past_bins).fit(session.restrict(train))
    return decoder.score(session.restrict(test))
