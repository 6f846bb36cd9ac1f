//! The hash jobs on vectors, a lane for each row, pair or leaf: the text that
//! AVX2 and AVX-512 share.
//!
//! The text is a macro because `#[target_feature]` functions inline only into
//! functions with the same features, and because the 64 rounds have to be
//! unrolled in place, their state in registers: a function that holds them is
//! too long for the compiler to inline.
//!
//! A module that invokes [`wide_jobs!`] brings
//! * `V`, a vector of `LANES` words, and the operations `splat`, `words`,
//!   `add`, `xor3`, `choose`, `majority`, `rotate_right`, `shift_right`;
//! * `load_rows`, `to_words` and `to_rows`, which turn cells into eight vectors,
//!   one for each word, and back, and `swap_bytes` between words and bytes;
//! * `LANE_OF`, which says whose lane each element of those vectors is;
//! * `at_most`, a mask with a bit for each element, and `prefetch`.

/// One round (FIPS 180-4 §6.2.2): the caller turns the names instead of moving the values.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $word:expr) => {
        let sum = add(add($h, $word), choose($e, $f, $g));
        let sum = add(sum, xor3(rotate_right::<6>($e), rotate_right::<11>($e), rotate_right::<25>($e)));
        $d = add($d, sum);
        let other =
            add(xor3(rotate_right::<2>($a), rotate_right::<13>($a), rotate_right::<22>($a)), majority($a, $b, $c));
        $h = add(sum, other);
    };
}

/// Eight rounds from `$from` on; `$word` is schedule plus constant of round `$t`.
macro_rules! eight_rounds {
    ([$a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident] $from:expr, $t:ident => $word:expr) => {
        round!($a $b $c $d $e $f $g $h, { const $t: usize = $from; $word });
        round!($h $a $b $c $d $e $f $g, { const $t: usize = $from + 1; $word });
        round!($g $h $a $b $c $d $e $f, { const $t: usize = $from + 2; $word });
        round!($f $g $h $a $b $c $d $e, { const $t: usize = $from + 3; $word });
        round!($e $f $g $h $a $b $c $d, { const $t: usize = $from + 4; $word });
        round!($d $e $f $g $h $a $b $c, { const $t: usize = $from + 5; $word });
        round!($c $d $e $f $g $h $a $b, { const $t: usize = $from + 6; $word });
        round!($b $c $d $e $f $g $h $a, { const $t: usize = $from + 7; $word });
    };
}

/// `$state = C($state, $w)` for each lane; `$w` is used up.
macro_rules! compress {
    ($state:expr, $w:expr) => {{
        let state: &mut [V; 8] = &mut $state;
        let w: &mut [V; 16] = &mut $w;
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        eight_rounds!([a b c d e f g h] 0, T => add(w[T], splat(K[T])));
        eight_rounds!([a b c d e f g h] 8, T => add(w[T], splat(K[T])));
        eight_rounds!([a b c d e f g h] 16, T => add(expand(w, T), splat(K[T])));
        eight_rounds!([a b c d e f g h] 24, T => add(expand(w, T), splat(K[T])));
        eight_rounds!([a b c d e f g h] 32, T => add(expand(w, T), splat(K[T])));
        eight_rounds!([a b c d e f g h] 40, T => add(expand(w, T), splat(K[T])));
        eight_rounds!([a b c d e f g h] 48, T => add(expand(w, T), splat(K[T])));
        eight_rounds!([a b c d e f g h] 56, T => add(expand(w, T), splat(K[T])));
        *state = add_each(*state, [a, b, c, d, e, f, g, h]);
    }};
}

/// `C($state, padding)`: the block that ends every 64-byte message.
macro_rules! compress_padding {
    ($state:expr) => {{
        let state: [V; 8] = $state;
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        eight_rounds!([a b c d e f g h] 0, T => splat(PADDING_KW[T]));
        eight_rounds!([a b c d e f g h] 8, T => splat(PADDING_KW[T]));
        eight_rounds!([a b c d e f g h] 16, T => splat(PADDING_KW[T]));
        eight_rounds!([a b c d e f g h] 24, T => splat(PADDING_KW[T]));
        eight_rounds!([a b c d e f g h] 32, T => splat(PADDING_KW[T]));
        eight_rounds!([a b c d e f g h] 40, T => splat(PADDING_KW[T]));
        eight_rounds!([a b c d e f g h] 48, T => splat(PADDING_KW[T]));
        eight_rounds!([a b c d e f g h] 56, T => splat(PADDING_KW[T]));
        add_each(state, [a, b, c, d, e, f, g, h])
    }};
}

