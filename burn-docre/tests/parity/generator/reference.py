"""KD-DocRE, ATLOP and KMGRE in PyTorch, written from the papers' equations, one document at a time.

No tensor is padded, so padding cannot change a value.
"""

import torch
import torch.nn.functional as F
from torch import nn


# Encoder


def encode(model, ids, max_len, end_tokens):
    """Returns hidden states [l, d] and the last layer's attention [heads, l, l].

    A document longer than `max_len` is read in two windows. The first ends with `end_tokens` (BERT: [SEP];
    RoBERTa: </s></s>), the second starts with `ids[0]`. A token in both windows has the mean of its two hidden
    states; its attention is summed and normalised.
    """
    ids = torch.tensor(ids)
    n_tokens = len(ids)
    if n_tokens <= max_len:
        output = model(input_ids=ids[None], attention_mask=torch.ones(1, n_tokens), output_attentions=True)
        return output[0][0], output.attentions[-1][0]
    end = torch.tensor(end_tokens)
    first = torch.cat([ids[: max_len - len(end)], end])
    second = torch.cat([ids[:1], ids[n_tokens - max_len + 1 :]])
    windows = torch.stack([first, second])
    output = model(input_ids=windows, attention_mask=torch.ones(2, max_len), output_attentions=True)
    hidden, attention = output[0], output.attentions[-1]

    first_end, second_start = max_len - len(end), n_tokens - max_len + 1
    merged = torch.zeros(n_tokens, hidden.shape[-1])
    weights = torch.zeros(attention.shape[1], n_tokens, n_tokens)
    n_covering = torch.full((n_tokens,), 1e-10)
    merged[:first_end] += hidden[0, :first_end]
    n_covering[:first_end] += 1
    merged[second_start:] += hidden[1, 1:]
    n_covering[second_start:] += 1
    weights[:, :first_end, :first_end] += attention[0][:, :first_end, :first_end]
    weights[:, second_start:, second_start:] += attention[1][:, 1:, 1:]
    return merged / n_covering[:, None], weights / (weights.sum(-1, keepdim=True) + 1e-10)


# Entities and pairs


def pool(hidden, attention, mentions):
    """Entity embeddings [e, d] (log-sum-exp over mentions) and attention [e, heads, l] (mean over mentions)."""
    embeddings, attentions = [], []
    for positions in mentions:
        single = len(positions) == 1
        embeddings.append(hidden[positions[0]] if single else torch.logsumexp(hidden[positions], 0))
        attentions.append(attention[:, positions].mean(1))
    return torch.stack(embeddings), torch.stack(attentions)


class AxisAttention(nn.Module):
    """Attention along the second axis of [rows, columns, d]."""

    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(d, d, bias=False)
        self.to_kv = nn.Linear(d, 2 * d, bias=False)
        self.to_out = nn.Linear(d, d)

    def forward(self, x):
        rows, columns, d = x.shape
        head_dim = d // self.heads

        def split(y):
            return y.reshape(rows, columns, self.heads, head_dim).transpose(1, 2)

        query = self.to_q(x)
        key, value = self.to_kv(x).chunk(2, -1)
        weights = (split(query) @ split(key).transpose(-1, -2) * head_dim**-0.5).softmax(-1)
        return self.to_out((weights @ split(value)).transpose(1, 2).reshape(rows, columns, d))


class AxialStack(nn.Module):
    """The authors' stack: x + col(x) + row(x), linear layer, layer normalisation; the input added at the end."""

    def __init__(self, d, layers, heads):
        super().__init__()
        self.col = nn.ModuleList(AxisAttention(d, heads) for _ in range(layers))
        self.row = nn.ModuleList(AxisAttention(d, heads) for _ in range(layers))
        self.ffn = nn.ModuleList(nn.Linear(d, d) for _ in range(layers))
        self.ln = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))

    def forward(self, pairs):
        x = pairs
        for col, row, ffn, ln in zip(self.col, self.row, self.ffn, self.ln):
            x = ln(ffn(x + col(x.transpose(0, 1)).transpose(0, 1) + row(x)))
        return x + pairs


