#!/usr/bin/env python3
"""KD-DocRE in plain PyTorch for comparisons of speed: the same weights, tokens and batches as `docre bench`.

BERT encoder, axial stack, the authors' adaptive focal loss; documents of one encoder window, CPU, f32. Rows are packed,
so no tensor is padded. Attention runs document by document. `docre bench --peer` runs this program, and `README.md`
explains why the comparison is fair.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

AXIAL_NORM_EPSILON = 1e-5
CONTEXT_EPSILON = 1e-10
FOCUS = 1.0
MAX_GRADIENT_NORM = 1.0
# The optimizer of `docre bench`, with a learning rate that hardly changes the weights.
OPTIMIZER = {"lr": 1e-9, "eps": 1e-6, "weight_decay": 0.01}
MASKED = -1e30


# ---------------------------------------------------------------------------------------------------------------------
# Input


@dataclass(frozen=True)
class Config:
    """The sizes and options that do not follow from the shapes of the weights."""

    n_classes: int
    encoder_layers: int
    encoder_heads: int
    norm_epsilon: float
    hidden_dropout: float
    attention_dropout: float
    max_tokens: int
    group_size: int
    axial_layers: int
    axial_heads: int

    @staticmethod
    def new(encoder: dict, system: dict, n_classes: int) -> Config:
        """Reads the encoder's configuration (Hugging Face's names) and the system's (this project's names)."""
        known = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
        for key, value in known.items():
            if encoder.get(key, value) != value:
                raise ValueError(f"{key} is {encoder[key]!r}, only {value!r} is supported")
        mixer = system["mixer"]
        if mixer["kind"] != "axial-stack":
            raise ValueError("only the pair mixer 'axial-stack' is supported")
        return Config(
            n_classes=n_classes,
            encoder_layers=encoder["num_hidden_layers"],
            encoder_heads=encoder["num_attention_heads"],
            norm_epsilon=encoder["layer_norm_eps"],
            hidden_dropout=encoder["hidden_dropout_prob"],
            attention_dropout=encoder["attention_probs_dropout_prob"],
            max_tokens=encoder["max_position_embeddings"],
            group_size=system["group_size"],
            axial_layers=mixer["layers"],
            axial_heads=mixer["heads"],
        )


@dataclass(frozen=True)
class Batch:
    """Documents as index tensors: rows of tokens, entities and pairs, one document after the other."""

    lengths: list[int]  # tokens of each document
    n_entities: list[int]  # entities of each document
    token_ids: Tensor  # [rows]
    positions: Tensor  # [rows]
    mentions: list[Tensor]  # positions of the mentions of each document, [m]
    average: list[Tensor]  # weights that average mentions into entities, for each document, [n, m]
    mention_rows: Tensor  # token rows of each entity's mentions, padded, [entities, longest]
    mention_bias: Tensor  # MASKED where `mention_rows` is padding, else 0, [entities, longest, 1]
    heads: Tensor  # entity row of each pair's head, including the diagonal, [pairs]
    tails: Tensor  # entity row of each pair's tail, [pairs]
    off_diagonal: Tensor  # the pair rows that are classified, [p]
    positives: Tensor  # classified row and class of each fact, [2, facts]

    @property
    def n_pairs(self) -> int:
        """The number of classified pairs."""
        return len(self.off_diagonal)

    @staticmethod
    def new(documents: list[dict], config: Config) -> Batch:
        """Builds a batch from documents as `docre bench --dump-inputs` writes them."""
        mentions, average, entity_rows = [], [], []
        heads, tails, off_diagonal, facts = [], [], [], set()
        first_token = first_entity = n_classified = 0
        for document in documents:
            entities, n = document["mentions"], len(document["mentions"])
            check(document, config)
            positions = [position for entity in entities for position in entity]
            owner = torch.tensor([i for i, entity in enumerate(entities) for _ in entity])
            belongs = (owner == torch.arange(n)[:, None]).float()
            mentions.append(torch.tensor(positions))
            average.append(belongs / belongs.sum(1, keepdim=True))
            entity_rows += [[first_token + position for position in entity] for entity in entities]
            for head in range(n):
                for tail in range(n):
                    if head != tail:
                        off_diagonal.append(len(heads))
                    heads.append(first_entity + head)
                    tails.append(first_entity + tail)
            for head, tail, relation in document["labels"]:
                row = n_classified + head * (n - 1) + tail - (tail > head)
                facts.add((row, relation))
            first_token += len(document["token_ids"])
            first_entity += n
            n_classified += n * (n - 1)
        longest = max(map(len, entity_rows))
        padded = [rows + [-1] * (longest - len(rows)) for rows in entity_rows]
        mention_rows = torch.tensor(padded)
        is_padding = mention_rows < 0
        lengths = [len(document["token_ids"]) for document in documents]
        return Batch(
            lengths=lengths,
            n_entities=[len(document["mentions"]) for document in documents],
            token_ids=torch.tensor([t for document in documents for t in document["token_ids"]]),
            positions=torch.cat([torch.arange(length) for length in lengths]),
            mentions=mentions,
            average=average,
            mention_rows=mention_rows.masked_fill(is_padding, 0),
            mention_bias=torch.zeros(mention_rows.shape).masked_fill(is_padding, MASKED)[..., None],
            heads=torch.tensor(heads),
            tails=torch.tensor(tails),
            off_diagonal=torch.tensor(off_diagonal),
            positives=torch.tensor(sorted(facts), dtype=torch.long).view(-1, 2).T.contiguous(),
        )


def check(document: dict, config: Config) -> None:
    """Raises ValueError for a document that this program does not support."""
    length, mentions = len(document["token_ids"]), document["mentions"]
    if length > config.max_tokens:
        raise ValueError(f"a document of {length} tokens; the window is {config.max_tokens}")
    if document.get("n_entities", len(mentions)) != len(mentions) or not all(mentions):
        raise ValueError("every entity needs a mention, and n_entities must be the number of entities")
    if any(position >= length for entity in mentions for position in entity):
        raise ValueError("a mention lies outside the document")
    for head, tail, relation in document["labels"]:
        if head == tail or not 1 <= relation < config.n_classes:
            raise ValueError(f"invalid fact: {[head, tail, relation]}")


# ---------------------------------------------------------------------------------------------------------------------
# Model


class Weights:
    """Named tensors from which modules are built. Each tensor is taken once."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def take(self, name: str) -> Tensor:
        """Removes a tensor and returns a copy."""
        return self.tensors.pop(name).clone(memory_format=torch.contiguous_format)

    def linear(self, *names: str) -> nn.Linear:
        """Several linear layers of one input as one layer with concatenated outputs."""
        weight = torch.cat([self.take(f"{name}.weight") for name in names])
        has_bias = f"{names[0]}.bias" in self.tensors
        bias = torch.cat([self.take(f"{name}.bias") for name in names]) if has_bias else None
        return linear(weight, bias)

    def norm(self, name: str, epsilon: float) -> nn.LayerNorm:
        """Layer normalisation."""
        weight = self.take(f"{name}.weight")
        norm = nn.LayerNorm(len(weight), epsilon, device="meta")
        norm.weight, norm.bias = nn.Parameter(weight), nn.Parameter(self.take(f"{name}.bias"))
        return norm


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer of these weights."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.contiguous())
    layer.bias = None if bias is None else nn.Parameter(bias)
    return layer


