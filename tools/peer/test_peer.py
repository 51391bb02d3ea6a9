#!/usr/bin/env python3
"""Compares `peer.py` with the parity cases: `python tools/peer/test_peer.py PARITY_DIR`.

PARITY_DIR is `burn-docre/tests/parity/cases` or another folder with the case `kd-docre-bert`. The case
`authors-kd-docre` is checked if it exists. The checks cover logits, losses, gradients, and batched results against
single ones.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from peer import Batch, Config, KdDocre, adaptive_focal_loss

TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
OWN_CASE, AUTHORS_CASE = "kd-docre-bert", "authors-kd-docre"
# The authors' names of weights and ours. `case_weights` drops the unused layer of their checkpoint.
AUTHORS_NAMES = [
    (r"^model\.", "encoder."),
    (r"^axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.0\.fn\.", r"axial.col.\1."),
    (r"^axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.1\.fn\.", r"axial.row.\1."),
    (r"^axial_transformer\.ffns\.", "axial.ffn."),
    (r"^axial_transformer\.lns\.", "axial.ln."),
]


def difference(actual: Tensor, expected: Tensor) -> float:
    """The largest difference relative to the largest value, or to 1 if that is less."""
    return float((actual - expected).abs().max() / expected.abs().max().clamp(min=1.0))


def off_diagonal(grid: Tensor) -> Tensor:
    """`[n, n, r]` → `[n (n - 1), r]`, row by row."""
    return grid[~torch.eye(len(grid), dtype=torch.bool)]


def case_weights(directory: Path) -> dict[str, Tensor]:
    """The weights of a case, under the names of this project."""
    if (directory / "head.safetensors").exists():
        encoder = load_file(directory / "encoder.safetensors")
        named = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
        return named | load_file(directory / "head.safetensors")
    named = {}
    for name, tensor in torch.load(directory / "weights.pt", weights_only=True).items():
        for pattern, ours in AUTHORS_NAMES:
            name = re.sub(pattern, ours, name)
        named[name] = tensor
    return {name: tensor for name, tensor in named.items() if not name.startswith("bilinear.")}


def documents_of(directory: Path, expected: dict[str, Tensor], config: Config) -> list[tuple[str, dict]]:
    """The names and contents of the documents that fit one window."""
    documents = []
    for i, stored in enumerate(json.loads((directory / "inputs.json").read_text())):
        if len(stored["input_ids"]) <= config.max_tokens:
            labels = expected.get(f"doc{i}.labels", torch.zeros(1, 1, 1))
            facts = [fact for fact in labels.nonzero().tolist() if fact[2] > 0 and fact[0] != fact[1]]
            document = {"token_ids": stored["input_ids"], "mentions": stored["mentions"], "labels": facts}
            documents.append((f"doc{i}", document))
    return documents


def check_case(directory: Path, logits_name: str) -> dict[str, tuple[float, float]]:
    """Runs the checks of a case; returns the difference and tolerance of each."""
    case = json.loads((directory / "case.json").read_text())
    encoder = json.loads((directory / "config.json").read_text())
    mixer = {"kind": case["pair_attention"], "layers": case["axial_layers"], "heads": case["axial_heads"]}
    config = Config.new(encoder, case | {"mixer": mixer}, case["n_classes"])
    config = dataclasses.replace(config, hidden_dropout=0.0, attention_dropout=0.0)
    expected = load_file(directory / "expected.safetensors")
    model = KdDocre(case_weights(directory), config).eval()
    documents = documents_of(directory, expected, config)
    results = {}
    singles = []
    for name, document in documents:
        batch = Batch.new([document], config)
        reference = off_diagonal(expected[f"{name}.{logits_name}"])
        with torch.inference_mode():
            singles.append(model(batch))
        results[f"{name}: logits, inference"] = (difference(singles[-1], reference), TOLERANCE)
        results[f"{name}: logits, training"] = (difference(model(batch).detach(), reference), TOLERANCE)
    for order in (1, -1):
        batch = Batch.new([document for _, document in documents[::order]], config)
        with torch.inference_mode():
            batched = model(batch)
        results[f"batched {order:+}"] = (difference(batched, torch.cat(singles[::order])), TOLERANCE)
    if (directory / "expected.json").exists():
        results |= check_loss(directory, model, config, documents, expected)
    return results


def check_loss(directory: Path, model: KdDocre, config: Config, documents: list[tuple[str, dict]],
               expected: dict[str, Tensor]) -> dict[str, tuple[float, float]]:
    """Compares the losses, and the gradients that the case has."""
    results = {}
    reference = json.loads((directory / "expected.json").read_text())
    model.train()
    for name, document in documents:
        batch = Batch.new([document], config)
        model.zero_grad()
        loss = adaptive_focal_loss(model(batch), batch)
        loss.backward()
        value = torch.tensor(reference[int(name[3:])]["losses"]["afl_reference_gamma_1"])
        results[f"{name}: loss"] = (difference(loss.detach(), value), TOLERANCE)
        for weight, gradient in gradients(model).items():
            key = f"{name}.grad.afl_reference_gamma_1.{weight}"
            if key in expected:
                assert gradient.shape == expected[key].shape
                relative = float((gradient - expected[key]).abs().max() / expected[key].abs().max())
                results[f"{name}: gradient of {weight}"] = (relative, GRADIENT_TOLERANCE)
    return results


def gradients(model: KdDocre) -> dict[str, Tensor]:
    """The gradients that cases have, under the names of the weight files."""
    d = model.classifier.in_features
    emb = model.from_entity.out_features // 2
    extractor = (model.from_entity.weight.grad[:emb], model.from_context.weight.grad[:emb])
    return {
        "classifier.weight": model.classifier.weight.grad,
        "projection.weight": torch.cat([group.grad for group in model.projection], 1),
        "head_extractor.weight": torch.cat(extractor, 1),
        "axial.col.0.to_q.weight": model.axial[0].project.weight.grad[:d],
        "axial.row.1.to_kv.weight": model.axial[1].project.weight.grad[4 * d:],
        "encoder.layer.0.attention.self.query.weight": model.encoder.layers[0].qkv.weight.grad[:d],
    }


def main() -> int:
    """Prints every check; returns 1 if one fails."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    parity = Path(sys.argv[1])
    n_failed = 0
    for case, logits_name in ((OWN_CASE, "logits"), (AUTHORS_CASE, "logits_unpadded")):
        if case == AUTHORS_CASE and not (parity / case).exists():
            print(f"skipped: {case} is not in {parity}")
            continue
        for what, (value, tolerance) in check_case(parity / case, logits_name).items():
            n_failed += not value <= tolerance
            print(f"{'ok  ' if value <= tolerance else 'FAIL'} {case}, {what}: {value:.1e}")
    return min(n_failed, 1)


if __name__ == "__main__":
    sys.exit(main())
