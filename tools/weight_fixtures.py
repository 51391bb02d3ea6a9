"""Writes burn-docre/tests/fixtures/weights: one small encoder in many file formats.

    python tools/weight_fixtures.py

Reads `plain.safetensors` in that folder. Needs torch and safetensors, which scripts/setup-tch.sh installs.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FOLDER = Path(__file__).parent.parent / "burn-docre/tests/fixtures/weights"


def strided(tensor):
    """The same values, column-major."""
    return tensor.t().contiguous().t() if tensor.dim() == 2 else tensor


def views(weights):
    """The same values as views of one storage, which starts with an unused value."""
    flat = torch.cat([torch.zeros(1), *(tensor.reshape(-1) for tensor in weights.values())])
    at, found = 1, {}
    for name, tensor in weights.items():
        found[name] = flat[at : at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
    return found


def sparse_views(weights):
    """The same values as every second row and third column of larger tensors."""
    found = {}
    for name, tensor in weights.items():
        large = torch.full([n * 2 for n in tensor.shape[:-1]] + [tensor.shape[-1] * 3], 9.0)
        view = large[..., 1::3] if tensor.dim() == 1 else large[::2, 1::3]
        view.copy_(tensor)
        found[name] = view
    return found


def save_old(value, name):
    """Saves in the format before PyTorch 1.6."""
    torch.save(value, FOLDER / name, _use_new_zipfile_serialization=False)


def main():
    weights = dict(sorted(load_file(FOLDER / "plain.safetensors").items()))
    save_old({name: strided(tensor) for name, tensor in weights.items()}, "strided-old.bin")
    save_old(views(weights), "views-old.bin")
    torch.save(views(weights), FOLDER / "views-zip.bin")
    torch.save(sparse_views(weights), FOLDER / "sparse-views-zip.bin")
    parameters = {
        f"module.bert.{name}": torch.nn.Parameter(tensor) for name, tensor in weights.items()
    }
    parameters["module.bert.embeddings.position_ids"] = torch.arange(64).expand((1, -1))
    parameters["module.bert.pooler.dense.bias"] = torch.zeros(16)
    parameters["module.bert.encoder.layer.1.output.dense.bias"] = torch.zeros(16)
    training = {"epoch": 3, "lr": 1e-3, "done": False, "state_dict": parameters}
    torch.save(training, FOLDER / "training-zip.bin")
    save_old(training, "training-old.bin")
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        torch.save({key: tensor.to(dtype) for key, tensor in weights.items()}, FOLDER / f"{name}-zip.bin")
    save_file({key: tensor.double() for key, tensor in weights.items()}, FOLDER / "float64.safetensors")
    names = list(weights)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for shard, members in shards.items():
        save_file({name: weights[name] for name in members}, FOLDER / shard)
    index = {"weight_map": {name: shard for shard, members in shards.items() for name in members}}
    (FOLDER / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
