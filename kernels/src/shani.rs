//! SHA-NI: one row or leaf at a time is bound by latency, two interleaved
//! nearly double it, a third has no registers left.

use std::arch::x86_64::*;

use bytemuck::{must_cast, must_cast_ref};

use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::score::MAX_CHALLENGES;
use crate::sha256::{INITIAL, K, PADDING_KW, State, bytes_of};
use crate::sieve::PreparedChallenge;
use crate::table::CellTable;

pub(crate) const LANES: usize = 2;

/// State as the instructions want it: words a, b, e, f and c, d, g, h.
type Packed = [__m128i; 2];
/// A block, four words to a register.
type Block = [__m128i; 4];

pub(crate) fn detected() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn pack(words: &State) -> Packed {
    let [abcd, efgh]: [__m128i; 2] = must_cast(*words);
    let badc = _mm_shuffle_epi32::<0xb1>(abcd);
    let hgfe = _mm_shuffle_epi32::<0x1b>(efgh);
    [_mm_alignr_epi8::<8>(badc, hgfe), _mm_blend_epi16::<0xf0>(hgfe, badc)]
}

/// Words a to d and e to h.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn unpack(packed: Packed) -> [__m128i; 2] {
    let abef = _mm_shuffle_epi32::<0x1b>(packed[0]);
    let dchg = _mm_shuffle_epi32::<0xb1>(packed[1]);
    [_mm_blend_epi16::<0xf0>(abef, dchg), _mm_alignr_epi8::<8>(dchg, abef)]
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn swap_bytes(x: __m128i) -> __m128i {
    _mm_shuffle_epi8(x, _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12))
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn load_bytes(cell: &Cell) -> [__m128i; 2] {
    let [low, high]: [__m128i; 2] = must_cast(*cell);
    [swap_bytes(low), swap_bytes(high)]
}

/// Constants of sixty-four rounds, sixteen by sixteen and four by four.
fn by_sixteen(table: &[u32; 64]) -> &[[[u32; 4]; 4]; 4] {
    must_cast_ref(table)
}

/// Four rounds of each stream.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn four_rounds<const N: usize>(states: &mut [Packed; N], words: [__m128i; N]) {
    for ([abef, cdgh], word) in states.iter_mut().zip(words) {
        *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, word);
        *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0e>(word));
    }
}

/// Holds the compiler to the streams' turns: left alone it puts one stream
/// behind the other where nothing binds them, and each waits for itself.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[allow(unsafe_code)]
fn meet<const N: usize>(states: &mut [Packed; N]) {
    if let [first, second] = &mut states[..] {
        // SAFETY: there is no instruction in it, and both registers stay as they are.
        unsafe {
            std::arch::asm!(
                "/* {0} {1} */",
                inout(xmm_reg) first[0],
                inout(xmm_reg) second[0],
                options(pure, nomem, nostack, preserves_flags)
            );
        }
    }
}

/// Schedule and constants of four rounds of each stream.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn add_constants<const N: usize>(w: &[Block; N], quad: usize, constants: [u32; 4]) -> [__m128i; N] {
    w.each_ref().map(|w| _mm_add_epi32(w[quad], must_cast(constants)))
}

/// The schedule of sixteen rounds later, in the place of four words.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn expand<const N: usize>(w: &mut [Block; N], quad: usize) {
    for w in w {
        let early = _mm_sha256msg1_epu32(w[quad], w[(quad + 1) & 3]);
        let middle = _mm_alignr_epi8::<4>(w[(quad + 3) & 3], w[(quad + 2) & 3]);
        w[quad] = _mm_sha256msg2_epu32(_mm_add_epi32(early, middle), w[(quad + 3) & 3]);
    }
}

/// Sixteen rounds of each stream and the schedule of the next sixteen.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn scheduled_rounds<const N: usize, const IN_TURN: bool>(
    states: &mut [Packed; N],
    w: &mut [Block; N],
    constants: &[[u32; 4]; 4],
) {
    for (quad, constants) in constants.iter().enumerate() {
        four_rounds(states, add_constants(w, quad, *constants));
        if IN_TURN {
            meet(states);
        }
        expand(w, quad);
    }
}

