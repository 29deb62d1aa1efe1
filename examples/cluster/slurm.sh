#!/bin/bash
# A batch on several nodes of a Slurm cluster:
#
#   sbatch examples/cluster/slurm.sh --contents PHOTOS/ --styles STYLES/ -o OUT/
#
# What follows the script are arguments of "jaxstyle batch". A Ray cluster is started for the job: a head on
# the first node, and a worker node on each of the others. The batch runs on the first node and uses the GPUs
# of all. When the job ends, so does all that it has started. Submitted again, it does what is missing.
# "scancel --batch --signal=TERM JOB" ends it in order, with checkpoints; "scancel JOB" does not wait for them.
#
# To adapt: the #SBATCH lines (partition and account; without GPUs delete --gpus-per-node), and VENV, a virtual
# environment in a folder that all nodes see, as the pictures and OUT have to be. Nodes without access to the
# internet cannot fetch the weights: have them fetched once on the login node, by
# "VENV/bin/python -m convert_weights -o vgg19.h5", and add "--weights vgg19.h5" to the arguments.

#SBATCH --job-name=jaxstyle
#SBATCH --output=%x-%j.log
#SBATCH --time=08:00:00
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --no-kill              # a node that fails does not end the job
#SBATCH --signal=B:TERM@120    # two minutes before the end of the time, checkpoints are saved

set -euo pipefail

VENV=${VENV:-$SLURM_SUBMIT_DIR/.venv}
PORT=$((20000 + SLURM_JOB_ID % 10000))
export PATH="$VENV/bin:$PATH" RAY_USAGE_STATS_ENABLED=0

# This script runs on the first node. Choose another address if the nodes see each other in another network.
address=$(hostname -I | cut -d' ' -f1)
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")

steps=()
finish() {
    trap - EXIT
    kill "${steps[@]}" 2>/dev/null || true
    wait
}
trap finish EXIT

# Start Ray on one node, in a step of its own, so that the loss of a node ends no other step.
start_on() {
    local node=$1
    shift
    srun --nodes=1 --ntasks=1 --nodelist="$node" --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        ray start --block --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" \
        --object-store-memory=200000000 "$@" &
    steps+=("$!")
}

start_on "${nodes[0]}" --head --node-ip-address="$address" --port="$PORT" --include-dashboard=false
export address PORT
if ! timeout 180 bash -c 'until ray health-check --address "$address:$PORT" 2>/dev/null; do sleep 2; done'; then
    echo "the head of Ray does not answer at $address:$PORT" >&2
    exit 1
fi
for node in "${nodes[@]:1}"; do
    start_on "$node" --address="$address:$PORT"
done

# Nodes that are still starting are used as soon as they are there.
python -m jaxstyle batch --cluster "$address:$PORT" --checkpoint-every 600 "$@" &
driver=$!
trap 'kill -TERM "$driver" 2>/dev/null' TERM INT

status=0
wait "$driver" || status=$?
while kill -0 "$driver" 2>/dev/null; do # a signal has ended the waiting, but not yet the batch
    status=0
    wait "$driver" || status=$?
done
exit "$status"
