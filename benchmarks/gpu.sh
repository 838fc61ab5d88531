#!/usr/bin/env bash
# All that needs a GPU, in under nine minutes: the tests marked `gpu`, and the benchmarks on CUDA. Leaves JSON files,
# plots and logs in $OUT (default: benchmarks/results/gpu). Each part has a time limit; one that fails or runs out of time
# is named at the end, and the exit code is then 1. Without a GPU it says so and exits with 0.
#
#   bash benchmarks/gpu.sh                  DATA=folder of videos (default: clips that are made first), PYTHON=python
set -uo pipefail
cd "$(dirname "$0")/.."
if [ -x .venv/bin/python ]; then PYTHON=${PYTHON:-.venv/bin/python}; else PYTHON=${PYTHON:-python3}; fi
OUT=${OUT:-benchmarks/results/gpu}
DATA=(${DATA:+--data "$DATA"})
CORES=$(nproc)
WORKERS=$((CORES < 8 ? CORES : 8))
FAILED=()

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L >/dev/null 2>&1; then
    echo "skipped: no GPU here (nvidia-smi finds none)"
    exit 0
fi
mkdir -p "$OUT"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv >"$OUT/gpu.csv"

# part NAME SECONDS COMMAND...: run it within its time; what it prints is kept in NAME.log
part() {
    local name=$1 seconds=$2
    shift 2
    echo "== $name (at most $seconds s)"
    timeout --kill-after=5 "$seconds" "$@" >"$OUT/$name.log" 2>&1
    local status=$?
    tail -n 25 "$OUT/$name.log"
    [ $status -eq 0 ] || FAILED+=("$name ($status)")
}

part tests 110 "$PYTHON" -m pytest -q -m gpu --timeout 60
part end_to_end 330 "$PYTHON" -m benchmarks.training.end_to_end --device cuda --segments 16 --batch_size 4 --batches 8 --rounds 5 \
    --cores "$WORKERS" --repeats 4 ${DATA[@]+"${DATA[@]}"} --output "$OUT/end_to_end.json"
part overhead 50 "$PYTHON" -m benchmarks.training.overhead --device cuda --segments 16 --batch_size 16 --pixels 224 --rounds 5 \
    --output "$OUT/overhead.json"
part audio 50 "$PYTHON" -m benchmarks.loading.audio --rounds 5 --workers "$WORKERS" ${DATA[@]+"${DATA[@]}"} \
    --output "$OUT/audio.json"

if [ ${#FAILED[@]} -gt 0 ]; then
    echo "failed: ${FAILED[*]}"
    exit 1
fi
echo "all parts done: $OUT"
