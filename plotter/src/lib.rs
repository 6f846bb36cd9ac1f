//! Makes plots and keeps them whole (docs/PROTOCOL.md, sections 2, 3 and 5).
//!
//! * [`create`] grows a plot, [`resume`] goes on with one that was interrupted.
//! * [`create_staged`] grows a plot in one folder and moves it to another.
//! * [`check`] looks at header, roots and a sample of rows, [`scrub`] reads all
//!   of a plot and heals it.
//! * [`merge`] makes one plot of parts, [`compact`] gives a plot other segments.
//! * [`Engine`] is the CPU, which grows the rows, hashes and checks; a
//!   [`SharedGrower`] is a card that grows rows beside it or in its place.
//! * [`Control`] stops and holds back, [`Event`]s and [`Step`]s tell how far it is.

mod batch;
mod build;
mod check;
mod columns;
mod compact;
mod control;
mod copy;
mod create;
mod engine;
mod error;
mod memory;
mod merge;
mod options;
mod params;
mod platform;
mod produce;
mod progress;
mod queue;
mod regrow;
mod resume;
mod roots;
mod scrub;
mod shares;
mod stage;
mod storage;
mod sweep;
mod trailer;
mod waiting;
mod write;

pub use build::{Event, Events};
pub use check::{CheckOptions, CheckReport, Finding, check};
pub use compact::compact;
pub use control::{Control, Stopped};
pub use copy::{CopyError, CopyOptions};
pub use create::{Created, Estimate, check_room, create, estimate, finished_path, growing_time, remove_stillborn};
pub use engine::{Cpu, Engine, Worker};
pub use error::{BuildError, CreateError};
pub use merge::merge;
pub use options::{CreateOptions, SharedGrower};
pub use params::{ParamsError, PlotParams, default_rows_per_segment};
pub use platform::{available_memory, peak_memory};
pub use progress::{Phase, Step, Steps};
pub use resume::{Resumed, resume, resume_staged};
pub use scrub::{Damage, Outcome, ScrubError, ScrubOptions, ScrubReport, scrub};
pub use stage::{Staged, create_staged};
pub use storage::Storage;
