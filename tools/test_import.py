#!/usr/bin/env python3
"""Compares `docre import` and `docre predict` with PyTorch on real documents.

    python tools/test_import.py --docre docre --encoder MINILM --relations rel2id.json --documents dev.json

Builds KD-DocRE on a pretrained encoder with a random relation module and saves it under the names of the authors' code.
The command imports the file and predicts; `reference.py` of the parity cases predicts in PyTorch. Prints the number of
triples of each and of those that differ. Triples may differ only where two logits that decide them are within 1e-4;
otherwise the exit code is 1. Both are done twice: with the code's unmasked padding to 42 entities, and without padding.

Needs torch and 'transformers<4.50'.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import AutoModel, AutoTokenizer

sys.path.append(str(Path(__file__).parent.parent / "burn-docre/tests/parity/generator"))
from reference import PairModel, encode, pool, predict  # noqa: E402

PADDED_ENTITIES = 42
MAX_RELATIONS = 4
EMB, GROUP, LAYERS, HEADS = 192, 16, 3, 8
# Logits closer than this may be in another order in another program.
CLOSE = 1e-4
# The share of pairs for which a relation is predicted.
SHARE = 0.05
# Names in `reference.py` and in the authors' code.
NAMES = [
    (r"^encoder\.", "model."),
    (r"^axial\.col\.(\d+)\.", r"axial_transformer.axial_attns.\1.axial_attentions.0.fn."),
    (r"^axial\.row\.(\d+)\.", r"axial_transformer.axial_attns.\1.axial_attentions.1.fn."),
    (r"^axial\.ffn\.", "axial_transformer.ffns."),
    (r"^axial\.ln\.", "axial_transformer.lns."),
]


class PaddedPairModel(PairModel):
    """KD-DocRE with the authors' unmasked padding: further pairs whose head, tail and context are 0."""

    def sides(self, ids, mentions, trace):
        hidden, attention = encode(self.encoder, ids, self.max_len, self.end_tokens)
        entity, entity_attention = pool(hidden, attention, mentions)
        context = self.pair_attention(entity_attention) @ hidden
        n = len(entity)
        n_pads = max(PADDED_ENTITIES - n, 0)
        head, tail, context = (
            F.pad(grid, (0, 0, 0, n_pads, 0, n_pads))
            for grid in (entity[:, None].expand(n, n, -1), entity[None].expand(n, n, -1), context)
        )
        zs = torch.tanh(self.head_extractor(torch.cat([head, context], -1)))
        zo = torch.tanh(self.tail_extractor(torch.cat([tail, context], -1)))
        n = len(head)
        groups = zs.view(n, n, -1, self.group).unsqueeze(-1) * zo.view(n, n, -1, self.group).unsqueeze(-2)
        return groups.reshape(n, n, -1)


def model_input(document, tokenizer):
    """Token ids with `*` around mentions, and the position of each mention's first marker, entity by entity."""
    mentions = [[(m["sent_id"], *m["pos"]) for m in entity] for entity in document["vertexSet"]]
    starts = {(sentence, start) for entity in mentions for sentence, start, _ in entity}
    ends = {(sentence, end - 1) for entity in mentions for sentence, _, end in entity}
    ids, place = [tokenizer.cls_token_id], {}
    marker = tokenizer.convert_tokens_to_ids("*")
    for i, sentence in enumerate(document["sents"]):
        for j, word in enumerate(sentence):
            place[i, j] = len(ids)
            pieces = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(word))
            ids += [marker] * ((i, j) in starts) + pieces + [marker] * ((i, j) in ends)
    positions = [[place[sentence, start] for sentence, start, _ in entity] for entity in mentions]
    return [*ids, tokenizer.sep_token_id], positions


def random_model(kind, encoder, n_classes):
    """A model whose relation module is random."""
    torch.manual_seed(7)
    d = encoder.config.hidden_size
    model = kind(encoder, d, EMB, GROUP, n_classes, "axial-stack", LAYERS, HEADS,
                 encoder.config.max_position_embeddings)
    torch.nn.init.normal_(model.classifier.weight, std=0.1)
    model.end_tokens = [102]
    return model.eval()


def logits_of(model, inputs):
    """The logits of each document, `[e, e, classes]`."""
    with torch.no_grad():
        return [model(*document, {})[: len(document[1]), : len(document[1])] for document in inputs]


def off_diagonal(grid):
    """`[e, e, classes]` → `[e (e - 1), classes]`."""
    return grid[~torch.eye(len(grid), dtype=torch.bool)]


def calibrate(model, logits):
    """Moves the bias of the threshold class so that a relation is predicted for `SHARE` of the pairs."""
    margins = torch.cat([off_diagonal(grid)[:, 1:].max(1).values - off_diagonal(grid)[:, 0] for grid in logits])
    shift = margins.quantile(1 - SHARE)
    model.classifier.bias.data[0] += shift
    for grid in logits:
        grid[..., 0] += shift


