#!/usr/bin/env python3
"""Reads a plot file as docs/PROTOCOL.md describes it (sections 2, 3 and 5) and says whether it is right.

Written from that text alone, with nothing but Python's own library, so that a mistake the program makes when it
writes and again when it reads is seen. Slow; meant for small plots.

    tools/read_plot.py FILE [--rows N]      exit code 0: the file is right; 1: it is not
"""

import argparse
import hashlib
import random
import struct
import sys

# FIPS 180-4 §4.2.2: the fractions of the cube roots of the first 64 primes.
PRIMES = [n for n in range(2, 312) if all(n % k for k in range(2, n))]


def cube_root_fraction(prime):
    root = int(round((prime << 96) ** (1 / 3)))  # near; then exact
    while root**3 > prime << 96:
        root -= 1
    while (root + 1) ** 3 <= prime << 96:
        root += 1
    return root & 0xFFFFFFFF


K = [cube_root_fraction(prime) for prime in PRIMES]


class Wrong(Exception):
    """What is wrong with the file."""


def check(holds, what):
    if not holds:
        raise Wrong(what)


def sha256(data):
    return hashlib.sha256(data).digest()


def tagged(tag, data):
    return sha256(bytes([len(tag)]) + tag.encode() + data)


def compress(state, block):
    """FIPS 180-4 §6.2.2: eight words and sixteen words give eight words."""
    turn = lambda x, n: x >> n | x << 32 - n & 0xFFFFFFFF
    w = list(block)
    for t in range(16, 64):
        s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3
        s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10
        w.append(w[t - 16] + s0 + w[t - 7] + s1 & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = state
    for t in range(64):
        t1 = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f ^ ~e & g) + K[t] + w[t]
        t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t1 + t2 & 0xFFFFFFFF, a, b, c, d + t1 & 0xFFFFFFFF, e, f, g
    return tuple(x + y & 0xFFFFFFFF for x, y in zip(state, (a, b, c, d, e, f, g, h)))


def words(cell):
    return struct.unpack(">8I", cell)


def grow(plot_key, p, rounds, row):
    """Section 2: all cells of a row."""
    v = [words(tagged("spacetime/row/v1", plot_key + struct.pack("<Q", row)))]
    for i in range(1, 1 << p):
        v.append(compress(v[i - 1], words(plot_key) + (row >> 32, row & 0xFFFFFFFF, i, 0, 0, 0, 0, 0)))
    for _ in range(rounds):
        for i in range(1 << p):  # v[-1] and v[-2] are the last two, as the protocol wants
            v[i] = compress(v[i - 1], v[i] + v[v[i - 2][0] & (1 << p) - 1])
    return [struct.pack(">8I", *cell) for cell in v]


ZERO = [bytes(32)]
for _ in range(64):
    ZERO.append(sha256(ZERO[-1] + ZERO[-1]))


def root_of(nodes, bottom, top):
    """Section 3: from the nodes at height `bottom` to the one at height `top`, zero subtrees on the right."""
    for height in range(bottom, top):
        nodes = nodes + [ZERO[height]] * (len(nodes) % 2)
        nodes = [sha256(nodes[k] + nodes[k + 1]) for k in range(0, len(nodes), 2)]
    return nodes[0]


class Header:
    """Section 5's table."""

    def __init__(self, raw):
        check(len(raw) == 4096, f"header: {len(raw)} bytes, expected 4096")
        check(raw[:8] == b"SPCTPLOT", "magic: not a plot file")
        check(sha256(raw[:4064]) == raw[4064:], "header: checksum does not fit")
        fields = struct.unpack_from("<II48s32s32sBBHIQQQQQ32s32s", raw, 8)
        (version, length, miner_key, seed, network, self.p, self.rounds, cell, self.state, self.rows, self.per,
         self.first_row, self.data_at, self.roots_at, self.root, self.plot_id) = fields  # fmt: skip
        check(version == 1 and length == 4096, f"version: {version} with {length} bytes, expected 1 with 4096")
        check(4 <= self.p <= 20 and self.rounds >= 1, f"p or R: {self.p} or {self.rounds} out of range")
        check(cell == 32, f"cell size: {cell}, expected 32")
        check(self.state in (1, 2), f"state: {self.state} is neither complete nor a complete part")
        check(1 <= self.rows <= 1 << 40, f"rows: {self.rows} out of range")
        check(self.per > 0 and self.per & self.per - 1 == 0, f"rows per segment: {self.per} is no power of two")
        check(self.first_row % self.per == 0, f"first row: {self.first_row} is no multiple of {self.per}")
        check(self.state == 2 or self.first_row == 0, f"first row: {self.first_row} in a whole plot")
        check(self.data_at % 4096 == 0 and self.data_at >= 4096, f"data offset: {self.data_at}")
        self.data_end = self.data_at + (self.rows * 32 << self.p)
        check(self.roots_at % 4096 == 0 and self.roots_at >= self.data_end, f"roots offset: {self.roots_at}")
        check(not any(raw[240:4064]), "reserved bytes: not zero")
        self.part = self.state == 2
        self.plot_key = tagged("spacetime/plot-key/v1", network + miner_key + seed + bytes([self.p, self.rounds]))


