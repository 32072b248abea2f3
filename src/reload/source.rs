//! Where the configuration comes from: a file, or the command line alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic};

/// The text's origin.
#[derive(Debug, Clone)]
pub enum Source {
    File(PathBuf),
    /// `run --monolith URL`: the text it stands for. There is no file, and nothing to reload.
    CommandLine(Arc<str>),
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
        let path = self.path.display();
        let (message, help) = match self.cause.kind() {
            io::ErrorKind::NotFound => (
                format!("cannot read `{path}`: there is no such file"),
                "name the file with `-c FILE`, or start without one: `multilith run --monolith http://127.0.0.1:3000`",
            ),
            io::ErrorKind::PermissionDenied => (
                format!("cannot read `{path}`: not permitted"),
                "let the user that runs multilith read the file and enter its folders",
            ),
            io::ErrorKind::InvalidData => (format!("cannot read `{path}`: it is not UTF-8 text"), "save it as UTF-8"),
            _ => (format!("cannot read `{path}`: {}", self.cause), "check the path"),
        };
        Diagnostic::new(Code::UnreadableFile, message).help(help)
    }
}

impl Source {
    /// The name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::CommandLine(_) => "command line".to_owned(),
        }
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::CommandLine(_) => None,
        }
    }

    pub fn read(&self) -> Result<String, ReadError> {
        match self {
            Self::File(path) => fs::read_to_string(path).map_err(|cause| ReadError { path: path.clone(), cause }),
            Self::CommandLine(text) => Ok(text.to_string()),
        }
    }
}

/// The process's environment, for `${NAME}` in the file.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
