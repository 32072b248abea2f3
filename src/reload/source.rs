//! Where the configuration comes from: files, or the command line alone.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::include::{in_folder, matched};
use crate::config::{self, Item, without_other_routes};
use crate::diagnostic::{Code, Diagnostic, Extra, Sources, UnusableExtra};

/// The text's origin.
#[derive(Debug, Clone)]
pub enum ConfigSource {
    /// One or more files or folders, which are one configuration.
    Files(Vec<PathBuf>),
    /// `run --monolith URL`: the text it stands for. There is no file, and nothing to reload.
    CommandLine(Arc<str>),
}

/// The result of reading.
#[derive(Debug, Clone, Default)]
pub struct Read {
    pub sources: Arc<Sources>,
    /// Where a change may be one of the configuration: its files, and the folders in which others may appear.
    pub watched: Vec<PathBuf>,
}

/// A file that cannot be read.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    cause: io::Error,
}

impl ReadError {
    pub fn is_missing(&self) -> bool {
        self.cause.kind() == io::ErrorKind::NotFound
    }

    pub fn diagnostic(&self) -> Diagnostic {
        let (message, help) = unreadable(&self.path, &self.cause);
        let help = match self.cause.kind() {
            io::ErrorKind::NotFound => {
                "name the file with `-c FILE`, or start without one: `multilith run --monolith http://127.0.0.1:3000`"
            }
            _ => help,
        };
        Diagnostic::new(Code::UnreadableFile, message).help(help)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        error.cause
    }
}

/// The fault of a file, and the remedy.
fn unreadable(path: &Path, cause: &io::Error) -> (String, &'static str) {
    let path = path.display();
    match cause.kind() {
        io::ErrorKind::NotFound => {
            (format!("cannot read `{path}`: there is no such file"), "write the file, or correct its name")
        }
        io::ErrorKind::PermissionDenied => (
            format!("cannot read `{path}`: not permitted"),
            "let the user that runs multilith read the file and enter its folders",
        ),
        io::ErrorKind::InvalidData => (format!("cannot read `{path}`: it is not UTF-8 text"), "save it as UTF-8"),
        _ => (format!("cannot read `{path}`: {cause}"), "check the path"),
    }
}

impl ConfigSource {
    /// One file, or one folder.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::Files(vec![path.into()])
    }

    /// The name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Files(paths) => {
                let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                names.join(", ")
            }
            Self::CommandLine(_) => "command line".to_owned(),
        }
    }

    /// The paths on the command line; empty without files.
    pub(super) fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Files(paths) => paths,
            Self::CommandLine(_) => &[],
        }
    }

    /// Reads all files. A missing file of an `include` is noted in the result; an error is one of the files that the command line names.
    pub fn read(&self) -> Result<Read, ReadError> {
        match self {
            Self::Files(paths) => Reading::default().all(paths),
            Self::CommandLine(text) => {
                Ok(Read { sources: Arc::new(Sources::one(&self.name(), text)), watched: Vec::new() })
            }
        }
    }
}

/// The files so far.
#[derive(Default)]
struct Reading {
    sources: Sources,
    watched: Vec<PathBuf>,
    /// By the names that the system gives them: none is read twice.
    known: HashSet<PathBuf>,
}

impl Reading {
    fn all(mut self, paths: &[PathBuf]) -> Result<Read, ReadError> {
        let mut roots = Vec::new();
        for path in paths {
            if !path.is_dir() {
                roots.push(path.clone());
                continue;
            }
            let found = in_folder(path).map_err(|cause| ReadError { path: path.clone(), cause })?;
            self.watched.extend(found.folders);
            if found.files.is_empty() {
                return Err(ReadError { path: path.join("*.toml"), cause: io::ErrorKind::NotFound.into() });
            }
            roots.extend(found.files);
        }
        roots.retain(|path| self.is_new(path));
        for path in roots {
            self.watched.push(path.clone());
            let text = fs::read_to_string(&path).map_err(|cause| ReadError { path: path.clone(), cause })?;
            self.sources.push(&path.display().to_string(), &text, false);
            let start = self.sources.text().len() - text.len();
            let named = config::files_named(&text, &environment);
            self.pages(named.pages);
            for item in named.include {
                self.include(path.parent().unwrap_or(Path::new("")), &item, start);
            }
        }
        Ok(Read { sources: Arc::new(self.sources), watched: self.watched })
    }

    fn is_new(&mut self, path: &Path) -> bool {
        self.known.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// The files of one pattern. `start`: where the file that has it begins.
    fn include(&mut self, beside: &Path, pattern: &Item<String>, start: usize) {
        let at = pattern.span.start + start..pattern.span.end + start;
        let found = match matched(beside, &pattern.value) {
            Ok(found) => found,
            Err(cause) => {
                let (message, help) = unreadable(&beside.join(&pattern.value), &cause);
                self.note(Code::UnreadableFile, at, message, help);
                return;
            }
        };
        self.watched.extend(found.folders);
        if found.files.is_empty() {
            let message = format!("no file matches `{}`", pattern.value);
            self.note(Code::IncludeMatchesNothing, at, message, "write it as seen from the folder of this file");
            return;
        }
        for path in found.files {
            self.watched.push(path.clone());
            if !self.is_new(&path) {
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => {
                    self.sources.push(&path.display().to_string(), &text, true);
                    self.pages(config::files_named(&text, &environment).pages);
                }
                Err(cause) => {
                    let (message, help) = unreadable(&path, &cause);
                    self.note(Code::UnreadableFile, at.clone(), message, help);
                }
            }
        }
    }

    /// Error pages are read with the file that names them, and watched like it.
    fn pages(&mut self, paths: Vec<String>) {
        for path in paths {
            self.watched.push(PathBuf::from(&path));
            let text = read_page(Path::new(&path));
            self.sources.add_extra(Extra { path: path.into(), text });
        }
    }

    fn note(&mut self, code: Code, at: std::ops::Range<usize>, message: String, help: &str) {
        self.sources.note(Diagnostic::new(code, message).at(at).label("named here").help(help));
    }
}

/// A page is held in memory for as long as the file is in force.
fn read_page(path: &Path) -> Result<Arc<str>, UnusableExtra> {
    const LARGEST: u64 = 256 * 1024;
    let read = fs::metadata(path).and_then(|meta| {
        if meta.len() > LARGEST {
            return Err(io::Error::other("it has more than 256 KiB"));
        }
        fs::read_to_string(path)
    });
    read.map(Into::into).map_err(|cause| UnusableExtra(unreadable(path, &cause).0.into()))
}

/// The same files without the tables of all other routes: what concerns one route is seen in these as well, and a hundred times
/// sooner where there are ten thousand. A dial that is refused in them may be allowed in the whole files.
pub(super) fn part_about(sources: &Sources, route: &str) -> Arc<Sources> {
    Arc::new(sources.with_texts(|file| without_other_routes(sources.text_of(file), route)))
}

/// The process's environment, for `${NAME}` in the file.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
