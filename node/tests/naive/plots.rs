//! The model's plots (PROTOCOL §4, §7, §9).

use sha2::{Digest, Sha256};
use spacetime_node::chain::{ActivatePlot, Block, MinerKey, RegisterPlot, RetirePlot};
use spacetime_node::consensus::GenesisPlot;

use super::{Mistake, Model, ensure, h};

/// A plot since its latest registration.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) miner: MinerKey,
    pub(crate) rows: u64,
    pub(crate) root: [u8; 32],
    pub(crate) registered: u64,
    /// Heights of its activations; a genesis plot was activated at 0.
    pub(crate) activated: Vec<u64>,
    pub(crate) genesis: bool,
    /// Its latest win or activation.
    pub(crate) last: u64,
    pub(crate) retired: bool,
}

/// What a plot is worth at a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Pending,
    Lapsed,
    Immature,
    Mature,
    Ended,
    Retired,
}

impl Plot {
    pub(super) fn at_genesis(plot: &GenesisPlot) -> Self {
        let (miner, rows, root) = (plot.miner_key, plot.rows, plot.root.0);
        Self { miner, rows, root, registered: 0, activated: vec![0], genesis: true, last: 0, retired: false }
    }
}

impl Model {
    pub(super) fn plot_key(&self, miner: &MinerKey, seed: &[u8; 32]) -> [u8; 32] {
        let network = h("spacetime/network/v1", &[self.parameters.network.as_bytes()]);
        let shape = [self.parameters.log2_columns, self.parameters.rounds];
        h("spacetime/plot-key/v1", &[&network, &miner.0, seed, &shape])
    }

    pub(crate) fn life(&self, plot: &Plot, height: u64) -> Life {
        let parameters = &self.parameters;
        let longer = u64::from(self.wrong(Mistake::LongLife));
        if plot.retired {
            Life::Retired
        } else if plot.activated.is_empty() {
            if height > plot.registered + parameters.activation_window { Life::Lapsed } else { Life::Pending }
        } else if parameters.plot_lifetime.is_some_and(|lifetime| height > plot.last + lifetime + longer) {
            Life::Ended
        } else if plot.genesis || height >= plot.activated[0] + parameters.plot_maturity {
            Life::Mature
        } else {
            Life::Immature
        }
    }

    /// Mix of the first block of the second new group after the block at `since`, and that block's height.
    pub(crate) fn drawn(&self, since: u64) -> Option<[u8; 32]> {
        let first_blocks = (since as usize + 1..self.past.len()).filter(|height| self.begins_group(*height));
        let skip = if self.wrong(Mistake::FirstGroup) { 0 } else { 1 };
        first_blocks.map(|height| self.past[height].mix).nth(skip)
    }

    /// Checks who won, and what with; the plot's key.
    pub(super) fn check_win(&self, block: &Block) -> Result<[u8; 32], String> {
        let (header, proof, height) = (&block.header, &block.proof, self.height() + 1);
        ensure(header.height.0 == height, || "another height".into())?;
        let parent = self.past.last().expect("genesis");
        ensure(header.epoch.0 > parent.epoch, || "an epoch not after the parent's".into())?;
        let group = self.group(header.epoch.0);
        let active = if group > self.group(parent.epoch) { parent.mix } else { parent.active };
        let challenge = h("spacetime/challenge/v1", &[&active, &header.epoch.0.to_le_bytes()]);
        ensure(proof.challenge == challenge, || "another challenge".into())?;
        let drawn = h("spacetime/column/v1", &[&active, &group.to_le_bytes()]);
        let column = u32::from_be_bytes([drawn[0], drawn[1], drawn[2], drawn[3]]) % (1 << self.parameters.log2_columns);
        ensure(proof.column == column, || "another column".into())?;

        let key = self.plot_key(&header.miner_key, &proof.seed);
        let plot = self.plots.get(&key).ok_or("an unknown plot won")?;
        ensure((plot.rows, plot.root) == (proof.rows, proof.root), || "another plot of that key won".into())?;
        let life = self.life(plot, height);
        ensure(life == Life::Mature, || format!("a plot won that is {life:?}"))?;
        ensure(!self.barred.contains(&header.miner_key), || "a barred miner won".into())?;
        Ok(key)
    }

    pub(super) fn register(&mut self, register: &RegisterPlot, height: u64) -> Result<(), String> {
        ensure(!self.barred.contains(&register.miner_key), || "a barred miner registers".into())?;
        let key = self.plot_key(&register.miner_key, &register.seed.0);
        if let Some(plot) = self.plots.get(&key) {
            let life = self.life(plot, height);
            ensure(matches!(life, Life::Lapsed | Life::Ended), || format!("registered while {life:?}"))?;
        }
        let plot = Plot {
            miner: register.miner_key,
            rows: register.rows,
            root: register.root.0,
            registered: height,
            activated: Vec::new(),
            genesis: false,
            last: height,
            retired: false,
        };
        self.plots.insert(key, plot);
        Ok(())
    }

    pub(super) fn activate(&mut self, activate: &ActivatePlot, height: u64) -> Result<(), String> {
        let plot = self.live(&activate.plot_key.0, &activate.miner_key, height)?;
        let since = plot.activated.last().copied().unwrap_or(plot.registered);
        let mix = self.drawn(since).ok_or("activated before openings were drawn")?;
        let id = h("spacetime/plot-id/v1", &[&activate.plot_key.0, &plot.rows.to_le_bytes(), &plot.root]);
        ensure(activate.openings.len() == self.parameters.openings as usize, || "too few openings".into())?;
        for (index, opening) in activate.openings.iter().enumerate() {
            let drawn = h("spacetime/opening/v1", &[&id, &mix, &(index as u32).to_le_bytes()]);
            let row = u64::from_le_bytes(drawn[..8].try_into().expect("8 bytes")) % plot.rows;
            let column = u32::from_le_bytes(drawn[8..12].try_into().expect("4 bytes"));
            let column = u64::from(column) % (1 << self.parameters.log2_columns);
            let depth = plot.rows.next_power_of_two().trailing_zeros();
            let mut at = column << depth | row;
            let mut node = opening.cell;
            for sibling in opening.siblings.iter() {
                let pair = if at & 1 == 0 { [node, *sibling] } else { [*sibling, node] };
                node = Sha256::digest(pair.as_flattened()).into();
                at >>= 1;
            }
            ensure(at == 0 && node == plot.root, || format!("opening {index} leads elsewhere"))?;
        }
        let plot = self.plots.get_mut(&activate.plot_key.0).expect("it lives");
        plot.activated.push(height);
        plot.last = height;
        Ok(())
    }

    pub(super) fn retire(&mut self, retire: &RetirePlot, height: u64) -> Result<(), String> {
        self.live(&retire.plot_key.0, &retire.miner_key, height)?;
        self.plots.get_mut(&retire.plot_key.0).expect("it lives").retired = true;
        Ok(())
    }

    fn live(&self, key: &[u8; 32], miner: &MinerKey, height: u64) -> Result<Plot, String> {
        let plot = self.plots.get(key).ok_or("an unknown plot")?;
        ensure(plot.miner == *miner, || "somebody else's plot".into())?;
        ensure(!self.barred.contains(miner), || "a barred miner's plot".into())?;
        let life = self.life(plot, height);
        ensure(matches!(life, Life::Pending | Life::Immature | Life::Mature), || format!("a plot that is {life:?}"))?;
        Ok(plot.clone())
    }
}
