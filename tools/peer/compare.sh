#!/usr/bin/env bash
# docre's backends and the PyTorch peer side by side: same weights, documents, batches and threads. Mode by mode, each right
# after the other, since a shared machine's speed drifts from minute to minute.
#   tools/peer/compare.sh MODEL_DIR DOCS OUT [docre bench options, as --documents 32 --samples 7]
# DOCRE=path/to/docre, BACKENDS="flex tch", PYTHON=python with torch and safetensors. MODEL_DIR is one of docre's; DOCS is in
# DocRED format.
set -euo pipefail
cd "$(dirname "$0")/../.."
model=${1:?usage: tools/peer/compare.sh MODEL_DIR DOCS OUT [docre bench options]} docs=${2:?} out=${3:?}
docre=${DOCRE:-target/release/docre} python=${PYTHON:-python3}
samples=5
for ((i = 4; i <= $#; i++)); do [ "${!i}" = --samples ] && { j=$((i + 1)); samples=${!j}; }; done

mkdir -p "$out"
bench() { "$docre" bench --model "$model" --input "$docs" "$@"; }
bench "${@:4}" --dump-inputs "$out/inputs.json"
records=()
for mode in inference training; do
    for backend in ${BACKENDS:-flex tch}; do
        bench --modes "$mode" --backend "$backend" "${@:4}" --output "$out/$backend-$mode"
        records+=("$out/$backend-$mode/bench.json")
    done
    "$python" tools/peer/peer.py --model "$model" --inputs "$out/inputs.json" --mode "$mode" --samples "$samples" \
        --output "$out/peer-$mode.json"
    records+=("$out/peer-$mode.json")
done
"$docre" bench --merge "${records[@]}" --output "$out"
