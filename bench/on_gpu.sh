#!/usr/bin/env bash
# Run the benchmarks within nine minutes on a machine with a GPU and no internet access.
#
#   python bench/pack.py     beforehand, with internet access: fills bench/carry
#   bash bench/on_gpu.sh     on that machine: writes $OUT/*-gpu.json (default: bench/results)
#
# Requires Python 3.12, jax 0.11 and PyTorch 2.11. If a benchmark fails or takes too long, the
# others still run. QUICK=1 makes a trial run of a minute or two, on any device.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

total=${TOTAL:-530}
carry=bench/carry
out=${OUT:-bench/results}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
venv=$folder/venv
mkdir -p "$out"

# If python3 belongs to a virtual environment, a new one does not see its packages: add a .pth file.
python3 -m venv --system-site-packages --without-pip "$venv" || exit
site='import sysconfig; print(sysconfig.get_path("purelib"))'
python3 -c "$site" > "$("$venv/bin/python" -c "$site")/outer.pth"
python3 -m pip --python "$venv/bin/python" install --quiet --no-index --no-deps --no-compile \
  --find-links "$carry/wheels" --requirement "$carry/requirements.txt" || exit

gunzip --stdout "$carry/vgg19-float16.h5.gz" > "$folder/vgg19.h5" || exit

# By default JAX reserves most of the GPU's memory, but PyTorch and new processes need some.
export XLA_PYTHON_CLIENT_PREALLOCATE=false PYTHONUNBUFFERED=1

run() { # name, seconds, command and its flags
  local name=$1 limit=$2 left=$((total - SECONDS))
  shift 2
  ((left < limit)) && limit=$left
  if ((limit <= 5)); then
    echo "== $name: no time left"
    return
  fi
  echo "== $name, at most $limit s"
  timeout --kill-after=5 "$limit" "$venv/bin/python" -m bench "$@" ${QUICK:+--quick} \
    --weights "$folder/vgg19.h5" --json "$out/$name-gpu.json" \
    || echo "== $name: exit status $?"
}

run speed 130 speed --seconds 100
run peers 170 peers --only step --seconds 120
run race 90 peers --only race
run compile 90 compile --repeats 1 --seconds 60
run memory 60 memory
echo "== done after $SECONDS s:"
ls -l "$out"
