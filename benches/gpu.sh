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
if ! { [ -f "$program" ] && [ -x "$program" ]; }; then
    echo "error: no program: build it (make build) and put it beside this script, or name it by --program" >&2
    exit 1
fi
# What the environment says for other runs shall not change these.
unset SPACETIME_BACKEND SPACETIME_THREADS SPACETIME_MEMORY SPACETIME_GPU_MEMORY

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d "$out/plots.XXXXXX")
child=
# shellcheck disable=SC2317 # the trap calls it
# Ends what runs, and waits for it, before its folder goes.
stop() {
    trap '' INT TERM
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    echo "error: stopped; what was measured so far is in $out" >&2
    exit 130
}
trap 'rm -rf "$work"' EXIT
trap stop INT TERM
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
    # In the background, or the shell would hear of Ctrl-C when it is over only.
    timeout --signal=TERM --kill-after=20 "$(left "$seconds")" "$program" "$@" >"$out/$name.json" 2>"$out/$name.log" &
    child=$!
    local code=0
    wait "$child" || code=$?
    child=
    return "$code"
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
        note "done" "$name in $((SECONDS - before)) s"
    else
        note FAILED "$name (see $name.log)"
        return 1
    fi
}

# field NAME FILE: that field of each object, whatever its type.
field() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$2"
}

same small 4 1 1 1 "$adapters"
same odd 6 5 1003 64 "$adapters" "$adapters+cpu"
same segments 8 7 777 16 "$adapters"
same test 10 7 2100 1024 "$adapters" "$adapters+cpu"
same main 13 31 65 64 "$adapters+cpu"

# The same leaf whoever scores, and a proof that stands.
challenge=$(printf '%064d' 7)
if run 60 prove-cpu prove --json --backend cpu --column 3 --challenge "$challenge" "$work/cpu/test.plot" &&
    run 60 prove-gpu -v prove --json --backend "$adapters+cpu" --column 3 --challenge "$challenge" "$work/cpu/test.plot" &&
    cmp -s "$out/prove-cpu.json" "$out/prove-gpu.json" &&
    run 60 verify verify --plot "$work/cpu/test.plot" "$out/prove-gpu.json"; then
    # In so small a search a GPU may come too late: then it is its self-test alone that passed.
    scored=$(sed -n 's/.* scored \([0-9][0-9]*\) leaves.*/\1/p' "$out/prove-gpu.log" | paste -s -d+ -)
    note same "prove: $adapters+cpu and the CPU find one leaf (GPUs scored ${scored:-0}), and its proof verifies"
else
    note FAILED "prove or verify (see prove-cpu.log, prove-gpu.log and verify.log)"
fi

# An earlier chart would pass for this one's.
rm -f "$out/bench-gpu.svg" "$out/bench-cpu.svg" "$out/bench-disk.svg"
measure 240 bench-gpu bench gpu --json --backend "$adapters" --chart "$out/bench-gpu.svg" || true
measure 60 bench-cpu bench cpu --json --chart "$out/bench-cpu.svg" || true
measure 60 bench-disk bench disk --json --chart "$out/bench-disk.svg" "$work" || true

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
if measure 120 plot-main plot create --json --network main --miner-key "$MINER_KEY" --rows "$rows" --backend "$adapters" \
    --out "$work/main" --name main; then
    took_ms=$((($(date +%s%N) - began) / 1000000 + 1))
    note seen "a main plot of $rows rows in $took_ms ms, start and disk included: $((rows * 262144 / took_ms / 1000)) MB/s"
    if run 60 check-main plot check --json "$work/main/main.plot"; then
        note same "plot-main: the CPU grows a sample of its rows again and finds them the same"
    else
        note FAILED "plot-main: the plot is not as the CPU would make it (see check-main.log)"
    fi
fi
measure 120 bench-farm bench farm --json "$work/main/main.plot" || true

# Whatever ended well and measured nothing is no result.
for name in bench-gpu bench-cpu bench-disk bench-farm; do
    [ -s "$out/$name.json" ] || note FAILED "$name: measured nothing"
done

echo
printf '%s\n' "${results[@]}"
echo
sed -n 's/.*"adapter":\([0-9]*\),"name":"\([^"]*\)".*/\2/p' "$out/bench-gpu.json" | sort -u
sed -n 's/.*WARN \(.* is software.*\)/\1/p' "$out/bench-gpu.log"
printf '%-8s %-20s %15s %10s %10s\n' adapter job "a second" "of bare" "of memory"
paste <(field adapter "$out/bench-gpu.json") <(field job "$out/bench-gpu.json") <(field rate "$out/bench-gpu.json") \
    <(field of_bare "$out/bench-gpu.json") <(field of_memory "$out/bench-gpu.json") |
    awk -F'\t' '{
        bare = $4 == "null" ? "" : sprintf("%.2f", $4); memory = $5 == "null" ? "" : sprintf("%.2f", $5)
        unit = $2 ~ /^(copy|read_back|strips.*)$/ ? "MB" : "M "
        # A proof takes a whole row: there are no millions of them.
        rate = $2 == "check" ? sprintf("%.1f   ", $3) : sprintf("%.2f %s", $3 / 1e6, unit)
        printf "%-8s %-20s %15s %10s %10s\n", $1, $2, rate, bare, memory
    }'
echo
printf '%-8s %8s %-20s %14s\n' cpu threads job "a second"
paste <(field backend "$out/bench-cpu.json") <(field threads "$out/bench-cpu.json") <(field job "$out/bench-cpu.json") \
    <(field rate "$out/bench-cpu.json") |
    awk -F'\t' '{
        # A proof takes a whole row: there are no millions of them.
        rate = $3 == "check" ? sprintf("%.1f  ", $4) : sprintf("%.2f M", $4 / 1e6)
        printf "%-8s %8s %-20s %14s\n", $1, $2, $3, rate
    }'
echo
printf '%-18s %10s %12s %10s %10s\n' disk "in flight" "MB a second" "p50 ms" "p99 ms"
paste <(field job "$out/bench-disk.json") <(field queue_depth "$out/bench-disk.json") \
    <(field bytes_per_second "$out/bench-disk.json") <(field p50_ms "$out/bench-disk.json") \
    <(field p99_ms "$out/bench-disk.json") |
    awk -F'\t' '$2 != "" { printf "%-18s %10s %12.1f %10.2f %10.2f\n", $1, $2, $3 / 1e6, $4, $5 }'
echo
paste <(field windows "$out/bench-farm.json") <(field windows_missed "$out/bench-farm.json") \
    <(field answer_median_ms "$out/bench-farm.json") <(field answer_worst_ms "$out/bench-farm.json") |
    awk -F'\t' 'END { if (NR) printf "farm: %d windows, %d missed; answered in %.1f ms (worst %.1f ms)\n", $1, $2, $3, $4 }'
echo "in all $SECONDS s; everything that was said is in $out"
exit "$failed"
