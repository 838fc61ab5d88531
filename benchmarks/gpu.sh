#!/usr/bin/env bash
# What a GPU must show, in under five minutes. Three stages, each of use alone:
#
#   a   without DALI: the shift beside slices and a plain copy, ResNet-50 eager, with cudnn.benchmark and compiled
#   b   the tests marked `gpu`: decoders, the shift, a step without waiting
#   c   clips/s of each way to decode, and one training with its wait for data
#
#   bash benchmarks/gpu.sh [a|b|c ...]       OUT=folder (benchmarks/results/gpu), PYTHON=python, DATA=folder of videos
#
# Figures are written as they are taken, into JSON files and logs in $OUT; all of them end up in $OUT.tar.gz. A stage that
# fails or runs out of its time is named at the end, and the exit code is then 1. Without a GPU it says so and exits with
# 0. DEVICE=cpu tries the script itself out, with sizes that mean nothing; there the tests of stage b are only collected.
set -uo pipefail
cd "$(dirname "$0")/.."
if [ -x .venv/bin/python ]; then PYTHON=${PYTHON:-.venv/bin/python}; else PYTHON=${PYTHON:-python3}; fi
OUT=${OUT:-benchmarks/results/gpu}
DEVICE=${DEVICE:-cuda}
TESTS=(tests/test_gpu.py tests/pipelines/dali/test_color_jitter.py tests/tsam_dali/model/test_shift_triton.py
    tests/tsam_dali/training/test_no_device_sync.py)
FAILED=()

STAGES=("$@")
[ $# -gt 0 ] || STAGES=(a b c)
for stage in "${STAGES[@]}"; do
    case $stage in a | b | c) ;; *) echo "unknown stage $stage: expected a, b or c" >&2 && exit 2 ;; esac
done

A=() B=() C=(--clips 4)
if [ "$DEVICE" = cpu ]; then
    A=(--arch test_resnet --clips 1 --segments 4 --pixels 32 --repeats 1)
    B=(--collect-only)
    C=(--arch test_resnet --clips 2 --seconds 1 --batch_size 2 --segments 2 --threads 1 --steps 1)
elif ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L >/dev/null 2>&1; then
    echo "skipped: no GPU here (nvidia-smi finds none)"
    exit 0
fi
[ -z "${DATA:-}" ] || C+=(--data "$DATA")
mkdir -p "$OUT"
nvidia-smi >"$OUT/nvidia-smi.txt" 2>&1

# run NAME SECONDS ARGUMENTS...: Python within its time; what it prints is kept in NAME.log
run() {
    local name=$1 seconds=$2
    shift 2
    echo "== $name (at most $seconds s)"
    timeout --kill-after=1 "$seconds" "$PYTHON" "$@" >"$OUT/$name.log" 2>&1
    local status=$?
    tail -n 25 "$OUT/$name.log"
    [ $status -eq 0 ] || FAILED+=("$name ($status)")
}

for stage in "${STAGES[@]}"; do
    case $stage in
        a) run a 90 -m benchmarks.model.gpu --device "$DEVICE" ${A[@]+"${A[@]}"} --output "$OUT/a.json" ;;
        b) run b 55 -m pytest -q -m gpu ${B[@]+"${B[@]}"} "${TESTS[@]}" ;;
        c) run c 150 -m benchmarks.loading.feeding --device "$DEVICE" "${C[@]}" --output "$OUT/c.json" ;;
    esac
done

tar -czf "$OUT.tar.gz" -C "$(dirname "$OUT")" "$(basename "$OUT")" || FAILED+=("archive")
echo "results: $OUT.tar.gz"
if [ ${#FAILED[@]} -gt 0 ]; then
    echo "failed: ${FAILED[*]}"
    exit 1
fi
