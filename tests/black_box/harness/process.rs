//! The binary as a child process: its output kept, its signals sent, its end awaited.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::waiting::within;

/// The binary under test: the one cargo built, or another one named by `MULTILITH_BIN`.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("MULTILITH_BIN").map_or_else(|| env!("CARGO_BIN_EXE_multilith").into(), PathBuf::from)
}

/// The user and the group without rights of their own.
pub(super) const NOBODY: u32 = 65_534;

/// Whether the tests run as a user to whom no mode of a file forbids anything.
pub(crate) fn is_administrator() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A loopback address that nobody listens on now. Another process may take it before it is used: retry on failure.
pub(crate) fn free_address() -> SocketAddr {
    reserve().local_addr().expect("a bound listener has an address")
}

/// Holds a free port until the listener is dropped: none of those that the system gives to connections and to whoever asks for
/// any, so that a program that is started again finds it free; and no port twice, since many tests look for one at a time.
pub(super) fn reserve() -> TcpListener {
    const LOWEST: u16 = 10_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    static FIRST: LazyLock<u32> = LazyLock::new(|| fastrand::u32(..u32::from(u16::MAX)));
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768).max(LOWEST + 1);
    let next = || {
        let turn = FIRST.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % u32::from(end - LOWEST);
        LOWEST + u16::try_from(turn).expect("less than the range is long")
    };
    let own = || TcpListener::bind(("127.0.0.1", next())).ok();
    (0..100).find_map(|_| own()).unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
}

pub(crate) struct Process {
    child: Child,
    output: [Arc<Mutex<String>>; 2],
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn spawn(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self::spawn_with(arguments, [])
    }

    /// The same with these variables in its environment.
    pub(crate) fn spawn_with(
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        variables: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        Self::spawn_command(Command::new(binary()), arguments, variables)
    }

    /// The same without an administrator's rights: what the mode of a file forbids is forbidden to it.
    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn spawn_as_nobody(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = Command::new(binary());
        if is_administrator() {
            command.uid(NOBODY).gid(NOBODY);
        }
        Self::spawn_command(command, arguments, [])
    }

    /// The same with so many descriptors and no more.
    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn spawn_with_descriptors(most: u32, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(binary());
        Self::spawn_command(shell, arguments, [])
    }

    fn spawn_command(
        mut command: Command,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        variables: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let mut child = command
            .args(arguments)
            .envs(variables)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = [Arc::default(), Arc::default()];
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let readers = vec![keep(stdout, &output[0]), keep(stderr, &output[1])];
        Self { child, output, readers }
    }

    pub(crate) fn stdout(&self) -> String {
        self.output[0].lock().expect("no panic while held").clone()
    }

    pub(crate) fn stderr(&self) -> String {
        self.output[1].lock().expect("no panic while held").clone()
    }

    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, `TERM` for example.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(sent.expect("every machine has a shell").success(), "signal {name} could not be sent");
    }

    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked for its end")
    }

    /// Waits for the end; `None` when it still runs after `limit`. The output is complete afterwards.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = within(limit, || self.exit_status())?;
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader never panics");
        }
        Some(status)
    }

    /// The most memory the process has held at once, in bytes (Linux).
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process lives");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells the peak");
        let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
        kib.expect("a number of KiB") * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exit_status().is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if thread::panicking() {
            eprintln!("--- stdout of the proxy\n{}--- stderr of the proxy\n{}---", self.stdout(), self.stderr());
        }
    }
}

/// Runs the binary until it ends by itself, which it must within `limit`: exit code and stderr.
pub(crate) fn run_to_exit(limit: Duration, arguments: &[&str]) -> (i32, String) {
    let mut process = Process::spawn(arguments);
    let status = process.wait(limit).unwrap_or_else(|| panic!("still running after {limit:?}: {arguments:?}"));
    (status.code().expect("ended by itself, not by a signal"), process.stderr())
}

/// Arguments of a proxy without a file, whose admin listener leaves its usual port to others.
pub(crate) fn without_file(monolith: &str, listen: SocketAddr) -> Vec<String> {
    let (listen, admin) = (listen.to_string(), free_address().to_string());
    ["run", "--monolith", monolith, "--listen", &listen, "--admin", &admin].map(str::to_owned).to_vec()
}

fn keep(from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            into.lock().expect("no panic while held").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}