def plain_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
    """`softmax(q k^T / sqrt(head_dim)) v`, and the probabilities after dropout."""
    scores = torch.matmul(q / math.sqrt(q.shape[-1]), k.transpose(-1, -2))
    probabilities = F.dropout(torch.softmax(scores, -1), dropout, training=dropout > 0)
    return torch.matmul(probabilities, v), probabilities


def attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Attention `[..., heads, l, head_dim]` without its probabilities.

    The fused kernel is faster in inference. With gradients and dropout, plain products are faster at these sizes.
    """
    if torch.is_grad_enabled():
        return plain_attention(q, k, v, dropout)[0]
    return F.scaled_dot_product_attention(q, k, v)


class EncoderLayer(nn.Module):
    """A post-norm transformer layer on packed rows. Attention runs document by document."""

    def __init__(self, weights: Weights, name: str, config: Config, is_last: bool) -> None:
        super().__init__()
        parts = (f"{name}.attention.self.{part}" for part in ("query", "key", "value"))
        self.qkv = weights.linear(*parts)
        self.project = weights.linear(f"{name}.attention.output.dense")
        self.attention_norm = weights.norm(f"{name}.attention.output.LayerNorm", config.norm_epsilon)
        self.inner = weights.linear(f"{name}.intermediate.dense")
        self.output = weights.linear(f"{name}.output.dense")
        self.output_norm = weights.norm(f"{name}.output.LayerNorm", config.norm_epsilon)
        self.config, self.is_last = config, is_last

    def forward(self, rows: Tensor, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Rows `[rows, d]`; from the last layer also each document's attention `[heads, l, l]`."""
        d, n_heads = rows.shape[1], self.config.encoder_heads
        dropout = self.config.attention_dropout if self.training else 0.0
        contexts, probabilities = [], []
        for document in self.qkv(rows).split(batch.lengths):
            length = len(document)
            q, k, v = document.view(length, 3, n_heads, -1).permute(1, 2, 0, 3).unsqueeze(1).unbind()
            if self.is_last:
                context, attended = plain_attention(q, k, v, dropout)
                probabilities.append(attended[0])
            else:
                context = attention(q, k, v, dropout)
            contexts.append(context[0].transpose(0, 1).reshape(length, d))
        rows = self.attention_norm(rows + self.drop(self.project(torch.cat(contexts))))
        rows = self.output_norm(rows + self.drop(self.output(F.gelu(self.inner(rows)))))
        return rows, probabilities

    def drop(self, rows: Tensor) -> Tensor:
        """Dropout of a block's output."""
        return F.dropout(rows, self.config.hidden_dropout, self.training)


