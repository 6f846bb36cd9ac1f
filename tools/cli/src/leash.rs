//! A process that does not outlive whoever started it.
//!
//! `spacetime devnet` holds a pipe to the standard input of every process that it starts. However it ends, by SIGKILL
//! too, the system closes the pipe, and each of them stops by itself.

use std::io::{self, ErrorKind, Read};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::SIGTERM;
use signal_hook::low_level;

use crate::{Code, Failure};

/// How long an orderly stop may take once standard input has ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// From now on this process stops as by SIGTERM when its standard input ends, and at once if that takes too long.
///
/// # Errors
/// If the system gives no thread.
pub(crate) fn wear() -> Result<(), Failure> {
    let watch = || {
        wait_for_end(&mut io::stdin().lock());
        // Whoever has no handler ends here.
        let _ = low_level::raise(SIGTERM);
        thread::sleep(PATIENCE);
        low_level::exit(Code::Interrupted as i32);
    };
    thread::Builder::new().name("leash".into()).spawn(watch).context("cannot start a thread")?;
    Ok(())
}

/// Reads until there is nothing more to come.
fn wait_for_end(input: &mut impl Read) {
    let mut ignored = [0; 256];
    loop {
        match input.read(&mut ignored) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What cannot be read says nothing of who holds the other end.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_input_is_waited_for() {
        let (mut input, output) = io::pipe().expect("a pipe");
        let waiting = thread::spawn(move || wait_for_end(&mut input));
        io::Write::write_all(&mut &output, b"not the end yet").expect("there is room");
        assert!(!waiting.is_finished(), "the pipe is open");
        drop(output);
        waiting.join().expect("it returns");
    }
}
