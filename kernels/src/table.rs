//! The memory of the rows in flight.

use memmap2::MmapMut;

use crate::sha256::State;

/// Tables of this many bytes and more are asked to lie in huge pages: random
/// reads over a few thousand small pages spend their time in the TLB.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Cells as native words, column by column, the lanes of a column side by
/// side: what a step writes is contiguous, and so is what leaves the table.
#[derive(Debug)]
pub(crate) struct CellTable {
    lanes: usize,
    columns: usize,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    Small(Vec<State>),
    /// Begins at a huge page's edge, `skipped` cells into the map.
    Huge {
        map: MmapMut,
        skipped: usize,
    },
}

impl CellTable {
    pub(crate) fn new(columns: usize, lanes: usize) -> Self {
        Self { lanes, columns, memory: Memory::new(columns * lanes) }
    }

    pub(crate) fn bytes(columns: usize, lanes: usize) -> usize {
        columns * lanes * size_of::<State>()
    }

    fn cells(&self) -> &[State] {
        let count = self.columns * self.lanes;
        match &self.memory {
            Memory::Small(cells) => cells,
            Memory::Huge { map, skipped } => &bytemuck::cast_slice(&map[..])[*skipped..][..count],
        }
    }

    pub(crate) fn cells_mut(&mut self) -> &mut [State] {
        let count = self.columns * self.lanes;
        match &mut self.memory {
            Memory::Small(cells) => cells,
            Memory::Huge { map, skipped } => &mut bytemuck::cast_slice_mut(&mut map[..])[*skipped..][..count],
        }
    }

    /// The cells of each column, one for each lane.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn columns_mut<const LANES: usize>(&mut self) -> &mut [[State; LANES]] {
        assert_eq!(self.lanes, LANES, "a table is made for one backend");
        self.cells_mut().as_chunks_mut().0
    }

    /// The cells of the first `lanes` lanes at `column`.
    pub(crate) fn column(&self, column: usize, lanes: usize) -> &[State] {
        &self.cells()[column * self.lanes..][..lanes]
    }
}

impl Memory {
    fn new(cells: usize) -> Self {
        let bytes = cells * size_of::<State>();
        if bytes >= HUGE_PAGE_BYTES
            // A map that cannot be had is no reason to stop, small pages do.
            && let Ok(map) = MmapMut::map_anon(bytes + HUGE_PAGE_BYTES)
        {
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            let skipped = map.as_ptr().align_offset(HUGE_PAGE_BYTES) / size_of::<State>();
            return Self::Huge { map, skipped };
        }
        Self::Small(vec![[0; 8]; cells])
    }
}
