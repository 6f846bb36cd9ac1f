//! Runs the program itself, as a user would.

#![allow(dead_code)] // every test file is a program of its own, and none uses all of this

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test unless the program ended with `code` and, for an error,
    /// with one line that begins with `error: ` and holds every one of `words`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        if code != 0 {
            assert!(self.stderr.starts_with("error: "), "{self:#?}");
            assert_eq!(self.stderr.lines().count(), 1, "{self:#?}");
        }
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:#?}");
        }
        self
    }
}

/// The program in the folder `dir`, without the terminal of whoever runs the
/// tests and without the variables that stand in for flags.
pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacetime"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPACETIME_") {
            command.env_remove(name);
        }
    }
    // Mesa's layer that chooses among devices grumbles on standard error where there is no desktop.
    command.env("NODEVICE_SELECT", "1");
    command
}

/// Runs the program in the folder `dir`.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Ran {
    ran(command(dir, arguments).output().expect("the program starts"))
}

/// Runs the program with `input` on its standard input.
pub(crate) fn run_with_input(dir: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut command = command(dir, arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the program starts");
    // A program that refuses its arguments leaves without reading.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    ran(child.wait_with_output().expect("the program ends"))
}

fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A miner's public key: the generator of BLS12-381 G1, whose secret is 1.
#[allow(dead_code)] // not every test file makes a plot
pub(crate) const MINER_KEY: &str = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                                    6c55e83ff97a1aeffb3af00adb22c6bb";

/// What lies in a folder, by name.
#[allow(dead_code)] // not every test file looks
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// A process of ours, ended with the test whatever becomes of it.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, arguments);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts"))
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file system of its own, unmounted with the test; none where mounting is not allowed.
pub(crate) struct Tmpfs(pub(crate) PathBuf);

impl Tmpfs {
    /// With these options of mount(8), such as `size=48m`.
    pub(crate) fn mount(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir(at).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()), "the tmpfs is unmounted");
    }
}
