"""Writes small random encoders in the forms in which users have them, and what `transformers` computes.

    python tools/encoders/encoders.py                 # burn-docre/tests/parity/encoders
    python tools/encoders/encoders.py --all FOLDER    # every form of every family

Needs torch, safetensors and 'transformers<4.50'. All forms of a family hold the same values, which
bfloat16 represents exactly. So one reference, computed in f32, is that of every form:

    ENCODER_DIR=FOLDER cargo test -p burn-docre --test parity encoder

A family's folder has `config.json`; `expected.json` with the token ids of two texts and the weights
without use of each form; `expected.safetensors` with the last hidden state and the last layer's
attention of each text; and a folder for each form.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

sys.path.append(str(Path(__file__).parent.parent))
from weight_fixtures import strided, views  # noqa: E402

FOLDER = Path(__file__).parent.parent.parent / "burn-docre/tests/parity/encoders"
SIZES = {
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "vocab_size": 20, "max_position_embeddings": 16,
}
# Class of the configuration, of the encoder, and of a model with an output layer; its prefix; token ids of [CLS] and
# [SEP]; keys of the configuration.
FAMILIES = {
    "bert": ("BertConfig", "BertModel", "BertForPreTraining", "bert.", [2, 3], {}),
    "roberta": ("RobertaConfig", "RobertaModel", "RobertaForMaskedLM", "roberta.", [0, 2],
                {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "max_position_embeddings": 18}),
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel", "XLMRobertaForMaskedLM", "roberta.", [0, 2],
                    {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "max_position_embeddings": 18}),
    "camembert": ("CamembertConfig", "CamembertModel", "CamembertForMaskedLM", "roberta.", [0, 2],
                  {"hidden_act": "gelu", "max_position_embeddings": 18}),
    "data2vec-text": ("Data2VecTextConfig", "Data2VecTextModel", "Data2VecTextForMaskedLM", "data2vec_text.", [0, 2],
                      {"max_position_embeddings": 18}),
    "electra": ("ElectraConfig", "ElectraModel", "ElectraForPreTraining", "electra.", [2, 3], {"embedding_size": 8}),
    "ernie": ("ErnieConfig", "ErnieModel", "ErnieForPreTraining", "ernie.", [2, 3], {}),
}
# The forms in the repository; `--all` writes the others too.
COMMITTED = {
    "bert": ["safetensors", "f16-safetensors", "zip-column-major", "old", "sharded-safetensors"],
    "roberta": ["saved-with-head", "old-column-major", "training-zip", "bf16-safetensors"],
    "xlm-roberta": ["f64-safetensors", "zip-with-head", "sharded-zip", "bf16-zip"],
    "camembert": ["f16-zip", "module-safetensors", "one-storage-zip", "training-old"],
    "data2vec-text": ["saved-with-head", "f64-old"],
    "electra": ["saved-with-head", "f16-old"],
    "ernie": ["saved-with-head", "bf16-old"],
}


def randomise(model, seed):
    """Sets every parameter to a random multiple of 1/64 below 1 that has at most 7 bits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            offset = 64 if "LayerNorm.weight" in name else 0
            values = torch.randint(-48, 49, parameter.shape, generator=generator)
            values = values // 2 + offset if "LayerNorm" in name else values
            parameter.copy_(values / 64)
            assert torch.equal(parameter.bfloat16().float(), parameter)
    return model


def save_zip(value, folder, name="pytorch_model.bin"):
    torch.save(value, folder / name)


def save_old(value, folder, name="pytorch_model.bin"):
    """Saves in the format before PyTorch 1.6."""
    torch.save(value, folder / name, _use_new_zipfile_serialization=False)


def save_shards(weights, folder, save, stem, suffix):
    """Saves two shards and their list."""
    names = list(weights)
    shards = {f"{stem}-0000{i + 1}-of-00002.{suffix}": names[i::2] for i in range(2)}
    for shard, members in shards.items():
        save({name: weights[name] for name in members}, folder, shard)
    weight_map = {name: shard for shard, members in shards.items() for name in members}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def save_safetensors(weights, folder, name="model.safetensors"):
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / name)


def training_checkpoint(weights, prefix, n_layers):
    """A checkpoint of a training program with `DistributedDataParallel`, and one layer more than the encoder has."""
    state = {f"module.{prefix}{name}": torch.nn.Parameter(tensor) for name, tensor in weights.items()}
    state[f"module.{prefix}encoder.layer.{n_layers}.output.dense.bias"] = torch.zeros(SIZES["hidden_size"])
    state[f"module.{prefix}embeddings.position_ids"] = torch.arange(18).expand((1, -1))
    return {"epoch": 3, "lr": 1e-3, "state_dict": state}


def tensorflow_name(name):
    """The name that conversions from TensorFlow give a parameter of layer normalisation."""
    if "LayerNorm" not in name:
        return name
    return name.replace(".weight", ".gamma").replace(".bias", ".beta")


def canonical(name):
    """The name of a parameter in PyTorch, given that or the name in TensorFlow."""
    return name.replace(".gamma", ".weight").replace(".beta", ".bias")


