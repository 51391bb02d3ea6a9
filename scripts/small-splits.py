#!/usr/bin/env python3
"""Makes the small splits of configs/redocred-minilm.toml from published files.

    scripts/small-splits.py --dev-revised dev_revised.json --test-revised test_revised.json \\
        --test test.json --predictions test_result_62.76_F1.json --output data/redocred

docs/data.md says where the inputs come from. Needs Python 3.9 and nothing else. Writes

- train.json: Re-DocRED's development set;
- dev.json: the first 250 documents of Re-DocRED's test set;
- distant.json: DocRED's test documents, which have no labels, with the predictions of another system as distant labels.
  The labels of a document are in the order of the predictions and have no evidence.

Prints the SHA-256 of each file, and whether it is the file of docs/experiments.md.
"""

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path

N_DEV = 250
# The files of docs/experiments.md.
KNOWN = {
    "train.json": "fed7a54ce1ce77e9ac4c5af70b4da03d1f603ac862c44f2c2801d9e41dd82f47",
    "dev.json": "6b7f644999be9520b219c9e0c1e95c788c6ac01ef629ceafe8c8a1cbfa6d9359",
    "distant.json": "6520aa417eca2fa7711b2aa861eb03843a7b2107b04f057c504b30af86c43935",
}
FIELDS = ["title", "vertexSet", "labels", "sents"]


def refuse(message):
    sys.exit(f"error: {message}")


def read(path):
    """The list in a JSON file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        refuse(f"{path}: {error}")
    if not isinstance(content, list):
        refuse(f"{path}: not a JSON array")
    return content


def document_of(record, place, documents, by_title):
    """The document of a prediction, by its title; where several have the title, by the prediction's `index` too.

    >>> documents, by_title = ["first", "second", "third"], {"A": [0], "B": [1, 2]}
    >>> document_of({"title": "A"}, "record 0", documents, by_title)
    'first'
    >>> document_of({"title": "B", "index": 2}, "record 0", documents, by_title)
    'third'
    >>> document_of({"title": "B"}, "record 0", documents, by_title)
    Traceback (most recent call last):
    SystemExit: error: record 0: no document of --test, or several, have the title 'B'
    """
    candidates = by_title.get(record["title"], [])
    if len(candidates) > 1:
        candidates = [index for index in candidates if index == record.get("index")]
    if len(candidates) != 1:
        refuse(f"{place}: no document of --test, or several, have the title {record['title']!r}")
    return documents[candidates[0]]


def with_distant_labels(documents, predictions, path):
    """Copies of the documents, labelled with the predictions. A repeated prediction is one label.

    >>> documents = [{"title": "A", "vertexSet": [[], []]}, {"title": "B", "vertexSet": []}]
    >>> prediction = {"title": "A", "h_idx": 1, "t_idx": 0, "r": "P17"}
    >>> [document["labels"] for document in with_distant_labels(documents, [prediction, prediction], "p.json")]
    [[{'h': 1, 't': 0, 'r': 'P17', 'evidence': []}], []]
    >>> "labels" in documents[0]
    False
    >>> with_distant_labels(documents, [{**prediction, "t_idx": 1}], "p.json")
    Traceback (most recent call last):
    SystemExit: error: p.json: record 0: head 1 and tail 1 are not two of 2 entities
    """
    labelled = [{**document, "labels": []} for document in documents]
    by_title = defaultdict(list)
    for index, document in enumerate(labelled):
        by_title[document["title"]].append(index)
    seen = set()
    for number, record in enumerate(predictions):
        place = f"{path}: record {number}"
        missing = [key for key in ("title", "h_idx", "t_idx", "r") if key not in record]
        if missing:
            refuse(f"{place}: no {', '.join(missing)}")
        document = document_of(record, place, labelled, by_title)
        head, tail, relation = record["h_idx"], record["t_idx"], record["r"]
        n_entities = len(document["vertexSet"])
        if not (0 <= head < n_entities and 0 <= tail < n_entities and head != tail):
            refuse(f"{place}: head {head} and tail {tail} are not two of {n_entities} entities")
        fact = (id(document), head, tail, relation)
        if fact not in seen:
            seen.add(fact)
            document["labels"].append({"h": head, "t": tail, "r": relation, "evidence": []})
    return labelled


def write(path, documents):
    """Writes the documents in one line, with their fields in a fixed order, and reports the file."""
    ordered = [{field: document[field] for field in FIELDS} for document in documents]
    data = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    known = "the file" if digest == KNOWN[path.name] else "not the file"
    n_facts = sum(len(document["labels"]) for document in documents)
    print(f"{path}: {len(documents)} documents, {n_facts} facts, {len(data)} bytes\n  {digest}, {known} of docs/experiments.md")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev-revised", required=True, metavar="FILE", help="Re-DocRED's development set")
    parser.add_argument("--test-revised", required=True, metavar="FILE", help="Re-DocRED's test set")
    parser.add_argument("--test", required=True, metavar="FILE", help="DocRED's test set")
    parser.add_argument("--predictions", required=True, metavar="FILE", help="predictions for DocRED's test set")
    parser.add_argument("--output", required=True, metavar="DIR", type=Path, help="directory for the splits")
    args = parser.parse_args()
    train, dev = read(args.dev_revised), read(args.test_revised)[:N_DEV]
    distant = with_distant_labels(read(args.test), read(args.predictions), args.predictions)
    args.output.mkdir(parents=True, exist_ok=True)
    for name, documents in [("train.json", train), ("dev.json", dev), ("distant.json", distant)]:
        write(args.output / name, documents)


if __name__ == "__main__":
    main()
