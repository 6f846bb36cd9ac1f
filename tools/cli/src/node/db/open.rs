//! Which chain, and where it is kept.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use spacetime_node::config::DataDir;
use spacetime_node::consensus::Specification;
use spacetime_node::manager::{ChainManager, Options};
use spacetime_node::state::{GenesisBlock, genesis};
use spacetime_node::store::space::KEEP_FREE_BYTES;
use spacetime_node::store::{RocksDatabase, RocksOptions, SpaceGuard};

use super::fail::{database_failure, manager_failure};
use crate::Failure;
use crate::args::{Size, size};
use crate::node::chain::{Network, read_specification};

/// The database's folder within a node's.
const FOLDER: &str = "chain";

/// Which chain, and where it is kept.
#[derive(Debug, Args)]
pub(in crate::node) struct Place {
    /// The node's folder; its database is the folder `chain` in it.
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,
    /// The chain, where it is one that this program knows.
    #[arg(long, value_enum, default_value = "main")]
    network: Network,
    /// The chain's specification, where it is another one.
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    chain: Option<PathBuf>,
    /// The folder, held as long as this lives.
    #[arg(skip)]
    held: OnceCell<DataDir>,
}

/// Room that is left to others.
#[derive(Debug, Args)]
pub(in crate::node) struct Room {
    /// Stops before less than this is free on the disk.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value_t = Size { bytes: KEEP_FREE_BYTES })]
    free_space: Size,
}

/// A database that is written to while there is room for it.
pub(in crate::node) type Guarded = SpaceGuard<RocksDatabase>;

impl Place {
    /// The chain's specification.
    pub(super) fn specification(&self) -> Result<Specification, Failure> {
        match (&self.chain, self.network) {
            (Some(path), _) => read_specification(path),
            (None, network) => Ok(network.specification()),
        }
    }

    /// The specification with the block that it makes.
    pub(in crate::node) fn chain(&self) -> Result<(Specification, GenesisBlock), Failure> {
        let specification = self.specification()?;
        let genesis = genesis(&specification).map_err(|error| {
            let name = self.chain.as_deref().unwrap_or(Path::new("specification"));
            Failure::damaged(format!("{}: {error}", name.display()))
        })?;
        Ok((specification, genesis))
    }

    /// Where the database is.
    pub(in crate::node) fn folder(&self) -> PathBuf {
        self.data.join(FOLDER)
    }

    /// Opens a database that is there.
    pub(in crate::node) fn database(&self) -> Result<RocksDatabase, Failure> {
        self.open(RocksOptions { create: false, sync: true })
    }

    /// Holds the folder, so that no node runs in it meanwhile: one that does is named.
    fn hold(&self, make: bool) -> Result<(), Failure> {
        // Where there is no folder there is no node, and the database's own words say what is missing.
        if self.held.get().is_none() && (make || self.data.is_dir()) {
            let held = if make { DataDir::open(&self.data)? } else { DataDir::open_existing(&self.data)? };
            // It was empty: nobody else fills it.
            let _ = self.held.set(held);
        }
        Ok(())
    }

    fn open(&self, options: RocksOptions) -> Result<RocksDatabase, Failure> {
        self.hold(options.create)?;
        RocksDatabase::open(&self.folder(), options).map_err(|error| database_failure(&error))
    }

    /// Opens the chain in a database that is there, to write to it.
    pub(super) fn manager(&self, room: &Room, options: Options) -> Result<ChainManager<Guarded>, Failure> {
        let specification = self.specification()?;
        self.manage(specification, self.guard(self.database()?, room), options)
    }

    /// Opens the chain, or begins it. Batches do not wait for the disk: [`RocksDatabase::set_sync`] puts them there.
    pub(super) fn manager_for_import(
        &self,
        room: &Room,
        options: Options,
    ) -> Result<(ChainManager<Guarded>, Arc<Guarded>), Failure> {
        let specification = self.specification()?;
        let folder = self.folder();
        self.hold(true)?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let database = self.open(RocksOptions { create: true, sync: false })?;
        let database = self.guard(database, room);
        Ok((self.manage(specification, Arc::clone(&database), options)?, database))
    }

    /// Opens a database, or makes one. Batches do not wait for the disk: [`RocksDatabase::set_sync`] puts them there.
    pub(in crate::node) fn database_for_import(&self, room: &Room) -> Result<Arc<Guarded>, Failure> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let database = self.open(RocksOptions { create: true, sync: false })?;
        Ok(self.guard(database, room))
    }

    fn guard(&self, database: RocksDatabase, room: &Room) -> Arc<Guarded> {
        Arc::new(SpaceGuard::new(database, &self.folder(), room.free_space.bytes))
    }

    fn manage(
        &self,
        specification: Specification,
        database: Arc<Guarded>,
        options: Options,
    ) -> Result<ChainManager<Guarded>, Failure> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("the system gives no random bytes")?;
        let opened = ChainManager::open(Arc::new(specification), database, seed, options);
        opened.map_err(|error| manager_failure(&self.folder(), &error))
    }
}
