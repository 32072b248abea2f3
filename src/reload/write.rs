//! `--write`: the dial that is in force, written into the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};

use super::source::part_about;
use super::{ConfigSource, environment};
use crate::config::{Unwritable, with_dial};
use crate::diagnostic::Sources;
use crate::migration::Dial;

/// Why a file was not written.
#[derive(Debug)]
pub enum NotWritten {
    /// There is no file: the command line stands for it.
    NoFile,
    /// A mounted `ConfigMap`, for example: what is written there would be overwritten.
    Symlink,
    Edit(Unwritable),
    Io(io::Error),
    /// The new text would stand beside the file first.
    Folder(io::Error),
}

impl NotWritten {
    /// Said to a person.
    pub fn message(&self, route: &str) -> String {
        match self {
            Self::NoFile => "there is no file: the proxy runs by its command line".to_owned(),
            Self::Symlink => "the file is a symbolic link: what it points to belongs to somebody else".to_owned(),
            Self::Edit(why) => why.message(route),
            Self::Io(error) => format!("the file cannot be written: {error}"),
            Self::Folder(error) => format!("the folder of the file cannot be written: {error}"),
        }
    }
}

/// The text to paste where the file cannot be written.
pub fn to_paste(dial: Dial) -> String {
    let weight = dial.own_weight().map(|weight| format!("weight = \"{weight}\"\n")).unwrap_or_default();
    format!("stage = \"{}\"\n{weight}", dial.stage)
}

impl ConfigSource {
    /// Whether the text on the disk can take a dial at all, and the file the text. A person waits for it: it is tried among the
    /// tables that are about no other route.
    pub fn takes_dial(&self, route: &str, dial: Dial) -> Result<(), NotWritten> {
        let sources = self.on_disk()?;
        let part = edited(&part_about(&sources, route), route, dial);
        let (path, _) = part.or_else(|_| edited(&sources, route, dial))?;
        may_write(&path).map(drop)
    }

    fn on_disk(&self) -> Result<Arc<Sources>, NotWritten> {
        if self.paths().is_empty() {
            return Err(NotWritten::NoFile);
        }
        Ok(self.read().map_err(|error| NotWritten::Io(error.into()))?.sources)
    }

    /// Writes a dial: beside the file, synced, then renamed over it. Its mode stays.
    pub fn write_dial(&self, route: &str, dial: Dial) -> Result<(), NotWritten> {
        let (path, text) = edited(&*self.on_disk()?, route, dial)?;
        replace(&path, &text)
    }
}

/// The file in which the route stands, and its text with the dial.
fn edited(sources: &Sources, route: &str, dial: Dial) -> Result<(PathBuf, String), NotWritten> {
    let weight = dial.own_weight().map(|weight| weight.to_string());
    let mut why = Unwritable::NoRoute;
    for file in sources.files() {
        match with_dial(sources.text_of(file), &environment, route, dial.stage.as_str(), weight.as_deref()) {
            Ok(text) => return Ok((PathBuf::from(&*file.name), text)),
            Err(Unwritable::NoRoute) => {}
            Err(other) => why = other,
        }
    }
    Err(NotWritten::Edit(why))
}

fn replace(path: &Path, text: &str) -> Result<(), NotWritten> {
    NewText::beside(path, text)?.put()
}

/// A file may be written where it is: no link, not read-only, and this process may write to it and into its folder, from which the
/// new text is renamed over it.
pub(super) fn may_write(path: &Path) -> Result<fs::Metadata, NotWritten> {
    let before = fs::symlink_metadata(path).map_err(NotWritten::Io)?;
    if before.is_symlink() {
        return Err(NotWritten::Symlink);
    }
    if before.permissions().readonly() {
        return Err(NotWritten::Io(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only")));
    }
    access(path, Access::WRITE_OK).map_err(|error| NotWritten::Io(error.into()))?;
    access(folder_of(path), Access::WRITE_OK | Access::EXEC_OK).map_err(|error| NotWritten::Folder(error.into()))?;
    Ok(before)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file's new text beside it, on the disk and not yet under its name. Dropped, it is gone.
pub(super) struct NewText {
    beside: PathBuf,
    path: PathBuf,
}

impl NewText {
    pub(super) fn beside(path: &Path, text: &str) -> Result<Self, NotWritten> {
        let before = may_write(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let new = Self { beside, path: path.to_owned() };
        write_beside(&new.beside, text, &before).map_err(NotWritten::Io)?;
        Ok(new)
    }

    pub(super) fn put(self) -> Result<(), NotWritten> {
        fs::rename(&self.beside, &self.path).map_err(NotWritten::Io)?;
        // The new name is on the disk only with its folder; without it the old file is there after a crash, which is whole, too.
        drop(File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all()));
        Ok(())
    }
}

impl Drop for NewText {
    fn drop(&mut self) {
        // After the rename there is nothing under this name.
        drop(fs::remove_file(&self.beside));
    }
}

fn write_beside(beside: &Path, text: &str, like: &fs::Metadata) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(beside)?;
    file.set_permissions(like.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
