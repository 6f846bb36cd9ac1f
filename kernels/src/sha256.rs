//! The SHA-256 compression function in plain Rust (FIPS 180-4 §6.2.2), and
//! the constants that every other implementation shares.

/// Eight words: a chaining value or a cell.
pub(crate) type State = [u32; 8];

/// Initial hash value (FIPS 180-4 §5.3.3).
pub(crate) const INITIAL: State =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// Round constants (FIPS 180-4 §4.2.2).
#[rustfmt::skip]
pub(crate) const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// The block that ends every 64-byte message: padding and the length, 512 bits.
pub(crate) const PADDING_64: [u32; 16] = [0x8000_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 512];

/// Schedule and round constants of the padding block added up: the same for
/// every 64-byte message.
#[cfg(target_arch = "x86_64")]
pub(crate) const PADDING_KW: [u32; 64] = {
    let mut w = [0; 64];
    let mut kw = [0; 64];
    let mut t = 0;
    while t < 64 {
        w[t] = if t < 16 {
            PADDING_64[t]
        } else {
            let early: u32 = w[t - 16];
            let early = early.wrapping_add(small_sigma_0(w[t - 15]));
            early.wrapping_add(w[t - 7]).wrapping_add(small_sigma_1(w[t - 2]))
        };
        kw[t] = w[t].wrapping_add(K[t]);
        t += 1;
    }
    kw
};

/// Words of 32 bytes; words are big-endian.
pub(crate) fn words_of(bytes: &[u8; 32]) -> State {
    std::array::from_fn(|i| u32::from_be_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]))
}

/// Bytes of eight words; words are big-endian.
pub(crate) fn bytes_of(words: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// σ0 (FIPS 180-4 §4.1.2).
pub(crate) const fn small_sigma_0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

/// σ1 (FIPS 180-4 §4.1.2).
pub(crate) const fn small_sigma_1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

/// Round `t` (the names turn instead of the values); `word` is schedule plus constant.
#[inline(always)]
pub(crate) fn round(state: &mut State, t: usize, word: u32) {
    let [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(|k: usize| k.wrapping_sub(t) & 7);
    let s1 = state[e].rotate_right(6) ^ state[e].rotate_right(11) ^ state[e].rotate_right(25);
    let choice = state[g] ^ (state[e] & (state[f] ^ state[g]));
    let sum = state[h].wrapping_add(word).wrapping_add(choice).wrapping_add(s1);
    let s0 = state[a].rotate_right(2) ^ state[a].rotate_right(13) ^ state[a].rotate_right(22);
    let majority = (state[a] & state[b]) | (state[c] & (state[a] | state[b]));
    state[d] = state[d].wrapping_add(sum);
    state[h] = sum.wrapping_add(s0).wrapping_add(majority);
}

/// Eight rounds in place from `$from` on, `$t` being the round's number.
macro_rules! eight_rounds {
    ($from:expr, $t:ident => $round:expr) => {
        eight_rounds!(@ $t => $round; $from, $from + 1, $from + 2, $from + 3, $from + 4, $from + 5, $from + 6, $from + 7)
    };
    (@ $t:ident => $round:expr; $($number:expr),+) => {$({
        const $t: usize = $number;
        $round
    })+};
}

#[cfg(target_arch = "x86_64")]
pub(crate) use eight_rounds;

/// Word `t` of the schedule, 16 and up, in the place of word `t - 16`.
#[inline(always)]
fn expand(w: &mut [u32; 16], t: usize) -> u32 {
    let early = w[t & 15].wrapping_add(small_sigma_0(w[(t + 1) & 15]));
    w[t & 15] = early.wrapping_add(w[(t + 9) & 15]).wrapping_add(small_sigma_1(w[(t + 14) & 15]));
    w[t & 15]
}

/// `C(state, block)`, feed-forward included, into `state`.
pub(crate) fn compress(state: &mut State, block: &[u32; 16]) {
    let mut w = *block;
    let mut sum = *state;
    let (first, others) = K.split_at(16);
    eight_rounds!(0, T => round(&mut sum, T, w[T].wrapping_add(first[T])));
    eight_rounds!(8, T => round(&mut sum, T, w[T].wrapping_add(first[T])));
    for k in others.as_chunks::<16>().0 {
        eight_rounds!(0, T => round(&mut sum, T, expand(&mut w, T).wrapping_add(k[T])));
        eight_rounds!(8, T => round(&mut sum, T, expand(&mut w, T).wrapping_add(k[T])));
    }
    for (word, sum) in state.iter_mut().zip(sum) {
        *word = word.wrapping_add(sum);
    }
}