class TwoHop(nn.Module):
    """KD-DocRE, eq. (7), as printed: one unscaled attention head for both axes of the same input."""

    def __init__(self, d):
        super().__init__()
        self.q = nn.Linear(d, d, bias=False)
        self.k = nn.Linear(d, d, bias=False)
        self.v = nn.Linear(d, d, bias=False)

    def forward(self, pairs):
        q, k, v = self.q(pairs), self.k(pairs), self.v(pairs)
        col = torch.einsum("sod,pod->sop", q, k).softmax(-1)
        row = torch.einsum("sod,spd->sop", q, k).softmax(-1)
        return pairs + torch.einsum("sop,pod->sod", col, v) + torch.einsum("sop,spd->sod", row, v)


class RelationModel(nn.Module):
    """The parts of both systems: encoder, pooling, localized context and the two sides of a pair."""

    def __init__(self, encoder, d, emb, group, max_len):
        super().__init__()
        self.encoder, self.group, self.max_len = encoder, group, max_len
        self.head_extractor = nn.Linear(2 * d, emb)
        self.tail_extractor = nn.Linear(2 * d, emb)

    def sides(self, ids, mentions, trace):
        """Outer products [e, e, emb * group], group-major, of the head's and the tail's side."""
        hidden, attention = encode(self.encoder, ids, self.max_len, self.end_tokens)
        entity, entity_attention = pool(hidden, attention, mentions)
        n = len(mentions)
        pair_attention = self.pair_attention(entity_attention)
        context = pair_attention @ hidden
        head = torch.cat([entity[:, None].expand(n, n, -1), context], -1)
        tail = torch.cat([entity[None].expand(n, n, -1), context], -1)
        zs, zo = torch.tanh(self.head_extractor(head)), torch.tanh(self.tail_extractor(tail))
        trace.update(hidden=hidden, attention=attention, entity=entity, entity_attention=entity_attention)
        trace.update(pair_attention=pair_attention, context=context, zs=zs, zo=zo)
        groups = zs.view(n, n, -1, self.group).unsqueeze(-1) * zo.view(n, n, -1, self.group).unsqueeze(-2)
        return groups.reshape(n, n, -1)


class PairModel(RelationModel):
    """KD-DocRE: the localized context sums over attention heads and is normalised with + 1e-10."""

    def __init__(self, encoder, d, emb, group, classes, mixer, layers, heads, max_len):
        super().__init__(encoder, d, emb, group, max_len)
        self.projection = nn.Linear(emb * group, d, bias=False)
        self.classifier = nn.Linear(d, classes)
        self.axial = None
        if mixer == "axial-stack":
            self.axial = AxialStack(d, layers, heads)
        elif mixer == "two-hop":
            self.axial = TwoHop(d)

    def pair_attention(self, attention):
        product = torch.einsum("shl,ohl->sol", attention, attention)
        return product / (product.sum(-1, keepdim=True) + 1e-10)

    def forward(self, ids, mentions, trace):
        pair = self.projection(self.sides(ids, mentions, trace))
        pair_out = pair if self.axial is None else self.axial(pair)
        logits = self.classifier(pair_out)
        trace.update(pair=pair, pair_out=pair_out, logits=logits)
        return logits


class Atlop(RelationModel):
    """ATLOP: the context is a mean over attention heads, normalised with + 1e-5; bilinear to the classes."""

    def __init__(self, encoder, d, emb, group, classes, max_len):
        super().__init__(encoder, d, emb, group, max_len)
        self.bilinear = nn.Linear(emb * group, classes)

    def pair_attention(self, attention):
        product = torch.einsum("shl,ohl->sol", attention, attention) / attention.shape[1]
        return product / (product.sum(-1, keepdim=True) + 1e-5)

    def forward(self, ids, mentions, trace):
        logits = self.bilinear(self.sides(ids, mentions, trace))
        trace.update(logits=logits)
        return logits


# Mention pairs of KMGRE


class MentionPairModel(nn.Module):
    """A linear layer on [h_i; h_j; c] of all pairs of mentions, diagonal included. The extractor has a logit for each
    class, the key classifier one. The context is normalised for each attention head and summed over them."""

    def __init__(self, encoder, d, outputs, max_len):
        super().__init__()
        self.encoder, self.max_len = encoder, max_len
        self.linear = nn.Linear(3 * d, outputs)

    def forward(self, ids, mentions, trace):
        hidden, attention = encode(self.encoder, ids, self.max_len, self.end_tokens)
        markers = [position for positions in mentions for position in positions]
        mention, mention_attention = hidden[markers], attention[:, markers].transpose(0, 1)
        n = len(markers)
        product = mention_attention[:, None] * mention_attention[None]
        context = (product / (product.sum(-1, keepdim=True) + 1e-30)).sum(2) @ hidden
        pair = torch.cat([mention[:, None].expand(n, n, -1), mention[None].expand(n, n, -1), context], -1)
        trace.update(context=context)
        return self.linear(pair)


