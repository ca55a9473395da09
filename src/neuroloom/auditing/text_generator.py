"""Text from predicted features: beam search over a language model, guided towards the features."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from neuroloom import seeds
from neuroloom.auditing.inputs import row_digests
from neuroloom.auditing.language import LanguageModel, NGram
from neuroloom.errors import DataError, NotFitted


@dataclass
class TextGenerator:
    """Generator of short texts: one feature vector per token, and the number of tokens.

    Decoding looks for the text whose tokens are both likely in the language model and close to the features:
    a beam search over ``log p(token | before) - guidance / 2 · |feature(token) - wanted|²``.

    Parameters
    ----------
    n_tokens
        Longest text, in tokens; what is longer is cut off.
    n_features
        Features of each token.
    language_model
        Default: a trigram model, fitted to the texts given to `fit`.
    guidance
        Precision of the features: how much they weigh against the language model.
    n_beams
        Texts kept at each step.
    identity
        Share of each feature vector's variance that is random and the token's own, so that tokens used
        alike can still be told apart; the rest is what the language model knows about it.
    seed
        Seed of the random part.
    """

    n_tokens: int = 8
    n_features: int = 8
    language_model: LanguageModel | None = None
    guidance: float = 20.0
    n_beams: int = 8
    identity: float = 0.25
    seed: int = 0
    name: str = "beam search"
    model_: LanguageModel | None = field(default=None, repr=False)
    features_: np.ndarray | None = field(default=None, repr=False)  # (vocabulary, n_features)
    seen_: frozenset[str] = field(default=frozenset(), repr=False)

    def fit(self, texts: Sequence[str]) -> "TextGenerator":
        """Learn words and their order from texts, which must not be among those reconstructed later.

        Raises
        ------
        DataError
            If the texts are too few for the features.
        """
        self.model_ = self.language_model or NGram().fit(texts)
        known = self.model_.features(self.n_features)  # mean square length 1
        own = seeds.stream(self.seed, "tokens").normal(size=known.shape) / np.sqrt(self.n_features)
        self.features_ = np.sqrt(1 - self.identity) * known + np.sqrt(self.identity) * own
        self.seen_ = frozenset(row_digests(np.array(list(texts), dtype=object)))
        return self

    def encode(self, stimuli: np.ndarray) -> np.ndarray:
        """Return latents (texts, n_tokens x n_features + 1): features by token, 0 past the end, and length.

        The length is in units of half the longest one, so that it weighs about as much as one token.
        """
        model, features = self._learned()
        latents = np.zeros((len(stimuli), self.n_tokens, self.n_features))
        length = np.zeros((len(stimuli), 1))
        for row, text in enumerate(stimuli):
            tokens = model.tokens(str(text))[: self.n_tokens]
            latents[row, : len(tokens)] = features[tokens]
            length[row] = 2 * len(tokens) / self.n_tokens
        return np.concatenate([latents.reshape(len(stimuli), -1), length], axis=1)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return one text (str, in an object array) per row of latents.

        Raises
        ------
        DataError
            If latents have the wrong width or are not finite.
        """
        model, features = self._learned()
        latents = np.asarray(latents, dtype=float)
        width = self.n_tokens * self.n_features + 1
        if latents.ndim != 2 or latents.shape[1] != width or not np.isfinite(latents).all():
            raise DataError(
                f"latents have shape {latents.shape}",
                expected=f"finite values of shape (texts, {width})",
                remedy="make them with encode",
            )
        lengths = np.rint(latents[:, -1] * self.n_tokens / 2).astype(int).clip(1, self.n_tokens)
        wanted = latents[:, :-1].reshape(len(latents), self.n_tokens, self.n_features)
        texts = [
            model.text(self._search(model, features, target[:length]))
            for target, length in zip(wanted, lengths, strict=True)
        ]
        return np.array(texts, dtype=object)

    def _search(self, model: LanguageModel, features: np.ndarray, wanted: np.ndarray) -> tuple[int, ...]:
        """Return the best token sequence for wanted features (tokens, n_features)."""
        distance = np.square(features[None] - wanted[:, None]).sum(2)  # (tokens, vocabulary)
        beams: list[tuple[int, ...]] = [()]
        scores = np.zeros(1)
        for place in range(len(wanted)):
            step = model.log_probabilities(beams) - self.guidance / 2 * distance[place]
            totals = (scores[:, None] + step).ravel()
            keep = min(self.n_beams, len(totals))
            best = np.argpartition(-totals, keep - 1)[:keep]
            best = best[np.argsort(-totals[best], kind="stable")]
            beams = [(*beams[index // step.shape[1]], int(index % step.shape[1])) for index in best]
            scores = totals[best]
        return beams[0]

    def _learned(self) -> tuple[LanguageModel, np.ndarray]:
        if self.model_ is None or self.features_ is None:
            raise NotFitted("this text generator knows no words", expected="a fitted one", remedy="call fit")
        return self.model_, self.features_