class Encoder(nn.Module):
    """BERT: hidden states and the last layer's attention."""

    def __init__(self, weights: Weights, config: Config) -> None:
        super().__init__()
        embedding = (nn.Parameter(weights.take(f"encoder.embeddings.{part}_embeddings.weight"))
                     for part in ("word", "position", "token_type"))
        self.word, self.position, self.token_type = embedding
        self.norm = weights.norm("encoder.embeddings.LayerNorm", config.norm_epsilon)
        self.dropout = config.hidden_dropout
        self.layers = nn.ModuleList(
            EncoderLayer(weights, f"encoder.encoder.layer.{i}", config, i + 1 == config.encoder_layers)
            for i in range(config.encoder_layers))

    def forward(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Hidden states `[rows, d]` and each document's attention `[heads, l, l]`."""
        rows = F.embedding(batch.token_ids, self.word) + F.embedding(batch.positions, self.position)
        rows = F.dropout(self.norm(rows + self.token_type[0]), self.dropout, self.training)
        probabilities: list[Tensor] = []
        for layer in self.layers:
            rows, probabilities = layer(rows, batch)
        return rows, probabilities


class AxialLayer(nn.Module):
    """`LayerNorm(W (x + column(x) + row(x)) + b)`, attention along tails and heads of the pair grid.

    The six projections of both axes are one layer. Both outputs are another one, with the sum of their biases.
    """

    def __init__(self, weights: Weights, i: int, n_heads: int) -> None:
        super().__init__()
        axes = (f"axial.col.{i}", f"axial.row.{i}")
        self.project = weights.linear(*(f"{axis}.{part}" for axis in axes for part in ("to_q", "to_kv")))
        outputs = [weights.linear(f"{axis}.to_out") for axis in axes]
        weight = torch.cat([output.weight.detach() for output in outputs], 1)
        self.output = linear(weight, sum(output.bias.detach() for output in outputs))
        self.ffn = weights.linear(f"axial.ffn.{i}")
        self.norm = weights.norm(f"axial.ln.{i}", AXIAL_NORM_EPSILON)
        self.n_heads = n_heads

    def forward(self, x: Tensor, batch: Batch) -> Tensor:
        """`[pairs, d]` → `[pairs, d]`"""
        d = x.shape[1]
        contexts = []
        for grid in self.project(x).split([n * n for n in batch.n_entities]):
            n = math.isqrt(len(grid))
            # [head, tail, axis and part, attention head, head_dim]
            parts = grid.view(n, n, 6, self.n_heads, -1).unbind(2)
            column = attention(*(part.permute(1, 2, 0, 3) for part in parts[:3]))
            row = attention(*(part.transpose(1, 2) for part in parts[3:]))
            column, row = column.permute(2, 0, 1, 3), row.transpose(1, 2)
            contexts.append(torch.stack((column, row), 2).view(n * n, 2 * d))
        return self.norm(self.ffn(x + self.output(torch.cat(contexts))))


class KdDocre(nn.Module):
    """Encoder, localized context, grouped bilinear pair vectors, axial stack, classifier."""

    def __init__(self, tensors: dict[str, Tensor], config: Config) -> None:
        super().__init__()
        weights = Weights(dict(tensors))
        self.group_size = config.group_size
        self.encoder = Encoder(weights, config)
        # The layer of [entity; context] is split into one layer for entities and one for contexts, both for both sides.
        sides = weights.linear("head_extractor", "tail_extractor")
        d = sides.in_features // 2
        self.from_entity = linear(sides.weight.detach()[:, :d], sides.bias.detach())
        self.from_context = linear(sides.weight.detach()[:, d:], None)
        # One parameter per group: autograd makes a gradient of full size for each slice of a single parameter.
        groups = weights.take("projection.weight").split(config.group_size**2, 1)
        self.projection = nn.ParameterList(group.contiguous() for group in groups)
        self.axial = nn.ModuleList(
            AxialLayer(weights, i, config.axial_heads) for i in range(config.axial_layers))
        self.classifier = weights.linear("classifier")
        if left := [name for name in weights.tensors if not name.startswith("encoder.pooler.")]:
            raise ValueError(f"unknown weights: {left}")

    def forward(self, batch: Batch) -> Tensor:
        """Logits of the classified pairs, `[p, n_classes]`."""
        hidden, probabilities = self.encoder(batch)
        entities = torch.logsumexp(hidden[batch.mention_rows] + batch.mention_bias, 1)
        context = localized_context(hidden, probabilities, batch)
        head, tail = self.sides(entities, context, batch)
        pairs = self.bilinear(head, tail)
        x = pairs
        for layer in self.axial:
            x = layer(x, batch)
        return self.classifier((x + pairs).index_select(0, batch.off_diagonal))

    def sides(self, entities: Tensor, context: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """`tanh(W [entity; context] + b)` of heads and tails, `[pairs, emb]` each.

        The entity part of the product is computed once per entity.
        """
        head_entity, tail_entity = self.from_entity(entities).chunk(2, 1)
        head_context, tail_context = self.from_context(context).chunk(2, 1)
        head = torch.tanh(head_context + head_entity.index_select(0, batch.heads))
        tail = torch.tanh(tail_context + tail_entity.index_select(0, batch.tails))
        return head, tail

    def bilinear(self, head: Tensor, tail: Tensor) -> Tensor:
        """`sum_j vec(head_j tail_j^T) W_j` over groups, `[pairs, d]`."""
        groups = zip(head.split(self.group_size, 1), tail.split(self.group_size, 1), self.projection)
        total: Tensor | None = None
        for lhs, rhs, weight in groups:
            outer = (lhs[:, :, None] * rhs[:, None, :]).flatten(1)
            total = F.linear(outer, weight) if total is None else total + F.linear(outer, weight)
        assert total is not None
        return total


def localized_context(hidden: Tensor, probabilities: list[Tensor], batch: Batch) -> Tensor:
    """Localized context of each pair: `q = sum_h a_s ∘ a_o`, `H^T q / sum q`; `[pairs, d]`."""
    contexts = []
    documents = zip(hidden.split(batch.lengths), probabilities, batch.mentions, batch.average)
    for rows, attended, mentions, average in documents:
        of_entity = torch.matmul(average, attended.index_select(1, mentions))
        by_token = of_entity.permute(2, 1, 0).contiguous()  # [l, n, heads]
        weights = torch.bmm(by_token, by_token.transpose(1, 2)).flatten(1)  # [l, n * n]
        total = weights.sum(0)[:, None] + CONTEXT_EPSILON
        contexts.append(torch.mm(weights.t(), rows) / total)
    return torch.cat(contexts)


def adaptive_focal_loss(logits: Tensor, batch: Batch) -> Tensor:
    """The authors' loss, `- sum_P (1 + (1 - P)^gamma) log P - log P(TH)`, the mean over the batch's pairs."""
    row, relation = batch.positives
    margin = logits[row, relation] - logits[row, 0]
    positive = (1 + torch.sigmoid(-margin) ** FOCUS) * F.logsigmoid(margin)
    without_positives = logits.index_put((row, relation), logits.new_tensor(MASKED))
    threshold = logits[:, 0] - torch.logsumexp(without_positives, 1)
    return -(positive.sum() + threshold.sum()) / len(logits)


# ---------------------------------------------------------------------------------------------------------------------
# Measurement


def load_model(directory: Path) -> tuple[KdDocre, Config]:
    """Reads a model directory."""
    stored = json.loads((directory / "config.json").read_text())
    if stored["system"]["kind"] != "kd-docre":
        raise ValueError(f"{directory}: only the kind 'kd-docre' is supported")
    config = Config.new(stored["encoder"], stored["system"], stored["n_classes"])
    return KdDocre(load_file(directory / "model.safetensors"), config), config


def inference(model: KdDocre, batches: list[Batch]) -> Callable[[], None]:
    """Returns a function that computes the logits of all batches."""
    model.eval()

    def once() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)
                send("documents", len(batch.lengths))

    return once


def training(model: KdDocre, batches: list[Batch]) -> Callable[[], None]:
    """Returns a function that takes an optimizer step on each batch."""
    model.train()
    try:
        optimizer = torch.optim.AdamW(model.parameters(), fused=True, **OPTIMIZER)
    except RuntimeError:
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True, **OPTIMIZER)

    def once() -> None:
        for batch in batches:
            loss = adaptive_focal_loss(model(batch), batch)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if not math.isfinite(value := loss.item()):
                raise ArithmeticError(f"the loss is {value}")
            send("documents", len(batch.lengths))

    return once


