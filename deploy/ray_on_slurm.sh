#!/bin/bash
# A sweep on a Slurm cluster: `sbatch deploy/ray_on_slurm.sh spec.yaml /shared/runs/mine`. Ray is
# started on the nodes of the job, the sweep runs on the first of them, and all of it ends together.
#
# The folder in the second argument, the cache (execution.cache) and the environment are on a disk
# that all nodes see. Submitted again, or requeued by Slurm, the sweep goes on from its store.
#SBATCH --job-name=mixopt
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
# Alone on its nodes: where it ends, `ray symmetric-run` stops every Ray that it finds there.
#SBATCH --exclusive
#SBATCH --time=2-00:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mixopt-%j.log
# Two minutes before the time is up the sweep is told to stop, and closes its store.
#SBATCH --signal=B:TERM@120
set -euo pipefail

spec=${1:?give the spec: sbatch deploy/ray_on_slurm.sh SPEC OUT}
out=${2:?give the folder of the sweep, on a disk that all nodes see}

# The first node has the head; a port of this job's own, so that two jobs of a node do not meet.
# `sed` reads all names: `head` would close the pipe early, which ends the script at times.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
port=$((20000 + SLURM_JOB_ID % 20000))

# Everybody in this job, and nobody else on the network, has the token.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN

# Ray's address and port come from here, not from a cluster that the shell knew before.
unset RAY_ADDRESS
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 RAY_USAGE_STATS_ENABLED=0

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --kill-on-bad-exit=0 \
    ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="${SLURM_CPUS_ON_NODE:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" \
    -- python -m mixopt run "$spec" --out "$out" --address "$head:$port" &
sweep=$!
trap 'kill -TERM "$sweep"; wait "$sweep"' TERM
wait "$sweep"
