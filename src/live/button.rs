//! The big red button over a restart: pressed in an emergency, it must not be released by a crash, or by the next
//! version. Only the safe position is kept; released, the file decides again.

use std::io::{self, Write as _};
use std::path::Path;

const FILE: &str = "monolith-only";

/// Whether it was pressed when the last process ended.
pub fn is_kept_pressed(state_dir: &Path) -> bool {
    state_dir.join(FILE).exists()
}

/// Keeps that it is pressed, or that it is not.
pub fn keep_pressed(state_dir: &Path, on: bool) -> io::Result<()> {
    let file = state_dir.join(FILE);
    if on {
        super::private_folder(state_dir)?;
        let mut file = std::fs::File::create(file)?;
        file.write_all(b"pressed; `multilith monolith-only off` releases it\n")?;
        return file.sync_all();
    }
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
