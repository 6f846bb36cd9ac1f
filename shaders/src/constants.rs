//! What is generated rather than written: SHA-256's constants from their
//! definition (FIPS 180-4 §4.2.2 and §5.3.3), and sizes that both sides use.

use std::fmt::Write;

/// Invocations of a workgroup, in every shader.
pub const WORKGROUP: u32 = 64;

/// Most workgroups along x where a shader counts on along y.
pub const MAX_GROUPS: u32 = 32_768;

/// Most tables that rows in flight may be spread over.
pub const MAX_TABLES: u32 = 24;

/// Cells that one invocation scores: few, as every challenge has invocations of its own.
pub const CELLS_EACH: u32 = 8;

/// Most challenges scored in one go.
pub const MAX_CHALLENGES: usize = 8;

/// Rounds of SHA-256.
const ROUNDS: usize = 64;

/// The first primes.
fn primes(count: usize) -> Vec<u128> {
    let mut primes: Vec<u128> = Vec::with_capacity(count);
    let mut number = 2;
    while primes.len() < count {
        if primes.iter().all(|prime| number % prime != 0) {
            primes.push(number);
        }
        number += 1;
    }
    primes
}

/// The largest number whose `power`-th power is at most `n`, below `2^40`.
fn root(n: u128, power: u32) -> u128 {
    (0..40).rev().fold(0, |root, bit| {
        let larger = root | 1 << bit;
        if u128::checked_pow(larger, power).is_some_and(|raised| raised <= n) { larger } else { root }
    })
}

/// The first 32 bits of the fractional parts of the primes' roots.
fn fractions(count: usize, power: u32) -> Vec<u32> {
    primes(count).into_iter().map(|prime| root(prime << (32 * power), power) as u32).collect()
}

/// What the rounds of a block of padding add, for a message of 64 bytes: `K[t] + W[t]`.
fn padding(k: &[u32]) -> Vec<u32> {
    let mut w = [0; ROUNDS];
    w[0] = 1 << 31;
    w[15] = 64 * 8;
    for t in 16..ROUNDS {
        let s0 = u32::rotate_right(w[t - 15], 7) ^ u32::rotate_right(w[t - 15], 18) ^ (w[t - 15] >> 3);
        let s1 = u32::rotate_right(w[t - 2], 17) ^ u32::rotate_right(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1);
    }
    k.iter().zip(w).map(|(k, w)| k.wrapping_add(w)).collect()
}

fn list(words: &[u32]) -> String {
    words.iter().map(|word| format!("{word:#010x}u")).collect::<Vec<_>>().join(", ")
}

/// All of it as WGSL.
pub(crate) fn wgsl() -> String {
    let k = fractions(ROUNDS, 3);
    let mut text = format!(
        "\nconst WORKGROUP: u32 = {WORKGROUP}u;\nconst MAX_GROUPS: u32 = {MAX_GROUPS}u;\n\
         const CELLS_EACH: u32 = {CELLS_EACH}u;\nconst MAX_CHALLENGES: u32 = {MAX_CHALLENGES}u;\n"
    );
    for (name, words) in [("K", &k), ("PAD", &padding(&k))] {
        for (part, words) in words.chunks(16).enumerate() {
            let _ = writeln!(text, "const {name}{part} = Words({});", list(words));
        }
    }
    let start = fractions(8, 2);
    let (a, b) = start.split_at(4);
    let _ = writeln!(text, "const START = Cell(vec4<u32>({}), vec4<u32>({}));\n", list(a), list(b));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that FIPS 180-4 prints.
    #[test]
    fn constants_are_the_standard_s() {
        let k = fractions(ROUNDS, 3);
        assert_eq!((k[0], k[1], k[63]), (0x428a_2f98, 0x7137_4491, 0xc671_78f2));
        assert_eq!(k.len(), ROUNDS);
        let start = fractions(8, 2);
        assert_eq!((start[0], start[7]), (0x6a09_e667, 0x5be0_cd19));
    }
}
