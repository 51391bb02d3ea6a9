#!/usr/bin/env bash
# Compares distillation with its baselines on the demo. Each seed has its own corpus and three runs:
#   kd    the whole pipeline
#   na    the same student without soft labels, fine-tuned
#   long  a teacher with as many optimizer steps as the pipeline's three trainings together
# usage: scripts/demo-seeds.sh OUT        (environment: DOCRE=path/to/docre, SEEDS="1 2 3", JOBS=2)
# Takes ten minutes per seed and core. Keeps finished runs in OUT and prints a table.
set -euo pipefail
out=$(realpath -m "${1:?usage: scripts/demo-seeds.sh OUT}")
docre=${DOCRE:+$(realpath "$DOCRE")}
cd "$(dirname "$0")/.."
docre=${docre:-target/release/docre}
# A failed run ends the others, too: each is a process group of its own.
set -m
trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done' EXIT
# Waits for a run to end. A run that has failed ends the script.
wait_for_one() { wait -n; n_running=$((n_running - 1)); }
n_running=0
config=configs/demo.toml
none='stages.student.distillation={kind="none"}'

mkdir -p "$out"
# run SEED NAME STEP COMMAND...: runs a command in OUT/SEED-NAME unless it is finished
run() {
    local directory="$out/$1-$2" finished="$out/$1-$2.$3.done"
    [ -e "$finished" ] && return
    local resume=()
    [ -e "$directory" ] && resume=(--resume)
    "$docre" "${@:4}" --out "$directory" --set "seed=$1" --set "data.synthetic.seed=$1" "${resume[@]}" >/dev/null
    touch "$finished"
}
seeds=${SEEDS:-$(seq -s ' ' 71 80)} jobs=${JOBS:-$(nproc)}
one_seed() {
    run "$1" kd all distill "$config"
    run "$1" na student train "$config" --stage student --set "$none"
    run "$1" na finetune train "$config" --stage finetune --set "$none"
    run "$1" long teacher train "$config" --stage teacher --set stages.teacher.epochs=125
}
# One thread per run. Results do not depend on the number of threads, and parallel runs use the cores better.
export RAYON_NUM_THREADS=1
for seed in $seeds; do
    ((n_running < jobs)) || wait_for_one
    one_seed "$seed" &
    n_running=$((n_running + 1))
done
while ((n_running > 0)); do wait_for_one; done

python3 - "$out" $seeds <<'PYTHON'
import json, statistics, sys
out, seeds = sys.argv[1], sys.argv[2:]
columns = [("teacher", "kd", "teacher"), ("long teacher", "long", "teacher"), ("NA student", "na", "student"),
           ("NA fine-tuned", "na", "finetune"), ("KD student", "kd", "student"), ("KD fine-tuned", "kd", "finetune")]
rows = []
for seed in seeds:
    results = {run: json.load(open(f"{out}/{seed}-{run}/results.json")) for run in ("kd", "na", "long")}
    rows.append([(100 * results[run][stage]["f1"], 100 * results[run][stage]["ign_f1"]) for _, run, stage in columns])
print("| seed | " + " | ".join(name for name, *_ in columns) + " |\n|---|" + "---|" * len(columns))
for seed, row in zip(seeds, rows):
    print(f"| {seed} | " + " | ".join(f"{f1:.1f} / {ign:.1f}" for f1, ign in row) + " |")
mean = [tuple(statistics.mean(values) for values in zip(*column)) for column in zip(*rows)]
print("| mean | " + " | ".join(f"{f1:.1f} / {ign:.1f}" for f1, ign in mean) + " |")
if len(seeds) > 1:
    deviation = [tuple(statistics.stdev(values) for values in zip(*column)) for column in zip(*rows)]
    print("| deviation | " + " | ".join(f"{f1:.1f} / {ign:.1f}" for f1, ign in deviation) + " |")
PYTHON
