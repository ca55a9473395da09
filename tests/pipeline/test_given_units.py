"""A run on units that somebody curated: nothing is sorted again, and the page and the file say so."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from neuroloom.cli import main
from neuroloom.sessions.nwb import read_nwb
from neuroloom.sessions.nwb_metadata import read_provenance
from neuroloom.sessions.session import Session
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.export import write_sorting

RATE_HZ = 30_000


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A raw tetrode recording, its behaviour, and a run on its true units."""
    room = tmp_path_factory.mktemp("job")
    random = np.random.default_rng(0)
    times_s = np.arange(0, 24, 0.02)
    speed = np.sin(times_s / 2)
    trains = []
    for unit in range(4):
        rate_hz = 20 * np.exp((1 if unit % 2 else -1) * speed)
        made = times_s[random.random(len(times_s)) < 0.02 * rate_hz] + 0.001
        trains.append(made[(made > 0.01) & (made < 23.9)])
    recording, truth = inject(trains, duration_s=24.0, amplitudes_uv=(90.0, 240.0), noise_uv=8.0, seed=3)
    recording.get_traces().astype(np.float32).tofile(room / "a.raw")
    pd.DataFrame({"time_s": times_s, "speed": speed}).to_csv(room / "speed.csv", index=False)
    write_sorting(truth, room / "units")
    assert main([*command(room), "--sorting", str(room / "units"), "--out", str(room / "first")]) == 0
    return room


def command(room) -> list[str]:
    return [
        "run", "--recording", str(room / "a.raw"), "--dtype", "float32", "--channels", "4", "--rate-hz",
        str(RATE_HZ), "--gain-to-uv", "1", "--probe", "tetrode", "--behavior", str(room / "speed.csv"),
        "--model", "wiener", "--subject", "rat1",
    ]  # fmt: skip


def test_given_units_are_not_sorted_again(job):
    session = Session.load(job / "first" / "session" / "session.session")
    assert len(session.spikes) == 4
    assert json.loads((job / "first" / "sorting" / "stage.json").read_text())["summary"]["n_units"] == 4
    assert "an earlier sorting" in (job / "first" / "report.html").read_text()


def test_what_was_curated_in_phy_goes_through_the_whole_chain(job, tmp_path, capsys):
    phy = shutil.copytree(job / "first" / "sorting" / "phy", tmp_path / "phy")
    clusters = np.load(phy / "spike_clusters.npy")
    clusters[np.isin(clusters, [0, 2])] = 7
    np.save(phy / "spike_clusters.npy", clusters)
    (phy / "cluster_group.tsv").write_text("cluster_id\tgroup\n1\tgood\n3\tnoise\n7\tmua\n")
    (tmp_path / "about.yaml").write_text("Subject: {species: Rattus norvegicus, sex: F, age: P90D}")
    out = tmp_path / "second"
    arguments = ["--sorting", str(phy), "--metadata", str(tmp_path / "about.yaml"), "--out", str(out)]
    assert main([*command(job), *arguments]) == 0
    session = Session.load(out / "session" / "session.session")
    assert session.unit_ids == ["a/1", "a/7"]
    assert list(session.spikes.get_info("quality")) == ["good", "mua"]
    page = (out / "report.html").read_text()
    assert "curated by hand in Phy: 1 good, 1 mua, 1 noise" in page
    assert "1 of 3 units were left out for their label" in page
    # The file to be shared: units, behaviour, what was decoded, and what made it.
    assert read_nwb(out / "results.nwb") == session
    made = read_provenance(out / "results.nwb")
    assert made["seed"] == 0
    assert made["config"]["model"] == "wiener"
    assert made["decoding"]["target"] == "speed"
    assert len(made["data_fingerprint"]) == 64
    # The same units and another label are another run: nothing stale is kept.
    (phy / "cluster_group.tsv").write_text("cluster_id\tgroup\n1\tgood\n3\tgood\n7\tmua\n")
    assert main([*command(job), *arguments, "--keep-labels", "good"]) == 0
    assert Session.load(out / "session" / "session.session").unit_ids == ["a/1", "a/3"]


def test_what_is_curated_inside_a_run_folder_is_no_damage_to_it(job, capsys):
    """Phy writes into the folder that it opens; the page can still be written, and the work is not lost."""
    (job / "first" / "sorting" / "phy" / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n")
    assert main(["report", str(job / "first")]) == 0
    assert main([*command(job), "--sorting", str(job / "units"), "--out", str(job / "first")]) == 0
    assert "sorting: kept from before" in capsys.readouterr().out
    inside = ["--sorting", str(job / "first" / "sorting" / "phy"), "--out", str(job / "first")]
    assert main([*command(job), *inside]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_units_of_another_recording_are_refused(job, tmp_path, capsys):
    from spikeinterface.core import NumpySorting

    for name, rate_hz, sample, message in (
        ("rate", 10_000, 5, "10000 Hz"),
        ("late", RATE_HZ, 10**9, "samples"),
    ):
        other = NumpySorting.from_unit_dict([{0: np.array([sample])}], rate_hz)
        write_sorting(other, tmp_path / name)
        arguments = ["--sorting", str(tmp_path / name), "--out", str(tmp_path / "run")]
        assert main([*command(job), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert main([*command(job), "--curation", "x.json", "--out", str(tmp_path / "run")]) == 2
    assert "pass --sorting" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
