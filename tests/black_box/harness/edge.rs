//! The proxy of one test: a child process with its own folder, routes.toml and ports.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Response};
use super::origin::Origin;
use super::process::{NOBODY, Process, is_administrator, reserve};
use super::waiting::{PATIENCE, eventually, within};

/// A free port is only free until somebody else takes it.
const START_ATTEMPTS: usize = 5;
/// What the proxy says then.
pub(crate) const PORT_TAKEN: &str = "cannot listen on";

/// What the file says beside addresses: build with [`Edge::before`], then [`EdgePlan::start`].
#[derive(Clone, Default)]
pub(crate) struct EdgePlan {
    server: String,
    monolith: String,
    rest: String,
    descriptors: Option<u32>,
    unprivileged: bool,
    variables: Vec<(&'static str, String)>,
}

impl EdgePlan {
    /// The process may open so many descriptors.
    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// The process has no administrator's rights; the folder and the file are its own.
    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// A variable of the process's environment.
    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Lines for the `[server]` table.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server = format!("{}{lines}\n", self.server);
        self
    }

    /// More lines for the `[monolith]` table.
    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn monolith(mut self, lines: &str) -> Self {
        self.monolith = format!("{}{lines}\n", self.monolith);
        self
    }

    /// A service of this name with one URL.
    pub(crate) fn service(mut self, name: &str, origin: &Origin) -> Self {
        self.rest = format!("{}[services.{name}]\nurl = \"{}\"\n", self.rest, origin.url());
        self
    }

    /// More tables, in TOML.
    pub(crate) fn with(mut self, tables: &str) -> Self {
        self.rest = format!("{}{tables}\n", self.rest);
        self
    }

    /// Starts the proxy and waits until it is ready.
    pub(crate) fn start(self) -> Edge {
        let folder = Folder::new();
        for _ in 0..START_ATTEMPTS {
            if let Some(edge) = self.try_start(&folder) {
                return edge;
            }
        }
        panic!("no free port in {START_ATTEMPTS} attempts")
    }

    /// `None` when somebody took the port first.
    fn try_start(&self, folder: &Folder) -> Option<Edge> {
        let ports = [reserve(), reserve()];
        let [address, admin] = ports.each_ref().map(|port| port.local_addr().expect("a bound listener has an address"));
        let path = folder.path.join("routes.toml");
        let mut edge = Edge { address, admin, path, plan: self.clone(), process: None, folder: folder.clone() };
        fs::write(&edge.path, edge.text("")).expect("the folder takes a file");
        drop(ports);
        let arguments = ["run".as_ref(), "-c".as_ref(), edge.path.as_os_str()];
        if self.unprivileged && is_administrator() {
            for path in [&folder.path, &edge.path] {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("an administrator may give files away");
            }
        }
        let mut process = match self.descriptors {
            Some(most) => Process::spawn_with_descriptors(most, arguments),
            None if self.unprivileged => Process::spawn_as_nobody(arguments),
            None => Process::spawn_with(arguments, self.variables.clone()),
        };
        let mut ended = None;
        let ready = within(PATIENCE, || {
            ended = process.exit_status();
            (ended.is_some() || is_ready(admin)).then_some(())
        });
        assert!(ready.is_some(), "not ready after {PATIENCE:?}");
        if let Some(status) = ended {
            process.wait(PATIENCE);
            let stderr = process.stderr();
            assert!(stderr.contains(PORT_TAKEN), "the proxy ended at its start with {status}:\n{stderr}");
            return None;
        }
        edge.process = Some(process);
        Some(edge)
    }
}

/// A running proxy. Dropping it ends the process; a failing test prints its output.
pub(crate) struct Edge {
    address: SocketAddr,
    admin: SocketAddr,
    path: PathBuf,
    plan: EdgePlan,
    process: Option<Process>,
    /// Removed with the last one who holds it.
    #[allow(dead_code, reason = "held for its Drop")]
    folder: Folder,
}

impl Edge {
    /// A plan with this monolith and nothing else.
    pub(crate) fn before(monolith: &Origin) -> EdgePlan {
        Self::before_address(monolith.address())
    }

    /// A plan with a monolith that may not exist.
    pub(crate) fn before_address(monolith: SocketAddr) -> EdgePlan {
        EdgePlan { monolith: format!("[monolith]\nurl = \"http://{monolith}\"\n"), ..EdgePlan::default() }
    }

