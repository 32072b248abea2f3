//! The flags and arguments of each verb, as they are typed.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::given_paths::{literal_path, parameter_template};
use crate::telemetry::StatusFilter;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The file to serve by, or a folder: its *.toml. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml", conflicts_with = "monolith")]
    pub(super) config: Vec<PathBuf>,
    /// Take the sockets over from the running proxy, which hands them over at SIGQUIT.
    #[arg(long, conflicts_with = "monolith")]
    pub(super) upgrade: bool,
    /// Serve with no file at all: everything goes to this monolith.
    #[arg(long, value_name = "URL")]
    pub(super) monolith: Option<String>,
    /// Where to listen, together with --monolith.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", requires = "monolith")]
    pub(super) listen: String,
    /// Where metrics and the API are, together with --monolith.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900", requires = "monolith")]
    pub(super) admin: String,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Stop after this long, such as 20s or 5m.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(super) for_how_long: Option<std::time::Duration>,
    /// Where the proxy listens; by default the system chooses a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: String,
    /// Where metrics and the API are.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) admin: String,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The files to look at, each by itself [default: routes.toml].
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Files or folders that are one configuration together. May be given several times.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,
    /// Warnings count, too: exit with 1.
    #[arg(long)]
    pub(super) strict: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    pub(super) method: String,
    /// `http://host/path?query`, or a path alone.
    pub(super) url: String,
    /// The file or folder to explain by. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    pub(super) config: Vec<PathBuf>,
    /// A header of the request: `name: value`. May be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(super) headers: Vec<String>,
    /// The client's address.
    #[arg(long, value_name = "IP")]
    pub(super) client: Option<IpAddr>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// How a running proxy is reached.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// The admin listener; by default the one in the file, which may have mistakes elsewhere.
    #[arg(long, value_name = "URL", env = "MULTILITH_ADMIN")]
    pub(super) admin: Option<String>,
    /// The admin token.
    #[arg(long, value_name = "TOKEN", env = "MULTILITH_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// The file or folder in which the admin address is looked up. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    pub(super) config: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    pub(super) admin: AdminArgs,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// Only if the file and what is in force are those of this plan (`multilith plan -o`).
    #[arg(long, value_name = "FILE")]
    pub(super) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The new file.
    pub(super) new: PathBuf,
    /// The file or folder that is in force. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    pub(super) config: Vec<PathBuf>,
    /// The database of a proxy, or a copy of it; by default the one in the state directory of the file in force.
    #[arg(long, value_name = "FILE")]
    pub(super) traffic: Option<PathBuf>,
    /// Save the plan for `multilith reload --plan`.
    #[arg(short, long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// First let the running proxy record for this time, such as 10m, what the new file asks about, too.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) learn: Option<std::time::Duration>,
    /// With --learn: the proxy's admin listener; by default the one in the file in force.
    #[arg(long, value_name = "URL", env = "MULTILITH_ADMIN")]
    pub(super) admin: Option<String>,
    /// With --learn: the admin token.
    #[arg(long, value_name = "TOKEN", env = "MULTILITH_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Dangers that are wanted, by their codes, separated by commas.
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = crate::plan::DANGERS)]
    pub(super) allow: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// How far back requests, errors and times go: 1s to 1h, by default 5m.
    #[arg(long, value_name = "DURATION", value_parser = since)]
    pub(super) since: Option<String>,
    /// What to take next, what may retire, what still reaches the monolith.
    #[arg(long, conflicts_with_all = ["since", "watch"])]
    pub(super) next: bool,
    /// Show the board anew every two seconds, until interrupted.
    #[arg(long)]
    pub(super) watch: bool,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The route, as it is called in routes.toml; without it every route gets one line.
    pub(super) route: Option<String>,
    /// Only what came within this time, such as 5m or 2h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) since: Option<std::time::Duration>,
    /// Only this field, with all that is kept of it.
    #[arg(long, value_name = "PATH", requires = "route")]
    pub(super) field: Option<String>,
    /// Only the statuses that differ.
    #[arg(long, requires = "route", conflicts_with = "field")]
    pub(super) status: bool,
    /// Forget what is known of the route and begin anew; the journal has the person and the reason.
    #[arg(long, requires_all = ["route", "reason"], conflicts_with_all = ["field", "status", "since", "export"])]
    pub(super) reset: bool,
    /// Ask the request of this number again at both sides, and compare their answers; only methods that change nothing.
    #[arg(long, value_name = "N", requires = "route", conflicts_with_all = ["reset", "field", "status", "since", "export"])]
    pub(super) replay: Option<u64>,
    /// A header of that request, such as credentials, which are not kept: `name: value`. May be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER", requires = "replay")]
    pub(super) headers: Vec<String>,
    /// Why the evidence is reset.
    #[arg(long, value_name = "TEXT", requires = "reset")]
    pub(super) reason: Option<String>,
    /// Write the kept requests with the monolith's answers, as a Hurl file or, for a name that ends in `.sh`, as curl
    /// commands; needs `examples = "values"`.
    #[arg(long, value_name = "FILE", conflicts_with = "json", requires = "route")]
    pub(super) export: Option<PathBuf>,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    /// Learn from this access log in the common, combined or JSON format instead of asking a running proxy; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) from_log: Option<String>,
    /// The admin listener of the running proxy; by default the one in the file.
    #[arg(long, value_name = "URL", env = "MULTILITH_ADMIN")]
    pub(super) admin: Option<String>,
    /// The admin token.
    #[arg(long, value_name = "TOKEN", env = "MULTILITH_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// The routes file: in which the admin address is looked up, or, with --from-log, whose routes are known.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,
    /// A path whose segments are words, whatever the log looks like: `/users/export`. May be given several times.
    #[arg(long, value_name = "PATH", requires = "from_log", value_parser = literal_path)]
    pub(super) literal: Vec<String>,
    /// A template whose parameter takes any word: `/blog/{slug}`. May be given several times.
    #[arg(long, value_name = "TEMPLATE", requires = "from_log", value_parser = parameter_template)]
    pub(super) parameter: Vec<String>,
    /// A list of routes as `import` reads it, `rails=routes.txt`: its paths are known, not guessed. May be given several times.
    #[arg(long, value_name = "FROM=FILE", requires = "from_log", value_parser = known_list)]
    pub(super) known: Vec<KnownList>,
    /// Only endpoints whose method changes something.
    #[arg(long)]
    pub(super) writes: bool,
    /// Only endpoints without a request for this time: 30d. The records must go back at least as far.
    #[arg(long, value_name = "DURATION", value_parser = days)]
    pub(super) silent: Option<std::time::Duration>,
    /// Print routes to paste, in stage monolith, for the endpoints that no route takes yet.
    #[arg(long, conflicts_with_all = ["openapi", "json"])]
    pub(super) suggest: bool,
    /// Print an `OpenAPI` document.
    #[arg(long, conflicts_with = "json")]
    pub(super) openapi: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A list of routes for `inventory`.
