"""Language models for the text generator: n-grams of one's own corpus, or a Hugging Face model by path."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from neuroloom.errors import DataError, MissingDependency, MissingFile, NotFitted

Tokens = tuple[int, ...]
# Contexts whose next-word probabilities an n-gram model keeps.
_REMEMBERED = 4096


class LanguageModel(Protocol):
    """What the text generator asks of a language model."""

    def tokens(self, text: str) -> list[int]:
        """Return token numbers; those of unknown words are left out."""
        ...

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of token numbers."""
        ...

    def log_probabilities(self, contexts: Sequence[Tokens]) -> np.ndarray:
        """Return the log probability of every next token, (contexts, vocabulary)."""
        ...

    def features(self, n_features: int) -> np.ndarray:
        """Return a vector per token, (vocabulary, n_features), alike for tokens used alike."""
        ...


def words_of(text: str) -> list[str]:
    """Return the lower-case words of a text, without punctuation.

    Examples
    --------
    >>> words_of("Don't stop -- the neuron's firing!")
    ["don't", 'stop', 'the', "neuron's", 'firing']
    """
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'"))


@dataclass
class NGram:
    """Interpolated n-gram model of words with Witten-Bell smoothing.

    The weight of a context is N / (N + T): how often it was followed by a word, against how many different
    words followed it; the rest of the weight goes to the context shorter by one, and finally to the uniform
    distribution.

    Parameters
    ----------
    order
        Length of the n-grams; 3 looks two words back.

    Examples
    --------
    >>> model = NGram(order=2).fit(["the cat sat", "the cat ran"])
    >>> best = model.log_probabilities([tuple(model.tokens("the"))])[0].argmax()
    >>> model.text([int(best)])
    'cat'
    """

    order: int = 3
    vocabulary_: list[str] = field(default_factory=list, repr=False)
    numbers_: dict[str, int] = field(default_factory=dict, repr=False)
    counts_: dict[Tokens, Counter[int]] = field(default_factory=dict, repr=False)
    corpus_: list[Tokens] = field(default_factory=list, repr=False)
    rows_: dict[Tokens, np.ndarray] = field(default_factory=dict, repr=False)

    def fit(self, texts: Sequence[str]) -> "NGram":
        """Count the n-grams of texts; none reaches from one text into the next.

        Raises
        ------
        DataError
            If the texts hold no words.
        """
        sentences = [words_of(text) for text in texts]
        self.vocabulary_ = sorted({word for sentence in sentences for word in sentence})
        if not self.vocabulary_:
            raise DataError(
                f"{len(texts)} texts hold no words", expected="words", remedy="give text to learn from"
            )
        self.numbers_ = {word: number for number, word in enumerate(self.vocabulary_)}
        self.corpus_ = [tuple(self.numbers_[word] for word in sentence) for sentence in sentences]
        counts: dict[Tokens, Counter[int]] = defaultdict(Counter)
        for sentence in self.corpus_:
            for place, word in enumerate(sentence):
                for length in range(min(self.order - 1, place) + 1):
                    counts[sentence[place - length : place]][word] += 1
        self.counts_ = dict(counts)
        self.rows_ = {}
        return self

    def tokens(self, text: str) -> list[int]:
        """Return the numbers of the known words."""
        self._require_fitted()
        return [self.numbers_[word] for word in words_of(text) if word in self.numbers_]

    def text(self, tokens: Sequence[int]) -> str:
        """Return the words, with spaces between them."""
        return " ".join(self.vocabulary_[token] for token in tokens)

    def log_probabilities(self, contexts: Sequence[Tokens]) -> np.ndarray:
        """Return the log probability of every next word, (contexts, vocabulary)."""
        self._require_fitted()
        return np.stack(
            [self._row(tuple(context)[max(0, len(context) - self.order + 1) :]) for context in contexts]
        )

    def features(self, n_features: int) -> np.ndarray:
        """Return word vectors: leading components of positive pointwise mutual information.

        Two words are together when at most two words lie between them (Levy & Goldberg 2014). Vectors have
        mean 0 and a mean square of 1 per word.
        """
        self._require_fitted()
        n = len(self.vocabulary_)
        together = np.zeros((n, n))
        for sentence in self.corpus_:
            for place, word in enumerate(sentence):
                for other in sentence[place + 1 : place + 4]:
                    together[word, other] += 1
                    together[other, word] += 1
        total, per_word = max(together.sum(), 1.0), together.sum(1)
        chance = np.outer(per_word, per_word) / total
        information = np.log(np.divide(together, chance, out=np.ones_like(together), where=together > 0))
        return reduced(information.clip(min=0), n_features)

    def _row(self, context: Tokens) -> np.ndarray:
        """Return the log probabilities after the last words, remembered for the next time."""
        if context not in self.rows_:
            row = np.full(len(self.vocabulary_), 1 / len(self.vocabulary_))
            for length in range(len(context) + 1):
                following = self.counts_.get(context[len(context) - length :])
                if following is None:
                    break
                total, kinds = sum(following.values()), len(following)
                row *= kinds / (total + kinds)
                row[list(following)] += np.array(list(following.values())) / (total + kinds)
            if len(self.rows_) >= _REMEMBERED:
                self.rows_.clear()
            self.rows_[context] = np.log(row)
        return self.rows_[context]

    def _require_fitted(self) -> None:
        if not self.vocabulary_:
            raise NotFitted("this n-gram model has no words", expected="a fitted one", remedy="call fit")


