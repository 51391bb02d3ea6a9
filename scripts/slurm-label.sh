#!/usr/bin/env bash
#SBATCH --job-name=docre-label
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
# The teacher's logits for a large corpus, one part a job, on one machine or eight:
#   sbatch scripts/slurm-label.sh TEACHER_MODEL_DIR DISTANT_JSON LABELS_DIR [docre options, as --backend cuda]
# Each job writes its own part; a job that is run again finds its part finished and ends at once, and `sbatch --array=3` makes
# the third part alone. When all have ended, LABELS_DIR is a complete store: put it into a run as OUT/labels. Not tried on a
# cluster.
set -euo pipefail
parts=8 # as many as the array has by default
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" docre label --model "$1" --input "$2" --output "$3" \
    --shard "$SLURM_ARRAY_TASK_ID/$parts" "${@:4}"
