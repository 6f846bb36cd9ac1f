//! Makes plots and keeps them whole (docs/PROTOCOL.md, sections 2, 3 and 5).
//!
//! * [`create`] grows a plot, [`resume`] goes on with one that was interrupted.
//! * [`Engine`] is who grows the rows; [`Cpu`] is the one there is.
//! * [`Control`] stops and holds back, [`Event`]s tell how far it is.

mod batch;
mod build;
mod control;
mod create;
mod engine;
mod error;
mod memory;
mod params;
mod platform;
mod roots;
mod storage;
mod trailer;
mod write;

pub use build::{Event, Events};
pub use control::{Control, Stopped};
pub use create::{
    CreateOptions, Created, Estimate, create, estimate, finished_path, growing_time, remove_stillborn, resume,
};
pub use engine::{Cpu, Engine, Worker};
pub use error::{BuildError, CreateError};
pub use params::{ParamsError, PlotParams, default_rows_per_segment};
pub use platform::{available_memory, peak_memory};
pub use storage::Storage;
