"""Writes burn-docre/tests/fixtures/byte_pairs: a small byte-level BPE vocabulary and its tokens.

    python tools/encoders/byte_pairs.py

Needs tokenizers and 'transformers<4.50'. Trains the vocabulary on the sentences of `sentence_piece.py`.
`expected.json` has, for each setting of `add_prefix_space`, the token ids that `transformers` gives each word
with `vocab.json`, `merges.txt` and `added_tokens.json`. The classes of RoBERTa, Longformer and BART agree.
"""

import json
import shutil
import tempfile
from pathlib import Path

import tokenizers
from sentence_piece import TEXT
from transformers import BartTokenizerFast, LongformerTokenizerFast, RobertaTokenizer, RobertaTokenizerFast

FOLDER = Path(__file__).parent.parent.parent / "burn-docre/tests/fixtures/byte_pairs"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = [
    "Anna", "anna", "harbour", "harbours", "Bergen.", "L'école", "L\u2019e\u0301cole", "ﬁn", "…", "1902", "in1902",
    "Река", "реками", "東京", "東京の港", "Köln", "*", "#", "Zxqj", "😀", "😀😀 a", "👩\u200d👩\u200d👧", "a\u200bb",
    "\u200b", "", " ", "  ", "\u00a0", "\u00a0Anna", "\u3000Anna", "Anna lives", "Anna  lives ", " Anna", "\tAnna\n",
    "<s>", "</s>", "<unk>", "<pad>", "<mask>", "Anna<mask>Oslo", "Anna <mask> Oslo", "it's", "I'll", "ab" * 40,
    "(Oslo)", "--", "Ġ", "\u0000", "\u0001Anna", "İ", "\ufeffAnna", "\U0010ffff", "3.14%", "a_b", "<e1>", "Anna<e1>a",
]


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    trainer = tokenizers.ByteLevelBPETokenizer()
    trainer.train_from_iterator(TEXT, vocab_size=330, special_tokens=SPECIAL, show_progress=False)
    trainer.save_model(str(FOLDER))
    added = {"<e1>": trainer.get_vocab_size()}
    (FOLDER / "added_tokens.json").write_text(json.dumps(added) + "\n")
    expected = {"words": WORDS, "size": trainer.get_vocab_size() + len(added)}
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("vocab.json", "merges.txt", "added_tokens.json"):
            shutil.copy(FOLDER / name, temporary)
        for add_prefix_space in (False, True):
            settings = {"add_prefix_space": add_prefix_space}
            (Path(temporary) / "tokenizer_config.json").write_text(json.dumps(settings))
            of = lambda tokenizer, word: tokenizer.encode(word, add_special_tokens=False)
            tokenizer = RobertaTokenizerFast.from_pretrained(temporary)
            ids = [of(tokenizer, word) for word in WORDS]
            for same in (LongformerTokenizerFast, BartTokenizerFast):
                other = same.from_pretrained(temporary)
                assert ids == [of(other, word) for word in WORDS], same
            slow = RobertaTokenizer.from_pretrained(temporary)
            for word, tokens in zip(WORDS, ids):
                if of(slow, word) != tokens:
                    print(f"{add_prefix_space}: {word!r}: {tokens}, not {of(slow, word)} of the slow tokenizer")
            expected["with_space" if add_prefix_space else "without_space"] = ids
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in expected.items())
    (FOLDER / "expected.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
