//! The command line: one file per verb. Only this layer prints and decides the exit code.

mod admin_client;
mod certificates;
mod check;
mod completions;
mod console;
mod demo;
mod diff;
mod explain;
mod export;
mod fleet;
mod gate;
mod import;
mod inventory;
mod journal;
mod logs;
mod man;
mod monolith_only;
mod moves;
mod next;
mod plan;
mod register;
mod reload;
mod run;
mod schema;
mod status;
mod table;
mod term;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::telemetry::StatusFilter;
use moves::Act;

/// A strangler-fig edge proxy: stands in front of a monolith and moves endpoints, one by one and with proof, to new
/// services.
#[derive(Debug, Parser)]
#[command(name = "multilith", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve. The file is watched; SIGHUP reloads it, SIGTERM finishes what is in flight and ends.
    Run(RunArgs),
    /// A small monolith, services, traffic and the proxy in one process on loopback, to try things out.
    Demo(DemoArgs),
    /// Find every mistake in routes.toml at once.
    Check(CheckArgs),
    /// Say which route would take a request, why, and what would be sent on.
    Explain(ExplainArgs),
    /// The board of a running proxy: each route with its stage, weight, traffic and errors.
    Status(StatusArgs),
    /// What differs between the monolith's answers and the service's, by field.
    Diff(DiffArgs),
    /// Ask a running proxy to read its file again, and say what changed or why not.
    Reload(ReloadArgs),
    /// What a new file would change, judged by recorded requests: who moves, and what is dangerous.
    Plan(PlanArgs),
    /// The endpoints that a running proxy has seen, or an access log shows: volume, errors, who calls them, routes to paste.
    Inventory(InventoryArgs),
    /// Make a routes file from the list of routes that a framework prints; everything stays with the monolith.
    Import(ImportArgs),
    /// Write the routes as another proxy's configuration: the way out, when all is migrated.
    Export(ExportArgs),
    /// Print a one-time link to the console of a running proxy: it works once, within a minute.
    Console(ConsoleArgs),
    /// The big red button: every route that is not retired goes to the monolith at once.
    MonolithOnly(ButtonArgs),
    /// Give a route's service more: one step, or as far as --to and --weight say.
    Promote(MoveArgs),
    /// Give a route's service less: one step back, or as far as --to and --weight say. Never asks, never waits.
    Rollback(MoveArgs),
    /// Keep a gate from advancing; it still rolls back.
    Pause(MoveArgs),
    /// Let a paused gate go on.
    Resume(ResumeArgs),
    /// Let a route into its next stage, which the file wants a person to do.
    Approve(MoveArgs),
    /// Every move with who, when, why and the numbers it rested on.
    Journal(JournalArgs),
    /// Why a gate holds, and what it needs.
    Gate(GateArgs),
    /// Who is there of several replicas, who leads, which dial is in force where.
    Fleet(ReportArgs),
    /// The live stream of requests of a running proxy.
    Logs(LogsArgs),
    /// Run a program and keep it registered in etcd while it is healthy; deregister it before it is stopped.
    Register(RegisterArgs),
    /// Print the JSON Schema of routes.toml.
    Schema,
    /// Print completions for a shell.
    Completions { shell: clap_complete::Shell },
    /// Print the manual page.
    Man,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The file to serve by, or a folder: its *.toml. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml", conflicts_with = "monolith")]
    config: Vec<PathBuf>,
    /// Take the sockets over from the running proxy, which hands them over at SIGQUIT.
    #[arg(long, conflicts_with = "monolith")]
    upgrade: bool,
    /// Serve with no file at all: everything goes to this monolith.
    #[arg(long, value_name = "URL")]
    monolith: Option<String>,
    /// Where to listen, together with --monolith.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", requires = "monolith")]
    listen: String,
    /// Where metrics and the API are, together with --monolith.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900", requires = "monolith")]
    admin: String,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Stop after this long, such as 20s or 5m.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    for_how_long: Option<std::time::Duration>,
    /// Where the proxy listens; by default the system chooses a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// Where metrics and the API are.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    admin: String,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The files to look at, each by itself [default: routes.toml].
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Files or folders that are one configuration together. May be given several times.
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Warnings count, too: exit with 1.
    #[arg(long)]
    strict: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    method: String,
    /// `http://host/path?query`, or a path alone.
    url: String,
    /// The file or folder to explain by. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    config: Vec<PathBuf>,
    /// A header of the request: `name: value`. May be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The client's address.
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a running proxy is reached.
#[derive(Debug, Args)]
struct AdminArgs {
    /// The admin listener; by default the one in the file, which may have mistakes elsewhere.
    #[arg(long, value_name = "URL", env = "MULTILITH_ADMIN")]
    admin: Option<String>,
    /// The admin token.
    #[arg(long, value_name = "TOKEN", env = "MULTILITH_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The file or folder in which the admin address is looked up. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    config: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct ReportArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReloadArgs {
    /// Only if the file and what is in force are those of this plan (`multilith plan -o`).
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Args)]
struct PlanArgs {
    /// The new file.
    new: PathBuf,
    /// The file or folder that is in force. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    config: Vec<PathBuf>,
    /// The database of a proxy, or a copy of it; by default the one in the state directory of the file in force.
    #[arg(long, value_name = "FILE")]
    traffic: Option<PathBuf>,
    /// Save the plan for `multilith reload --plan`.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Dangers that are wanted, by their codes, separated by commas.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    allow: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// How far back requests, errors and times go: 1s to 1h, by default 5m.
    #[arg(long, value_name = "DURATION", value_parser = since)]
    since: Option<String>,
    /// What to take next, what may retire, what still reaches the monolith.
    #[arg(long, conflicts_with_all = ["since", "watch"])]
    next: bool,
    /// Show the board anew every two seconds, until interrupted.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Args)]
struct DiffArgs {
    /// The route, as it is called in routes.toml; without it every route gets one line.
    route: Option<String>,
    /// Only what came within the last so long, such as 5m or 2h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<std::time::Duration>,
    /// Only this field, with all that is kept of it.
    #[arg(long, value_name = "PATH", requires = "route")]
    field: Option<String>,
    /// Only the statuses that differ.
    #[arg(long, requires = "route", conflicts_with = "field")]
    status: bool,
    /// Forget what is known of the route and begin anew; the journal has who did it and why.
    #[arg(long, requires_all = ["route", "reason"], conflicts_with_all = ["field", "status", "since", "export"])]
    reset: bool,
    /// Ask the request of this number again at both sides, and compare their answers; only methods that change nothing.
    #[arg(long, value_name = "N", requires = "route", conflicts_with_all = ["reset", "field", "status", "since", "export"])]
    replay: Option<u64>,
    /// A header of that request, such as credentials, which are not kept: `name: value`. May be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER", requires = "replay")]
    headers: Vec<String>,
    /// Why the evidence is reset.
    #[arg(long, value_name = "TEXT", requires = "reset")]
    reason: Option<String>,
    /// Write the kept requests with the monolith's answers, as a Hurl file or, for a name that ends in `.sh`, as curl
    /// commands; needs `examples = "values"`.
    #[arg(long, value_name = "FILE", conflicts_with = "json", requires = "route")]
    export: Option<PathBuf>,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Args)]
