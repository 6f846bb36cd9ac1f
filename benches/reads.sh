#!/usr/bin/env bash
# Holds a farm's reads against fio's: the same strips of the same file, block
# size and queue depth, cold, in turn. It fails where the median of the ratios is below 0.90.
#
#     benches/reads.sh FOLDER [MIB]     FOLDER lies on the disk to be measured;
#                                       MIB is the size of the file made there and removed
#     ROUNDS=9 STRIPS=8 benches/reads.sh …   rounds a line, of which the median is printed, and MiB of the strips
set -euo pipefail

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
    echo "usage: $0 FOLDER [MIB]" >&2
    exit 2
fi
missing=()
for program in fio jq cargo; do
    command -v "$program" > /dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "$0 needs ${missing[*]}: apt-get install fio jq, and https://rustup.rs for cargo" >&2
    exit 1
fi
folder=$(mktemp -d "$1/reads.XXXXXX")
trap 'rm -rf "$folder"' EXIT
file=$folder/bench.plot
mib=${2:-4096}
rounds=${ROUNDS:-5}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --quiet --release --package spacetime-benches --example reads
reads=${CARGO_TARGET_DIR:-target}/release/examples/reads

# Cold: nothing of the file is cached. Without the right to drop all, this file goes.
drop_cache() {
    sync "$file"
    if ! { echo 3 > /proc/sys/vm/drop_caches; } 2> /dev/null; then
        dd if="$file" iflag=nocache count=0 status=none
    fi
}

# The same strips in the same order, a job for each column as a sweep is for one.
fio_rate() { # KIB DEPTH
    local column
    {
        printf '%s\n' '[global]' "filename=$file" rw=read direct=1 ioengine=libaio "bs=${1}k" "iodepth=$2" stonewall \
            zonemode=strided "zonesize=${strip_mib}m" "zonerange=${strip_mib}m" "zoneskip=$((15 * strip_mib))m" \
            "io_size=$((mib / 16))m" "size=$((mib - 15 * strip_mib))m"
        for ((column = 0; column < 16; column++)); do
            printf '%s\n' "[column$column]" "offset=$((4096 + column * strip_mib * 1048576))"
        done
    } > "$folder/job.fio"
    fio --readonly --output-format=json "$folder/job.fio" |
        jq '([.jobs[].read.io_bytes] | add) / 1048.576 / ([.jobs[].read.runtime] | add) | floor'
}

farm_rate() { # KIB DEPTH [CHALLENGES]
    "$reads" farm "$file" "$@"
}

median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }

# Order matters where a host lends its disk in bursts: each round is fio, reads, reads, fio.
round() { # KIB DEPTH: fio, reads and their ratio in thousandths
    local rates=() who
    for who in fio_rate farm_rate farm_rate fio_rate; do
        drop_cache
        rates+=("$("$who" "$1" "$2")")
    done
    local fio=$((rates[0] + rates[3])) ours=$((rates[1] + rates[2]))
    echo "$((fio / 2)) $((ours / 2)) $((ours * 1000 / fio))"
}

failed=0
echo "MiB/s, medians of $rounds rounds; ratio: median of reads / fio within a round"
echo
echo "| strip | block | depth | fio | reads | ratio | one challenge scored too |"
echo "|---|---|---|---|---|---|---|"
for strip_mib in ${STRIPS:-2 8}; do
    "$reads" make "$file" "$mib" "$strip_mib"
    for shape in "2048 1" "2048 4" "2048 8" "1024 4"; do
        read -r kib depth <<< "$shape"
        for ((at = 0; at < rounds; at++)); do round "$kib" "$depth"; done > "$folder/rates"
        for ((at = 0; at < rounds; at++)); do farm_rate "$kib" "$depth" 1; done > "$folder/scored"
        middle() { cut -d' ' -f"$1" "$folder/rates" | median; }
        ratio=$(middle 3)
        echo "| $strip_mib MiB | $kib KiB | $depth | $(middle 1) | $(middle 2) |" \
            "$(jq -n "$ratio / 1000") | $(median < "$folder/scored") |"
        [ "$ratio" -ge 900 ] || failed=1
    done
done
echo
"$reads" ways "$file" 2048 4
if [ "$failed" = 1 ]; then
    echo "a ratio is below 0.90" >&2
    exit 1
fi
