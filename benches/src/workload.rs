//! One hash job with its input, ready to be run again and again.

use std::hint::black_box;
use std::sync::Once;

use serde::Serialize;
use spacetime_kernels::{
    Backend, Best, Cell, CellRequest, Challenge, ColumnIndex, Grower, MAX_CHALLENGES, PlotKey, RowIndex, Shape,
    network_tag, plot_id, score, tagged_hash,
};
use spacetime_prover::tree::fold;
use spacetime_prover::{Expected, Proof, verify_batch};

/// Pairs hashed, and half the leaves scored, in one pass: 2 MiB of input, as a
/// strip of a plot has, and too much for the first-level cache.
pub const PAIRS: usize = 1 << 15;
/// Leaves scored in one pass.
pub const LEAVES: usize = 1 << 16;
/// Blocks that bare compression goes around: few enough to stay in the
/// first-level cache, for its rate has nothing to do with memory.
const BLOCKS: usize = 4;
/// Rows of the plots that proofs are from: 1 TiB at the main parameters.
const PROOF_ROWS: u64 = 1 << 22;
/// Compressions in each lane in one pass.
const CHAIN: usize = 2048;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Job {
    /// Bare compressions: 64 rounds with schedule and feed-forward, each of
    /// another block, each lane's chained, so that nothing is left out.
    Compress,
    /// Merkle nodes out of pairs of 32 bytes.
    Pairs,
    /// Growing whole rows, counted in compressions.
    Grow,
    /// Scores of leaves, the best kept. With several challenges in a pass each
    /// leaf has as many scores.
    Score,
    /// Proofs judged together, whole: paths and scores, and every row grown
    /// again, as many side by side as the backend has lanes. Counted in proofs.
    Check,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// One of ours.
    Ours(Backend),
    /// The crate `hashtree-rs`, with the code that it picks for this CPU. It
    /// knows [`Job::Pairs`] alone.
    Hashtree,
}

impl Contender {
    /// The backend's name, or `hashtree`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours(backend) => backend.name(),
            Self::Hashtree => "hashtree",
        }
    }
}

/// A job with its input and output.
pub struct Workload {
    run: Box<dyn FnMut() + Send>,
    /// Units of work that one pass does: compressions, pairs, scores or proofs.
    pub units: u64,
}

impl Workload {
    /// `contender`'s way of doing `job`: rows are of `shape`, and scores for
    /// `challenges` at once.
    ///
    /// # Panics
    /// If `contender` cannot do `job`, or `challenges` are none or more than
    /// [`MAX_CHALLENGES`].
    #[must_use]
    pub fn new(contender: Contender, job: Job, shape: Shape, challenges: usize) -> Self {
        match (contender, job) {
            (Contender::Hashtree, Job::Pairs) => Self::hashtree(),
            (Contender::Hashtree, _) => panic!("hashtree-rs hashes pairs and nothing else"),
            (Contender::Ours(backend), Job::Compress) => Self::compress(backend),
            (Contender::Ours(backend), Job::Pairs) => Self::pairs(backend),
            (Contender::Ours(backend), Job::Grow) => Self::grow(backend, shape),
            (Contender::Ours(backend), Job::Score) => Self::score(backend, challenges),
            (Contender::Ours(backend), Job::Check) => Self::check(backend, shape),
        }
    }

    /// One pass.
    pub fn run(&mut self) {
        (self.run)();
    }

    fn compress(backend: Backend) -> Self {
        let block = |number: usize| std::array::from_fn(|k| u32::from_le_bytes([7, k as u8, number as u8, 193]));
        let blocks: Vec<[u32; 16]> = (0..BLOCKS).map(block).collect();
        let mut states: Vec<[u32; 8]> = (0..backend.lanes() as u32).map(|lane| [lane; 8]).collect();
        let units = (CHAIN * states.len()) as u64;
        let run = move || {
            backend.compress_chains(&mut states, black_box(&blocks), CHAIN);
            black_box(&states);
        };
        Self { run: Box::new(run), units }
    }

    fn pairs(backend: Backend) -> Self {
        let pairs: Vec<[Cell; 2]> = cells(2 * PAIRS).as_chunks().0.to_vec();
        let mut nodes = vec![[0; 32]; PAIRS];
        let run = move || {
            backend.hash_pairs(black_box(&pairs), &mut nodes);
            black_box(&nodes);
        };
        Self { run: Box::new(run), units: PAIRS as u64 }
    }