/// The last sixteen rounds of each stream.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn last_rounds<const N: usize, const IN_TURN: bool>(states: &mut [Packed; N], w: &[Block; N]) {
    for (quad, constants) in by_sixteen(&K)[3].iter().enumerate() {
        four_rounds(states, add_constants(w, quad, *constants));
        if IN_TURN {
            meet(states);
        }
    }
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn add_each<const N: usize>(left: [Packed; N], right: [Packed; N]) -> [Packed; N] {
    let mut sums = left;
    for (sum, right) in sums.iter_mut().zip(right) {
        *sum = [_mm_add_epi32(sum[0], right[0]), _mm_add_epi32(sum[1], right[1])];
    }
    sums
}

/// `C($states, $w)` of each of `N` streams, in place, since the compiler would
/// call so long a function instead, through memory. Streams take turns where
/// nothing else keeps ports busy; rows that grow do better a little apart, one
/// computing while the other waits for its cells.
macro_rules! compress {
    ($states:expr, $w:expr, in turn: $in_turn:literal) => {{
        let states: [Packed; N] = $states;
        let (mut sums, mut w): (_, [Block; N]) = (states, $w);
        for constants in &by_sixteen(&K)[..3] {
            scheduled_rounds::<N, $in_turn>(&mut sums, &mut w, constants);
        }
        last_rounds::<N, $in_turn>(&mut sums, &w);
        add_each(states, sums)
    }};
}

/// `C($states, padding)`: the block that ends every 64-byte message.
macro_rules! compress_padding {
    ($states:expr) => {{
        let states: [Packed; N] = $states;
        let mut sums = states;
        for constants in by_sixteen(&PADDING_KW) {
            for constants in constants {
                four_rounds(&mut sums, [must_cast(*constants); N]);
                meet(&mut sums);
            }
        }
        add_each(states, sums)
    }};
}

