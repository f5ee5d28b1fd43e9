#!/bin/bash
#SBATCH --job-name=batchedit
#SBATCH --array=1-8
#SBATCH --requeue
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@240
#SBATCH --output=batchedit-%A-%a.log
#
# sbatch deploy/slurm.sh [RUN]: eight workers until nothing is left. A task that is put back into the queue is a new worker.
# The environment holds RUNCOMFY_API_TOKEN, BATCHEDIT_STORE and BATCHEDIT_FILES.
set -euo pipefail
cd "${SLURM_TMPDIR:-$(mktemp -d)}"
trap 'kill -TERM "$worker"; wait "$worker"' TERM
batchedit work ${1:+--run "$1"} --until-idle &
worker=$!
wait "$worker"
