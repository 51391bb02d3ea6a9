"""Writes burn-docre/tests/fixtures/roberta_words.json: RoBERTa's ids of words that are tokenized alone.

    python tools/roberta_words.py

The vocabulary is trained on the sentences below. The ids are those of `transformers.RobertaTokenizer`
with the rules of KD-DocRE's prepro.py: each word is tokenized without a space before it, the marker
is the token `*`, and the special tokens surround all. Needs tokenizers and transformers.
"""

import json
import tempfile
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaTokenizer

TARGET = Path(__file__).parent.parent / "burn-docre/tests/fixtures/roberta_words.json"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# `Oslo` occurs with and without a space before it, so each form is a token of its own.
TEXTS = ["Oslo is in Norway", "Anna lives in Oslo", "Oslo", "Anna", "a * b", "live in Norway"] * 8
WORDS = [
    ["Anna", "lives", "in", "Oslo", "."],
    ["Oslo", "'s", "café", "", "isn't", "*", "U.S.", "1990s", "東京", "a\u00a0b"],
]
# Entities, each with mentions (sentence, first word, end).
ENTITIES = [[[0, 0, 1]], [[0, 3, 4], [1, 0, 1]], [[1, 7, 9]], [[1, 8, 9]]]


def token_ids(tokenizer):
    """The ids of the whole document."""
    mentions = [mention for entity in ENTITIES for mention in entity]
    starts = {(sentence, first) for sentence, first, _ in mentions}
    lasts = {(sentence, end - 1) for sentence, _, end in mentions}
    tokens = []
    for s, sentence in enumerate(WORDS):
        for w, word in enumerate(sentence):
            tokens += ["*"] * ((s, w) in starts) + tokenizer.tokenize(word) + ["*"] * ((s, w) in lasts)
    return tokenizer.build_inputs_with_special_tokens(tokenizer.convert_tokens_to_ids(tokens))


def main():
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=300, min_frequency=2, special_tokens=SPECIAL)
    with tempfile.TemporaryDirectory() as directory:
        trained.save_model(directory)
        vocab = json.loads(Path(directory, "vocab.json").read_text())
        merges = Path(directory, "merges.txt").read_text()
        tokenizer = RobertaTokenizer(f"{directory}/vocab.json", f"{directory}/merges.txt")
        ids = token_ids(tokenizer)
    content = {"vocab": vocab, "merges": merges, "sentences": WORDS, "entities": ENTITIES, "token_ids": ids}
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
    TARGET.write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