def nanoseconds(work: Callable[[], object]) -> int:
    """The duration of one call in nanoseconds."""
    started = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - started


def are_steady(passes: list[int]) -> bool:
    """Reports whether the last two passes were no faster than the fastest one before, as in `docre bench`."""
    before, last = passes[:-2], passes[-2:]
    return bool(before) and min(last) >= 0.93 * min(before)


def send(*words: object) -> None:
    """Sends a line of the protocol to `docre bench`."""
    print(*words, flush=True)


def in_turn(work: Callable[[], object]) -> tuple[int, int | None, float]:
    """Waits for a line from `docre bench`, then takes a sample.

    Returns the duration in nanoseconds, the peak memory in bytes, and the speed of a matrix product in FLOP/s.
    """
    if not sys.stdin.readline():
        raise EOFError("standard input is closed: docre bench has ended")
    duration, memory, peak = nanoseconds(work), peak_memory(), matmul_peak()
    send("sample")
    return duration, memory, peak


def matmul_peak() -> float:
    """The highest FLOP/s of several square matrix products, in the sizes of `docre bench`."""
    best = 0.0
    for n in (512, 1024, 2048, 4096, 8192):
        lhs, rhs = torch.rand(n, n), torch.rand(n, n)
        seconds = min(nanoseconds(lambda: lhs @ rhs) for _ in range(5)) * 1e-9
        best = max(best, 2 * n**3 / seconds)
        if seconds >= 0.02:
            break
    return best