class HuggingFaceModel:
    """A causal language model of the `transformers` library, read from a local folder.

    Parameters
    ----------
    path
        Folder with weights and tokenizer, as written by ``save_pretrained``, or holding a GGUF file; or such
        a file itself.

    Raises
    ------
    MissingFile
        If there is no such folder or file. Nothing is ever downloaded.
    MissingDependency
        If `transformers`, or for a GGUF file `gguf`, is not installed.
    DataError
        If the library cannot read a causal language model there.
    """

    def __init__(self, path: str | os.PathLike):
        folder, gguf_file = _model_place(Path(path))
        try:
            import transformers
        except ImportError:
            raise MissingDependency(
                "transformers is not installed",
                expected="the optional extra text",
                remedy="pip install 'neuroloom[text]'",
            ) from None
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        if gguf_file is not None:
            options["gguf_file"] = gguf_file
        weights = {} if gguf_file is not None else {"use_safetensors": True}
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options, **weights)
        except ImportError as error:
            raise MissingDependency(
                f"transformers cannot read {path} ({_first_line(error)})",
                expected="the optional extra text",
                remedy="pip install 'neuroloom[text]'",
            ) from None
        except Exception as error:  # whatever a foreign reader makes of a damaged file
            raise DataError(
                f"{path} cannot be read as a causal language model ({_first_line(error)})",
                expected="what save_pretrained writes (safetensors), or a GGUF file",
                remedy="save the model and its tokenizer into one folder",
            ) from None
        self._model = model.eval()

    def tokens(self, text: str) -> list[int]:
        """Return the tokenizer's numbers, without special tokens."""
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of token numbers."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def log_probabilities(self, contexts: Sequence[Tokens]) -> np.ndarray:
        """Return log probabilities of every next token, (contexts, vocabulary); contexts of equal length."""
        import torch

        start = self._tokenizer.bos_token_id
        start = self._model.config.eos_token_id if start is None else start
        prompts = torch.tensor([[start, *context] for context in contexts])
        with torch.inference_mode():
            return self._model(prompts).logits[:, -1].float().log_softmax(1).numpy()

    def features(self, n_features: int) -> np.ndarray:
        """Return leading components of the model's input embedding, (vocabulary, n_features)."""
        return reduced(self._model.get_input_embeddings().weight.detach().float().numpy(), n_features)


def _model_place(path: Path) -> tuple[Path, str | None]:
    """Return the folder of a model, and the name of its GGUF file where it is kept in one."""
    if path.is_file():
        return path.parent, path.name
    if not path.is_dir():
        raise MissingFile(
            f"{path} does not exist",
            expected="a folder with a language model, or a GGUF file",
            remedy="check the path",
        )
    packed = sorted(file.name for file in path.glob("*.gguf"))
    if not packed or any(path.glob("*.safetensors")):
        return path, None
    if len(packed) > 1:
        raise DataError(
            f"{path} holds several GGUF files ({', '.join(packed)})",
            expected="one",
            remedy="pass the path of one of them",
        )
    return path, packed[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def reduced(values: np.ndarray, n_features: int) -> np.ndarray:
    """Return leading principal components of rows, scaled to a mean square length of 1 per row."""
    if not 1 <= n_features <= min(values.shape):
        raise DataError(
            f"{n_features} features of {values.shape[0]} words",
            expected=f"between 1 and {min(values.shape)}",
            remedy="ask for fewer features or give more text",
        )
    centred = values - values.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    scores = centred @ vectors[:, ::-1][:, :n_features]
    return scores / np.sqrt(np.square(scores).sum(1).mean())
