"""Writes an encoder of a published size with random weights, to measure time and memory without a download.

    pip install torch safetensors tokenizers
    python tools/encoders/random_encoder.py bert-base TEXT.json OUT

TEXT.json is a corpus in DocRED's format. Its words train the tokenizer, so that the tokens of a document
are about as many as with the published vocabulary.
"""

import argparse
import json
import pathlib

import tokenizers
import torch
from safetensors.torch import save_file

SIZES = {
    "bert-base": dict(model_type="bert", num_hidden_layers=12, hidden_size=768, num_attention_heads=12,
                      vocab_size=28996, max_position_embeddings=512, type_vocab_size=2, pad_token_id=0),
    "roberta-large": dict(model_type="roberta", num_hidden_layers=24, hidden_size=1024, num_attention_heads=16,
                          vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1),
}


def config_of(size):
    config = dict(SIZES[size], hidden_act="gelu", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    config["intermediate_size"] = 4 * config["hidden_size"]
    config["layer_norm_eps"] = 1e-12 if config["model_type"] == "bert" else 1e-5
    return config


def tokenizer_of(config, documents):
    """A WordPiece tokenizer for BERT, a byte-level BPE for RoBERTa, with the special tokens at their usual ids."""
    words = (" ".join(sentence) for document in documents for sentence in document["sents"])
    vocab_size = config["vocab_size"]
    if config["model_type"] == "bert":
        tokenizer = tokenizers.BertWordPieceTokenizer(lowercase=False)
        tokenizer.train_from_iterator(words, vocab_size=vocab_size)
        ends = [(token, tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
        tokenizer.post_processor = tokenizers.processors.BertProcessing(*ends)
    else:
        tokenizer = tokenizers.ByteLevelBPETokenizer(add_prefix_space=True)
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        tokenizer.train_from_iterator(words, vocab_size=vocab_size, special_tokens=special)
        tokenizer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def weights_of(config):
    d, inner = config["hidden_size"], config["intermediate_size"]
    weights = {}

    def normal(name, *shape):
        weights[name] = torch.randn(*shape) * 0.02

    def linear(name, n_out, n_in):
        normal(f"{name}.weight", n_out, n_in)
        weights[f"{name}.bias"] = torch.zeros(n_out)

    def norm(name):
        weights[f"{name}.weight"] = torch.ones(d)
        weights[f"{name}.bias"] = torch.zeros(d)

    normal("embeddings.word_embeddings.weight", config["vocab_size"], d)
    normal("embeddings.position_embeddings.weight", config["max_position_embeddings"], d)
    normal("embeddings.token_type_embeddings.weight", config["type_vocab_size"], d)
    norm("embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        for part in ["query", "key", "value"]:
            linear(f"{layer}.attention.self.{part}", d, d)
        linear(f"{layer}.attention.output.dense", d, d)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", inner, d)
        linear(f"{layer}.output.dense", d, inner)
        norm(f"{layer}.output.LayerNorm")
    return weights


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("size", choices=SIZES)
    arguments.add_argument("corpus", type=pathlib.Path)
    arguments.add_argument("output", type=pathlib.Path)
    arguments = arguments.parse_args()

    torch.manual_seed(0)
    config = config_of(arguments.size)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "config.json").write_text(json.dumps(config, indent=1))
    documents = json.loads(arguments.corpus.read_text())
    tokenizer_of(config, documents).save(str(arguments.output / "tokenizer.json"))
    save_file(weights_of(config), arguments.output / "model.safetensors")


if __name__ == "__main__":
    main()