    /// A plan with a monolith of several endpoints.
    #[allow(dead_code, reason = "used by the tests of copies")]
    pub(crate) fn before_endpoints(monolith: &[SocketAddr]) -> EdgePlan {
        let endpoints: Vec<_> = monolith.iter().map(ToString::to_string).collect();
        EdgePlan { monolith: format!("[monolith]\nendpoints = {endpoints:?}\n"), ..EdgePlan::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the program if it still runs, and starts it once more with the same file and folder.
    #[allow(dead_code, reason = "used by the tests of copies")]
    pub(crate) fn restart(&mut self) {
        drop(self.process.take());
        let arguments = ["run".as_ref(), "-c".as_ref(), self.path.as_os_str()];
        self.process = Some(Process::spawn(arguments));
        eventually("the proxy ready again", || is_ready(self.admin).then_some(()));
    }

    /// Subject and text of a route's evidence in the database.
    #[allow(dead_code, reason = "used by the tests of copies")]
    pub(crate) fn kept_row(&self, route: &str) -> Option<(String, String)> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database =
            rusqlite::Connection::open_with_flags(self.path.with_file_name("state/multilith.db"), flags).ok()?;
        let sql = "SELECT subject, text FROM evidence WHERE route = ?1";
        database.query_row(sql, [route], |row| Ok((row.get(0)?, row.get(1)?))).ok()
    }

    #[allow(dead_code, reason = "used by the tests of copies")]
    pub(crate) fn kept_evidence(&self, route: &str) -> Option<String> {
        self.kept_row(route).map(|(_, text)| text)
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One GET on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// The file as the plan has it, with more tables behind it.
    pub(crate) fn text(&self, more: &str) -> String {
        let EdgePlan { server, monolith, rest, .. } = &self.plan;
        format!(
            "[server]\nlisten = [\"{}\"]\nadmin = \"{}\"\nthreads = 2\nstate_dir = \"{}\"\n{server}\n{monolith}\n{rest}\n{more}\n",
            self.address,
            self.admin,
            self.path.with_file_name("state").display(),
        )
    }

    /// Puts the plan with these tables behind it in force: a rename over the file, then waiting for it.
    pub(crate) fn reload(&self, more: &str) {
        let text = self.text(more);
        self.replace_file(&text);
        self.await_text(&text);
    }

    /// Replaces the file as careful editors do: written beside it, renamed over it.
    pub(crate) fn replace_file(&self, text: &str) {
        let beside = self.path.with_file_name("routes.toml.new");
        fs::write(&beside, text).expect("the folder takes a file");
        fs::rename(&beside, &self.path).expect("a file can be renamed over another");
    }

    /// Waits until the proxy says that this text is in force.
    pub(crate) fn await_text(&self, text: &str) {
        eventually("the new file in force", || (self.config()["text"] == text).then_some(()));
    }

    /// Waits until the last attempt to load is said to have failed, and gives its diagnostics.
    pub(crate) fn await_refusal(&self) -> Value {
        eventually("the file refused", || {
            Some(self.config()["last_error"].clone())
                .filter(|error| !error.is_null())
                .map(|error| error["diagnostics"].clone())
        })
    }

    /// `GET /api/v1/config`.
    pub(crate) fn config(&self) -> Value {
        self.admin_json("GET", "/api/v1/config").1
    }

    pub(crate) fn generation(&self) -> u64 {
        self.config()["generation"].as_u64().expect("a generation is a number")
    }

    /// `POST /api/v1/reload`: status and answer.
    pub(crate) fn post_reload(&self) -> (u16, Value) {
        self.admin_json("POST", "/api/v1/reload")
    }

    pub(crate) fn admin_json(&self, method: &str, target: &str) -> (u16, Value) {
        let response = self.admin(method, target);
        let value = serde_json::from_slice(&response.body)
            .unwrap_or_else(|error| panic!("{method} {target} answers no JSON ({error}): {}", response.text()));
        (response.status(), value)
    }

    pub(crate) fn admin(&self, method: &str, target: &str) -> Response {
        let host = format!("Host: {}", self.admin);
        let fields: &[&str] = if method == "GET" { &[&host] } else { &[&host, "X-Multilith: 1", "Content-Length: 0"] };
        Client::connect(self.admin).request(method, target, fields)
    }

    /// The sum of a metric over every series that has all these labels. Who has its answer may not be counted yet: while requests are in
    /// flight, it is looked at again for a moment.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        const MOMENT: Duration = Duration::from_millis(500);
        let mut page = String::new();
        within(MOMENT, || {
            page = self.admin("GET", "/metrics").text();
            (sum(&page, "multilith_requests_in_flight", &[]) < 0.5).then_some(())
        });
        sum(&page, name, labels)
    }

    /// Everything the proxy has written so far.
    pub(crate) fn log(&self) -> String {
        self.process().stdout() + &self.process().stderr()
    }

    /// Waits until the output has a line with all of these words.
    pub(crate) fn await_log_line(&self, words: &[&str]) -> String {
        eventually(&format!("a log line with {words:?}"), || {
            self.log().lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        })
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process().signal(name);
    }

    /// How it ended, once it has.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.as_mut().expect("a started proxy has a process").wait(limit)
    }

    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn process_id(&self) -> u32 {
        self.process().id()
    }

    pub(crate) fn peak_memory(&self) -> usize {
        self.process().peak_memory()
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("a started proxy has a process")
    }
}

/// The sum over every series of this name that has all these labels.
fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    page.lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|series| series.starts_with('{') || series.starts_with(' '))
        .filter(|series| wanted.iter().all(|label| series.contains(label)))
        .filter_map(|series| series.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn is_ready(admin: SocketAddr) -> bool {
    let Ok(mut client) = Client::try_connect(admin) else { return false };
    let sent = client.try_send(format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"));
    sent.and_then(|()| client.try_response(false)).is_ok_and(|response| response.status() == 200)
}

/// A folder of its own under cargo's, removed with its last holder.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    _removed: std::sync::Arc<Removal>,
}

struct Removal(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("edge-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("cargo's folder for tests takes one more");
        Self { _removed: std::sync::Arc::new(Removal(path.clone())), path }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
