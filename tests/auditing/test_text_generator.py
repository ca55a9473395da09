"""Text is found again from its features, and a simulated brain's curve lies between chance and ceiling."""

import numpy as np
import pytest

from neuroloom.auditing.curve import AuditCurve, audit
from neuroloom.auditing.text_generator import TextGenerator
from neuroloom.errors import DataError, LeakySplit, NotFitted
from neuroloom.reporting.page import Table
from neuroloom.reporting.section_audit import audit_section


@pytest.fixture(scope="module")
def generator(sentences):
    return TextGenerator(n_tokens=7, n_features=8).fit(sentences[:500])


def test_true_features_give_back_the_text(sentences, generator):
    new = np.array(sentences[500:540], dtype=object)
    found = generator.decode(generator.encode(new))
    assert np.mean(found == new) > 0.9


def test_length_is_part_of_the_latents(generator):
    texts = np.array(["the old sailor", "the old sailor quietly watched one boat and more"], dtype=object)
    found = generator.decode(generator.encode(texts))
    assert [len(text.split()) for text in found] == [3, 7]


def test_without_guidance_only_the_language_model_speaks(sentences):
    generator = TextGenerator(n_tokens=7, n_features=4, guidance=0.0).fit(sentences[:300])
    latents = generator.encode(np.array(sentences[300:303], dtype=object))
    found = generator.decode(latents)
    assert len(set(found)) == 1
    again = generator.decode(latents + 0.3 * np.r_[np.ones(28), 0])
    np.testing.assert_array_equal(found, again)


def test_a_simulated_brain_rises_from_random_to_below_the_ceiling(sentences, generator, tmp_path):
    texts = np.array(sentences[500:700], dtype=object)
    rng = np.random.default_rng(0)
    latents = generator.encode(texts)
    simulated = latents @ rng.normal(size=(latents.shape[1], 40)) + 0.5 * rng.normal(size=(200, 40))
    curve = audit(
        simulated,
        texts,
        generator=generator,
        sizes=[1, 4, 20],
        test_fraction=0.3,
        n_draws=1,
        n_bootstrap=50,
        restorations=(),
    )
    wer = [row.score for row in curve.curve("brain", "wer")]
    assert wer[0] > wer[1] > wer[2] > curve.score("ceiling", "wer")
    assert curve.score("random", "wer") > wer[1]
    summary = curve.summary().set_index("metric")
    assert 0 < summary.of_ceiling["wer"] <= 1
    assert curve.score("brain", "meteor") <= curve.score("ceiling", "meteor")
    loaded = AuditCurve.load(curve.save(tmp_path / "audit"))
    for name in ("truth", "ceiling/0", "brain/20", "random/20"):
        assert all(isinstance(text, str) for text in curve.examples[name])
        np.testing.assert_array_equal(loaded.examples[name], curve.examples[name])
    tables = [block for block in audit_section(loaded).blocks if isinstance(block, Table)]
    [table] = [table for table in tables if table.title == "Reconstructions"]
    wanted = ["truth", "ceiling", "brain, 20", "brain, 4", "brain, 1", "random, 20"]
    assert [row[0] for row in table.rows] == wanted
    assert table.rows[0][1] == curve.examples["truth"][0]


def test_what_it_cannot_make_is_refused(sentences, generator):
    with pytest.raises(DataError, match=r"\(texts, 57\)"):
        generator.decode(np.zeros((2, 56)))
    with pytest.raises(NotFitted):
        TextGenerator().encode(np.array(["a"], dtype=object))
    with pytest.raises(LeakySplit):
        audit(np.random.default_rng(0).normal(size=(50, 3)), sentences[:50], generator=generator)
