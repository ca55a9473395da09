"""Pre-training on simulated animals: what is kept knows no session, and the same command gives the same."""

import numpy as np
import pytest

from neuroloom.artifacts import load_artifact
from neuroloom.cli import main
from neuroloom.decoding import poyo_pretraining
from neuroloom.decoding.estimator import load_decoder
from neuroloom.decoding.poyo import PoyoConfig
from neuroloom.decoding.poyo_pretraining import NAME, make_pretrained, unseen_session
from neuroloom.errors import DataError

TINY = PoyoConfig(dim=16, depth=1, dim_head=16, latents_per_step=2)
FEW = {"n_sessions": 2, "n_animals": 2, "minutes_each": 0.25, "steps": 2, "quiet": True, "device": "cpu"}


@pytest.fixture(autouse=True)
def _without_unseen_animals(monkeypatch):
    told = {"minutes": 2.0, "sessions": 1, "mean": 0.0, "least": 0.0, "most": 0.0}
    monkeypatch.setattr(poyo_pretraining, "unseen_animals", lambda *args, **options: told)


def test_the_same_seed_gives_the_same_weights_and_a_card(tmp_path):
    folders = [make_pretrained(tmp_path / name, config=TINY, **FEW) for name in "ab"]
    first, second = (load_artifact(folder) for folder in folders)
    assert all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)
    card = first.document["card"]
    assert card["data"]["sessions"] == 2
    assert "--steps 2" in card["command"]


def test_what_is_kept_knows_no_session_and_adapts(tmp_path):
    decoder = load_decoder(make_pretrained(tmp_path, config=TINY, **FEW))
    learn, test = unseen_session(1, minutes=0.25, n_units=8)
    decoder.adapt(learn)
    assert np.isfinite(decoder.score(test.restrict((20, 40))))


def test_more_animals_than_sessions_are_refused(tmp_path):
    with pytest.raises(DataError, match="2 sessions of 3 animals"):
        make_pretrained(tmp_path, **(FEW | {"n_animals": 3}))


def test_the_verb_writes_a_decoder_and_says_what_is_next(tmp_path, capsys):
    few = ["--sessions", "1", "--animals", "1", "--minutes-each", "0.25", "--steps", "1"]
    assert main(["pretrain", "poyo", "--out", str(tmp_path), *few, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert f"wrote {tmp_path / NAME}" in printed
    assert "next: neuroloom decode adapt" in printed
