//! How fast a farm reads, for `benches/reads.sh`, which holds it against fio.
//!
//!     reads make FILE MIB STRIP_MIB      a file like a plot: true header, random cells
//!     reads farm FILE BLOCK_KIB DEPTH [CHALLENGES]   MiB/s of a sweep through all columns
//!     reads ways FILE BLOCK_KIB DEPTH    direct, buffered and mapped reads, cold and warm

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use memmap2::{Mmap, MmapMut};
use spacetime_kernels::{Challenge, ColumnIndex, Shape, network_tag, plot_id};
use spacetime_prover::farm::{Disks, FarmPlot, SystemDisks};
use spacetime_prover::{Farm, FarmOptions, Layout, PlotHeader, PlotState, SearchOptions, read_exact_at};

const MIB: u64 = 1 << 20;
const COLUMNS: u64 = 16;

/// Times that `ways` measures each way, of which it prints the median.
const TIMES: usize = 5;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["make", file, mib, strip_mib] => make(Path::new(file), number(mib), number(strip_mib)),
        ["farm", file, block_kib, depth] => farm(Path::new(file), number(block_kib), number(depth), 0),
        ["farm", file, block_kib, depth, challenges] => {
            farm(Path::new(file), number(block_kib), number(depth), number(challenges) as usize);
        }
        ["ways", file, block_kib, depth] => ways(Path::new(file), number(block_kib), number(depth)),
        _ => {
            eprintln!(
                "usage: reads make FILE MIB STRIP_MIB | farm FILE BLOCK_KIB DEPTH [CHALLENGES] | ways FILE BLOCK_KIB DEPTH"
            );
            std::process::exit(2);
        }
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

/// Writes what a farm takes for a plot. Nobody grew its cells, so it proves nothing.
fn make(path: &Path, mib: u64, strip_mib: u64) {
    let mut header = PlotHeader {
        miner_key: [7; 48],
        seed: [7; 32],
        network: network_tag("bench"),
        shape: Shape::new(4, 1).expect("a shape"),
        state: PlotState::Complete,
        rows: mib * MIB / 32 / COLUMNS,
        rows_per_segment: strip_mib * MIB / 32,
        first_row: 0,
        data_offset: 0,
        roots_offset: 0,
        root: [0; 32],
        plot_id: [0; 32],
    };
    (header.data_offset, header.roots_offset) = Layout::usual_offsets(&header).expect("a plot that fits");
    header.plot_id = plot_id(&header.key(), header.rows, &header.root);
    let layout = Layout::new(&header).expect("a plot that fits");
    let mut file = File::create(path).expect("a file");
    file.write_all(&header.encode()).expect("room");
    let mut random = 1_u64;
    let mut chunk = vec![0; MIB as usize];
    let mut left = layout.file_bytes() - 4096;
    while left > 0 {
        for word in chunk.as_chunks_mut().0 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *word = random.rotate_left(23).to_le_bytes();
        }
        let bytes = left.min(MIB) as usize;
        file.write_all(&chunk[..bytes]).expect("room");
        left -= bytes as u64;
    }
    file.sync_all().expect("room");
}

fn open(path: &Path, block_kib: u64, depth: u64) -> Farm {
    let options =
        FarmOptions { queue_depth: depth as usize, block_bytes: block_kib as usize * 1024, ..FarmOptions::default() };
    Farm::open([path], options).expect("a block and a depth within bounds")
}

/// Prints MiB/s of the time that searches take, one for each column.
fn farm(path: &Path, block_kib: u64, depth: u64, challenges: usize) {
    let farm = open(path, block_kib, depth);
    let challenges: Vec<_> = (0..challenges).map(|at| Challenge([at as u8; 32])).collect();
    let options = SearchOptions::default();
    let (mut bytes, mut seconds) = (0, 0.0);
    for column in (0..COLUMNS as u32).map(ColumnIndex) {
        let report = if challenges.is_empty() {
            farm.read_only(column, None, &options)
        } else {
            farm.search(column, &challenges, None, None, &options)
        };
        let report = report.expect("a search");
        assert!(report.plots.len() == 1 && report.plots[0].missed.is_none(), "{:?}", farm.refused());
        bytes += report.bytes();
        seconds += report.took.as_secs_f64();
    }
    println!("{:.0}", bytes as f64 / MIB as f64 / seconds);
}

