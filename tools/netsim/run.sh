#!/usr/bin/env bash
# Networks of real nodes and miners on this machine, for longer than the tests
# run them: each command builds the tests and runs one of them with larger
# numbers. All but sync need network namespaces: root, or user namespaces and
# a /dev/net/tun that may be opened.
#
#   tools/netsim/run.sh propagation [SECONDS] [NODES] [LATENCY_MS] [LOSS]
#       how long blocks take to whom: 120 s, 10 nodes, 100 ms one way, 1% loss
#   tools/netsim/run.sh partition [SECONDS] [TIMES]
#       three parts that hear nothing of each other for 30 s become one chain; 3 times
#   tools/netsim/run.sh sync [BLOCKS]
#       a fresh node catches up with 1,000 blocks of one peer and of three,
#       beside an import of the same blocks; at 300 blocks/s and 70% of it
#   tools/netsim/run.sh kills [KILLS] [SEED]
#       SIGKILL of any node at any moment; 50 times
#   tools/netsim/run.sh adversaries [KINDS]
#       each kind of harm against one node, or those that are named, with
#       commas, after a minute without any
#   tools/netsim/run.sh all
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export SPACETIME_REQUIRE_NETNS=1

# run FILE TEST [VARIABLE=VALUE]...: one test, with all that it prints.
run() {
    local file=$1 test=$2
    shift 2
    env "${@/#/NETSIM_}" "${CARGO:-cargo}" test --release --locked --workspace --test "$file" -- \
        --exact --nocapture "$test"
}

propagation() {
    run network_delay blocks_are_everywhere_within_a_second \
        SECONDS="${1:-120}" NODES="${2:-10}" LATENCY_MS="${3:-100}" LOSS="${4:-1}"
}

partition() {
    local time
    for ((time = 1; time <= ${2:-3}; time++)); do
        run network_delay three_parts_become_one_chain SECONDS="${1:-30}"
    done
}

sync() {
    run network_sync a_fresh_node_catches_up_with_one_peer_and_with_three \
        BLOCKS="${1:-1000}" LEAST="${LEAST:-300}" RATIO="${RATIO:-0.7}"
}

kills() {
    run network_kills a_node_that_is_killed_comes_back_without_repair KILLS="${1:-50}" SEED="${2:-1}"
}

adversaries() {
    # It is not among what a single test needs.
    "${CARGO:-cargo}" build --release --locked --workspace --example adversary
    run network_adversaries whoever_means_harm_is_kept_out_and_the_network_goes_on \
        CONTROL_SECONDS=60 KINDS="${1:-}"
}

case ${1:-} in
    propagation | partition | sync | kills | adversaries) "$@" ;;
    all)
        for part in propagation partition sync kills adversaries; do
            tools/netsim/run.sh "$part"
        done
        ;;
    *)
        sed -n '/^#   /,/^set /s/^# \{0,3\}//p' "${BASH_SOURCE[0]}" | sed '/^set /d' >&2
        exit 2
        ;;
esac
