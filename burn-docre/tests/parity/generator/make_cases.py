"""Writes the parity cases: random weights, random documents, and the results of the reference.

usage: python make_cases.py OUTPUT [SEED]      (the committed cases have seed 7)
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

import reference

CLASSES, HIDDEN_SIZE, VOCABULARY, WINDOW = 7, 48, 211, 64
EMB_SIZE, GROUP_SIZE, LAYERS, HEADS = 64, 16, 2, 4
KMGRE = {"xi": 0.15, "tau": 0.5, "alpha": 0.3, "gamma": 2.0}
# The key probabilities of one pair each. Together they reach every branch of the choice of key mention pairs.
KEY_PROBABILITIES = [[0.9, 0.1, 0.2], [0.45, 0.1, 0.1, 0.1], [0.4] * 9 + [0.0], [0.05, 0.04], [0.8], [0.6, 0.6, 0.6]]
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=HIDDEN_SIZE, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96
)


def make_encoder(kind):
    """Makes an encoder of three layers. Large weights let every part influence the output."""
    if kind == "bert":
        config = BertConfig(**SIZES, max_position_embeddings=WINDOW, type_vocab_size=2, pad_token_id=0)
        model = BertModel(config, add_pooling_layer=False)
    else:
        config = RobertaConfig(
            **SIZES,
            max_position_embeddings=WINDOW + 2,
            type_vocab_size=1,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
            layer_norm_eps=1e-5,
        )
        model = RobertaModel(config, add_pooling_layer=False)
    config._attn_implementation = "eager"
    for name, parameter in model.named_parameters():
        if "embeddings" in name and "LayerNorm" not in name:
            torch.nn.init.normal_(parameter, std=0.6)
        elif parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.18)
    return config, model.eval()


def make_documents(kind, seed):
    """Makes three documents: token ids, mention positions of each entity, labels [e, e, r].

    The third document needs two windows.
    """
    generator = torch.Generator().manual_seed(seed)
    start, end = (101, [102]) if kind == "bert" else (0, [2])

    def random_ids(n):
        return torch.randint(103, VOCABULARY, (n,), generator=generator).tolist()

    def make_document(n_tokens, mentions_per_entity):
        ids = [start] + random_ids(n_tokens - 1 - len(end)) + end
        positions = torch.randperm(n_tokens - 2 - len(end), generator=generator)
        positions = positions[: sum(mentions_per_entity)].add(1).tolist()
        mentions = []
        for n in mentions_per_entity:
            mentions.append(sorted(positions[:n]))
            positions = positions[n:]
        n_entities = len(mentions)
        labels = torch.zeros(n_entities, n_entities, CLASSES)
        for head in range(n_entities):
            for tail in range(n_entities):
                if head != tail:
                    for relation in range(1, CLASSES):
                        if torch.rand(1, generator=generator).item() < 0.12:
                            labels[head, tail, relation] = 1
        labels[..., 0] = (labels.sum(-1) == 0).float()
        return ids, mentions, labels

    return [
        make_document(40, [1, 3, 2, 1, 1]),
        make_document(23, [1, 2]),
        make_document(97, [2, 1, 4, 1, 1, 2, 1]),
    ]


def off_diagonal(grid):
    """The pairs of two different entities in row order: [e, e, r] to [p, r]."""
    return grid[~torch.eye(grid.shape[0]).bool()]


def losses_of(logits, labels, teacher):
    """All losses by name."""
    return {
        "atl": reference.atl(logits, labels),
        "afl_paper_gamma_0.5": reference.afl(logits, labels, 0.5),
        "afl_paper_gamma_2": reference.afl(logits, labels, 2.0),
        "afl_reference_gamma_1": reference.afl(logits, labels, 1.0, plus_one=True),
        "kd_mse": reference.kd_mse(logits, teacher),
        "kd_kl_t1": reference.kd_kl(logits, teacher),
        "kd_kl_t2": reference.kd_kl(logits, teacher, 2.0),
    }


def gradients_of(model, losses, mixer, last):
    """Gradients of the first document by tensor name.

    The largest weight has the gradient of one loss only, to keep the files small.
    """
    parameters = dict(model.named_parameters())
    names = [f"{last}.weight", "head_extractor.weight", "encoder.encoder.layer.0.attention.self.query.weight"]
    if last == "classifier":
        names.append("projection.weight")
    names += {
        "axial-stack": ["axial.col.0.to_q.weight", "axial.row.1.to_kv.weight"],
        "two-hop": ["axial.k.weight"],
    }.get(mixer, [])
    largest = "projection.weight" if last == "classifier" else "bilinear.weight"
    gradients = {}
    for loss in ("afl_reference_gamma_1", "afl_paper_gamma_0.5", "atl"):
        computed = torch.autograd.grad(losses[loss], [parameters[name] for name in names], retain_graph=True)
        for name, gradient in zip(names, computed):
            if name != largest or loss == "afl_reference_gamma_1":
                gradients[f"doc0.grad.{loss}.{name.replace('encoder.encoder', 'encoder')}"] = gradient.clone()
    return gradients


def make_model(system, mixer, encoder):
    """A model with random weights, and the name of its last layer."""
    if system == "atlop":
        model = reference.Atlop(encoder, HIDDEN_SIZE, EMB_SIZE, GROUP_SIZE, CLASSES, WINDOW)
    else:
        model = reference.PairModel(
            encoder, HIDDEN_SIZE, EMB_SIZE, GROUP_SIZE, CLASSES, mixer, layers=LAYERS, heads=HEADS, max_len=WINDOW
        )
    last = "bilinear" if system == "atlop" else "classifier"
    torch.nn.init.normal_(getattr(model, last).weight, std=0.06 if system == "atlop" else 0.3)
    return model.eval(), last


def write_json(path, value, **format):
    path.write_text(json.dumps(value, **format))


def make_case(directory, system, kind, mixer, seed):
    """Writes one case to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    config, encoder = make_encoder(kind)
    model, last = make_model(system, mixer, encoder)
    case = {
        "model": system,
        "pair_attention": mixer,
        "encoder": kind,
        "emb_size": EMB_SIZE,
        "group_size": GROUP_SIZE,
        "axial_layers": LAYERS,
        "axial_heads": HEADS,
        "n_classes": CLASSES,
        "max_relations_per_pair": 4,
        "max_tokens": WINDOW,
    }
    write_json(directory / "case.json", case, indent=1)
    write_json(directory / "config.json", config.to_dict(), indent=1)
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    prefix = "encoder."
    save_file(
        {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)},
        directory / "encoder.safetensors",
    )
    save_file(
        {name: weight for name, weight in weights.items() if not name.startswith(prefix)},
        directory / "head.safetensors",
    )

    model.end_tokens = [102] if kind == "bert" else [2, 2]
    inputs, tensors, expected = [], {}, []
    for index, (ids, mentions, labels) in enumerate(make_documents(kind, seed)):
        trace = {}
        logits = off_diagonal(model(ids, mentions, trace))
        wave = torch.sin(torch.arange(logits.numel(), dtype=torch.float32))
        teacher = logits.detach() + wave.reshape(logits.shape)
        losses = losses_of(logits, off_diagonal(labels), teacher)
        if index == 0:
            tensors.update(gradients_of(model, losses, mixer, last))
        for name, value in trace.items():
            tensors[f"doc{index}.{name}"] = value.detach().contiguous().clone()
        tensors[f"doc{index}.teacher_logits"] = teacher.contiguous()
        tensors[f"doc{index}.labels"] = labels
        inputs.append(
            {
                "input_ids": ids,
                "mentions": mentions,
                "max_tokens": WINDOW,
                "window_end_tokens": model.end_tokens,
            }
        )
        predicted = reference.predict(logits.detach(), 4)
        n = len(mentions)
        pairs = [(head, tail) for head in range(n) for tail in range(n) if head != tail]
        expected.append(
            {
                "losses": {name: loss.item() for name, loss in losses.items()},
                "predictions": [
                    [*pair, relation]
                    for pair, relations in zip(pairs, predicted)
                    for relation in range(1, CLASSES)
                    if relations[relation]
                ],
            }
        )
    save_file(tensors, directory / "expected.safetensors")
    write_json(directory / "inputs.json", inputs)
    write_json(directory / "expected.json", expected, indent=1)