/// One way to read a block; every line of it is looked at, as a mapping reads nothing before.
type Way<'a> = &'a (dyn Fn(&mut [u8], u64) -> u64 + Sync);

fn ways(path: &Path, block_kib: u64, depth: u64) {
    let farm = open(path, block_kib, depth);
    let plots = farm.plots();
    let plot: &FarmPlot = plots.first().expect("a plot");
    let file = plot.plot().file();
    let block = block_kib * 1024;
    let direct = |buffer: &mut [u8], offset| {
        SystemDisks.read(plot, buffer, offset).expect("a read");
        touch(buffer)
    };
    let buffered = |buffer: &mut [u8], offset| {
        read_exact_at(file, buffer, offset).expect("a read");
        touch(buffer)
    };
    println!("| way | cold MiB/s | warm MiB/s |\n|---|---|---|");
    for name in ["direct", "buffered", "mapped"] {
        let measure = |cold: bool| {
            let mut rates: Vec<_> = (0..TIMES)
                .map(|_| {
                    if cold {
                        drop_cache();
                    } else {
                        sweep(plot, block, depth, &buffered);
                    }
                    // A page that is mapped is never dropped, so each time has a mapping of its own.
                    // SAFETY: the file is the bench's own, and nobody writes to it or cuts it meanwhile.
                    #[allow(unsafe_code)]
                    let map = unsafe { Mmap::map(file) }.expect("a mapping");
                    let mapped = |buffer: &mut [u8], offset: u64| touch(&map[offset as usize..][..buffer.len()]);
                    let way: Way<'_> = match name {
                        "direct" => &direct,
                        "buffered" => &buffered,
                        _ => &mapped,
                    };
                    sweep(plot, block, depth, way)
                })
                .collect();
            rates.sort_by(f64::total_cmp);
            rates[TIMES / 2]
        };
        println!("| {name} | {:.0} | {:.0} |", measure(true), measure(false));
    }
}

fn touch(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(64).map(|byte| u64::from(*byte)).sum()
}

fn drop_cache() {
    let dropped =
        std::process::Command::new("sync").status().and_then(|_| std::fs::write("/proc/sys/vm/drop_caches", "3"));
    if let Err(error) = dropped {
        let _ = writeln!(io::stderr(), "the page cache cannot be dropped here ({error}): cold is warm");
    }
}

/// MiB/s of `depth` threads that read every column's strips in turn.
fn sweep(plot: &FarmPlot, block: u64, depth: u64, way: Way<'_>) -> f64 {
    let layout = plot.plot().layout();
    let strips = (0..COLUMNS as u32)
        .flat_map(|column| (0..layout.segments()).map(move |segment| layout.strip(segment, ColumnIndex(column))));
    let blocks: Vec<(u64, u64)> = strips
        .flat_map(|strip| {
            let end = strip.offset_bytes + strip.bytes();
            (strip.offset_bytes..end).step_by(block as usize).map(move |at| (at, block.min(end - at)))
        })
        .collect();
    let next = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..depth {
            scope.spawn(|| {
                let mut buffer = MmapMut::map_anon(block as usize).expect("memory");
                while let Some(&(at, bytes)) = blocks.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    black_box(way(&mut buffer[..bytes as usize], at));
                }
            });
        }
    });
    let bytes: u64 = blocks.iter().map(|(_, bytes)| bytes).sum();
    bytes as f64 / MIB as f64 / began.elapsed().as_secs_f64()
}
