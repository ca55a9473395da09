"""Our POYO with torch_brain's weights gives torch_brain's numbers."""

import numpy as np
import pytest
import torch

from neuroloom.decoding.poyo import Poyo, PoyoConfig, PoyoInputs

models = pytest.importorskip("torch_brain.models", reason="torch-brain is not installed")

N_UNITS = 20


def _reference(config: PoyoConfig):
    model = models.POYO(
        sequence_length=config.context_s,
        latent_step=config.latent_step_s,
        num_latents_per_step=config.latents_per_step,
        dim_out=2,
        dim=config.dim,
        depth=config.depth,
        dim_head=config.dim_head,
        cross_heads=config.cross_heads,
        self_heads=config.self_heads,
        ffn_dropout=config.ffn_dropout,
        lin_dropout=config.linear_dropout,
        atn_dropout=config.attention_dropout,
    )
    model.unit_emb.initialize_vocab([f"unit-{i}" for i in range(N_UNITS)])
    model.session_emb.initialize_vocab(["session"])
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model


def _with_weights_of(reference, config: PoyoConfig) -> Poyo:
    """Copy the weights; the reference's row 0 of unit and session embeddings is padding."""
    weights = reference.state_dict()
    renamed = {
        "unit_embedding.weight": weights["unit_emb.weight"],
        "session_embedding.weight": weights["session_emb.weight"],
        "kind_embedding.weight": weights["token_type_emb.weight"][:3],
        "latent_embedding.weight": weights["latent_emb.weight"],
        "readout.weight": weights["readout.weight"],
        "readout.bias": weights["readout.bias"],
    }
    blocks = [
        ("encoder", "enc_atn", "encoder_ffn", "enc_ffn"),
        ("decoder", "dec_atn", "decoder_ffn", "dec_ffn"),
    ]
    for i in range(config.depth):
        blocks.append((f"layers.{i}.0", f"proc_layers.{i}.0", f"layers.{i}.1", f"proc_layers.{i}.1"))
    for ours, theirs, our_ffn, their_ffn in blocks:
        prefix = theirs + "."
        renamed |= {
            f"{ours}.{name.removeprefix(prefix)}": value
            for name, value in weights.items()
            if name.startswith(prefix) and ("norm" in name or ".to_" in name)
        }
        for our_part, their_part in (("norm", "0"), ("widen", "1.net.0"), ("narrow", "1.net.3")):
            for kind in ("weight", "bias"):
                renamed[f"{our_ffn}.{our_part}.{kind}"] = weights[f"{their_ffn}.{their_part}.{kind}"]
    model = Poyo(config, n_units=N_UNITS + 1, n_sessions=2, dim_out=2)
    model.load_state_dict(renamed)
    # The reference rounds its frequencies to float32; at the shortest period that is a visible angle.
    omega = reference.rotary_emb.omega.double()
    model.rotary.turns_per_s.copy_(omega[omega > 0] / (2 * np.pi))
    return model


def _batch(config: PoyoConfig, n_windows=5):
    """The same windows for both: ragged for us, padded to a rectangle for the reference."""
    random = np.random.default_rng(0)
    counts = random.integers(0, 300, n_windows)
    lengths = counts + 2 * N_UNITS
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    shape = (n_windows, -(-lengths.max() // 8) * 8)
    unit, kind = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    times, mask = np.zeros(shape), np.zeros(shape, dtype=bool)
    for row, n in enumerate(counts):
        inside = slice(0, lengths[row])
        pairs = np.repeat(np.arange(N_UNITS), 2)
        unit[row, inside] = np.concatenate([pairs, random.integers(0, N_UNITS, n)]) + 1
        kind[row, inside] = np.concatenate([np.tile([1, 2], N_UNITS), np.zeros(n, dtype=np.int64)])
        ends = np.tile([0.0, config.context_s], N_UNITS)
        times[row, inside] = np.concatenate([ends, np.sort(random.uniform(0, config.context_s, n))])
        mask[row, inside] = True
    queries = np.sort(random.uniform(0, config.context_s, (n_windows, 9)), axis=1)
    n_steps = round(config.context_s / config.latent_step_s)
    index = np.tile(np.arange(config.latents_per_step), n_steps)
    tensor = torch.as_tensor
    session = torch.ones(n_windows, dtype=torch.int64)
    theirs = {
        "input_unit_index": tensor(unit),
        "input_timestamps": tensor(times),
        "input_token_type": tensor(kind),
        "input_mask": tensor(mask),
        "latent_index": tensor(np.tile(index, (n_windows, 1))),
        "latent_timestamps": tensor(np.tile(config.latent_times_s, (n_windows, 1))),
        "session_index": session,
        "output_timestamps": tensor(queries),
    }
    ours = PoyoInputs(
        tensor(unit[mask]),
        tensor(kind[mask]),
        tensor(times[mask]),
        offsets.tolist(),
        session,
        tensor(queries),
    )
    return ours, theirs


CONFIGS = {
    "one layer": PoyoConfig(dim=32, depth=1, dim_head=16, cross_heads=1, self_heads=2, latents_per_step=4),
    "many heads": PoyoConfig(dim=64, depth=3, cross_heads=4, self_heads=8, latents_per_step=16),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_and_gradients_equal_the_references(name):
    torch.manual_seed(0)
    config = CONFIGS[name]
    reference = _reference(config).eval()
    model = _with_weights_of(reference, config).eval()
    ours, theirs = _batch(config)
    expected, found = reference(**theirs), model(ours)
    assert expected.std() > 0.05
    assert torch.allclose(found, expected, atol=1e-5, rtol=0)

    truth = torch.randn_like(expected)
    ((expected - truth) ** 2).mean().backward()
    ((found - truth) ** 2).mean().backward()
    pairs = [
        (model.unit_embedding.weight, reference.unit_emb.weight),
        (model.latent_embedding.weight, reference.latent_emb.weight),
        (model.encoder.to_kv.weight, reference.enc_atn.to_kv.weight),
        (model.layers[0][0].to_qkv.weight, reference.proc_layers[0][0].to_qkv.weight),
        (model.encoder_ffn.widen.weight, reference.enc_ffn[1].net[0].weight),
    ]
    for mine, other in pairs:
        assert torch.allclose(mine.grad, other.grad, atol=1e-5, rtol=0)
