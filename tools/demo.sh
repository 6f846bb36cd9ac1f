#!/usr/bin/env bash
# Shows what the toolkit does: makes a key, grows two small plots, draws a
# column and challenges, searches both plots, proves the best leaves, verifies
# the proofs and sees a forged one refused. Then three nodes and two miners
# make a chain of their own, block by block.
#
#   tools/demo.sh [PROGRAM]
#
# Works in temporary folders and removes them, but for the network's if it
# fails: its logs are in there. Fails if any step does.
set -euo pipefail
export LC_ALL=C

program=$(realpath "${1:-target/release/spacetime}")
readonly program
readonly ROWS=4096 LOG2_COLUMNS=8 ROUNDS=5 CHALLENGES=4
readonly NODES=3 MINERS=2 BLOCKS=20
readonly COLUMNS_OF_A_PLOT=$((1 << LOG2_COLUMNS))
readonly PLOT_BYTES=$((ROWS * COLUMNS_OF_A_PLOT * 32))

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# get NAME JSON: puts the value of a string or number into $value.
get() {
    value=$(sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\)\"\{0,1\}.*/\1/p" <<<"$2")
    if [ -z "$value" ]; then
        echo "error: no field $1 in: $2" >&2
        exit 1
    fi
}

random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

now_us() { echo "${EPOCHREALTIME/./}"; }

# timed COMMAND…: runs it into $output and its time into $took_us.
timed() {
    local start
    start=$(now_us)
    output=$("$@")
    took_us=$(($(now_us) - start))
}

seconds() { printf '%d.%03d s' $(($1 / 1000000)) $(($1 / 1000 % 1000)); }

size() {
    if [ "$1" -ge $((1 << 20)) ]; then
        echo "$(($1 >> 20)) MiB"
    elif [ "$1" -ge $((1 << 10)) ]; then
        echo "$(($1 >> 10)) KiB"
    else
        echo "$1 B"
    fi
}

rate() { printf '%s/s' "$(size $(($1 * 1000000 / ($2 > 0 ? $2 : 1))))"; }

short() { echo "${1:0:12}…"; }

# One line of the table: done, plot, size, rate, time, score, verdict. Columns
# are padded by hand, printf would count the bytes of an ellipsis.
row() {
    local widths=(26 12 9 11 10 15 10) line='' cell shown
    for width in "${widths[@]}"; do
        cell=${1-}
        shift || true
        shown=${cell//…/.}
        line+="  $cell"
        while [ "${#shown}" -lt "$width" ]; do
            shown+=' '
            line+=' '
        done
    done
    echo "${line%"${line##*[! ]}"}"
}

echo
echo "Two plots of $(size "$PLOT_BYTES") (p = $LOG2_COLUMNS, R = $ROUNDS, $ROWS rows each), $CHALLENGES challenges"
echo
row "done" plot size rate time score verdict
row ---- ---- ---- ---- ---- ----- -------

random_hex 16 >passphrase
timed "$program" keys new --out key.json --passphrase-file passphrase
row "key $(short "$output")" "" "" "" "$(seconds "$took_us")" "" encrypted

for name in first second; do
    timed "$program" -q plot create --network local --keys key.json --rows "$ROWS" \
        --log2-columns "$LOG2_COLUMNS" --rounds "$ROUNDS" --memory 256MiB --out plots --name "$name" --json
    get plot_id "$(tail -n1 <<<"$output")"
    row "grew $(short "$value")" "$name" "$(size "$PLOT_BYTES")" \
        "$(rate "$PLOT_BYTES" "$took_us")" "$(seconds "$took_us")" "" complete
done

timed "$program" -q plot check plots/first.plot plots/second.plot
row "checked against the roots" both "$(size $((2 * PLOT_BYTES)))" "" "$(seconds "$took_us")" "" sound

column=$((16#$(random_hex 4) % COLUMNS_OF_A_PLOT))
challenges=$(random_hex 32)
for ((i = 1; i < CHALLENGES; i++)); do
    challenges+=,$(random_hex 32)
done
strip_bytes=$((2 * ROWS * 32))
timed "$program" -q prove --column "$column" --challenge "$challenges" --json plots/first.plot plots/second.plot
mapfile -t proofs <<<"$output"
if [ "${#proofs[@]}" -ne "$CHALLENGES" ]; then
    echo "error: $CHALLENGES challenges gave ${#proofs[@]} proofs" >&2
    exit 1
fi
row "searched column $column" both "$(size "$strip_bytes")" "$(rate "$strip_bytes" "$took_us")" \
    "$(seconds "$took_us")" "" "$CHALLENGES proofs"

for i in "${!proofs[@]}"; do
    proof=${proofs[i]}
    printf '%s\n' "$proof" >"$i.json"
    get row "$proof" && at_row=$value
    get score "$proof" && score=$value
    get path "$proof" && path=$value
    timed "$program" -q verify "$i.json" --plot "$path"
    row "proof $((i + 1)): row $at_row" "$(basename "$path" .plot)" "$(size "$(wc -c <"$i.json")")" \
        "" "$(seconds "$took_us")" "$(short "$score")" accepted
done

# One bit of the last proof's leaf turned: it must not pass any more.
get leaf "$proof" && leaf=$value
digit=$(printf '%x' $((16#${leaf:0:1} ^ 1)))
printf '%s\n' "${proof/"$leaf"/$digit${leaf:1}}" >forged.json
status=0
"$program" -q verify forged.json --plot "$path" >/dev/null 2>&1 || status=$?
if [ "$status" -ne 3 ]; then
    echo "error: a forged proof must be refused with exit code 3, verify ended with $status" >&2
    exit 1
fi
row "proof $CHALLENGES, one bit turned" "" "" "" "" "" refused
echo
echo "A network of $NODES nodes and $MINERS miners, each a process of its own, an epoch a second, $BLOCKS blocks"
echo
"$program" devnet --nodes "$NODES" --miners "$MINERS" --blocks "$BLOCKS"