    fn hashtree() -> Self {
        static INIT: Once = Once::new();
        INIT.call_once(|| {
            hashtree_rs::init();
        });
        let pairs = cells(2 * PAIRS);
        let mut nodes = vec![[0; 32]; PAIRS];
        let run = move || {
            hashtree_rs::hash(nodes.as_flattened_mut(), black_box(pairs.as_flattened()), PAIRS);
            black_box(&nodes);
        };
        Self { run: Box::new(run), units: PAIRS as u64 }
    }

    fn grow(backend: Backend, shape: Shape) -> Self {
        let mut grower = Grower::new(backend, shape);
        let mut rows: Vec<_> = (0..backend.lanes() as u64).map(RowIndex).collect();
        let mut block = vec![[0; 32]; shape.columns() * rows.len()];
        let units = shape.compressions_per_row() * rows.len() as u64;
        let run = move || {
            grower.grow(&PlotKey([7; 32]), &rows, &mut block);
            black_box(&block);
            rows.iter_mut().for_each(|row| row.0 += 1 << 20);
        };
        Self { run: Box::new(run), units }
    }

    fn score(backend: Backend, challenges: usize) -> Self {
        assert!((1..=MAX_CHALLENGES).contains(&challenges), "one to {MAX_CHALLENGES} challenges");
        let strip = cells(LEAVES);
        let challenges: Vec<_> = (0..challenges).map(|number| Challenge([number as u8; 32])).collect();
        let units = (LEAVES * challenges.len()) as u64;
        let mut best: Vec<Option<Best>> = vec![None; challenges.len()];
        let run = move || {
            best.fill(None);
            backend.score_best(&challenges, black_box(&strip), 0, &mut best);
            black_box(&best);
        };
        Self { run: Box::new(run), units }
    }

    fn check(backend: Backend, shape: Shape) -> Self {
        let proofs = proofs(backend, shape);
        let units = proofs.len() as u64;
        let run = move || {
            let batch: Vec<_> = proofs.iter().map(|(proof, expected)| (proof, expected)).collect();
            let results = verify_batch(black_box(&batch), Some(backend));
            assert!(results.iter().all(Result::is_ok), "true proofs are taken");
        };
        Self { run: Box::new(run), units }
    }
}

/// A proof for each lane.
fn proofs(backend: Backend, shape: Shape) -> Vec<(Proof, Expected)> {
    let requests = proof_requests(shape, backend.lanes());
    let mut leaves = vec![[0; 32]; requests.len()];
    Grower::new(backend, shape).grow_cells(&requests, &mut leaves);
    proofs_of(shape, requests, leaves)
}

/// Who grows the plots that are proved.
const MINER_KEY: [u8; 48] = [7; 48];

/// The leaves of so many proofs, each of a plot of its own.
pub(crate) fn proof_requests(shape: Shape, count: usize) -> Vec<CellRequest> {
    let column = ColumnIndex(shape.columns() as u32 / 2);
    let request = |number: u64| {
        let key = PlotKey::derive(&network_tag("bench"), &MINER_KEY, &seed(number), shape);
        CellRequest { key, row: RowIndex(number), column }
    };
    (0..count as u64).map(request).collect()
}

fn seed(number: u64) -> [u8; 32] {
    tagged_hash("seed", &[&number.to_le_bytes()])
}

/// Proofs of `leaves`, with what they are held to: from plots of [`PROOF_ROWS`]
/// rows, of which one row each was grown; the rest of the tree is made up.
pub(crate) fn proofs_of(shape: Shape, requests: Vec<CellRequest>, leaves: Vec<Cell>) -> Vec<(Proof, Expected)> {
    let (network, miner_key, challenge) = (network_tag("bench"), MINER_KEY, Challenge([7; 32]));
    let siblings = PROOF_ROWS.ilog2() + u32::from(shape.log2_columns());
    let proof = |(request, leaf): (CellRequest, Cell)| {
        let column = request.column.0;
        let leaf_index = u64::from(column) * PROOF_ROWS + request.row.0;
        let siblings = cells(siblings as usize);
        let root = fold(&leaf, leaf_index, &siblings);
        let seed = seed(request.row.0);
        let proof = Proof { challenge: challenge.0, column, seed, rows: PROOF_ROWS, leaf, leaf_index, siblings, root };
        let plot_id = plot_id(&request.key, PROOF_ROWS, &root);
        let column = request.column;
        let (score, target) = (Some(score(&challenge, &leaf)), None);
        let root = Some(root);
        (proof, Expected { network, miner_key, shape, challenge, column, plot_id, root, score, target })
    };
    requests.into_iter().zip(leaves).map(proof).collect()
}

fn cells(count: usize) -> Vec<Cell> {
    (0..count as u64).map(|number| tagged_hash("bench", &[&number.to_le_bytes()])).collect()
}