#[derive(Debug, Clone)]
pub(super) struct KnownList {
    pub(super) from: ImportFrom,
    pub(super) file: String,
}

/// Why a text names no list.
#[derive(Debug, thiserror::Error)]
#[error("write what printed the list and its file: rails=routes.txt")]
struct NotAList;

fn known_list(text: &str) -> Result<KnownList, NotAList> {
    let (from, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or(NotAList)?;
    let from = ImportFrom::from_str(from, false).map_err(|_| NotAList)?;
    Ok(KnownList { from, file: file.to_owned() })
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The program whose configuration is written.
    #[arg(long, value_enum)]
    pub(super) to: ExportTo,
    /// The file or folder to export. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    pub(super) config: Vec<PathBuf>,
    /// Write the file into this folder instead of printing it.
    #[arg(short, long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Let the target's own checker read it (nginx -t, haproxy -c, envoy --mode validate), and write cases.json beside it: recorded
    /// requests, each with the upstream that must get it.
    #[arg(long)]
    pub(super) verify: bool,
    /// Exit with 0 although something cannot be exported, and take routes whose migration is not finished.
    #[arg(long)]
    pub(super) lossy: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ExportTo {
    Nginx,
    Haproxy,
    Envoy,
    Httproute,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The program that printed the list.
    pub(super) from: ImportFrom,
    /// The list; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(super) file: String,
    /// Where the monolith is. Default: what `location /` of nginx passes to, else `http://127.0.0.1:3000`.
    #[arg(long, value_name = "URL")]
    pub(super) monolith: Option<String>,
    /// Write nothing: tell the running proxy's inventory these paths, in place of the last list of the same kind. They are
    /// known from then on, not guessed.
    #[arg(long, conflicts_with = "monolith")]
    pub(super) known: bool,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ImportFrom {
    /// An `OpenAPI` 2 or 3 document in JSON or YAML (also `openapi.json` of `FastAPI`).
    Openapi,
    /// nginx.conf with what it includes, or the output of `nginx -T`.
    Nginx,
    /// `python manage.py show_urls` (django-extensions).
    Django,
    /// `bin/rails routes`, also with --expanded.
    Rails,
    /// `php artisan route:list --json`.
    Laravel,
    /// The JSON of express-list-endpoints, or of your own: `[{"path": "/a/:b", "methods": ["GET"]}]`; in Express 5 from
    /// `app.router.stack.filter(l => l.route).map(l => ({path: l.route.path, methods: Object.keys(l.route.methods)}))`.
    Express,
    /// `fastify.printRoutes()`.
    Fastify,
    /// The JSON of /actuator/mappings.
    Spring,
    /// `flask routes`.
    Flask,
}

impl From<ImportFrom> for crate::inventory::ListFormat {
    fn from(from: ImportFrom) -> Self {
        match from {
            ImportFrom::Openapi => Self::OpenApi,
            ImportFrom::Nginx => Self::Nginx,
            ImportFrom::Django => Self::Django,
            ImportFrom::Rails => Self::Rails,
            ImportFrom::Laravel => Self::Laravel,
            ImportFrom::Express => Self::Express,
            ImportFrom::Fastify => Self::Fastify,
            ImportFrom::Spring => Self::Spring,
            ImportFrom::Flask => Self::Flask,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ConsoleArgs {
    /// The name that stands in the journal; without it the token's, or `loopback`.
    #[arg(long = "as", value_name = "NAME")]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

#[derive(Debug, Args)]
pub(super) struct ButtonArgs {
    pub(super) position: Position,
    /// Why: it stands in the journal.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    #[command(flatten)]
    pub(super) goal: GoalArgs,
    /// Do not ask before a move into `retired`, or into a stage that `approve` of its gate leaves to a person. Needed where there
    /// is no terminal.
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) act: ActArgs,
}

#[derive(Debug, Args)]
pub(super) struct RollBackArgs {
    #[command(flatten)]
    pub(super) goal: GoalArgs,
    #[command(flatten)]
    pub(super) act: ActArgs,
}

/// Where a move leads; without either one step.
#[derive(Debug, Args)]
pub(super) struct GoalArgs {
    /// The stage to move to.
    #[arg(long, value_name = "STAGE")]
    pub(super) to: Option<String>,
    /// The service's share in `canary`, such as 25%.
    #[arg(long, value_name = "SHARE")]
    pub(super) weight: Option<String>,
}

/// The arguments of every act of a person.
#[derive(Debug, Args)]
pub(super) struct ActArgs {
    /// The route, as it is called in routes.toml.
    pub(super) route: String,
    /// Why: it stands in the journal.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Only if this is the last entry of the route in the journal.
    #[arg(long, value_name = "N")]
    pub(super) expect_seq: Option<u64>,
    /// Also write where the route stands then into the file of the proxy.
    #[arg(long)]
    pub(super) write: bool,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// Keep it from rolling back, too: nothing but a person takes the route back then.
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) act: ActArgs,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Begin again with the first step.
    #[arg(long)]
    pub(super) from_start: bool,
    #[command(flatten)]
    pub(super) act: ActArgs,
}

#[derive(Debug, Args)]
pub(super) struct JournalArgs {
    /// Only this route.
    pub(super) route: Option<String>,
    /// Only this number of the newest.
    #[arg(long, value_name = "N")]
    pub(super) last: Option<usize>,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
    /// Print one object a line.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// The route, as it is called in routes.toml.
    pub(super) route: String,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Position {
    On,
    Off,
}

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Go on until interrupted. The stream has no past, so this is how it always works; the flag is for the habit.
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Only this route.
    #[arg(long, value_name = "ROUTE")]
    pub(super) route: Option<String>,
    /// Only this side.
    #[arg(long, value_name = "SIDE")]
    pub(super) side: Option<String>,
    /// Only this status, such as 404 or 5xx.
    #[arg(long, value_name = "STATUS")]
    pub(super) status: Option<StatusFilter>,
    /// Only this client's address, whatever else happens.
    #[arg(long, value_name = "IP")]
    pub(super) client: Option<IpAddr>,
    /// Only the request of this id, as the client was told it in X-Request-Id.
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    /// Show each client's User-Agent, too.
    #[arg(long)]
    pub(super) user_agent: bool,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
    /// Print the events as JSON lines.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RegisterArgs {
    /// The client URL of a member of the etcd cluster. May be given several times.
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',')]
    pub(super) etcd: Vec<String>,
    /// The service: the key is /services/NAME/HOST:PORT.
    #[arg(long, value_name = "NAME")]
    pub(super) service: String,
    /// Where the proxy reaches the program.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) address: String,
    /// How long the registration outlives a program or a machine that dies.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(super) ttl: std::time::Duration,
    /// A GET of this path must answer with 2xx; without it, the port must have answered anything at all, then a connection is
    /// enough.
    #[arg(long, value_name = "PATH")]
    pub(super) health: Option<String>,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

/// A text that is not a duration.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a duration: write 20s, 5m or 1h")]
struct NotADuration(Box<str>);

/// A duration that may be in days, which no time limit of the file is.
fn days(text: &str) -> Result<std::time::Duration, NotADuration> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    days.map_or_else(|| duration(text), |days| Ok(std::time::Duration::from_secs(u64::from(days) * 86_400)))
}

fn duration(text: &str) -> Result<std::time::Duration, NotADuration> {
    crate::config::read_duration(text).ok_or_else(|| NotADuration(text.into()))
}

/// A duration that is passed on as it was written.
fn since(text: &str) -> Result<String, NotADuration> {
    duration(text).map(|_| text.to_owned())
}