def read_at(file, at, count, what):
    file.seek(at)
    data = file.read(count)
    check(len(data) == count, f"{what}: {len(data)} bytes, expected {count}")
    return [data[k : k + 32] for k in range(0, count, 32)]


def check_plot(path, sample):
    """Reads the plot at `path` and grows `sample` of its rows again. Raises Wrong."""
    with open(path, "rb") as file:
        h = Header(file.read(4096))
        columns, segments = 1 << h.p, -(-h.rows // h.per)
        depth = (h.rows - 1).bit_length()
        log2_per = h.per.bit_length() - 1
        sub_depth = log2_per if h.part else min(depth, log2_per)
        size = file.seek(0, 2)
        least = h.roots_at + 32 * columns * (1 + segments)
        check(size >= least, f"file: {size} bytes long, its header needs {least}")
        wanted = random.sample(range(h.rows), min(sample, h.rows))
        grown = {row: grow(h.plot_key, h.p, h.rounds, h.first_row + row) for row in wanted}

        subtree_roots, at = [], h.data_at
        for segment in range(segments):
            start = segment * h.per
            count = min(h.per, h.rows - start)
            for column in range(columns):
                strip = read_at(file, at, 32 * count, f"segment {segment}, column {column}")
                at += 32 * count
                for row in (row for row in wanted if start <= row < start + count):
                    check(strip[row - start] == grown[row][column], f"row {row}, column {column}: not the grown cell")
                subtree_roots.append(root_of(strip, 0, sub_depth))
        check(at == h.data_end, "data: not as long as rows and columns say")

        kept_columns = read_at(file, h.roots_at, 32 * columns, "column roots")
        kept_subtrees = read_at(file, h.roots_at + 32 * columns, 32 * columns * segments, "subtree roots")
        for k, (kept, found) in enumerate(zip(kept_subtrees, subtree_roots)):
            check(kept == found, f"subtree root of segment {k // columns}, column {k % columns}: differs from the cells")
        if h.part:
            check(not any(map(any, kept_columns)) and not any(h.root + h.plot_id), "part: has roots of a whole plot")
            return h
        column_roots = [root_of(subtree_roots[column::columns], sub_depth, depth) for column in range(columns)]
        for column, (kept, found) in enumerate(zip(kept_columns, column_roots)):
            check(kept == found, f"column root {column}: differs from the cells")
        root = root_of(column_roots, 0, h.p)
        check(h.root == root, "plot root: differs from the column roots")
        plot_id = tagged("spacetime/plot-id/v1", h.plot_key + struct.pack("<Q", h.rows) + root)
        check(h.plot_id == plot_id, "plot id: not that of key, rows and root")
        return h


def main():
    parser = argparse.ArgumentParser(description="Checks a Spacetime plot file against docs/PROTOCOL.md.")
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=4, metavar="N", help="rows to grow again (default 4)")
    arguments = parser.parse_args()
    try:
        h = check_plot(arguments.file, arguments.rows)
    except (OSError, Wrong) as error:
        print(f"{arguments.file}: WRONG: {error}")
        return 1
    kind = "part" if h.part else f"plot {h.plot_id.hex()}"
    print(f"{arguments.file}: ok: {kind}, {h.rows} rows of {1 << h.p} columns, R = {h.rounds}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
