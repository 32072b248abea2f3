//! The command line: one file per verb. Only this layer prints and decides the exit code.

mod admin_client;
mod arguments;
mod certificates;
mod check;
mod compiled;
mod completions;
mod console;
mod demo;
mod diff;
mod explain;
mod export;
mod fleet;
mod gate;
mod given_paths;
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

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use arguments::{
    ActArgs, AdminArgs, ButtonArgs, CheckArgs, ConsoleArgs, DemoArgs, DiffArgs, ExplainArgs, ExportArgs, GateArgs,
    GoalArgs, ImportArgs, InventoryArgs, JournalArgs, LogsArgs, PauseArgs, PlanArgs, Position, PromoteArgs,
    RegisterArgs, ReloadArgs, ReportArgs, ResumeArgs, RollBackArgs, RunArgs, StatusArgs,
};
use moves::Act;
use serde_json::Map;

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
    /// What a new file would change, judged by recorded requests: the clients that move, and the dangers.
    Plan(PlanArgs),
    /// The endpoints that a running proxy has seen, or an access log shows: volume, errors, callers, routes to paste.
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
    Promote(PromoteArgs),
    /// Give a route's service less: one step back, or as far as --to and --weight say. Never asks, never waits.
    Rollback(RollBackArgs),
    /// Keep a gate from advancing; it still rolls back, unless --all says otherwise.
    Pause(PauseArgs),
    /// Let a paused gate go on.
    Resume(ResumeArgs),
    /// Let a route into its next stage, which the file wants a person to do.
    Approve(ActArgs),
    /// Every move with its author, time, reason and the numbers it rested on.
    Journal(JournalArgs),
    /// Why a gate holds, and what it needs.
    Gate(GateArgs),
    /// The replicas of a fleet, their leader, and the dials in force at each.
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
        Verb::Promote(args) => moves::promote(&args),
        Verb::Rollback(args) => moves::roll_back(&args),
        Verb::Pause(args) => moves::pause(&args),
        Verb::Resume(args) => moves::resume(&args),
        Verb::Approve(args) => moves::act(Act::Approve, &args, Map::new()),
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