struct InventoryArgs {
    /// Learn from this access log in the common, combined or JSON format instead of asking a running proxy; - is standard input.
    #[arg(long, value_name = "FILE")]
    from_log: Option<String>,
    /// The admin listener of the running proxy; by default the one in the file.
    #[arg(long, value_name = "URL", env = "MULTILITH_ADMIN", conflicts_with = "from_log")]
    admin: Option<String>,
    /// The admin token.
    #[arg(long, value_name = "TOKEN", env = "MULTILITH_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The routes file: in which the admin address is looked up, or, with --from-log, whose routes are known.
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A path whose segments are words, whatever the log looks like: `/users/export`. May be given several times.
    #[arg(long, value_name = "PATH", requires = "from_log")]
    literal: Vec<String>,
    /// A template whose parameter takes any word: `/blog/{slug}`. May be given several times.
    #[arg(long, value_name = "TEMPLATE", requires = "from_log")]
    parameter: Vec<String>,
    /// Only endpoints whose method changes something.
    #[arg(long)]
    writes: bool,
    /// Only endpoints without a request for so long: 30d. What is known must go back at least so far.
    #[arg(long, value_name = "DURATION", value_parser = days)]
    silent: Option<std::time::Duration>,
    /// Print routes to paste, in stage monolith, for the endpoints that no route takes yet.
    #[arg(long, conflicts_with_all = ["openapi", "json"])]
    suggest: bool,
    /// Print an `OpenAPI` document.
    #[arg(long, conflicts_with = "json")]
    openapi: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Whose configuration is written.
    #[arg(long, value_enum)]
    to: ExportTo,
    /// The file or folder to export. Several are one configuration.
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    config: Vec<PathBuf>,
    /// Write the file into this folder instead of printing it.
    #[arg(short, long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Let the target's own checker read it: nginx -t, haproxy -c, envoy --mode validate.
    #[arg(long)]
    verify: bool,
    /// Exit with 0 although something cannot be exported, and take routes whose migration is not finished.
    #[arg(long)]
    lossy: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportTo {
    Nginx,
    Haproxy,
    Envoy,
    Httproute,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// What printed the list.
    from: ImportFrom,
    /// The list; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: String,
    /// Where the monolith is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    monolith: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImportFrom {
    /// An `OpenAPI` 2 or 3 document in JSON (also `openapi.json` of `FastAPI`).
    Openapi,
    /// `python manage.py show_urls` (django-extensions).
    Django,
    /// `bin/rails routes`, also with --expanded.
    Rails,
    /// `php artisan route:list --json`.
    Laravel,
    /// The JSON of express-list-endpoints.
    Express,
    /// The JSON of /actuator/mappings.
    Spring,
    /// `flask routes`.
    Flask,
}

impl From<ImportFrom> for crate::inventory::ListFormat {
    fn from(from: ImportFrom) -> Self {
        match from {
            ImportFrom::Openapi => Self::OpenApi,
            ImportFrom::Django => Self::Django,
            ImportFrom::Rails => Self::Rails,
            ImportFrom::Laravel => Self::Laravel,
            ImportFrom::Express => Self::Express,
            ImportFrom::Spring => Self::Spring,
            ImportFrom::Flask => Self::Flask,
        }
    }
}

#[derive(Debug, Args)]
struct ConsoleArgs {
    /// The name that stands in the journal; without it the token's, or `loopback`.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Args)]
struct ButtonArgs {
    position: Position,
    /// Why: it stands in the journal.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct MoveArgs {
    /// The route, as it is called in routes.toml.
    route: String,
    /// The stage to move to.
    #[arg(long, value_name = "STAGE")]
    to: Option<String>,
    /// The service's share in `canary`, such as 25%.
    #[arg(long, value_name = "SHARE")]
    weight: Option<String>,
    /// Why: it stands in the journal.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only if this is the last entry of the route in the journal.
    #[arg(long, value_name = "N")]
    expect_seq: Option<u64>,
    /// Also write it into the file of the proxy.
    #[arg(long)]
    write: bool,
    /// Also into `retired`.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ResumeArgs {
    /// Begin again with the first step.
    #[arg(long)]
    from_start: bool,
    #[command(flatten)]
    act: MoveArgs,
}

#[derive(Debug, Args)]
struct JournalArgs {
    /// Only this route.
    route: Option<String>,
    /// Only the last so many.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print one object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct GateArgs {
    /// The route, as it is called in routes.toml.
    route: String,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Position {
    On,
    Off,
}

#[derive(Debug, Args)]
struct LogsArgs {
    /// Go on until interrupted. The stream has no past, so this is how it always works; the flag is for the habit.
    #[arg(long, short)]
    follow: bool,
    /// Only this route.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Only this side.
    #[arg(long, value_name = "SIDE")]
    side: Option<String>,
    /// Only this status, such as 404 or 5xx.
    #[arg(long, value_name = "STATUS")]
    status: Option<StatusFilter>,
    /// Only this client's address, whatever else happens.
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// Only the request of this id, as the client was told it in X-Request-Id.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Show each client's User-Agent, too.
    #[arg(long)]
    user_agent: bool,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print the events as JSON lines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// The client URL of a member of the etcd cluster. May be given several times.
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',')]
    etcd: Vec<String>,
    /// The service: the key is /services/NAME/HOST:PORT.
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Where the proxy reaches the program.
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// How long the registration outlives a program or a machine that dies.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    ttl: std::time::Duration,
    /// A GET of this path must answer with 2xx; without it, the port must have answered anything at all, then a connection is
    /// enough.
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Fine,
    /// The file is wrong, a check failed.
    Findings,
    /// The program could not do its work.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Findings => 1,
            Exit::Failed => 2,
        })
    }
}

