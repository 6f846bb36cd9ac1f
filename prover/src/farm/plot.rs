//! A plot that the farm keeps open.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::farm::disks::Disk;
use crate::farm::lock;
use crate::farm::prove::PlotFault;
use crate::platform::{FileId, open_direct};
use crate::plot::{Plot, PlotError};

/// A plot in a farm: the open file, its disk, and what went wrong with it last.
#[derive(Debug)]
pub struct FarmPlot {
    plot: Plot,
    id: FileId,
    disk: OnceLock<Arc<Disk>>,
    /// Opened again for direct reads when it is first read; `None` if that cannot be.
    direct: OnceLock<Option<File>>,
    read_error: Mutex<Option<Arc<PlotError>>>,
    fault: Mutex<Option<Arc<PlotFault>>>,
}

impl FarmPlot {
    /// Takes in a complete plot.
    pub(crate) fn new(plot: Plot) -> Result<Self, PlotError> {
        let metadata = plot.file().metadata().map_err(|source| PlotError::Io {
            path: plot.path().to_owned(),
            doing: "cannot read its size",
            source,
        })?;
        let id = FileId::of(&metadata);
        Ok(Self {
            plot,
            id,
            disk: OnceLock::new(),
            direct: OnceLock::new(),
            read_error: Mutex::default(),
            fault: Mutex::default(),
        })
    }

    /// The plot itself.
    #[must_use]
    pub fn plot(&self) -> &Plot {
        &self.plot
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.plot.path()
    }

    /// Its id.
    #[must_use]
    pub fn plot_id(&self) -> [u8; 32] {
        self.plot.header().plot_id
    }

    /// The number of the device that holds the file; 0 where the system does not tell.
    #[must_use]
    pub fn device(&self) -> u64 {
        self.id.disk()
    }

    /// Why it could not be read when last it was; the next search tries again.
    #[must_use]
    pub fn read_error(&self) -> Option<Arc<PlotError>> {
        lock(&self.read_error).clone()
    }

    /// Why a leaf of it could not be proved: the plot is damaged, and
    /// `spacetime plot scrub` says where.
    #[must_use]
    pub fn fault(&self) -> Option<Arc<PlotFault>> {
        lock(&self.fault).clone()
    }

    /// Whether its disk finished nothing for too long when it was last searched, and nothing has come back since: it
    /// is not searched until then.
    #[must_use]
    pub fn disk_hangs(&self) -> bool {
        self.disk().hangs()
    }

    pub(crate) fn keep_read_error(&self, error: Arc<PlotError>) {
        *lock(&self.read_error) = Some(error);
    }

    pub(crate) fn keep_fault(&self, fault: Arc<PlotFault>) {
        *lock(&self.fault) = Some(fault);
    }

    pub(crate) fn id(&self) -> &FileId {
        &self.id
    }

    /// Whether its path still names the file that was opened, in the same state.
    pub(crate) fn is_unchanged(&self) -> bool {
        std::fs::metadata(self.path()).is_ok_and(|metadata| FileId::of(&metadata) == self.id)
    }

    /// Puts it on `disk`, once.
    pub(crate) fn place_on(&self, disk: Arc<Disk>) {
        self.disk.get_or_init(|| disk);
    }

    pub(crate) fn disk(&self) -> &Arc<Disk> {
        self.disk.get().expect("a plot that the farm took in was placed on a disk")
    }

    /// The same file, opened for direct reads.
    pub(crate) fn direct_file(&self) -> Option<&File> {
        let same = |file: &File| file.metadata().is_ok_and(|metadata| FileId::of(&metadata).is_same_file(&self.id));
        self.direct.get_or_init(|| open_direct(self.path()).filter(same)).as_ref()
    }

    /// Says once for each disk that its page cache is in use.
    pub(crate) fn no_direct_reads(&self) {
        if self.disk.get().is_some_and(|disk| disk.tell_of_no_direct_reads()) {
            tracing::info!(path = %self.path().display(), "no direct reads on this disk, reading through the page cache");
        }
    }

    pub(crate) fn error_reading(&self, source: io::Error) -> PlotError {
        PlotError::Io { path: self.path().to_owned(), doing: "cannot read", source }
    }
}