def keep_freed_memory() -> None:
    """Keeps freed memory in the process, as `docre` does, so that the system need not map and clear it again."""
    m_arena_max, m_mmap_max, m_trim_threshold, m_top_pad = -8, -4, -1, -2
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library than glibc
    mallopt(m_arena_max, 1)
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, -1)
    mallopt(m_top_pad, 256 << 20)


def proc(path: str, key: str) -> str:
    """The first value of a key in a file of `/proc`, or an empty string."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def peak_memory() -> int | None:
    """The peak memory of this process in bytes, or None if the system does not report it."""
    words = proc("/proc/self/status", "VmHWM").split()
    return int(words[0]) << 10 if words else None


def measure(args: argparse.Namespace) -> dict:
    """One record in the form of `docre bench`."""
    model, config = load_model(args.model)
    inputs = json.loads(args.inputs.read_text())
    batches = [Batch.new(documents, config) for documents in inputs["batches"]]
    once = {"inference": inference, "training": training}[args.mode](model, batches)
    passes = []
    while len(passes) < args.warmup and not are_steady(passes):
        passes.append(nanoseconds(once))
    warmup = sum(passes)
    n_documents = sum(len(batch.lengths) for batch in batches)
    send("warm", warmup * 1e-9, n_documents)
    started = time.time_ns() // 1_000_000
    samples, memory, peaks = zip(*(in_turn(once) for _ in range(args.samples)))
    processor = proc("/proc/cpuinfo", "model name")
    return {
        "backend": "pytorch",
        "device": f"{processor}, {os.cpu_count()} threads",
        "feature": "pytorch",
        "gitHash": "",
        "burnVersion": "",
        "system": "kd-docre",
        "name": args.mode,
        "operation": args.mode,
        "options": None,
        "shapes": [[inputs["batch_size"], n_documents]],
        "max": max(samples) // 1000,
        "mean": int(statistics.mean(samples)) // 1000,
        "median": sorted(samples)[len(samples) // 2] // 1000,
        "min": min(samples) // 1000,
        # As in burn-bench: the variance of the seconds, in the unit of the durations above.
        "variance": int(statistics.pvariance([sample * 1e-9 for sample in samples]) * 1e6),
        "numSamples": len(samples),
        "rawDurations": [{"secs": s // 10**9, "nanos": s % 10**9} for s in samples],
        "systemInfo": {"cpus": [processor], "gpus": [], "os": " ".join(os.uname()[::2][:2])},
        "timestamp": started,
        "flops": inputs["forward_flops"] * (3 if args.mode == "training" else 1),
        "documents": n_documents,
        "tokens": sum(sum(batch.lengths) for batch in batches),
        "pairs": sum(batch.n_pairs for batch in batches),
        "warmupSeconds": warmup * 1e-9,
        "isSteady": are_steady(passes),
        "peakMemoryBytes": memory[0],
        "threads": torch.get_num_threads(),
        "precision": args.precision,
        "version": f"PyTorch {torch.__version__}",
        "matmulPeakFlops": statistics.median(peaks),
    }


def positive(text: str) -> int:
    """An argument that is at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=Path, required=True, help="file that docre bench --dump-inputs wrote")
    parser.add_argument("--model", type=Path, required=True, help="model directory of docre")
    parser.add_argument("--mode", choices=["inference", "training"], required=True)
    parser.add_argument("--threads", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--samples", type=positive, default=5, help="passes that are timed")
    parser.add_argument("--warmup", type=positive, default=8, help="the most passes before the timed ones")
    parser.add_argument("--precision", choices=["f32"], default="f32")
    parser.add_argument("--output", type=Path, required=True, help="file of the record")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    args.output.write_text(json.dumps([measure(args)], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
