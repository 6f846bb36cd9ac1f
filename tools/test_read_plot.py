#!/usr/bin/env python3
"""Tests tools/read_plot.py: its hashing on the protocol's vectors, its judgement on files made by hand."""

import json
import os
import struct
import tempfile
import unittest

import read_plot
from read_plot import Wrong, check_plot, grow, root_of, sha256, tagged

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "..", "kernels", "tests", "data", "spacetime.json"), encoding="utf-8") as vectors_file:
    VECTORS = json.load(vectors_file)
NETWORK = bytes.fromhex(VECTORS["network"]["tag"])


def plot_key(vector):
    shape = bytes([vector["log2_columns"], vector["rounds"]])
    keys = bytes.fromhex(vector["miner_key"] + vector["seed"])
    return tagged("spacetime/plot-key/v1", NETWORK + keys + shape)


def plot_file(vector, per, rows=None, first_row=0, state=1):
    """A plot file as section 5's table has it, put together without the reader's loops."""
    p, rounds, rows = vector["log2_columns"], vector["rounds"], rows or vector["rows"]
    key = plot_key(vector)
    table = [grow(key, p, rounds, first_row + row) for row in range(rows)]
    depth = (rows - 1).bit_length()
    data = subtrees = b""
    log2_per = per.bit_length() - 1
    for start in range(0, rows, per):
        for column in range(1 << p):
            strip = [cells[column] for cells in table[start : start + per]]
            data += b"".join(strip)
            subtrees += root_of(strip, 0, log2_per if state == 2 else min(depth, log2_per))
    column_roots = [root_of([cells[column] for cells in table], 0, depth) for column in range(1 << p)]
    root = root_of(column_roots, 0, p)
    plot_id = tagged("spacetime/plot-id/v1", key + struct.pack("<Q", rows) + root)
    if state == 2:
        column_roots, root, plot_id = [bytes(32)] * (1 << p), bytes(32), bytes(32)
    data += bytes(-len(data) % 4096)
    header = b"SPCTPLOT" + struct.pack("<II", 1, 4096) + bytes.fromhex(vector["miner_key"] + vector["seed"]) + NETWORK
    header += struct.pack("<BBHIQQQQQ", p, rounds, 32, state, rows, per, first_row, 4096, 4096 + len(data))
    header = (header + root + plot_id).ljust(4064, b"\0")
    return bytearray(header + sha256(header) + data + b"".join(column_roots) + subtrees)


def sealed(file):
    """The file with a checksum that fits its header again."""
    file[4064:4096] = sha256(bytes(file[:4064]))
    return file


class ReadPlot(unittest.TestCase):
    def setUp(self):
        self.vector = next(plot for plot in VECTORS["plots"] if plot["log2_columns"] == 4 and plot["rows"] == 5)

    def judge(self, file, rows=2):
        with tempfile.NamedTemporaryFile() as kept:
            kept.write(file)
            kept.flush()
            return check_plot(kept.name, rows)

    def test_compressions_of_the_vectors(self):
        for vector in VECTORS["compress"]:
            state, block = (bytes.fromhex(vector[name]) for name in ("h", "block"))
            found = read_plot.compress(struct.unpack(">8I", state), struct.unpack(">16I", block))
            self.assertEqual(struct.pack(">8I", *found).hex(), vector["out"])

    def test_rows_of_the_vectors(self):
        for vector in VECTORS["rows"]:
            if vector["log2_columns"] > 8:
                continue  # slow in Python
            row = grow(plot_key(vector), vector["log2_columns"], vector["rounds"], vector["row"])
            self.assertEqual(sha256(b"".join(row)).hex(), vector["sha256_of_row"])

    def test_small_plots_of_the_vectors_with_any_segment(self):
        for vector in VECTORS["plots"]:
            if vector["rows"] << vector["log2_columns"] > 4096:
                continue
            for per in (1, 2, 4, 1 << 20):
                found = self.judge(plot_file(vector, per))
                self.assertEqual((found.root.hex(), found.plot_id.hex()), (vector["root"], vector["plot_id"]))

    def test_a_part_is_read(self):
        self.assertTrue(self.judge(plot_file(self.vector, 2, rows=3, first_row=4, state=2)).part)

    def test_a_trailer_is_allowed(self):
        self.judge(plot_file(self.vector, 2) + b"more")

    def test_every_changed_byte_is_found(self):
        good = plot_file(self.vector, 2)
        used = [*range(0, 4096, 3), *range(4096, 4096 + 5 * 16 * 32, 7), *range(8192, len(good), 7)]
        for at in used:
            bad = bytearray(good)
            bad[at] ^= 1
            with self.assertRaises(Wrong, msg=f"byte {at}"):
                self.judge(bad, rows=0)

    def test_header_fields_are_checked_behind_a_good_checksum(self):
        good = plot_file(self.vector, 2)
        for at in [*range(240), 240, 4000, 4063]:
            bad = bytearray(good)
            bad[at] ^= 0x80
            with self.assertRaises(Wrong, msg=f"byte {at}"):
                self.judge(sealed(bad), rows=0)

    def test_a_short_file_is_found(self):
        good = plot_file(self.vector, 2)
        for length in (0, 100, 4096, 5000, len(good) - 1):
            with self.assertRaises(Wrong, msg=f"{length} bytes"):
                self.judge(good[:length])

    def test_cells_that_were_not_grown_are_found(self):
        # Right in all its roots, but of another seed: only growing again tells.
        other = dict(self.vector, seed="11" * 32)
        bad = plot_file(other, 2)
        bad[64:96] = bytes.fromhex(self.vector["seed"])
        key = plot_key(self.vector)
        bad[208:240] = tagged("spacetime/plot-id/v1", key + struct.pack("<Q", 5) + bytes(bad[176:208]))
        self.judge(sealed(bad), rows=0)
        with self.assertRaisesRegex(Wrong, "not the grown cell"):
            self.judge(bad, rows=1)


if __name__ == "__main__":
    unittest.main()
