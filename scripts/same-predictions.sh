#!/usr/bin/env bash
# Compares the predictions of two backends of one build on DOCS. Lists every fact that only one backend predicts, with
# the distance of its logit from the decision: from the threshold, or from a relation that the other backend predicts
# for the pair instead. Fails if a distance is 1e-4 or more.
# usage: scripts/same-predictions.sh MODEL_DIR DOCS [BACKEND_A BACKEND_B]     (default flex tch; DOCRE=path/to/docre)
set -euo pipefail
model=${1:?usage: scripts/same-predictions.sh MODEL_DIR DOCS [A B]} docs=${2:?} a=${3:-flex} b=${4:-tch}
docre=${DOCRE:-target/release/docre}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for backend in "$a" "$b"; do
    "$docre" predict --backend "$backend" --model "$model" --input "$docs" --output "$work/$backend.jsonl"
done
python3 - "$work/$a.jsonl" "$work/$b.jsonl" <<'PYTHON'
import json, sys
def facts(path):
    return {(number, p["h_idx"], p["t_idx"], p["r"]): p
            for number, line in enumerate(open(path)) for p in json.loads(line)["predictions"]}
a, b = map(facts, sys.argv[1:])
apart = max((abs(a[key]["logit"] - b[key]["logit"]) for key in a.keys() & b.keys()), default=0.0)
print(f"{len(a)} and {len(b)} facts, {len(a.keys() & b.keys())} in both, whose logits differ by at most {apart:.2e}")
far = 0
for key in sorted(a.keys() ^ b.keys()):
    own, other = (a, b) if key in a else (b, a)
    fact = own[key]
    instead = [other[k]["logit"] for k in other.keys() - own.keys() if k[:3] == key[:3]]
    distance = min(abs(fact["logit"] - logit) for logit in [fact["threshold"], *instead])
    far += distance >= 1e-4
    document, head, tail, relation = key
    print(f"only {'first' if own is a else 'second'}: document {document}, {head} -> {tail} {relation}, by {distance:.2e}")
sys.exit(far > 0)
PYTHON
