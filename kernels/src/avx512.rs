//! AVX-512: sixteen lanes. Rotations and three-operand logic are one
//! instruction each, and the whole schedule fits in registers.

use std::arch::x86_64::*;

use bytemuck::{must_cast, must_cast_ref};

use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::score::MAX_CHALLENGES;
use crate::sha256::{INITIAL, K, PADDING_KW, State, bytes_of, eight_rounds};
use crate::sieve::PreparedChallenge;
use crate::table::CellTable;
use crate::wide::{compress, compress_padding, constants, wide_jobs};

pub(crate) const LANES: usize = 16;
type V = __m512i;

/// Cells lie two to a register while they are turned, so the four quarters of
/// a vector hold the even and the odd ones of each half.
const LANE_OF: [usize; LANES] = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];

pub(crate) fn detected() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn splat(word: u32) -> V {
    _mm512_set1_epi32(word as i32)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words(vector: V) -> [u32; LANES] {
    must_cast(vector)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(a: V, b: V) -> V {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn and(a: V, b: V) -> V {
    _mm512_and_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor3(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn choose(e: V, f: V, g: V) -> V {
    _mm512_ternarylogic_epi32::<0xca>(e, f, g)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn majority(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rotate_right<const BITS: i32>(x: V) -> V {
    _mm512_ror_epi32::<BITS>(x)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn shift_right<const BITS: u32>(x: V) -> V {
    _mm512_srli_epi32::<BITS>(x)
}

/// Bit `k`: element `k` of `a` is at most that of `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn at_most(a: V, b: V) -> u32 {
    u32::from(_mm512_cmple_epu32_mask(a, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn prefetch(cell: &State) {
    _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(cell).cast());
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn swap_bytes(x: V) -> V {
    let order = _mm512_broadcast_i32x4(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    _mm512_shuffle_epi8(x, order)
}

/// Two cells to a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_two(low: &Cell, high: &Cell) -> V {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(must_cast(*low)), must_cast(*high))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_rows(c: [&Cell; LANES]) -> [V; 8] {
    [
        load_two(c[0], c[1]),
        load_two(c[2], c[3]),
        load_two(c[4], c[5]),
        load_two(c[6], c[7]),
        load_two(c[8], c[9]),
        load_two(c[10], c[11]),
        load_two(c[12], c[13]),
        load_two(c[14], c[15]),
    ]
}

/// Registers of two cells each into one register for each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn to_words(r: [V; 8]) -> [V; 8] {
    // Words 0 and 4, 1 and 5, 2 and 6, 3 and 7 of four registers' cells.
    let four = |a, b, c, d| {
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    };
    let u = four(r[0], r[1], r[2], r[3]);
    let v = four(r[4], r[5], r[6], r[7]);
    [
        _mm512_shuffle_i32x4::<0x88>(u[0], v[0]),
        _mm512_shuffle_i32x4::<0x88>(u[1], v[1]),
        _mm512_shuffle_i32x4::<0x88>(u[2], v[2]),
        _mm512_shuffle_i32x4::<0x88>(u[3], v[3]),
        _mm512_shuffle_i32x4::<0xdd>(u[0], v[0]),
        _mm512_shuffle_i32x4::<0xdd>(u[1], v[1]),
        _mm512_shuffle_i32x4::<0xdd>(u[2], v[2]),
        _mm512_shuffle_i32x4::<0xdd>(u[3], v[3]),
    ]
}

/// The way back from [`to_words`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn to_rows(w: [V; 8]) -> [V; 8] {
    let low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    let four = |order| {
        let a = _mm512_permutex2var_epi64(w[0], order, w[4]);
        let b = _mm512_permutex2var_epi64(w[1], order, w[5]);
        let c = _mm512_permutex2var_epi64(w[2], order, w[6]);
        let d = _mm512_permutex2var_epi64(w[3], order, w[7]);
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    };
    let ([a, b, c, d], [e, f, g, h]) = (four(low), four(high));
    [a, b, c, d, e, f, g, h]
}

wide_jobs!("avx512f,avx512bw");
