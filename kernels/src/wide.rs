//! The hash jobs on vectors, a lane for each row, pair or leaf: the text that
//! AVX2 and AVX-512 share.
//!
//! The text is a macro because `#[target_feature]` functions inline only into
//! functions with the same features, and because the 64 rounds have to be
//! unrolled in place, their state in registers: a function that holds them is
//! too long for the compiler to inline.
//!
//! A module that invokes [`wide_jobs!`] brings
//! * `V`, a vector of `LANES` words, and the operations `splat`, `words`, `and`,
//!   `add`, `xor3`, `choose`, `majority`, `rotate_right`, `shift_right`;
//! * `load_rows`, `to_words` and `to_rows`, which turn cells into eight vectors,
//!   one for each word, and back, and `swap_bytes` between words and bytes;
//! * `LANE_OF`, which says whose lane each element of those vectors is;
//! * `at_most`, a mask with a bit for each element, and `prefetch`.

/// Constants that the compiler does not see through: it would add them last,
/// behind everything that a round waits for.
macro_rules! constants {
    ($table:ident) => {
        *std::hint::black_box(&&$table)
    };
}

/// `$state = C($state, $w)` for each lane; `$w` is used up.
macro_rules! compress {
    ($state:expr, $w:expr) => {{
        let (state, w): (&mut [V; 8], &mut [V; 16]) = (&mut $state, &mut $w);
        let k: &[u32; 64] = constants!(K);
        let mut sum = *state;
        eight_rounds!(0, T => round(&mut sum, T, add(w[T], splat(k[T]))));
        eight_rounds!(8, T => round(&mut sum, T, add(w[T], splat(k[T]))));
        eight_rounds!(16, T => round(&mut sum, T, add(expand(w, T), splat(k[T]))));
        eight_rounds!(24, T => round(&mut sum, T, add(expand(w, T), splat(k[T]))));
        eight_rounds!(32, T => round(&mut sum, T, add(expand(w, T), splat(k[T]))));
        eight_rounds!(40, T => round(&mut sum, T, add(expand(w, T), splat(k[T]))));
        eight_rounds!(48, T => round(&mut sum, T, add(expand(w, T), splat(k[T]))));
        eight_rounds!(56, T => round(&mut sum, T, add(expand(w, T), splat(k[T]))));
        *state = add_each(*state, sum);
    }};
}

/// `C(state, padding)` of each of `$states`, the block that ends every 64-byte
/// message. Without a schedule one group of lanes waits for its own results;
/// two in turn do not, and have the registers.
macro_rules! compress_padding {
    ($states:expr) => {{
        let mut states: [[V; 8]; N] = $states;
        let mut sums = states;
        let kw: &[u32; 64] = constants!(PADDING_KW);
        for kw in kw.as_chunks::<8>().0 {
            eight_rounds!(0, T => for sum in &mut sums { round(sum, T, splat(kw[T])) });
        }
        for (state, sum) in states.iter_mut().zip(sums) {
            *state = add_each(*state, sum);
        }
        states
    }};
}

