#!/usr/bin/env python3
"""Makes golden.json's vectors again from the protocol's text and the layouts beside the code, with hashlib alone."""

import json
import sys
from hashlib import sha256 as _sha256
from struct import pack


def sha256(data):
    return _sha256(data).digest()


def tagged(tag, data):
    return sha256(bytes([len(tag)]) + tag.encode() + data)


def u32(number):
    return pack("<I", number)


def u64(number):
    return pack("<Q", number)


def items(encoded):
    """A list: the count, then its items."""
    return u32(len(encoded)) + b"".join(encoded)


def option(encoded):
    return b"\0" if encoded is None else b"\1" + encoded


GENESIS = b"\xee" * 32
MINER = b"\2" * 48
TIME = 0x00019BCDEF012345
SCORE = bytes(range(0x40, 0x60))


def header(time=TIME):
    """Without the signature."""
    numbers = u32(1) + u64(0x0102) + u64(0x030405) + u64(time)
    ids = b"\1" * 32 + bytes(range(32)) + MINER + b"\3" * 32 + b"\4" * 32 + SCORE
    roots = b"\5" * 32 + b"\6" * 32 + b"\7" * 32 + bytes(32)
    return numbers + ids + roots + b"\x08" * 96


def signed_header(time=TIME):
    return header(time) + b"\x09" * 96


PROOF = b"\x11" * 32 + u32(0x1213) + b"\x14" * 32 + u64(0x151617) + b"\x18" * 32 + u64(0x191A1B1C1D)
PROOF += items([b"\x1e" * 32, b"\x1f" * 32]) + b"\x20" * 32

OUTPUTS = items([b"\x21" * 20 + u64(5_000_000_000), b"\x22" * 20 + u64(1)])
OPENING = b"\x35" * 32 + items([b"\x36" * 32])
PAYLOADS = {
    "coinbase": u64(7) + MINER + OUTPUTS + items([b"\1", b"\2"]),
    "transfer": b"\x38" * 20 + u64(0x393A3B) + items([b"m", b"e", b"m", b"o"]),
    "register_plot": MINER + b"\x31" * 96 + b"\x32" * 32 + u64(0x33) + b"\x34" * 32,
    "activate_plot": MINER + b"\x37" * 32 + items([OPENING, OPENING]),
    "retire_plot": MINER + b"\x37" * 32,
    "evidence": signed_header() + signed_header(TIME + 1),
}


def transaction(kind, payload, sent, by_miner):
    """What is signed but for the genesis id, and what follows it."""
    sender, nonce, fee = (b"\x3e" * 32, 0x3F40, 0x414243) if sent else (None, 0, 0)
    unsigned = bytes([kind]) + option(sender) + u64(nonce) + u64(fee) + PAYLOADS[payload]
    signatures = option(b"\x3c" * 64 if sent else None) + option(b"\x3d" * 96 if by_miner else None)
    return unsigned, signatures


TRANSACTIONS = {
    "coinbase": transaction(0, "coinbase", False, False),
    "transfer": transaction(1, "transfer", True, False),
    "register_plot": transaction(2, "register_plot", True, True),
    "register_plot_unpaid": transaction(2, "register_plot", False, True),
    "activate_plot": transaction(3, "activate_plot", False, True),
    "retire_plot": transaction(4, "retire_plot", True, True),
    "evidence": transaction(5, "evidence", True, False),
}


