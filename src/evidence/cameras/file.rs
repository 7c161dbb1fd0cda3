//! The record of who sends what, kept in `cameras.json` in the state folder, so that it outlives the daemon.
//!
//! Invariant: what is read fits into the bounds of the record; a file that does not is no record.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CONTACTS, CONTACTS_OF_ONE, Cameras, MACS, SENDERS};
use crate::failure::{ExitStatus, Failure};
use crate::whole;

/// The file's name.
const FILE: &str = "cameras.json";
/// The largest file that is read, in bytes: a full record takes some 6 MiB.
const LARGEST: u64 = 32 << 20;
/// Declared cameras with all their addresses, beyond the bound for all others.
const DECLARED: usize = 4_096;

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<C> {
    schema: u32,
    cameras: C,
}

/// The record that this folder keeps; `None` where there is no file.
///
/// # Errors
/// 65, 66, 77 with the file: then nothing of it counts.
pub fn read(folder: &Path) -> Result<Option<Cameras>, Failure> {
    let path = path(folder);
    let broken =
        |why: &str| Failure::new(ExitStatus::BadData, format!("{}: {why}", path.display()));
    let meta = match std::fs::metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::reading(&path, &error)),
    };
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(broken("not a file of kordon's"));
    }
    let text = std::fs::read(&path).map_err(|error| Failure::reading(&path, &error))?;
    let File::<Cameras> { schema, mut cameras } =
        serde_json::from_slice(&text).map_err(|error| broken(&error.to_string()))?;
    if schema != 1 {
        return Err(broken("written by a newer version"));
    }
    cameras.count();
    let fits = cameras.senders.len() <= SENDERS + DECLARED
        && cameras.contacts <= CONTACTS
        && cameras
            .senders
            .values()
            .all(|sender| sender.contacts.len() <= CONTACTS_OF_ONE && sender.macs.len() <= MACS);
    if !fits {
        return Err(broken("more than a record holds"));
    }
    Ok(Some(cameras))
}

/// The file's content.
pub(in crate::evidence) fn text(cameras: &Cameras) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&File { schema: 1, cameras })
        .map_err(|error| Failure::new(ExitStatus::Failed, format!("{FILE}: {error}")))
}

/// Keeps this content in the folder, whole or not at all.
///
/// # Errors
/// 77 or 1, with the file.
pub(in crate::evidence) fn write(folder: &Path, text: &[u8]) -> Result<(), Failure> {
    let path = path(folder);
    // A daemon that root started by hand may write it, and the daemon's user reads it at boot; the folder lets nobody
    // else in.
    whole::replace(&path, 0o644, text).map_err(|error| {
        let status = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
            _ => ExitStatus::Failed,
        };
        Failure::new(status, format!("{}: {error}", path.display()))
    })
}

/// Where it is kept.
fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}
