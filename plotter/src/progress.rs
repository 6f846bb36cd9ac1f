//! How far checking, scrubbing and copying have come.

/// What is being done to a plot that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Cells are read and hashed; counted in bytes.
    Reading,
    /// Rows are grown again; counted in rows.
    Growing,
    /// Healed strips are read back; counted in bytes.
    Verifying,
    /// Cells are copied into another file; counted in bytes.
    Copying,
}

/// A step of such work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A phase begins: so many bytes or rows lie before it.
    Began {
        /// Which.
        phase: Phase,
        /// Bytes or rows of it.
        total: u64,
    },
    /// So many more bytes or rows of the phase are done.
    Advanced(u64),
}

/// Where [`Step`]s go.
pub type Steps<'a> = &'a (dyn Fn(Step) + Sync);
