//! Objects of any content from dice: what encodings are tried on.

use spacetime_kernels::{Score, Target};
use spacetime_node::chain::{
    AccountKey, AccountSignature, ActivatePlot, Address, Amount, Block, BlockId, Capped, Coinbase, Epoch, Evidence,
    Hash, Header, Height, MinerKey, MinerSignature, Opening, Output, Payload, PlotId, RegisterPlot, RetirePlot,
    Signatures, Transaction, Transfer,
};
use spacetime_node::consensus::{Beacon, Difficulty, Lineage, Weight};
use spacetime_node::state::{Account, BeaconEntry, ChainRecord, PlotRecord, Rewards, StateKey, Value};
use spacetime_node::testing::Random;
use spacetime_prover::Proof;

/// Kinds of transactions.
pub(crate) const KINDS: u8 = 6;

pub(crate) struct Dice(Random);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.0.number() as u8)
    }

    fn number(&mut self) -> u64 {
        match self.0.below(4) {
            0 => 0,
            1 => u64::MAX,
            _ => self.0.number(),
        }
    }

    fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.0.one_in(2) { Some(make(self)) } else { None }
    }

    /// Empty, full or anything between.
    fn list<T, const MAX: usize>(&mut self, make: impl Fn(&mut Self) -> T) -> Capped<T, MAX> {
        let count = match self.0.below(4) {
            0 => 0,
            1 => MAX as u64,
            _ => self.0.below(MAX.min(20) as u64),
        };
        Capped::new((0..count).map(|_| make(self)).collect()).expect("at most as many")
    }

    pub(crate) fn header(&mut self) -> Header {
        Header {
            version: self.0.number() as u32,
            height: Height(self.number()),
            epoch: Epoch(self.number()),
            timestamp_ms: self.number(),
            parent: BlockId(self.array()),
            target: Target(self.array()),
            miner_key: MinerKey(self.array()),
            plot_id: PlotId(self.array()),
            plot_root: Hash(self.array()),
            score: Score(self.array()),
            proof_id: Hash(self.array()),
            transaction_root: Hash(self.array()),
            state_root: Hash(self.array()),
            extension: Hash(self.array()),
            reveal: MinerSignature(self.array()),
            signature: MinerSignature(self.array()),
        }
    }

    pub(crate) fn proof(&mut self) -> Proof {
        Proof {
            challenge: self.array(),
            column: self.0.number() as u32,
            seed: self.array(),
            rows: self.number(),
            leaf: self.array(),
            leaf_index: self.number(),
            siblings: self.list::<_, { spacetime_prover::MAX_SIBLINGS }>(Self::array).into_inner(),
            root: self.array(),
        }
    }

    fn output(&mut self) -> Output {
        Output { address: Address(self.array()), amount: Amount(self.number()) }
    }

    fn payload(&mut self, kind: u8) -> Payload {
        match kind {
            0 => Payload::Coinbase(Coinbase {
                height: Height(self.number()),
                miner_key: MinerKey(self.array()),
                outputs: self.list(Self::output),
                extra: self.list(|dice| dice.0.number() as u8),
            }),
            1 => Payload::Transfer(Transfer {
                to: Address(self.array()),
                amount: Amount(self.number()),
                memo: self.list(|dice| dice.0.number() as u8),
            }),
            2 => Payload::RegisterPlot(RegisterPlot {
                miner_key: MinerKey(self.array()),
                possession: MinerSignature(self.array()),
                seed: Hash(self.array()),
                rows: self.number(),
                root: Hash(self.array()),
            }),
            3 => Payload::ActivatePlot(ActivatePlot {
                miner_key: MinerKey(self.array()),
                plot_key: Hash(self.array()),
                openings: Capped::new(
                    (0..self.0.below(4))
                        .map(|_| Opening { cell: self.array(), siblings: self.list(Self::array) })
                        .collect(),
                )
                .expect("few enough"),
            }),
            4 => Payload::RetirePlot(RetirePlot { miner_key: MinerKey(self.array()), plot_key: Hash(self.array()) }),
            5 => Payload::Evidence(Box::new(Evidence { first: self.header(), second: self.header() })),
            _ => panic!("there is no kind {kind}"),
        }
    }

    /// A transaction of a kind, signed by anybody or nobody.
    pub(crate) fn transaction(&mut self, kind: u8) -> Transaction {
        Transaction {
            sender: self.option(|dice| AccountKey(dice.array())),
            nonce: self.number(),
            fee: Amount(self.number()),
            payload: self.payload(kind),
            signatures: Signatures {
                account: self.option(|dice| AccountSignature(dice.array())),
                miner: self.option(|dice| MinerSignature(dice.array())),
            },
        }
    }

    pub(crate) fn block(&mut self) -> Block {
        let count = self.0.below(4);
        Block {
            header: self.header(),
            proof: self.proof(),
            transactions: (0..count)
                .map(|_| self.0.below(KINDS.into()) as u8)
                .collect::<Vec<_>>()
                .into_iter()
                .map(|kind| self.transaction(kind))
                .collect(),
            metadata: self.option(|dice| dice.list(|dice| dice.0.number() as u8)),
        }
    }

    fn beacon(&mut self) -> Beacon {
        Beacon { mix: Hash(self.array()), active: Hash(self.array()) }
    }

    fn difficulty(&mut self) -> Difficulty {
        Difficulty { base: Target(self.array()), blocks: self.number(), start: Epoch(self.number()) }
    }

    pub(crate) fn lineage(&mut self) -> Lineage {
        Lineage {
            id: BlockId(self.array()),
            parent: BlockId(self.array()),
            height: Height(self.number()),
            epoch: Epoch(self.number()),
            timestamp_ms: self.number(),
            score: Score(self.array()),
            beacon: self.beacon(),
            difficulty: self.difficulty(),
            weight: Weight::from_bytes(&self.array()),
        }
    }

    /// A value of each kind, with a key of its own.
    pub(crate) fn values(&mut self) -> [(StateKey, Value); 7] {
        [
            (StateKey::Parameters, Value::Parameters(Hash(self.array()))),
            (
                StateKey::Chain,
                Value::Chain(ChainRecord {
                    issued: Amount(self.number()),
                    burnt: Amount(self.number()),
                    difficulty: self.difficulty(),
                    beacon: self.beacon(),
                    groups: self.number(),
                }),
            ),
            (
                StateKey::Account(Address(self.array())),
                Value::Account(Account { balance: Amount(self.number()), nonce: self.number() }),
            ),
            (
                StateKey::Plot(Hash(self.array())),
                Value::Plot(PlotRecord {
                    miner_key: MinerKey(self.array()),
                    plot_id: PlotId(self.array()),
                    rows: self.number(),
                    root: Hash(self.array()),
                    registered: Height(self.number()),
                    draw: self.number(),
                    mature_from: self.option(|dice| Height(dice.number())),
                    last: Height(self.number()),
                    retired: self.0.one_in(2),
                }),
            ),
            (StateKey::Barred(MinerKey(self.array())), Value::Barred(Height(self.number()))),
            (
                StateKey::Beacon(self.number()),
                Value::Beacon(BeaconEntry { height: Height(self.number()), mix: Hash(self.array()) }),
            ),
            (
                StateKey::Rewards(Height(self.number())),
                Value::Rewards(Rewards {
                    epoch: Epoch(self.number()),
                    miner_key: MinerKey(self.array()),
                    outputs: self.list(Self::output),
                }),
            ),
        ]
    }
}
