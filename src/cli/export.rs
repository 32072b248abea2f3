//! `multilith export --to TARGET`: the routes as another proxy's configuration, and whether that proxy takes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::arguments::{ExportArgs, ExportTo};
use super::compiled::compiled;
use super::plan::in_state_dir;
use super::{Exit, term};
use crate::compile::Snapshot;
use crate::diagnostic::plural;
use crate::export::{ExportTarget, Exported, export as write_for, unfinished};
use crate::learn::read_recorded;
use crate::plan::{RoutingCase, routing_cases};
use crate::reload::ConfigSource;

impl From<ExportTo> for ExportTarget {
    fn from(to: ExportTo) -> Self {
        match to {
            ExportTo::Nginx => Self::Nginx,
            ExportTo::Haproxy => Self::Haproxy,
            ExportTo::Envoy => Self::Envoy,
            ExportTo::Httproute => Self::HttpRoute,
        }
    }
}

pub fn export(args: &ExportArgs) -> Exit {
    let snapshot = match compiled(&ConfigSource::Files(args.config.clone()), false) {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let unfinished = unfinished(&snapshot);
    if !unfinished.is_empty() && !args.lossy {
        for (route, stage) in &unfinished {
            term::say(&format!("not exported: {route}.stage: it is in `{stage}`"));
        }
        term::fail(
            "the migration is not finished, so nothing was written",
            Some("finish these routes first; --lossy exports them as they are"),
        );
        return Exit::Findings;
    }
    let target = ExportTarget::from(args.to);
    let exported = write_for(&snapshot, target);
    let file = match put(args, target, &exported) {
        Ok(file) => file,
        Err((path, error)) => {
            term::fail(&format!("`{}` cannot be written: {error}", path.display()), None);
            return Exit::Failed;
        }
    };
    for left_out in &exported.left_out {
        term::say(&format!("not exported: {left_out}"));
    }
    for note in exported.notes {
        term::say(&format!("note: {note}"));
    }
    let verified = !args.verify || file.as_ref().is_some_and(|file| verify(target, file));
    if args.verify
        && let Some(Err(error)) = file.as_ref().map(|file| put_cases(args, target, &snapshot, file))
    {
        term::fail(&format!("the cases cannot be written: {error}"), None);
        return Exit::Failed;
    }
    if !verified || !exported.left_out.is_empty() && !args.lossy {
        return Exit::Findings;
    }
    Exit::Fine
}

/// Writes the file into the folder, or prints it. `--verify` always needs a file.
fn put(
    args: &ExportArgs,
    target: ExportTarget,
    exported: &Exported,
) -> Result<Option<PathBuf>, (PathBuf, std::io::Error)> {
    let folder = match (&args.out, args.verify) {
        (Some(folder), _) => folder.clone(),
        (None, true) => std::env::temp_dir().join(format!("multilith-export-{}", std::process::id())),
        (None, false) => {
            term::out(&exported.text);
            return Ok(None);
        }
    };
    let file = folder.join(target.file_name());
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, &exported.text));
    written.map_err(|error| (file.clone(), error))?;
    if args.out.is_none() {
        term::out(&exported.text);
    }
    Ok(Some(file))
}

/// Writes what was recorded as cases beside the file: sent through the target, each must reach the upstream that it names.
fn put_cases(args: &ExportArgs, target: ExportTarget, snapshot: &Snapshot, file: &Path) -> std::io::Result<()> {
    let config = args.config.first().map_or(Path::new("routes.toml"), PathBuf::as_path);
    let recorded = match read_recorded(&in_state_dir(config, snapshot)) {
        Ok(recorded) => recorded,
        Err(error) => {
            term::say(&format!("no cases to try it by: no recorded requests ({error})"));
            return Ok(());
        }
    };
    let cases = routing_cases(snapshot, &recorded);
    let list = match target {
        ExportTarget::Envoy => router_check(&cases),
        _ => json!(cases),
    };
    let path = file.with_file_name("cases.json");
    let text = serde_json::to_string_pretty(&list).expect("cases serialise") + "\n";
    std::fs::write(&path, text)?;
    let format = if target == ExportTarget::Envoy { ", as router_check_tool reads them" } else { "" };
    term::say(&format!("{} of recorded requests in `{}`{format}", plural(cases.len(), "case"), path.display()));
    Ok(())
}

/// The format of Envoy's `router_check_tool`.
fn router_check(cases: &[RoutingCase]) -> Value {
    let test = |case: &RoutingCase| {
        let headers: Vec<Value> =
            case.headers.iter().map(|(name, value)| json!({"key": name, "value": value})).collect();
        let authority = if case.host.is_empty() { "localhost" } else { &case.host };
        json!({
            "test_name": format!("{} {}{}", case.method, case.host, case.target),
            "input": {
                "authority": authority, "path": case.target, "method": case.method, "additional_request_headers": headers,
            },
            "validate": {"cluster_name": case.upstream},
        })
    };
    json!({"tests": cases.iter().map(test).collect::<Vec<_>>()})
}

/// Asks the target's own checker. Without one on the path it is not verified, and that is said.
fn verify(target: ExportTarget, file: &Path) -> bool {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let path = path.as_os_str();
    let (program, arguments): (&str, Vec<&std::ffi::OsStr>) = match target {
        ExportTarget::Nginx => ("nginx", vec!["-t".as_ref(), "-q".as_ref(), "-c".as_ref(), path]),
        ExportTarget::Haproxy => ("haproxy", vec!["-c".as_ref(), "-f".as_ref(), path]),
        ExportTarget::Envoy => ("envoy", vec!["--mode".as_ref(), "validate".as_ref(), "-c".as_ref(), path]),
        ExportTarget::HttpRoute => {
            term::fail(
                "an HTTPRoute can be verified only by its cluster",
                Some("kubectl apply --dry-run=server -f FILE"),
            );
            return false;
        }
    };
    // Debian keeps nginx and haproxy where only root looks.
    let found = [program.to_owned(), format!("/usr/sbin/{program}")]
        .into_iter()
        .find_map(|program| Command::new(&program).args(&arguments).stdin(std::process::Stdio::null()).output().ok());
    match found {
        None => {
            term::fail(
                &format!("not verified: there is no `{program}` here"),
                Some("install it, or copy the file to where it is"),
            );
            false
        }
        Some(output) if output.status.success() => {
            term::say(&format!("verified: {program} takes it"));
            true
        }
        Some(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            term::fail(&format!("{program} refuses it:\n{}", told.trim_end()), None);
            false
        }
    }
}
