//! `multilith export --to TARGET`: the routes as another proxy's configuration, and whether that proxy takes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::arguments::{ExportArgs, ExportTo};
use super::compiled::compiled;
use super::{Exit, term};
use crate::export::{ExportTarget, Exported, export as write_for, unfinished};
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
    let verified = !args.verify || file.is_some_and(|file| verify(target, &file));
    if !verified || !exported.left_out.is_empty() && !args.lossy {
        return Exit::Findings;
    }
    Exit::Fine
}

/// Writes the file into the folder, or prints it. What `--verify` reads is a file in any case.
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
