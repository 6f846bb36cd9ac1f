//! Limits and spans of catching up.

use crate::chain::Height;
use crate::consensus::Parameters;
use crate::network::message::{MAX_BLOCKS, MAX_HEADERS};

/// Peers that are looked at: far more than a node is connected with.
pub(super) const MAX_PEERS: usize = 256;
/// Open questions for headers: one for whoever leads and one beside it, and as many that compare branches.
pub(super) const MAX_HEADER_QUESTIONS: usize = 4;
/// Open questions for blocks. Answers of 5 MiB at most bound what can be in flight.
pub(super) const MAX_BLOCK_QUESTIONS: usize = 12;
/// Of which to one peer: one is answered while the next one travels.
pub(super) const MAX_BLOCK_QUESTIONS_EACH: usize = 2;
/// Bytes of blocks that were asked for or wait to be handed over.
pub(super) const MAX_WINDOW_BYTES: usize = 32 << 20;
/// Bytes of blocks that one question aims at, so that several peers share a window of large blocks.
pub(super) const QUESTION_BYTES: usize = 512 << 10;
/// What a block is thought to have at least.
pub(super) const LEAST_BLOCK_BYTES: usize = 1 << 10;
/// Blocks that are handed over and not judged, in pieces: one is verified while the one before it is executed and the
/// next one waits.
pub(super) const MAX_PIECES: usize = 3;
/// Most blocks of a piece, and bytes with which it ends: as in an import.
pub(super) const MAX_PIECE: usize = 256;
/// See [`MAX_PIECE`].
pub(super) const MAX_PIECE_BYTES: usize = 8 << 20;
/// Batches of headers that are being verified: one, and the next.
pub(super) const MAX_HEADER_BATCHES: usize = 2;
/// Most headers of a batch: twice as many signatures share two equations.
pub(super) const MAX_HEADER_BATCH: usize = 64;
/// Headers that are judged at once, so that nothing else waits long.
pub(super) const MAX_JUDGED_AT_ONCE: usize = 128;
/// Single blocks near the tip that are asked for without their headers.
pub(super) const MAX_SINGLES: usize = 4;

/// How long an answer with headers may take.
pub(super) const HEADERS_DEADLINE_MS: u64 = 10_000;
/// How long an answer with blocks may take.
pub(super) const BLOCKS_DEADLINE_MS: u64 = 15_000;
/// How much later than its deadline a question is given up even if nobody says so.
pub(super) const GRACE_MS: u64 = 2_000;
/// When another peer is asked beside one who does not answer.
pub(super) const HEDGE_MS: u64 = 2_000;
/// How long a block near the tip is waited for: it mostly comes by itself, forwarded from peer to peer.
pub(super) const NEAR_TIP_MS: u64 = 300;
/// Without any progress for so long, whoever leads is replaced.
pub(super) const STALL_MS: u64 = 20_000;
/// How long a peer is not asked again after its first failure; doubled by each further one, to [`MAX_REST_MS`].
pub(super) const REST_MS: u64 = 1_000;
/// See [`REST_MS`].
pub(super) const MAX_REST_MS: u64 = 60_000;
/// How long after the last header that was verified it is believed that there is more, where peers claim so and refuse to
/// show it: they may be busy, and whoever stalls rests in between.
pub(super) const SHOWN_MS: u64 = 300_000;
/// As [`MAX_REST_MS`], where it says itself that it is busy.
pub(super) const MAX_BUSY_MS: u64 = 8_000;
/// How long a peer rests whose branch cannot be followed.
pub(super) const APART_MS: u64 = 30_000;
/// How often a peer is asked whether its branch is the one that is followed.
pub(super) const PROBE_MS: u64 = 5_000;
/// How long branches of peers are compared before the first block of a long one is asked for.
pub(super) const COMPARE_MS: u64 = 3_000;

/// What depends on the chain's parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    /// Headers above what was executed that can be judged.
    pub window: u64,
    /// Deepest fork that is followed after the initial sync.
    pub reorg_limit: u64,
    /// Most headers wanted at once.
    pub headers: usize,
    /// Most blocks of a piece that is handed over.
    pub piece: usize,
    /// Most headers of a batch.
    pub batch: usize,
    /// Most blocks asked for at once.
    pub blocks: usize,
}

impl Spans {
    pub(super) fn of(parameters: &Parameters) -> Self {
        let window = parameters.plot_maturity;
        let quarter = usize::try_from(window / 4).unwrap_or(usize::MAX).max(1);
        Self {
            window,
            reorg_limit: parameters.reorg_limit,
            headers: usize::try_from(window).unwrap_or(usize::MAX).clamp(16, MAX_HEADERS),
            piece: quarter.min(MAX_PIECE),
            batch: quarter.min(MAX_HEADER_BATCH),
            blocks: (quarter / 2).clamp(1, MAX_BLOCKS),
        }
    }
}

/// Whether a peer whose tip is at `tip` and who keeps the latest bodies alone has that of `height`: what it keeps is at
/// least what forks return to.
pub(super) fn keeps_body(tip: Height, height: Height, reorg_limit: u64) -> bool {
    height.0 + reorg_limit > tip.0
}