def key_selection():
    """The key mention pairs of KEY_PROBABILITIES."""
    xi, tau = KMGRE["xi"], KMGRE["tau"]
    selections = []
    for probabilities in KEY_PROBABILITIES:
        values = torch.tensor(probabilities)
        kept = reference.is_key(values, xi, tau).nonzero().flatten().tolist()
        threshold = reference.key_threshold(values, xi, tau)
        selections.append({"p_key": probabilities, "xi": xi, "tau": tau, "threshold": threshold, "kept": kept})
    return selections


def kmgre_document(extractor, classifier, ids, mentions, labels):
    """The expected tensors by name, and the expected losses, of one document."""
    trace = {}
    logits = extractor(ids, mentions, trace)
    key = torch.sigmoid(classifier(ids, mentions, {})[..., 0])
    targets = reference.pseudo_labels(torch.sigmoid(logits).detach(), labels, mentions)
    is_classified = torch.zeros_like(targets).bool()
    for block in reference.blocks(mentions).values():
        is_classified[block] = True
    focal = reference.binary_focal(key, targets, KMGRE["alpha"], KMGRE["gamma"])[is_classified].mean()
    fused = reference.fuse(logits, key.detach(), mentions, KMGRE["xi"], KMGRE["tau"])
    atl = reference.atl(off_diagonal(fused), off_diagonal(labels))
    tensors = {
        "grad.atl.extractor.linear.weight": torch.autograd.grad(atl, extractor.linear.weight, retain_graph=True)[0],
        "grad.focal.key_classifier.linear.weight": torch.autograd.grad(focal, classifier.linear.weight)[0],
        "context": trace["context"],
        "mention_logits": logits,
        "p_key": key,
        "pseudo_labels": targets,
        "entity_logits": fused,
        "labels": labels,
    }
    return tensors, {"focal_mean": focal.item(), "atl": atl.item(), **KMGRE}


