//! Where a test's network stands.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Set to the test's name in the process that runs inside.
const INSIDE: &str = "SPACETIME_NETSIM_INSIDE";
/// Said by that process when all held: a name that no test has would pass as well.
const HELD: &str = "netsim: all of it held";
/// Gives a namespace its own place for the names of more, and its loopback. Users' PATH may not lead to ip(8).
const SCRIPT: &str = r#"PATH=$PATH:/usr/sbin:/sbin; mount -t tmpfs tmpfs /run && ip link set lo up && exec "$0" "$@""#;

/// Networks stand one at a time: each is many processes.
static ONE: Mutex<()> = Mutex::new(());

/// Where nodes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Each in a network namespace of its own.
    Namespaces,
    /// All on this machine's loopback.
    Loopback,
}

/// The program between the namespaces.
pub(super) fn relay() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../netsim/relay.py"))
}

/// A program in namespaces of its own: network, processes, mounts. All that is made there ends with it.
fn isolated(program: &std::path::Path) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", SCRIPT]).arg(program);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Why there are no namespaces here, by trying it; nothing if there are.
fn missing() -> Option<String> {
    let tried = isolated(&relay()).args(["--nodes", "1"]).stdin(Stdio::null()).output();
    match tried {
        Ok(output) if output.stdout == b"ready\n" => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// Runs `scenario` of the test `name` where each node has a namespace of its own. Says SKIPPED where that cannot be, and
/// fails where it is required.
#[track_caller]
pub(crate) fn in_namespaces(name: &str, scenario: impl FnOnce()) {
    run(name, false, |_| scenario());
}

/// Runs `scenario` of the test `name` in namespaces, or on loopback where there are none, and says so.
#[track_caller]
pub(crate) fn in_namespaces_or_on_loopback(name: &str, scenario: impl FnOnce(Ground)) {
    run(name, true, scenario);
}

#[track_caller]
fn run(name: &str, may_be_loopback: bool, scenario: impl FnOnce(Ground)) {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        end_with_parent();
        scenario(Ground::Namespaces);
        println!("{HELD}");
        return;
    }
    // One that failed has cleaned up all the same.
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reason) = missing() {
        let is_required = std::env::var_os("SPACETIME_REQUIRE_NETNS").is_some_and(|value| value == "1");
        assert!(!is_required, "SPACETIME_REQUIRE_NETNS=1, and there are no network namespaces: {reason}");
        if may_be_loopback {
            eprintln!("{name}: on loopback, for there are no network namespaces: {reason}");
            return scenario(Ground::Loopback);
        }
        return eprintln!("SKIPPED: {name}: no network namespaces: {reason}");
    }
    let this = std::env::current_exe().expect("this program is a file");
    let mut command = isolated(&this);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, name);
    // It ends when this end of the pipe is closed, however this process ends.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it was tried before");
    let _leash = child.stdin.take();
    let output = child.wait_with_output().expect("a process of ours");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    eprintln!("{errors}");
    assert!(output.status.success() && said.contains(HELD), "{name} failed in its namespace, see above");
}

/// Ends this process, and with it its namespaces, when standard input ends.
fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}
