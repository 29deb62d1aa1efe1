#!/bin/bash
# A batch on two workstations with Linux, started on the first of them:
#
#   OTHER=user@second examples/cluster/workstations.sh --contents PHOTOS/ --styles STYLES/ -o OUT/
#
# What follows the script are arguments of "jaxstyle batch". It is four commands, which may as well be typed
# by hand: Ray is started on both machines, the batch is run, and Ray is stopped.
#
# To adapt: VENV, the virtual environment, at the same path on both, with the same versions of Python, Ray and
# jaxstyle. The folders of the pictures and OUT have to be at the same paths too, as over NFS. The machines must
# reach each other on all ports, in a network that nobody else is in: Ray asks for no password. ssh to the other
# machine must work without one.

set -euo pipefail

: "${OTHER:?set it to USER@HOST of the second workstation}"
VENV=${VENV:-$PWD/.venv}
ADDRESS=${ADDRESS:-$(hostname -I | cut -d' ' -f1)}
PORT=${PORT:-6379}
export RAY_USAGE_STATS_ENABLED=0

# "ray stop" ends every Ray of a machine.
trap 'ssh "$OTHER" "$VENV/bin/ray stop" || true; "$VENV/bin/ray" stop' EXIT

"$VENV/bin/ray" start --head --node-ip-address="$ADDRESS" --port="$PORT"
ssh "$OTHER" "RAY_USAGE_STATS_ENABLED=0 $VENV/bin/ray start --address=$ADDRESS:$PORT"
"$VENV/bin/python" -m jaxstyle batch --cluster "$ADDRESS:$PORT" "$@"
