#!/usr/bin/env bash
#SBATCH --job-name=docre-label
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
# Writes the teacher's logits for a large corpus, one shard per job.
# usage: sbatch scripts/slurm-label.sh TEACHER_MODEL_DIR DISTANT_JSON LABELS_DIR [docre options, such as --backend cuda]
# A repeated job ends at once if its shard is finished; `sbatch --array=3` writes the third shard only. When all shards
# are written, LABELS_DIR can be moved into a run as OUT/labels. This script has not been tried on a cluster.
set -euo pipefail
shards=8 # the size of the array above
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" docre label --model "$1" --input "$2" --output "$3" \
    --shard "$SLURM_ARRAY_TASK_ID/$shards" "${@:4}"
