//! Makes plots in a folder of its own.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own share

use std::path::PathBuf;

use spacetime_kernels::{Backend, Shape, network_tag};
use spacetime_plotter::{Control, CopyOptions, Cpu, CreateError, CreateOptions, Created, PlotParams, create, resume};

pub struct Maker {
    pub folder: tempfile::TempDir,
    pub engine: Cpu,
    pub threads: usize,
    pub memory: Option<u64>,
    pub force: bool,
    pub control: Control,
}

impl Maker {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            engine: Cpu(Backend::fastest()),
            threads: 2,
            memory: Some(64 << 20),
            force: false,
            control: Control::default(),
        }
    }

    pub fn options(&self) -> CreateOptions<'_> {
        CreateOptions {
            engine: &self.engine,
            threads: self.threads,
            growers: &[],
            cpu_grows: true,
            memory: self.memory,
            force: self.force,
            preallocate: true,
            control: &self.control,
            events: &|_| (),
        }
    }

    pub fn copy_options(&self) -> CopyOptions<'_> {
        CopyOptions {
            hasher: Backend::fastest(),
            threads: self.threads,
            memory: self.memory,
            force: self.force,
            preallocate: true,
            control: &self.control,
            steps: &|_| (),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.plot"))
    }

    pub fn create(&self, name: &str, params: &PlotParams) -> Result<Created, CreateError> {
        create(params, &self.path(name), &self.options())
    }

    pub fn resume(&self, name: &str) -> Result<Option<Created>, CreateError> {
        resume(&self.path(name), &self.options())
    }

    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }
}

pub fn params(p: u8, rounds: u8, rows: u64, rows_per_segment: Option<u64>) -> PlotParams {
    PlotParams {
        miner_key: [7; 48],
        seed: [1; 32],
        network: network_tag("local"),
        shape: Shape::new(p, rounds).expect("a shape"),
        rows,
        rows_per_segment,
        first_row: None,
    }
}
