//! Everything that is kept, one write batch a block.

pub mod database;
pub mod memory;

pub use database::{Batch, Column, Database, DatabaseError, Entry, Operation, Visit};
pub use memory::MemoryDatabase;
