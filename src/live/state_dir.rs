//! The folder for files that outlive the process, readable and writable by its user alone.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

const PRIVATE: u32 = 0o700;
const OTHERS: u32 = 0o077;
/// The names in it. A folder that holds anything else, such as `/var/lib`, is not ours to close.
const OURS: [&str; 4] = ["acme", "evidence", "monolith-only", "upgrade.sock"];
const PREFIX: &str = "multilith";

/// Makes the folder if it is not there, and takes from it what others may do. The folders above it that are missing are made
/// as the system makes them.
pub fn private_folder(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::metadata(path)?;
    if !found.is_dir() || found.mode() & OTHERS == 0 {
        return Ok(());
    }
    if holds_others(path)? {
        tracing::warn!(
            dir = %path.display(),
            "others may look into `state_dir`, which holds more than files of multilith: give it a folder of its own"
        );
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(PRIVATE))
}

fn holds_others(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !OURS.contains(&&*name) && !name.starts_with(PREFIX) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_made_private_and_one_that_is_there_becomes_so() {
        let folder = std::env::temp_dir().join(format!("multilith-state-{}", std::process::id()));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let inner = folder.join("a/state");
        private_folder(&inner).unwrap();
        assert_eq!(mode(&inner), PRIVATE);
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        private_folder(&inner).unwrap();
        assert_eq!(mode(&inner), PRIVATE);
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(inner.join("evidence")).unwrap();
        private_folder(&inner).unwrap();
        assert_eq!(mode(&inner), PRIVATE);
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o755, "a folder that holds something else is left alone");
        fs::remove_dir_all(&folder).unwrap();
    }
}