/// Every hash job of a backend, with `$features` enabled.
macro_rules! wide_jobs {
    ($features:literal) => {
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
            let mut ahead = words(load_words(&table[mask - 1])[0]);
            for _ in 0..shape.rounds() {
                for i in 0..columns {
                    let others = ahead;
                    // The cell after this one is read where V[i-1] says: known
                    // already, so its cache lines are asked for now.
                    ahead = words(last[0]);
                    for (j, lane) in ahead.into_iter().zip(LANE_OF) {
                        prefetch(&table[j as usize & mask][lane]);
                    }
                    let mut cells: [&Cell; LANES] = [&[0; 32]; LANES];
                    for (j, lane) in others.into_iter().zip(LANE_OF) {
                        cells[lane] = must_cast_ref(&table[j as usize & mask][lane]);
                    }
                    let mut w = join(load_words(&table[i]), load_cells(cells));
                    compress!(last, w);
                    store_cells(last, &mut table[i]);
                }
            }
        }

        /// SHA-256 of the 64 bytes in each lane of `w`.
        #[inline]
        #[target_feature(enable = $features)]
        fn hash_64(mut w: [V; 16]) -> [V; 8] {
            let mut state: [V; 8] = std::array::from_fn(|k| splat(INITIAL[k]));
            compress!(state, w);
            compress_padding!(state)
        }

        #[inline(never)]
        #[target_feature(enable = $features)]
        fn hash_lanes(left: [&Cell; LANES], right: [&Cell; LANES], nodes: &mut [Cell; LANES]) {
            *nodes = must_cast(swap_each(to_rows(hash_64(join(load_bytes(left), load_bytes(right))))));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn hash_pairs(pairs: &[[Cell; 2]], nodes: &mut [Cell]) {
            let ((pairs, pairs_left), (nodes, nodes_left)) = (pairs.as_chunks::<LANES>(), nodes.as_chunks_mut::<LANES>());
            for (pairs, nodes) in pairs.iter().zip(nodes) {
                hash_lanes(pairs.each_ref().map(|pair| &pair[0]), pairs.each_ref().map(|pair| &pair[1]), nodes);
            }
            if let Some(first) = pairs_left.first() {
                let pair = |lane: usize| pairs_left.get(lane).unwrap_or(first);
                let mut last = [[0; 32]; LANES];
                hash_lanes(std::array::from_fn(|lane| &pair(lane)[0]), std::array::from_fn(|lane| &pair(lane)[1]), &mut last);
                nodes_left.copy_from_slice(&last[..pairs_left.len()]);
            }
        }

        #[target_feature(enable = $features)]
        pub(crate) fn hash_nodes(left: &[Cell], right: &[Cell], nodes: &mut [Cell]) {
            let ((left, left_over), (right, right_over)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
            let (nodes, nodes_left) = nodes.as_chunks_mut::<LANES>();
            for ((left, right), nodes) in left.iter().zip(right).zip(nodes) {
                hash_lanes(left.each_ref(), right.each_ref(), nodes);
            }
            if let (Some(first_left), Some(first_right)) = (left_over.first(), right_over.first()) {
                let left = std::array::from_fn(|lane| left_over.get(lane).unwrap_or(first_left));
                let right = std::array::from_fn(|lane| right_over.get(lane).unwrap_or(first_right));
                let mut last = [[0; 32]; LANES];
                hash_lanes(left, right, &mut last);
                nodes_left.copy_from_slice(&last[..nodes_left.len()]);
            }
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
        fn first_words(challenge: &PreparedChallenge, leaves: &Leaves) -> V {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h]: [V; 8] =
                std::array::from_fn(|k| splat(challenge.after_eight_rounds[k]));
            let mut w = [splat(0); 16];
            eight_rounds!([a b c d e f g h] 8, T => leaves.with_constants[T - 8]);
            eight_rounds!([a b c d e f g h] 16, T => add(expand_score(&mut w, T, challenge, leaves), splat(K[T])));
            eight_rounds!([a b c d e f g h] 24, T => add(expand_score(&mut w, T, challenge, leaves), splat(K[T])));
            eight_rounds!([a b c d e f g h] 32, T => add(expand(&mut w, T), splat(K[T])));
            eight_rounds!([a b c d e f g h] 40, T => add(expand(&mut w, T), splat(K[T])));
            eight_rounds!([a b c d e f g h] 48, T => add(expand(&mut w, T), splat(K[T])));
            eight_rounds!([a b c d e f g h] 56, T => add(expand(&mut w, T), splat(K[T])));
            let initial = std::array::from_fn(|k| splat(INITIAL[k]));
            compress_padding!(add_each(initial, [a, b, c, d, e, f, g, h]))[0]
        }

        /// Bit `k` of the n-th mask: leaf `k` may score at most as much as the
        /// first word of `limits` for the n-th challenge says.
        #[inline]
        #[target_feature(enable = $features)]
        fn sieve(
            challenges: &[PreparedChallenge],
            limits: &[u32; MAX_CHALLENGES],
            cells: [&Cell; LANES],
        ) -> [u32; MAX_CHALLENGES] {
            let leaves = prepare(cells);
            let mut masks = [0; MAX_CHALLENGES];
            for ((challenge, limit), mask) in challenges.iter().zip(limits).zip(&mut masks) {
                *mask = at_most(first_words(challenge, &leaves), splat(*limit));
            }
            masks
        }

        /// Calls `sift` for every group of leaves some of which may be within
        /// `limits`, with the leaves' place in `strip`.
        #[target_feature(enable = $features)]
        pub(crate) fn sift(
            challenges: &[PreparedChallenge],
            strip: &[Cell],
            limits: &mut [u32; MAX_CHALLENGES],
            mut sift: impl FnMut(usize, usize, &mut [u32; MAX_CHALLENGES]),
        ) {
            let (groups, left_over) = strip.as_chunks::<LANES>();
            let mut pass = |start: usize, cells: [&Cell; LANES], count: usize| {
                let masks = sieve(challenges, limits, cells);
                if masks.iter().all(|mask| *mask == 0) {
                    return;
                }
                let mut places: [usize; LANES] = [0; LANES];
                for (place, lane) in LANE_OF.into_iter().enumerate() {
                    places[lane] = place;
                }
                for (lane, place) in places.into_iter().enumerate().take(count) {
                    for (challenge, mask) in masks.iter().enumerate() {
                        if mask >> place & 1 == 1 {
                            sift(start + lane, challenge, limits);
                        }
                    }
                }
            };
            for (group, cells) in groups.iter().enumerate() {
                pass(group * LANES, cells.each_ref(), LANES);
            }
            if let Some(first) = left_over.first() {
                let cells = std::array::from_fn(|lane| left_over.get(lane).unwrap_or(first));
                pass(groups.len() * LANES, cells, left_over.len());
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
pub(crate) use {compress, compress_padding, eight_rounds, round, wide_jobs};