/// Every hash job of a backend, with `$features` enabled.
macro_rules! wide_jobs {
    ($features:literal) => {
        /// Round `t` (FIPS 180-4 §6.2.2): the names turn instead of the values.
        #[inline]
        #[target_feature(enable = $features)]
        fn round(state: &mut [V; 8], t: usize, word: V) {
            let [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(|k: usize| k.wrapping_sub(t) & 7);
            let s1 = xor3(rotate_right::<6>(state[e]), rotate_right::<11>(state[e]), rotate_right::<25>(state[e]));
            let sum = add(add(add(state[h], word), choose(state[e], state[f], state[g])), s1);
            let s0 = xor3(rotate_right::<2>(state[a]), rotate_right::<13>(state[a]), rotate_right::<22>(state[a]));
            state[d] = add(state[d], sum);
            state[h] = add(sum, add(s0, majority(state[a], state[b], state[c])));
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn add_each(left: [V; 8], right: [V; 8]) -> [V; 8] {
            let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (left, right);
            [add(a, i), add(b, j), add(c, k), add(d, l), add(e, m), add(f, n), add(g, o), add(h, p)]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn small_sigma_0(x: V) -> V {
            xor3(rotate_right::<7>(x), rotate_right::<18>(x), shift_right::<3>(x))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn small_sigma_1(x: V) -> V {
            xor3(rotate_right::<17>(x), rotate_right::<19>(x), shift_right::<10>(x))
        }

        /// The schedule's word `t`, 16 and up, in the place of word `t - 16`.
        #[inline]
        #[target_feature(enable = $features)]
        fn expand(w: &mut [V; 16], t: usize) -> V {
            let early = add(w[t & 15], small_sigma_0(w[(t + 1) & 15]));
            w[t & 15] = add(early, add(w[(t + 9) & 15], small_sigma_1(w[(t + 14) & 15])));
            w[t & 15]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn join(left: [V; 8], right: [V; 8]) -> [V; 16] {
            let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (left, right);
            [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
        }

        /// Cells of native words into a vector for each word.
        #[inline]
        #[target_feature(enable = $features)]
        fn load_cells(cells: [&Cell; LANES]) -> [V; 8] {
            to_words(load_rows(cells))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn store_cells(words: [V; 8], cells: &mut [State; LANES]) {
            *cells = must_cast(to_rows(words));
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn swap_each(rows: [V; 8]) -> [V; 8] {
            let [a, b, c, d, e, f, g, h] = rows;
            [
                swap_bytes(a),
                swap_bytes(b),
                swap_bytes(c),
                swap_bytes(d),
                swap_bytes(e),
                swap_bytes(f),
                swap_bytes(g),
                swap_bytes(h),
            ]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn load_words(cells: &[State; LANES]) -> [V; 8] {
            load_cells(std::array::from_fn(|lane| must_cast_ref(&cells[lane])))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn load_bytes(cells: [&Cell; LANES]) -> [V; 8] {
            to_words(swap_each(load_rows(cells)))
        }

        /// Grows as many rows as `rows` holds; the lanes left over repeat the first.
        #[target_feature(enable = $features)]
        pub(crate) fn grow_lanes(shape: Shape, rows: &[(PlotKey, RowIndex)], table: &mut CellTable) {
            let row_of = |lane: usize| rows.get(lane).unwrap_or(&rows[0]);
            let blocks: [[u32; 16]; LANES] = std::array::from_fn(|lane| row_of(lane).0.expand_block(row_of(lane).1));
            let left = load_words(&std::array::from_fn(|lane| must_cast::<_, [State; 2]>(blocks[lane])[0]));
            let right = load_words(&std::array::from_fn(|lane| must_cast::<_, [State; 2]>(blocks[lane])[1]));
            let expansion = join(left, right);
            let mut last = load_words(&std::array::from_fn(|lane| row_of(lane).0.first_cell(row_of(lane).1)));

            let table = table.columns_mut::<LANES>();
            let columns = shape.columns();
            assert_eq!(table.len(), columns, "a table is made for one shape");
            store_cells(last, &mut table[0]);
            for (i, column) in table.iter_mut().enumerate().skip(1) {
                let mut w = expansion;
                w[10] = splat(i as u32);
                compress!(last, w);
                store_cells(last, column);
            }

            let mask = columns - 1;
            let turn = splat(mask as u32);
            let mut reads = [words(and(load_words(&table[mask - 1])[0], turn)); 2];
            for _ in 0..shape.rounds() {
                for i in 0..columns {
                    // Through memory, since taking vectors apart costs more.
                    let reads = std::hint::black_box(&mut reads);
                    // The step after this one reads where V[i-1] says: known
                    // already, so its cache lines are asked for now.
                    reads[!i & 1] = words(and(last[0], turn));
                    for (j, lane) in reads[!i & 1].iter().zip(LANE_OF) {
                        prefetch(&table[*j as usize][lane]);
                    }
                    let mut cells: [&Cell; LANES] = [&[0; 32]; LANES];
                    for (j, lane) in reads[i & 1].iter().zip(LANE_OF) {
                        cells[lane] = must_cast_ref(&table[*j as usize][lane]);
                    }
                    let mut w = join(load_words(&table[i]), load_cells(cells));
                    compress!(last, w);
                    store_cells(last, &mut table[i]);
                }
            }
        }

        /// Nodes of `N` groups of lanes, out of the pairs that `pair` numbers.
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn hash_lanes<'a, const N: usize>(
            nodes: &mut [[Cell; LANES]; N],
            first: usize,
            pair: impl Fn(usize) -> [&'a Cell; 2],
        ) {
            let mut states: [[V; 8]; N] = [std::array::from_fn(|k| splat(INITIAL[k])); N];
            for (group, state) in states.iter_mut().enumerate() {
                let side = |side: usize| std::array::from_fn(|lane| pair(first + group * LANES + lane)[side]);
                let mut w = join(load_bytes(side(0)), load_bytes(side(1)));
                compress!(*state, w);
            }
            for (nodes, state) in nodes.iter_mut().zip(compress_padding!(states)) {
                *nodes = must_cast(swap_each(to_rows(state)));
            }
        }

        /// A node of each pair that `pair` numbers.
        #[inline]
        #[target_feature(enable = $features)]
        fn hash_numbered<'a>(nodes: &mut [Cell], pair: impl Fn(usize) -> [&'a Cell; 2]) {
            let last = nodes.len().saturating_sub(1);
            let (groups, left_over) = nodes.as_chunks_mut::<LANES>();
            let (twos, single) = groups.as_chunks_mut::<2>();
            let mut first = 0;
            for nodes in twos {
                hash_lanes(nodes, first, &pair);
                first += 2 * LANES;
            }
            for nodes in single {
                hash_lanes(std::array::from_mut(nodes), first, &pair);
                first += LANES;
            }
            if !left_over.is_empty() {
                let mut nodes = [[[0; 32]; LANES]];
                hash_lanes(&mut nodes, first, |number| pair(number.min(last)));
                left_over.copy_from_slice(&nodes[0][..left_over.len()]);
            }
        }

        #[target_feature(enable = $features)]
        pub(crate) fn hash_pairs(pairs: &[[Cell; 2]], nodes: &mut [Cell]) {
            hash_numbered(nodes, |number| pairs[number].each_ref());
        }

        #[target_feature(enable = $features)]
        pub(crate) fn hash_nodes(left: &[Cell], right: &[Cell], nodes: &mut [Cell]) {
            hash_numbered(nodes, |number| [&left[number], &right[number]]);
        }

        /// What of a score's first block depends on the cell alone, so that
        /// all challenges of a pass share it.
        struct Leaves {
            /// The cell: words 8 to 15 of the block.
            words: [V; 8],
            /// The same with the round constants added.
            with_constants: [V; 8],
            /// What the cell adds to words 16, 17 and 23 to 30 of the schedule.
            schedule: [V; 15],
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn prepare(cells: [&Cell; LANES]) -> Leaves {
            let words = load_bytes(cells);
            let mut leaves = Leaves { words, with_constants: words, schedule: [splat(0); 15] };
            for k in 0..8 {
                leaves.with_constants[k] = add(words[k], splat(K[8 + k]));
            }
            leaves.schedule[0] = add(words[1], small_sigma_1(words[6]));
            leaves.schedule[1] = add(words[2], small_sigma_1(words[7]));
            for k in 2..7 {
                leaves.schedule[k] = words[k + 1];
            }
            leaves.schedule[7] = small_sigma_0(words[0]);
            for k in 8..15 {
                leaves.schedule[k] = add(words[k - 8], small_sigma_0(words[k - 7]));
            }
            leaves
        }

        /// Word `t` of a score's schedule, 16 to 31, out of the words before it.
        #[inline]
        #[target_feature(enable = $features)]
        fn expand_score(w: &mut [V; 16], t: usize, challenge: &PreparedChallenge, leaves: &Leaves) -> V {
            let k = t - 16;
            w[k] = match k {
                0..2 => add(splat(challenge.schedule[k]), leaves.schedule[k]),
                2..7 => add(add(splat(challenge.schedule[k]), leaves.schedule[k]), small_sigma_1(w[k - 2])),
                7 => {
                    let constant = add(splat(challenge.schedule[k]), leaves.schedule[k]);
                    add(add(constant, w[0]), small_sigma_1(w[5]))
                }
                8..15 => add(add(leaves.schedule[k], w[k - 7]), small_sigma_1(w[k - 2])),
                _ => add(add(leaves.words[7], small_sigma_0(w[0])), add(w[8], small_sigma_1(w[13]))),
            };
            w[k]
        }

        /// The first word of each leaf's score: enough to reject nearly all.
        #[inline]
        #[target_feature(enable = $features)]
        fn first_words<const N: usize>(challenge: &PreparedChallenge, leaves: &[Leaves; N]) -> [V; N] {
            let initial: [V; 8] = std::array::from_fn(|k| splat(INITIAL[k]));
            let k: &[u32; 64] = constants!(K);
            let mut states = [initial; N];
            for (state, leaves) in states.iter_mut().zip(leaves) {
                let mut sum: [V; 8] = std::array::from_fn(|k| splat(challenge.after_eight_rounds[k]));
                let mut w = [splat(0); 16];
                eight_rounds!(8, T => round(&mut sum, T, leaves.with_constants[T - 8]));
                eight_rounds!(16, T => round(&mut sum, T, add(expand_score(&mut w, T, challenge, leaves), splat(k[T]))));
                eight_rounds!(24, T => round(&mut sum, T, add(expand_score(&mut w, T, challenge, leaves), splat(k[T]))));
                for k in k[32..].as_chunks::<16>().0 {
                    eight_rounds!(0, T => round(&mut sum, T, add(expand(&mut w, T), splat(k[T]))));
                    eight_rounds!(8, T => round(&mut sum, T, add(expand(&mut w, T), splat(k[T]))));
                }
                *state = add_each(*state, sum);
            }
            compress_padding!(states).map(|state| state[0])
        }

        /// Bit `k` of mask `n` of a challenge: leaf `k` of group `n` may score
        /// at most as much as the challenge's limit, a first word, says.
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn sieve<const N: usize>(
            challenges: &[PreparedChallenge],
            limits: &[u32; MAX_CHALLENGES],
            cells: [[&Cell; LANES]; N],
        ) -> [[u32; N]; MAX_CHALLENGES] {
            let leaves = cells.map(|cells| prepare(cells));
            let mut masks = [[0; N]; MAX_CHALLENGES];
            for ((challenge, limit), masks) in challenges.iter().zip(limits).zip(&mut masks) {
                *masks = first_words(challenge, &leaves).map(|words| at_most(words, splat(*limit)));
            }
            masks
        }

        /// Calls `sift` with place in `strip`, challenge and limits for every
        /// score that may be within its limit, by place and then by challenge.
        #[target_feature(enable = $features)]
        pub(crate) fn sift(
            challenges: &[PreparedChallenge],
            strip: &[Cell],
            limits: &mut [u32; MAX_CHALLENGES],
            mut sift: impl FnMut(usize, usize, &mut [u32; MAX_CHALLENGES]),
        ) {
            let from = |first: usize| std::array::from_fn(|lane| &strip[(first + lane).min(strip.len() - 1)]);
            let mut first = 0;
            while first < strip.len() {
                let masks = if strip.len() - first > LANES {
                    sieve(challenges, limits, [from(first), from(first + LANES)])
                } else {
                    sieve(challenges, limits, [from(first)]).map(|[mask]| [mask, 0])
                };
                if masks != [[0; 2]; MAX_CHALLENGES] {
                    let in_order = (0..2 * LANES).take(strip.len() - first);
                    for place in in_order {
                        let element = LANE_OF.iter().position(|lane| *lane == place % LANES);
                        let element = element.expect("every lane has its element");
                        for (challenge, masks) in masks.iter().enumerate() {
                            if masks[place / LANES] >> element & 1 == 1 {
                                sift(first + place, challenge, limits);
                            }
                        }
                    }
                }
                first += 2 * LANES;
            }
        }

        /// `times` compressions in each lane, each of another block and upon the one before.
        #[target_feature(enable = $features)]
        pub(crate) fn compress_chains(states: &mut [State], blocks: &[[u32; 16]], times: usize) {
            let (states, _) = states.as_chunks_mut::<LANES>();
            for states in states {
                // The n-th lane begins with the n-th block, so that lanes differ.
                let blocks: Vec<[V; 16]> = (0..blocks.len())
                    .map(|first| {
                        let of = |lane: usize| must_cast::<_, [State; 2]>(blocks[(first + lane) % blocks.len()]);
                        join(
                            load_words(&std::array::from_fn(|lane| of(lane)[0])),
                            load_words(&std::array::from_fn(|lane| of(lane)[1])),
                        )
                    })
                    .collect();
                let mut last = load_words(states);
                for block in blocks.iter().cycle().take(times) {
                    let mut w = *block;
                    compress!(last, w);
                }
                store_cells(last, states);
            }
        }

        /// The words of `cells` as bytes.
        #[target_feature(enable = $features)]
        pub(crate) fn export(cells: &[State], bytes: &mut [Cell]) {
            for (bytes, cell) in bytes.iter_mut().zip(cells) {
                *bytes = bytes_of(cell);
            }
        }
    };
}
pub(crate) use {compress, compress_padding, constants, wide_jobs};
