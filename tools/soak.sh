#!/usr/bin/env bash
# The soak: three nodes and two miners make 1,000 blocks at epochs of a second,
# which takes some twenty minutes. At the end all heads are equal, every store
# is sound from end to end (roots, and that what is held is what was issued
# less what was burnt), and no process has had 512 MiB of memory.
#
#   tools/soak.sh [PROGRAM] [BLOCKS]
#
# Works in a temporary folder and removes it, unless something is wrong.
set -euo pipefail
export LC_ALL=C

program=$(realpath "${1:-target/release/spacetime}")
readonly program
readonly blocks=${2:-1000} NODES=3 MINERS=2
readonly MOST_BYTES=$((512 << 20))

folder=$(mktemp -d)
fail() {
    echo "error: $*; all is left in $folder" >&2
    exit 1
}

"$program" devnet --nodes "$NODES" --miners "$MINERS" --blocks "$blocks" --dir "$folder/net" --json >"$folder/events" ||
    fail "devnet ended with $?"
summary=$(tail -n1 "$folder/events")
echo "$summary"

# field NAME: the value of the first text or number of this name in the summary.
field() {
    [[ $summary =~ \"$1\":\"?([^\",}]*) ]] || fail "no $1 in the summary"
    echo "${BASH_REMATCH[1]}"
}

[ "$(field heads_agree)" = true ] || fail "the heads differ"
[ "$(field height)" -ge "$blocks" ] || fail "the chain has $(field height) blocks, not $blocks"
[ $(($(field issued) - $(field burnt))) -eq "$(field held)" ] || fail "the supply does not add up"

mapfile -t peaks < <(grep -o '"peak_bytes":[0-9]*' <<<"$summary" | cut -d: -f2)
[ "${#peaks[@]}" -eq $((NODES + MINERS)) ] || fail "the memory of ${#peaks[@]} processes is known"
for peak in "${peaks[@]}"; do
    [ "$peak" -lt "$MOST_BYTES" ] || fail "a process had $peak bytes of memory"
done

# Once more, by the command that anybody has.
for ((node = 1; node <= NODES; node++)); do
    checked=$("$program" -q node db check --chain "$folder/net/chain.toml" --data "$folder/net/node-$node" --json) ||
        fail "the store of node-$node is damaged"
    grep -q "\"tip\":\"$(field head)\"" <<<"$checked" || fail "node-$node has another tip: $checked"
done

rm -rf "$folder"
echo "soak: $blocks blocks, heads equal, stores sound, supply adds up, at most $(($(printf '%s\n' "${peaks[@]}" | sort -n | tail -n1) >> 20)) MiB a process"