/// Runs the verb that the command line names.
pub fn main() -> ExitCode {
    let exit = match Cli::parse().verb {
        Verb::Run(args) => run::run(args),
        Verb::Demo(args) => demo::demo(&args),
        Verb::Check(args) => check::check(&args),
        Verb::Explain(args) => explain::explain(&args),
        Verb::Status(args) => status::status(&args),
        Verb::Diff(args) => diff::diff(&args),
        Verb::Reload(args) => reload::reload(&args),
        Verb::Plan(args) => plan::plan_file(&args),
        Verb::Inventory(args) => inventory::inventory(&args),
        Verb::Import(args) => import::import(&args),
        Verb::Export(args) => export::export(&args),
        Verb::Console(args) => console::console(&args),
        Verb::MonolithOnly(args) => monolith_only::monolith_only(&args),
        Verb::Promote(args) => moves::act(Act::Promote, &args, false),
        Verb::Rollback(args) => moves::act(Act::RollBack, &args, false),
        Verb::Pause(args) => moves::act(Act::Pause, &args, false),
        Verb::Resume(args) => moves::act(Act::Resume, &args.act, args.from_start),
        Verb::Approve(args) => moves::act(Act::Approve, &args, false),
        Verb::Journal(args) => journal::journal(&args),
        Verb::Gate(args) => gate::gate(&args),
        Verb::Fleet(args) => fleet::fleet(&args),
        Verb::Logs(args) => logs::logs(&args),
        // The program's exit code is passed on.
        Verb::Register(args) => return register::register(&args),
        Verb::Schema => schema::schema(),
        Verb::Completions { shell } => completions::completions(shell),
        Verb::Man => man::man(),
    };
    exit.into()
}

/// A duration that may be in days, which no time limit of the file is.
fn days(text: &str) -> Result<std::time::Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    days.map_or_else(|| duration(text), |days| Ok(std::time::Duration::from_secs(u64::from(days) * 86_400)))
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::config::read_duration(text).ok_or_else(|| format!("`{text}` is not a duration: write 20s, 5m or 1h"))
}

/// A duration that is passed on as it was written.
fn since(text: &str) -> Result<String, String> {
    duration(text).map(|_| text.to_owned())
}