def make_kmgre_case(directory, seed):
    """Writes the case of KMGRE to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (config, first), (_, second) = make_encoder("bert"), make_encoder("bert")
    extractor = reference.MentionPairModel(first, HIDDEN_SIZE, CLASSES, WINDOW).eval()
    classifier = reference.MentionPairModel(second, HIDDEN_SIZE, 1, WINDOW).eval()
    for model in (extractor, classifier):
        torch.nn.init.normal_(model.linear.weight, std=0.1)
        model.end_tokens = [102]
    case = {"model": "kmgre", "encoder": "bert", "n_classes": CLASSES, "max_tokens": WINDOW}
    write_json(directory / "case.json", case, indent=1)
    write_json(directory / "config.json", config.to_dict(), indent=1)
    for name, model in (("extractor", extractor), ("key_classifier", classifier)):
        for part in ("encoder", "linear"):
            weights = {name: weight.contiguous() for name, weight in getattr(model, part).state_dict().items()}
            save_file(weights, directory / f"{name}_{part}.safetensors")

    inputs, tensors, expected = [], {}, []
    for index, (ids, mentions, labels) in enumerate(make_documents("bert", seed)):
        of_document, losses = kmgre_document(extractor, classifier, ids, mentions, labels)
        tensors.update({f"doc{index}.{name}": value.detach().contiguous() for name, value in of_document.items()})
        inputs.append({"input_ids": ids, "mentions": mentions, "max_tokens": WINDOW})
        expected.append(losses)
    save_file(tensors, directory / "expected.safetensors")
    write_json(directory / "inputs.json", inputs)
    write_json(directory / "expected.json", expected, indent=1)
    write_json(directory / "key_selection.json", key_selection(), indent=1)


def main():
    output = Path(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    # All cases use one random number generator, so their order must not change.
    torch.manual_seed(seed)
    make_case(output / "kd-docre-bert", "kd-docre", "bert", "axial-stack", seed)
    make_case(output / "kd-docre-roberta", "kd-docre", "roberta", "axial-stack", seed)
    make_case(output / "two-hop-bert", "kd-docre", "bert", "two-hop", seed)
    make_case(output / "kd-docre-no-axial-bert", "kd-docre", "bert", "none", seed)
    make_case(output / "atlop-bert", "atlop", "bert", "none", seed)
    make_kmgre_case(output / "kmgre", seed)


if __name__ == "__main__":
    main()
