#!/usr/bin/env bash
# Compares KMGRE with the same extractor without a key classifier, all mention pairs fused, on the demo corpus. Each
# seed has its own corpus and two runs of equal epochs. Without a classifier, every epoch updates the extractor; with
# one, those of the warm-up and the M passes do. The last column is the precision of the last E pass's pseudo labels
# against the annotated evidence of the training documents.
# usage: scripts/kmgre-seeds.sh OUT        (environment: DOCRE=path/to/docre, SEEDS="1 2 3", JOBS=2)
# Keeps finished runs in OUT, goes on with unfinished ones and prints a table.
set -euo pipefail
out=$(realpath -m "${1:?usage: scripts/kmgre-seeds.sh OUT}")
docre=${DOCRE:+$(realpath "$DOCRE")}
cd "$(dirname "$0")/.."
docre=${docre:-target/release/docre}
# A failed run ends the others, too: each is a process group of its own.
set -m
trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done' EXIT
# Waits for a run to end. A run that has failed ends the script.
wait_for_one() { wait -n; n_running=$((n_running - 1)); }
n_running=0
seeds=${SEEDS:-1 2 3 4 5} jobs=${JOBS:-$(nproc)}

mkdir -p "$out"
cp configs/kmgre-demo.toml "$out/kmgre.toml"
# Without a classifier there is no EM.
sed -e '/^\[em\]/,/^$/d' -e 's/^key_classifier = .*/key_classifier = { kind = "none" }/' \
    configs/kmgre-demo.toml >"$out/all.toml"
# run SEED NAME: trains OUT/SEED-NAME with OUT/NAME.toml unless it is finished
run() {
    local directory="$out/$1-$2" resume=()
    [ -e "$directory.done" ] && return
    [ -e "$directory" ] && resume=(--resume)
    "$docre" distill "$out/$2.toml" --out "$directory" --set "seed=$1" --set "data.synthetic.seed=$1" "${resume[@]}" \
        >/dev/null
    touch "$directory.done"
}
# One thread per run. Results do not depend on the number of threads, and parallel runs use the cores better.
export RAYON_NUM_THREADS=1
for seed in $seeds; do
    for name in kmgre all; do
        ((n_running < jobs)) || wait_for_one
        run "$seed" "$name" &
        n_running=$((n_running + 1))
    done
done
while ((n_running > 0)); do wait_for_one; done

python3 - "$out" $seeds <<'PYTHON'
import json, statistics, sys
out, seeds = sys.argv[1], sys.argv[2:]
metrics, names = ("f1", "ign_f1", "evidence_f1"), ("kmgre", "all")
print("| seed | KMGRE: F1 / Ign F1 / evidence F1 | all mention pairs fused | evidence agreement |\n|---|---|---|---|")
rows = []
for seed in seeds:
    results = [json.load(open(f"{out}/{seed}-{name}/results.json"))["train"] for name in names]
    rows.append([[100 * result[metric] for metric in metrics] for result in results])
    epochs = json.load(open(f"{out}/{seed}-kmgre/train/training_state.json"))["history"]
    agreement = [e["values"]["evidence_agreement"] for e in epochs if "evidence_agreement" in e["values"]][-1]
    scores = " | ".join(" / ".join(f"{value:.1f}" for value in row) for row in rows[-1])
    print(f"| {seed} | {scores} | {100 * agreement:.1f} |")
if len(rows) > 1:
    columns = [[(statistics.mean(v), statistics.stdev(v)) for v in zip(*runs)] for runs in zip(*rows)]
    print("| mean ± deviation | " + " | ".join(" / ".join(f"{m:.1f} ± {s:.1f}" for m, s in c) for c in columns) + " | |")
PYTHON
