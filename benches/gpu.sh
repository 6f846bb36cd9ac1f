#!/usr/bin/env bash
# Checks the GPU engine on this machine and measures all that `spacetime bench` does.
#
#   benches/gpu.sh [--adapters gpu:0,2] [--program FILE] [--out FOLDER]
#
# Needs a Vulkan loader and driver, and the built program: beside this script, or in
# target/release. No network and no compiler. Done within eight minutes. Writes a
# table to standard output, and each part's output as JSON into FOLDER (default: spacetime-gpu-results).
# Plots are made in a folder of their own below FOLDER, and removed.
set -euo pipefail

usage() {
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
adapters=gpu
program=
out=spacetime-gpu-results
while [ $# -gt 0 ]; do
    case $1 in
        --adapters | --program | --out) [ $# -ge 2 ] || usage ;;
        *) usage ;;
    esac
    case $1 in
        --adapters) adapters=$2 ;;
        --program) program=$2 ;;
        --out) out=$2 ;;
    esac
    shift 2
done
for candidate in "$here/spacetime" "$here/../target/release/spacetime"; do
    [ -n "$program" ] || { [ -x "$candidate" ] && program=$candidate; }
done
[ -n "$program" ] && [ -x "$program" ] || {
    echo "error: no program: build it (make build) and put it beside this script, or name it by --program" >&2
    exit 1
}
# What the environment says for other runs shall not change these.
unset SPACETIME_BACKEND SPACETIME_THREADS SPACETIME_MEMORY SPACETIME_GPU_MEMORY

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d "$out/plots.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
readonly END=$((SECONDS + 470))

# A public key; nobody needs its secret.
readonly MINER_KEY=97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb

results=()
failed=0
# note RESULT WHAT
note() {
    results+=("$(printf '%-8s %s' "$1" "$2")")
    printf '%-8s %s\n' "$1" "$2" >&2
    [ "$1" != FAILED ] || failed=1
}

# The time that is left, at most $1 seconds.
left() {
    local left=$((END - SECONDS))
    [ "$left" -gt 0 ] || left=1
    [ "$left" -lt "$1" ] && echo "$left" || echo "$1"
}

# run SECONDS NAME ARGUMENTS...: the program's output goes to NAME.json, what it says to NAME.log.
run() {
    local seconds=$1 name=$2
    shift 2
    timeout --signal=INT --kill-after=20 "$(left "$seconds")" "$program" "$@" >"$out/$name.json" 2>"$out/$name.log"
}

# same NAME P R ROWS SEGMENT_ROWS BACKENDS...: plots made by each engine are the same as the portable CPU's.
same() {
    local name=$1 p=$2 rounds=$3 rows=$4 segment_rows=$5 engine
    shift 5
    local fixed=(plot create --json --network local --miner-key "$MINER_KEY" --log2-columns "$p" --rounds "$rounds"
        --rows "$rows" --segment-rows "$segment_rows" --seed "$(printf '%064d' "$p")")
    if ! run 120 "$name-cpu" "${fixed[@]}" --backend cpu --out "$work/cpu" --name "$name"; then
        note FAILED "$name: the CPU makes no plot (see $name-cpu.log)"
        return
    fi
    for engine in "$@"; do
        if ! run 120 "$name-$engine" "${fixed[@]}" --backend "$engine" --out "$work/$engine" --name "$name"; then
            note FAILED "$name: $engine makes no plot (see $name-$engine.log)"
        elif cmp -s "$work/cpu/$name.plot" "$work/$engine/$name.plot"; then
            note same "$name: p=$p R=$rounds, $rows rows by $segment_rows: $engine and the CPU, byte for byte"
        else
            note FAILED "$name: the plots of $engine and the CPU differ"
        fi
        rm -f "$work/$engine/$name.plot"
    done
}

# measure SECONDS NAME ARGUMENTS...
measure() {
    local seconds=$1 name=$2 before=$SECONDS
    shift 2
    if run "$seconds" "$name" "$@"; then
        note done "$name in $((SECONDS - before)) s"
    else
        note FAILED "$name (see $name.log)"
    fi
}

same small 4 1 1 1 "$adapters"
same odd 6 5 1003 64 "$adapters" "$adapters+cpu"
same segments 8 7 777 16 "$adapters"
same test 10 7 2100 1024 "$adapters" "$adapters+cpu"
same main 13 31 65 64 "$adapters+cpu"

# The same leaf whoever scores, and a proof that stands.
challenge=$(printf '%064d' 7)
if run 60 prove-cpu prove --json --backend cpu --column 3 --challenge "$challenge" "$work/cpu/test.plot" &&
    run 60 prove-gpu prove --json --backend "$adapters+cpu" --column 3 --challenge "$challenge" "$work/cpu/test.plot" &&
    cmp -s "$out/prove-cpu.json" "$out/prove-gpu.json" &&
    run 60 verify verify --plot "$work/cpu/test.plot" "$out/prove-gpu.json"; then
    note same "prove: $adapters+cpu and the CPU find one leaf, and its proof verifies"
else
    note FAILED "prove or verify (see prove-cpu.log, prove-gpu.log and verify.log)"
fi

measure 240 bench-gpu bench gpu --json --backend "$adapters" --chart "$out/bench-gpu.svg"
measure 60 bench-cpu bench cpu --json --chart "$out/bench-cpu.svg"
measure 60 bench-disk bench disk --json --chart "$out/bench-disk.svg" "$work"

# A whole plot of the main network, as many rows as take some twenty seconds, at most 4 GiB and
# what leaves half of the disk's free space.
rate=$(sed -n 's/.*"job":"grow","rate":\([0-9]*\).*/\1/p' "$out/bench-gpu.json" | sort -n | tail -n 1)
free_kib=$(df -Pk "$work" | awk 'NR == 2 { print $4 }')
rows=$(awk -v rate="${rate:-0}" -v free="$free_kib" 'BEGIN {
    most = int(rate * 20 / 262144); room = int(free / 2 / 256)
    if (most > 16384) most = 16384
    if (most > room) most = room
    for (rows = 64; 2 * rows <= most; rows *= 2); print rows
}')
began=$(date +%s%N)
measure 120 plot-main plot create --json --network main --miner-key "$MINER_KEY" --rows "$rows" --backend "$adapters" \
    --out "$work/main" --name main
took_ms=$((($(date +%s%N) - began) / 1000000))
note seen "a main plot of $rows rows in $took_ms ms, start and disk included: $((rows * 262144 / took_ms / 1000)) MB/s"
measure 120 bench-farm bench farm --json "$work/main/main.plot"

# field NAME FILE: that field of each object, whatever its type.
field() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$2"
}

echo
printf '%s\n' "${results[@]}"
echo
printf '%-8s %-20s %12s %10s %10s\n' adapter job "M a second" "of bare" "of memory"
paste <(field adapter "$out/bench-gpu.json") <(field job "$out/bench-gpu.json") <(field rate "$out/bench-gpu.json") \
    <(field of_bare "$out/bench-gpu.json") <(field of_memory "$out/bench-gpu.json") |
    awk -F'\t' '{
        bare = $4 == "null" ? "" : sprintf("%.2f", $4); memory = $5 == "null" ? "" : sprintf("%.2f", $5)
        printf "%-8s %-20s %12.2f %10s %10s\n", $1, $2, $3 / 1e6, bare, memory
    }'
echo
echo "in all $SECONDS s; everything that was said is in $out"
exit "$failed"
