"""Writes burn-docre/tests/fixtures/sentence_piece: a small SentencePiece model and its tokens.

    python tools/encoders/sentence_piece.py

Needs sentencepiece, protobuf and 'transformers<4.50'. Trains a Unigram model with a small table of
normalisation rules on the sentences below. `expected.json` has, for the tokenizer classes of
XLM-RoBERTa and CamemBERT, the token ids that `transformers` gives each word. `bpe.model` is a
model of byte pairs, which must be refused.
"""

import json
import tempfile
from pathlib import Path

import sentencepiece
from transformers import CamembertTokenizer, CamembertTokenizerFast, XLMRobertaTokenizer, XLMRobertaTokenizerFast

FOLDER = Path(__file__).parent.parent.parent / "burn-docre/tests/fixtures/sentence_piece"

TEXT = """
Anna lives in Oslo and works for the harbour office.
The harbour of Bergen was built in 1902 by the engineer Karl Holm.
The sum 2 * 3 is 6 and 4 * 5 is 20.
Karl Holm was born in Stavanger; his sister Anna was a painter.
L'école de Lyon a été fondée en 1874 par une ingénieure française.
Une rivière traverse la ville, et le fleuve la sépare de la forêt.
Élise Moreau est née à Nantes et travaille à l'hôpital de Rennes.
Das Schloss liegt am Fluss und gehört der Stadt Köln.
Река течёт через город, а мост соединяет два берега.
Анна живёт в городе у реки и работает в порту.
東京の川は港に流れます。港の町は大きいです。
In 1987 the office of the harbour moved to the old town of Bergen.
The engineer and the painter lived near the river and the bridge.
""".strip().split("\n")

# Code points of a text and of its replacement, as `normalization_rule_tsv` has them.
RULES = [
    ("ﬁ", "fi"), ("…", "..."), ("Ａ", "A"), ("½", "1/2"), ("\u2019", "'"), ("e\u0301", "é"),
    ("\u00a0", " "), ("\u3000", " "), ("\t", " "), ("\n", " "), ("\u200b", ""), ("\u0001", ""),
]

WORDS = [
    "Anna", "anna", "harbour", "harbours", "Bergen.", "L'école", "L\u2019e\u0301cole", "ﬁn", "…", "Ａnna", "1½",
    "Река", "реками", "東京", "東京の港", "Köln", "Stavanger", "*", "#", "Zxqj", "😀", "😀😀 a", "a\u200bb", "\u200b",
    "\u200bAnna", "\u0001Anna", "Anna\u0001", "", " ", "\u00a0", "\u3000Anna", "Anna lives", "Anna  lives ", "▁Anna",
    "an▁na", "<s>", "</s>", "<unk>", "<pad>", "<mask>", "Anna<mask>Oslo", "Anna <mask> Oslo", "<ORT>", "Anna<ORT>Oslo",
    "<s>NOTUSED", "e\u0301\u0301", "İ", "ab" * 60, "1902", "in1902", "(Oslo)", "-", "--", "ё", "\ufeffAnna",
]


def train(folder, name, model_type, vocab_size):
    """Trains a model and returns its path."""
    rules = folder / "rules.tsv"
    code_points = lambda text: " ".join(f"{ord(char):X}" for char in text)
    rules.write_text("".join(f"{code_points(a)}\t{code_points(b)}\n" for a, b in RULES))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_prefix=str(folder / name), model_type=model_type, vocab_size=vocab_size,
        normalization_rule_tsv=str(rules), character_coverage=1.0, user_defined_symbols=["<ORT>"],
        num_threads=1, minloglevel=2,
    )
    return folder / f"{name}.model"


def ids(tokenizer, word):
    """The token ids of a word by itself, without special tokens."""
    return tokenizer.encode(word, add_special_tokens=False)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        unigram = train(Path(temporary), "unigram", "unigram", 155)
        (FOLDER / "sentencepiece.bpe.model").write_bytes(unigram.read_bytes())
        (FOLDER / "bpe.model").write_bytes(train(Path(temporary), "bpe", "bpe", 130).read_bytes())
    path = str(FOLDER / "sentencepiece.bpe.model")
    expected = {"words": WORDS}
    for name, slow, fast in [
        ("xlm-roberta", XLMRobertaTokenizer, XLMRobertaTokenizerFast),
        ("camembert", CamembertTokenizer, CamembertTokenizerFast),
    ]:
        tokenizer, slow = fast(vocab_file=path), slow(vocab_file=path)
        for word in WORDS:
            if ids(tokenizer, word) != ids(slow, word):
                print(f"{name}: {word!r}: {ids(tokenizer, word)}, not {ids(slow, word)} of the slow tokenizer")
        expected[name] = {
            "opening": tokenizer.cls_token_id, "closing": tokenizer.sep_token_id, "size": len(tokenizer),
            "ids": [ids(tokenizer, word) for word in WORDS],
        }
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in expected.items())
    (FOLDER / "expected.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