def blocks(mentions):
    """The pairs of different entities, each with the index of its block in a grid of mention pairs."""
    ends = torch.tensor([len(positions) for positions in mentions]).cumsum(0).tolist()
    spans = [torch.arange(end - len(positions), end) for end, positions in zip(ends, mentions)]
    n = len(spans)
    return {(h, t): (spans[h][:, None], spans[t][None]) for h in range(n) for t in range(n) if h != t}


def pseudo_labels(probabilities, labels, mentions):
    """KMGRE, eq. (9): 1 if a relation that holds has at least its mean probability over the pair's mention pairs."""
    result = torch.zeros(probabilities.shape[:2])
    for (head, tail), block in blocks(mentions).items():
        relations = labels[head, tail, 1:].nonzero().flatten() + 1
        of_pair = probabilities[block][..., relations]
        result[block] = (of_pair >= of_pair.mean((0, 1))).any(-1).float()
    return result


def key_threshold(probabilities, xi, tau):
    """KMGRE, eqs. (12) and (13)."""
    spread = probabilities.max() - probabilities.min()
    return min((probabilities.mean() + xi * spread).item(), tau)


def is_key(probabilities, xi, tau):
    """KMGRE, eqs. (14) and (15); the first mention pair with the highest probability is always a key."""
    kept = probabilities >= key_threshold(probabilities, xi, tau)
    kept[probabilities.argmax()] = True
    return kept


def fuse(logits, key_probabilities, mentions, xi, tau):
    """KMGRE, eq. (16): logits [e, e, r], 0 on the diagonal."""
    n = len(mentions)
    result = torch.zeros(n, n, logits.shape[-1])
    for pair, block in blocks(mentions).items():
        kept = is_key(key_probabilities[block].flatten(), xi, tau)
        result[pair] = torch.logsumexp(logits[block].flatten(0, 1)[kept], 0)
    return result


# Losses: means over pairs of logits and labels [p, r], where class 0 is TH


def atl(logits, labels):
    """Adaptive thresholding loss (ATLOP)."""
    threshold = torch.zeros_like(labels)
    threshold[:, 0] = 1
    positive = labels.clone()
    positive[:, 0] = 0
    first = -(F.log_softmax(logits - (1 - positive - threshold) * 1e30, -1) * positive).sum(1)
    second = -(F.log_softmax(logits - positive * 1e30, -1) * threshold).sum(1)
    return (first + second).mean()


def afl(logits, labels, gamma, plus_one=False):
    """Adaptive focal loss: as printed, or with `1 + (1-P)^γ` as in the authors' code."""
    positive = labels.clone()
    positive[:, 0] = 0
    margin = logits - logits[:, :1]
    weight = torch.exp(gamma * F.logsigmoid(-margin)) + (1.0 if plus_one else 0.0)
    first = -(weight * F.logsigmoid(margin) * positive).sum(1)
    second = -F.log_softmax(logits - positive * 1e30, -1)[:, 0]
    return (first + second).mean()


def binary_focal(probabilities, targets, alpha, gamma):
    """Binary focal loss of each element (KMGRE, eqs. 10 and 11)."""
    of_target = torch.where(targets > 0, probabilities, 1 - probabilities)
    return -alpha * (1 - of_target) ** gamma * torch.log(of_target)


def kd_mse(student, teacher):
    """Mean squared error of the logits."""
    return F.mse_loss(student, teacher)


def kd_kl(student, teacher, temperature=1.0):
    """KL divergence of the softened distributions, times the squared temperature."""
    student, target = F.log_softmax(student / temperature, -1), F.softmax(teacher / temperature, -1)
    return F.kl_div(student, target, reduction="batchmean") * temperature * temperature


def predict(logits, max_relations):
    """Relations above TH, at most `max_relations` of a pair."""
    best = logits.topk(max_relations, 1).values[:, -1:]
    return (logits > logits[:, :1]) & (logits >= best)