def triples_of(logits):
    """Predicted triples `(document, head, tail, class)`, and those of which two deciding logits are close."""
    found, close = set(), set()
    for i, grid in enumerate(logits):
        best = grid.topk(MAX_RELATIONS + 1, -1).values
        margins = torch.stack([grid - grid[..., :1], grid - best[..., -2:-1], grid - best[..., -1:]])
        near = (margins.abs() <= CLOSE)
        # A logit is at no distance from itself.
        near[0, ..., 0] = False
        is_fourth, is_fifth = margins[1] == 0, margins[2] == 0
        gap = (best[..., -2] - best[..., -1] <= CLOSE)[..., None]
        undecided = near[0] | ((is_fourth | is_fifth) & gap)
        predicted = predict(grid.flatten(0, 1), MAX_RELATIONS).view(grid.shape)
        for cells, into in ((predicted, found), (undecided, close)):
            into |= {(i, h, t, r) for h, t, r in cells.nonzero().tolist() if h != t and r > 0}
    return found, close


def save(model, path):
    """Saves the weights under the published names, with tensors that the code has and does not use."""
    state = {}
    for name, tensor in model.state_dict().items():
        for pattern, published in NAMES:
            name = re.sub(pattern, published, name)
        state[name] = tensor
    state["bilinear.weight"] = torch.zeros(model.classifier.out_features, EMB * GROUP)
    state["bilinear.bias"] = torch.zeros(model.classifier.out_features)
    torch.save(state, path)


def run(arguments, *words):
    result = subprocess.run([arguments.docre, *map(str, words)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"docre {words[0]} failed:\n{result.stderr}")


def docre_triples(arguments, weights, folder, options, documents, rel2id):
    """The triples of the imported model."""
    model, output = folder / f"model{len(options)}", folder / f"predictions{len(options)}.json"
    run(arguments, "import", "--weights", weights, "--encoder", arguments.encoder,
        "--relations", arguments.relations, "--output", model, *options)
    (folder / "documents.json").write_text(json.dumps(documents))
    run(arguments, "predict", "--model", model, "--input", folder / "documents.json", "--output", output)
    index = {document["title"]: i for i, document in enumerate(documents)}
    assert len(index) == len(documents), "two documents have one title"
    return {(index[p["title"]], p["h_idx"], p["t_idx"], rel2id[p["r"]]) for p in json.loads(output.read_text())}


def compare(arguments, name, kind, options, documents, rel2id):
    """Prints a row of the table; returns True if no triple differs without a close pair of logits."""
    tokenizer = AutoTokenizer.from_pretrained(arguments.encoder)
    encoder = AutoModel.from_pretrained(arguments.encoder, attn_implementation="eager")
    inputs = [model_input(document, tokenizer) for document in documents]
    model = random_model(kind, encoder, len(rel2id))
    logits = logits_of(model, inputs)
    calibrate(model, logits)
    expected, close = triples_of(logits)
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "weights.pt"
        save(model, weights)
        found = docre_triples(arguments, weights, Path(temporary), options, documents, rel2id)
    n_windowed = sum(len(ids) > model.max_len for ids, _ in inputs)
    differing = found ^ expected
    print(f"{name}: {len(documents)} documents, {n_windowed} in two windows, "
          f"{sum(len(m) * (len(m) - 1) for _, m in inputs)} pairs; {len(expected)} triples in PyTorch, "
          f"{len(found)} in docre, {len(differing)} differ, of them {len(differing & close)} with close logits "
          f"({len(close)} close in all)", flush=True)
    for i, (ids, mentions) in enumerate(inputs):
        if n := sum(triple[0] == i for triple in differing - close):
            print(f"  {documents[i]['title']}: {n} differ; {len(ids)} tokens, {len(mentions)} entities", flush=True)
    return not differing - close


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docre", default="docre", help="the command")
    parser.add_argument("--encoder", required=True, help="directory of a BERT encoder")
    parser.add_argument("--relations", required=True, help="rel2id.json")
    parser.add_argument("--documents", required=True, help="documents in DocRED's format")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--number", type=int, default=10, help="of documents")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rel2id = json.loads(Path(arguments.relations).read_text())
    documents = json.loads(Path(arguments.documents).read_text())
    # Long documents first, so that some have two windows.
    documents.sort(key=lambda document: -sum(map(len, document["sents"])))
    documents = documents[:: max(len(documents) // arguments.number, 1)][: arguments.number]
    agrees = [
        compare(arguments, "unmasked padding", PaddedPairModel, [], documents, rel2id),
        compare(arguments, "without padding", PairModel, ["--no-pad-compat"], documents, rel2id),
    ]
    return 0 if all(agrees) else 1


if __name__ == "__main__":
    sys.exit(main())