def saved(folder):
    """The names of the floating-point weights in the files of a form."""
    for path in folder.iterdir():
        if path.suffix == ".safetensors":
            weights = load_file(path)
        elif path.suffix == ".bin":
            weights = torch.load(path, weights_only=True)
        else:
            continue
        yield from (name for name, value in weights.get("state_dict", weights).items() if value.is_floating_point())


def write_forms(model, with_head, prefix, folder, selected):
    """Writes the selected forms; returns the sorted names of the weights without use of each."""
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    headed = {name: tensor.clone() for name, tensor in with_head.state_dict().items()}
    of_type = lambda dtype: {name: tensor.to(dtype) for name, tensor in weights.items()}
    training = training_checkpoint(weights, prefix, model.config.num_hidden_layers)
    column_major = {name: strided(tensor) for name, tensor in weights.items()}
    forms = {
        "safetensors": lambda at: save_safetensors(weights, at),
        "saved-with-head": with_head.save_pretrained,
        "module-safetensors": lambda at: save_safetensors({f"module.{prefix}{k}": v for k, v in weights.items()}, at),
        "tensorflow-names": lambda at: save_zip({prefix + tensorflow_name(k): v for k, v in weights.items()}, at),
        "sharded-safetensors": lambda at: save_shards(weights, at, save_safetensors, "model", "safetensors"),
        "zip": lambda at: save_zip(weights, at),
        "zip-with-head": lambda at: save_zip(headed, at),
        "zip-column-major": lambda at: save_zip(column_major, at),
        "one-storage-zip": lambda at: save_zip(views(weights), at),
        "sharded-zip": lambda at: save_shards(weights, at, save_zip, "pytorch_model", "bin"),
        "training-zip": lambda at: save_zip(training, at),
        "old": lambda at: save_old(weights, at),
        "old-column-major": lambda at: save_old(column_major, at),
        "training-old": lambda at: save_old(training, at),
    }
    for short, dtype in [("f64", torch.float64), ("f16", torch.float16), ("bf16", torch.bfloat16)]:
        forms[f"{short}-safetensors"] = lambda at, dtype=dtype: save_safetensors(of_type(dtype), at)
        forms[f"{short}-zip"] = lambda at, dtype=dtype: save_zip(of_type(dtype), at)
        forms[f"{short}-old"] = lambda at, dtype=dtype: save_old(of_type(dtype), at)
    names = selected or forms
    for name in names:
        (folder / name).mkdir(parents=True)
        forms[name](folder / name)
        for extra in ("config.json", "generation_config.json"):
            (folder / name / extra).unlink(missing_ok=True)
    used = {canonical(name) for name in weights if not name.startswith("pooler.")}
    is_used = lambda name: any(canonical(name) in (stem, start + stem)
                               for stem in used for start in (prefix, f"module.{prefix}"))
    return {name: sorted(key for key in saved(folder / name) if not is_used(key)) for name in names}


def texts(opening, closing, config, generator):
    """Token ids of a text that fills the window and of a shorter one, without padding tokens."""
    offset = 0 if config.model_type in ("bert", "electra", "ernie") else config.pad_token_id + 1
    longest = config.max_position_embeddings - offset
    inner = lambda n: torch.randint(5, config.vocab_size, (n - 2,), generator=generator).tolist()
    return [[opening, *inner(n), closing] for n in (longest, 7)]


def write_family(name, folder, forms):
    config_class, encoder_class, head_class, prefix, (opening, closing), keys = FAMILIES[name]
    config = getattr(transformers, config_class)(**SIZES | keys)
    with_head = randomise(getattr(transformers, head_class)(config), seed=len(name)).eval()
    # Eager attention returns its probabilities.
    model = getattr(transformers, encoder_class)._from_config(config, attn_implementation="eager").eval()
    missing, _ = model.load_state_dict(
        {key.removeprefix(prefix): value for key, value in with_head.state_dict().items()}, strict=False
    )
    assert all(key.startswith("pooler.") for key in missing), missing
    folder.mkdir(parents=True)
    if name == "camembert":
        # As programs write it that omit the defaults.
        (folder / "config.json").write_text(json.dumps({"model_type": name} | SIZES | keys, indent=1) + "\n")
    else:
        config.save_pretrained(folder)
    expected = {}
    ids = texts(opening, closing, config, torch.Generator().manual_seed(7))
    with torch.no_grad():
        for i, text in enumerate(ids):
            output = model(torch.tensor([text]), output_attentions=True)
            expected[f"text{i}.hidden"] = output.last_hidden_state[0]
            expected[f"text{i}.attention"] = output.attentions[-1][0]
    save_file({key: tensor.contiguous() for key, tensor in expected.items()}, folder / "expected.safetensors")
    unused = write_forms(model, with_head, prefix, folder, forms)
    (folder / "expected.json").write_text(json.dumps({"texts": ids, "forms": unused}) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="write every form of every family there")
    arguments = parser.parse_args()
    folder = arguments.all or FOLDER
    for name in FAMILIES:
        shutil.rmtree(folder / name, ignore_errors=True)
        write_family(name, folder / name, None if arguments.all else COMMITTED[name])


if __name__ == "__main__":
    main()
