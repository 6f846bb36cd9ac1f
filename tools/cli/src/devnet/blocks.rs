//! The best chain, as one node has it, block by block.

use std::collections::BTreeMap;

use spacetime_node::chain::{BlockId, Height, MinerKey};
use spacetime_node::rpc::answers::{BlockAnswer, HeadAnswer};

use super::rpc::Client;

/// Most blocks asked for in one go: the rest follows in the next, and meanwhile Ctrl-C is listened to.
const MAX_BLOCKS: u64 = 64;

/// What is remembered of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    id: BlockId,
    miner_key: MinerKey,
}

/// The best chain above genesis.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// By height, from 1.
    chain: Vec<Known>,
    won: BTreeMap<MinerKey, u64>,
}

/// What became of the chain.
#[derive(Debug)]
pub(super) enum Change {
    /// Blocks above this height were replaced.
    Replaced(Height),
    /// A block was added.
    Added(Box<BlockAnswer>),
}

impl Blocks {
    /// Follows a node to its head, as far as is asked for at once and the node answers: the next call goes on.
    pub(super) fn follow(&mut self, node: &Client, head: &HeadAnswer) -> Vec<Change> {
        self.follow_with((head.id, head.height), |height| node.block_at(height))
    }

    fn follow_with<E>(
        &mut self,
        (head, height): (BlockId, Height),
        mut block_at: impl FnMut(Height) -> Result<BlockAnswer, E>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.height() == height && (height == Height(0) || self.id_at(height) == Some(head)) {
            return changes;
        }
        // The head is not the one known at its height.
        while self.height() >= height && self.height() > Height(0) {
            self.forget_last(&mut changes);
        }
        for _ in 0..MAX_BLOCKS.min(height.0) {
            let Ok(block) = block_at(self.height().next()) else { break };
            if block.height != Height(1) && self.id_at(self.height()) != Some(block.parent) {
                // The node has changed its branch: down to where it meets what is known.
                self.forget_last(&mut changes);
                continue;
            }
            self.chain.push(Known { id: block.id, miner_key: block.miner_key });
            *self.won.entry(block.miner_key).or_default() += 1;
            let done = block.height >= height;
            changes.push(Change::Added(Box::new(block)));
            if done {
                break;
            }
        }
        changes
    }

    fn forget_last(&mut self, changes: &mut Vec<Change>) {
        let Some(last) = self.chain.pop() else { return };
        if let Some(won) = self.won.get_mut(&last.miner_key) {
            *won -= 1;
        }
        match changes.last_mut() {
            Some(Change::Replaced(height)) => *height = self.height(),
            _ => changes.push(Change::Replaced(self.height())),
        }
    }

    /// Height of the last block.
    pub(super) fn height(&self) -> Height {
        Height(self.chain.len() as u64)
    }

    /// The block at a height above genesis.
    pub(super) fn id_at(&self, height: Height) -> Option<BlockId> {
        self.chain.get(usize::try_from(height.0.checked_sub(1)?).ok()?).map(|known| known.id)
    }

    /// How many blocks a miner has won.
    pub(super) fn won_by(&self, miner_key: &MinerKey) -> u64 {
        self.won.get(miner_key).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use spacetime_node::chain::{Epoch, Hash, PlotId};

    use super::*;

    /// A branch of blocks whose ids begin with `branch`, above the block `from` of another.
    fn branch(below: &[BlockAnswer], branch: u8, blocks: u64) -> Vec<BlockAnswer> {
        let mut chain = below.to_vec();
        for _ in 0..blocks {
            let height = Height(chain.len() as u64 + 1);
            let mut id = [branch; 32];
            id[24..].copy_from_slice(&height.0.to_be_bytes());
            chain.push(BlockAnswer {
                id: BlockId(id),
                best_chain: true,
                confirmations: 1,
                height,
                epoch: Epoch(height.0),
                timestamp_ms: 0,
                parent: chain.last().map_or(BlockId::ZERO, |block| block.id),
                target: Hash::ZERO,
                score: Hash::ZERO,
                miner_key: MinerKey([branch; 48]),
                plot_id: PlotId::ZERO,
                transaction_root: Hash::ZERO,
                state_root: Hash::ZERO,
                transactions: None,
                raw: None,
            });
        }
        chain
    }

    /// Follows to the end of `chain`, and says to which height blocks were kept and how many were added.
    fn follow(blocks: &mut Blocks, chain: &[BlockAnswer]) -> (Option<u64>, usize) {
        let head = chain.last().map_or((BlockId::ZERO, Height(0)), |block| (block.id, block.height));
        let (mut kept, mut added) = (None::<u64>, 0);
        loop {
            // It does not answer to every third question of a call, so that calls end early.
            let mut asked = 0;
            let ask = |height: Height| {
                asked += 1;
                chain.get(height.0 as usize - 1).filter(|_| asked % 3 != 0).cloned().ok_or("no answer")
            };
            let changes = blocks.follow_with(head, ask);
            for change in &changes {
                match change {
                    Change::Replaced(height) => kept = Some(kept.map_or(height.0, |kept| kept.min(height.0))),
                    Change::Added(_) => added += 1,
                }
            }
            if changes.is_empty() {
                return (kept, added);
            }
        }
    }

    #[test]
    fn blocks_are_counted_on_the_branch_that_is_best() {
        let mut blocks = Blocks::default();
        assert_eq!(follow(&mut blocks, &[]), (None, 0));
        let first = branch(&[], 1, 200);
        assert_eq!(follow(&mut blocks, &first[..3]), (None, 3));
        assert_eq!(follow(&mut blocks, &first), (None, 197), "more than are asked for at once");
        assert_eq!((blocks.height(), blocks.won_by(&MinerKey([1; 48]))), (Height(200), 200));

        // Longer, as long, and shorter branches.
        for (kept, length) in [(190, 20), (195, 5), (196, 2)] {
            let other = branch(&first[..kept], 2, length);
            let (replaced, _) = follow(&mut blocks, &other);
            assert!(replaced.is_some_and(|height| height <= kept as u64), "{kept} {length}");
            assert_eq!(blocks.height(), Height((kept as u64) + length));
            assert_eq!(blocks.id_at(blocks.height()), other.last().map(|block| block.id));
            assert_eq!(blocks.won_by(&MinerKey([1; 48])), kept as u64);
            assert_eq!(blocks.won_by(&MinerKey([2; 48])), length);
            follow(&mut blocks, &first);
        }
        assert_eq!(blocks.won_by(&MinerKey([2; 48])), 0);
        assert_eq!(follow(&mut blocks, &[]), (Some(0), 0), "a node that began anew");
    }
}
