//! Files that are replaced whole or not at all, whoever reads them and whenever the machine stops.
//!
//! Invariants: the new content is written beside the file and on the disk before it takes the file's name; what
//! stands beside it is new, never something that somebody laid there as a link.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Gives the file at `path` this content and these permission bits, whatever the umask.
///
/// # Errors
/// What the system said; then the file is what it was.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> std::io::Result<()> {
    Replacement::prepare(path, mode, content)?.put_in_place()
}

/// New content that lies beside its place, whole and on the disk; it goes with this, unless it is put in place.
pub struct Replacement<'p> {
    path: &'p Path,
    aside: PathBuf,
    placed: bool,
}

impl<'p> Replacement<'p> {
    /// Writes the content beside its place.
    ///
    /// # Errors
    /// What the system said; then nothing is left there.
    pub fn prepare(path: &'p Path, mode: u32, content: &[u8]) -> std::io::Result<Self> {
        let replacement = Replacement { path, aside: beside(path), placed: false };
        // Left over by a process of this number that was killed.
        let _left_over = std::fs::remove_file(&replacement.aside);
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&replacement.aside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(replacement)
    }

    /// Gives it to this owner and group, if it does not belong to them.
    ///
    /// # Errors
    /// What the system said.
    pub fn give_to(&self, uid: u32, gid: u32) -> std::io::Result<()> {
        let found = std::fs::metadata(&self.aside)?;
        if (found.uid(), found.gid()) == (uid, gid) {
            return Ok(());
        }
        chown(&self.aside, Some(uid), Some(gid))
    }

    /// Gives it the file's name.
    ///
    /// # Errors
    /// What the system said; then the file is what it was.
    pub fn put_in_place(mut self) -> std::io::Result<()> {
        std::fs::rename(&self.aside, self.path)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.placed {
            let _half = std::fs::remove_file(&self.aside);
        }
    }
}

/// `.NAME.PID` in the same folder: two processes do not meet there.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kordon-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn content_and_permissions_are_the_new_ones_and_nothing_is_left_beside() {
        let folder = folder("whole");
        let path = folder.join("file");
        for (mode, content) in [(0o644, "first"), (0o600, "second")] {
            replace(&path, mode, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_link_laid_beside_is_not_written_through() {
        let folder = folder("whole-link");
        let (path, precious) = (folder.join("file"), folder.join("precious"));
        std::fs::write(&precious, "precious").unwrap();
        std::os::unix::fs::symlink(&precious, beside(&path)).unwrap();
        replace(&path, 0o644, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_the_old_and_nothing_beside() {
        let folder = folder("whole-refused");
        let path = folder.join("taken");
        std::fs::create_dir(&path).unwrap();
        assert!(replace(&path, 0o644, b"new").is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        assert!(replace(&folder.join("nowhere/file"), 0o644, b"new").is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
