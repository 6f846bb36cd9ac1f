//! AVX2: eight lanes. Sixteen registers hold the state and little else, the
//! schedule lives in the first-level cache.

use std::arch::x86_64::*;

use bytemuck::{must_cast, must_cast_ref};

use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::score::MAX_CHALLENGES;
use crate::sha256::{INITIAL, K, PADDING_KW, State, bytes_of, eight_rounds};
use crate::sieve::PreparedChallenge;
use crate::table::CellTable;
use crate::wide::{compress, compress_padding, constants, wide_jobs};

pub(crate) const LANES: usize = 8;
type V = __m256i;

/// Each element is the lane of its number.
const LANE_OF: [usize; LANES] = [0, 1, 2, 3, 4, 5, 6, 7];

pub(crate) fn detected() -> bool {
    is_x86_feature_detected!("avx2")
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> V {
    _mm256_set1_epi32(word as i32)
}

#[inline]
#[target_feature(enable = "avx2")]
fn words(vector: V) -> [u32; LANES] {
    must_cast(vector)
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: V, b: V) -> V {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn and(a: V, b: V) -> V {
    _mm256_and_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(a: V, b: V, c: V) -> V {
    _mm256_xor_si256(_mm256_xor_si256(a, b), c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(e: V, f: V, g: V) -> V {
    _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(a: V, b: V, c: V) -> V {
    _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate_right<const BITS: i32>(x: V) -> V {
    // Counts in registers, since a const generic cannot be `32 - BITS`; the
    // compiler makes immediates of them.
    let (right, left) = (_mm_cvtsi32_si128(BITS), _mm_cvtsi32_si128(32 - BITS));
    _mm256_or_si256(_mm256_srl_epi32(x, right), _mm256_sll_epi32(x, left))
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift_right<const BITS: i32>(x: V) -> V {
    _mm256_srli_epi32::<BITS>(x)
}

/// Bit `k`: element `k` of `a` is at most that of `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn at_most(a: V, b: V) -> u32 {
    let equal = _mm256_cmpeq_epi32(_mm256_min_epu32(a, b), a);
    _mm256_movemask_ps(_mm256_castsi256_ps(equal)) as u32
}

#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(cell: &State) {
    _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(cell).cast());
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "avx2")]
fn swap_bytes(x: V) -> V {
    let order = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(order))
}

/// Turns eight cells into a vector for each word.
#[inline]
#[target_feature(enable = "avx2")]
fn to_words(r: [V; 8]) -> [V; 8] {
    let (u, v) = (turn_four(r[0], r[1], r[2], r[3]), turn_four(r[4], r[5], r[6], r[7]));
    [
        _mm256_permute2x128_si256::<0x20>(u[0], v[0]),
        _mm256_permute2x128_si256::<0x20>(u[1], v[1]),
        _mm256_permute2x128_si256::<0x20>(u[2], v[2]),
        _mm256_permute2x128_si256::<0x20>(u[3], v[3]),
        _mm256_permute2x128_si256::<0x31>(u[0], v[0]),
        _mm256_permute2x128_si256::<0x31>(u[1], v[1]),
        _mm256_permute2x128_si256::<0x31>(u[2], v[2]),
        _mm256_permute2x128_si256::<0x31>(u[3], v[3]),
    ]
}

/// The way back from [`to_words`].
#[inline]
#[target_feature(enable = "avx2")]
fn to_rows(w: [V; 8]) -> [V; 8] {
    // A transposition is its own inverse.
    to_words(w)
}

/// Turns the four-by-four squares of words in both halves of four registers.
#[inline]
#[target_feature(enable = "avx2")]
fn turn_four(a: V, b: V, c: V, d: V) -> [V; 4] {
    let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab, cd),
        _mm256_unpackhi_epi64(ab, cd),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_rows(cells: [&Cell; LANES]) -> [V; 8] {
    cells.map(|cell| must_cast(*cell))
}

wide_jobs!("avx2");