/// One row alone, or two side by side.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn grow_lanes(shape: Shape, rows: &[(PlotKey, RowIndex)], table: &mut CellTable) {
    match rows {
        [row] => grow(shape, [*row], table),
        [first, second] => grow(shape, [*first, *second], table),
        _ => {}
    }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn grow<const N: usize>(shape: Shape, rows: [(PlotKey, RowIndex); N], table: &mut CellTable) {
    let table = table.columns_mut::<LANES>();
    let columns = shape.columns();
    assert_eq!(table.len(), columns, "a table is made for one shape");
    let mut blocks = rows.map(|(key, row)| key.expand_block(row));
    let first = rows.map(|(key, row)| key.first_cell(row));
    let mut last = first.map(|cell| pack(&cell));
    table[0][..N].copy_from_slice(&first);
    for (i, column) in table.iter_mut().enumerate().skip(1) {
        for block in &mut blocks {
            block[10] = i as u32;
        }
        last = compress!(last, blocks.map(must_cast), in turn: false);
        for (cell, last) in column.iter_mut().zip(last) {
            *cell = must_cast(unpack(last));
        }
    }

    let mask = columns - 1;
    for _ in 0..shape.rounds() {
        for i in 0..columns {
            let before = table[i.wrapping_sub(2) & mask];
            let mut w = [[_mm_setzero_si128(); 4]; N];
            for (lane, w) in w.iter_mut().enumerate() {
                let [low, high]: [__m128i; 2] = must_cast(table[i][lane]);
                let [other_low, other_high]: [__m128i; 2] = must_cast(table[before[lane][0] as usize & mask][lane]);
                *w = [low, high, other_low, other_high];
            }
            last = compress!(last, w, in turn: false);
            for (cell, last) in table[i].iter_mut().zip(last) {
                *cell = must_cast(unpack(last));
            }
        }
    }
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn hash_lanes<const N: usize>(left: [&Cell; N], right: [&Cell; N], nodes: &mut [Cell; N]) {
    let mut w = [[_mm_setzero_si128(); 4]; N];
    for ((w, left), right) in w.iter_mut().zip(left).zip(right) {
        let ([a, b], [c, d]) = (load_bytes(left), load_bytes(right));
        *w = [a, b, c, d];
    }
    let states = compress_padding!(compress!([pack(&INITIAL); N], w, in turn: true));
    for (node, state) in nodes.iter_mut().zip(states) {
        let [low, high] = unpack(state);
        *node = must_cast([swap_bytes(low), swap_bytes(high)]);
    }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn hash_pairs(pairs: &[[Cell; 2]], nodes: &mut [Cell]) {
    let ((pairs, last_pair), (nodes, last_node)) = (pairs.as_chunks::<LANES>(), nodes.as_chunks_mut::<LANES>());
    for ([first, second], nodes) in pairs.iter().zip(nodes) {
        hash_lanes([&first[0], &second[0]], [&first[1], &second[1]], nodes);
    }
    if let ([pair], [node]) = (last_pair, last_node) {
        hash_lanes([&pair[0]], [&pair[1]], std::array::from_mut(node));
    }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn hash_nodes(left: &[Cell], right: &[Cell], nodes: &mut [Cell]) {
    let ((left, last_left), (right, last_right)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let (nodes, last_node) = nodes.as_chunks_mut::<LANES>();
    for ((left, right), nodes) in left.iter().zip(right).zip(nodes) {
        hash_lanes(left.each_ref(), right.each_ref(), nodes);
    }
    if let ([left], [right], [node]) = (last_left, last_right, last_node) {
        hash_lanes([left], [right], std::array::from_mut(node));
    }
}

/// The first word of each leaf's score: enough to reject nearly all.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn first_words<const N: usize>(challenge: &PreparedChallenge, cells: [[__m128i; 2]; N]) -> [u32; N] {
    let [low, high]: [__m128i; 2] = must_cast(challenge.words);
    let mut sums = [pack(&challenge.after_eight_rounds); N];
    // The schedule that the two quads of the challenge would have made.
    let mut w = cells.map(|[a, b]| {
        let first = _mm_add_epi32(_mm_sha256msg1_epu32(low, high), _mm_alignr_epi8::<4>(b, a));
        let first = _mm_sha256msg2_epu32(first, b);
        let second = _mm_add_epi32(_mm_sha256msg1_epu32(high, a), _mm_alignr_epi8::<4>(first, b));
        [first, _mm_sha256msg2_epu32(second, first), a, b]
    });
    for quad in 2..4 {
        four_rounds(&mut sums, add_constants(&w, quad, by_sixteen(&K)[0][quad]));
        expand(&mut w, quad);
    }
    for constants in &by_sixteen(&K)[1..3] {
        scheduled_rounds::<N, true>(&mut sums, &mut w, constants);
    }
    last_rounds::<N, true>(&mut sums, &w);
    let states = compress_padding!(add_each([pack(&INITIAL); N], sums));
    // The first word is the uppermost of the first half.
    states.map(|state| _mm_extract_epi32::<3>(state[0]) as u32)
}

/// Calls `sift` for every leaf and challenge that may be within `limits`,
/// with the leaf's place in `strip`.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn sift(
    challenges: &[PreparedChallenge],
    strip: &[Cell],
    limits: &mut [u32; MAX_CHALLENGES],
    mut sift: impl FnMut(usize, usize, &mut [u32; MAX_CHALLENGES]),
) {
    let (groups, last) = strip.as_chunks::<LANES>();
    for (group, cells) in groups.iter().enumerate() {
        let cells = [load_bytes(&cells[0]), load_bytes(&cells[1])];
        let mut found = [[0; LANES]; MAX_CHALLENGES];
        for (challenge, found) in challenges.iter().zip(&mut found) {
            *found = first_words(challenge, cells);
        }
        for lane in 0..LANES {
            for (challenge, found) in found.iter().enumerate().take(challenges.len()) {
                if found[lane] <= limits[challenge] {
                    sift(group * LANES + lane, challenge, limits);
                }
            }
        }
    }
    if let [cell] = last {
        for (index, challenge) in challenges.iter().enumerate() {
            let [found] = first_words(challenge, [load_bytes(cell)]);
            if found <= limits[index] {
                sift(strip.len() - 1, index, limits);
            }
        }
    }
}

/// `times` compressions in each lane, each of another block and upon the one before.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn compress_chains(states: &mut [State], blocks: &[[u32; 16]], times: usize) {
    let (pairs, single) = states.as_chunks_mut::<LANES>();
    for states in pairs {
        chains(states, blocks, times);
    }
    if let [state] = single {
        chains(std::array::from_mut(state), blocks, times);
    }
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn chains<const N: usize>(states: &mut [State; N], blocks: &[[u32; 16]], times: usize) {
    let mut last = states.each_ref().map(|state| pack(state));
    for step in 0..times {
        // The n-th lane begins with the n-th block, so that lanes differ.
        last =
            compress!(last, std::array::from_fn(|lane| must_cast(blocks[(step + lane) % blocks.len()])), in turn: true);
    }
    *states = last.map(|last| must_cast(unpack(last)));
}

/// The words of `cells` as bytes.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn export(cells: &[State], bytes: &mut [Cell]) {
    for (bytes, cell) in bytes.iter_mut().zip(cells) {
        *bytes = bytes_of(cell);
    }
}