def transaction_root(ids):
    if not ids:
        return bytes(32)
    level = ids + [bytes(32)] * ((1 << (len(ids) - 1).bit_length()) - len(ids))
    while len(level) > 1:
        level = [sha256(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return sha256(level[0] + len(ids).to_bytes(32, "little"))


DIFFICULTY = b"\x53" * 32 + u64(0x54) + u64(0x55)
BEACON = b"\x51" * 32 + b"\x52" * 32
LINEAGE = b"\x70" * 32 + b"\1" * 32 + u64(0x0102) + u64(0x030405) + u64(TIME) + SCORE + BEACON + DIFFICULTY
LINEAGE += b"\x71" * 32


def plot(mature_from, retired):
    record = MINER + b"\3" * 32 + u64(0x59) + b"\4" * 32 + u64(0x5A) + u64(0x5B)
    return record + option(mature_from) + u64(0x5C) + bytes([retired])


STATE = {
    "parameters": (b"\0", b"\x60" * 32),
    "chain": (b"\1", u64(0x56) + u64(0x57) + DIFFICULTY + BEACON + u64(0x58)),
    "account": (b"\2" + b"\x38" * 20, u64(0x616263) + u64(0x64)),
    "plot_pending": (b"\3" + b"\x37" * 32, plot(None, 0)),
    "plot_retired": (b"\3" + b"\x37" * 32, plot(u64(0x5D), 1)),
    "barred": (b"\4" + MINER, u64(0x65)),
    "beacon": (b"\5" + pack(">Q", 0x6667), u64(0x68) + b"\x51" * 32),
    "rewards": (b"\6" + pack(">Q", 0x696A), u64(0x5F) + MINER + OUTPUTS),
}


def tree_root(leaves, depth=0):
    """The Jellyfish tree over (key hash, leaf hash): a lone leaf stands for its whole subtree."""
    if not leaves:
        return b"SPARSE_MERKLE_PLACEHOLDER_HASH__"
    if len(leaves) == 1:
        return leaves[0][1]
    halves = [[], []]
    for leaf in leaves:
        halves[leaf[0][depth // 8] >> (7 - depth % 8) & 1].append(leaf)
    left, right = (tree_root(half, depth + 1) for half in halves)
    return sha256(b"JMT::IntrnalNode" + left + right)


def state_root(state):
    hashed = [(sha256(key), sha256(value)) for key, value in state.items()]
    return tree_root([(key, sha256(b"JMT::LeafNode" + key + value)) for key, value in hashed])


def text(words):
    return items([bytes([byte]) for byte in words.encode()])


def u64s(*numbers):
    return b"".join(map(u64, numbers))


SCHEDULES = {
    "fixed": b"\0" + u64(0x91),
    "halving": b"\1" + u64s(0x92, 0x93),
    "linear": b"\2" + u64s(0x94, 0x95),
    "exponential": b"\3" + u64s(0x96, 0x97),
    "table": b"\4" + items([u64s(0x98, 0x99), u64s(0x9A, 0x9B)]),
}


def local_parameters():
    """PROTOCOL section 11, column local, in the order of the code."""
    plots = text("local") + text("lst") + bytes([6, 5]) + u64(16)
    times = u64s(1000, 600, 100, 4) + bytes([4, 5]) + u64s(20, 16, 50, 100)
    blocks = u32(4) + u64(60) + u32(8) + option(None) + u64(10) + u32(1 << 20) + u32(4096)
    emission = b"\0" + u64(5_000_000_000) + u64(0) + option(None)
    return plots + times + blocks + u64s(0, 0) + emission


WRONG = []


def check(name, found, made):
    if found != made.hex():
        WRONG.append(f"{name}: {found}, made again: {made.hex()}")


def check_chain(chain):
    name, parameters = chain["network"], bytes.fromhex(chain["parameters"])
    # Window and rank delay, which are no rules, count as 0. Two texts, two bytes and two numbers stand before them.
    at = 0
    for _ in range(2):
        at += 4 + int.from_bytes(parameters[at : at + 4], "little")
    at += 1 + 1 + 8 + 8
    rules = parameters[:at] + bytes(16) + parameters[at + 16 :]
    check(f"{name}: parameters", chain["parameters_hash"], tagged("spacetime/parameters/v1", rules))
    state = {bytes.fromhex(key): bytes.fromhex(value) for key, value in chain["state"].items()}
    check(f"{name}: parameters in the state", chain["parameters_hash"], state[b"\0"])
    root = state_root(state)
    check(f"{name}: state root", chain["state_root"], root)
    first = bytes.fromhex(chain["genesis_header"])
    time, base = first[20:28], first[60:92]
    made = u32(1) + bytes(16) + time + bytes(32) + base + bytes(48 + 5 * 32) + root + bytes(32 + 2 * 96)
    check(f"{name}: genesis", chain["genesis_header"], made)
    check(f"{name}: genesis id", chain["genesis_id"], tagged("spacetime/header/v1", made))


def main(path):
    with open(path, encoding="utf-8") as file:
        golden = json.load(file)
    check("genesis", golden["genesis"], GENESIS)
    check("header", golden["header"]["bytes"], signed_header())
    check("header: signed", golden["header"]["signed"], GENESIS + header())
    check("header: id", golden["header"]["id"], tagged("spacetime/header/v1", signed_header()))
    check("proof", golden["proof"]["bytes"], PROOF)
    check("proof: id", golden["proof"]["id"], tagged("spacetime/proof/v1", PROOF))
    ids = []
    for name, (unsigned, signatures) in TRANSACTIONS.items():
        found = golden["transactions"][name]
        check(name, found["bytes"], unsigned + signatures)
        check(f"{name}: signed", found["signed"], GENESIS + unsigned)
        ids.append(tagged("spacetime/transaction/v1", unsigned + signatures))
        check(f"{name}: id", found["id"], ids[-1])
    for index, made in enumerate(ids):
        check(f"transaction id {index}", golden["transaction_ids"][index], made)
    for count, root in enumerate(golden["transaction_roots"]):
        check(f"root of {count} transactions", root, transaction_root(ids[:count]))
    body = items([b"".join(TRANSACTIONS[name]) for name in ("coinbase", "transfer")])
    check("block", golden["block"], signed_header() + PROOF + body + option(u32(13) + b"spacetime/0.1"))
    check("lineage", golden["lineage"], LINEAGE)
    check("stored header", golden["stored_header"], signed_header() + PROOF + LINEAGE)
    for name, (key, value) in STATE.items():
        found = golden["state"][name]
        check(f"{name}: key", found["key"], key)
        check(f"{name}: key hash", found["key_hash"], sha256(key))
        check(f"{name}: value", found["value"], value)
        check(f"{name}: value hash", found["value_hash"], sha256(value))
    check("address", golden["account"]["address"], sha256(bytes.fromhex(golden["account"]["key"]))[:20])
    check("reveal", golden["reveal"], GENESIS + tagged("spacetime/reveal/v1", b"\x85" * 32))
    for name, made in SCHEDULES.items():
        # Floor and cap follow.
        check(f"emission: {name}", golden["emissions"][name], made + u64(0x9C) + option(u64(0x9D)))
    check("local: parameters", golden["chains"][2]["parameters"], local_parameters())
    for chain in golden["chains"]:
        check_chain(chain)
    for line in WRONG:
        print("WRONG:", line, file=sys.stderr)
    return 1 if WRONG else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
