//! What the machine is given on its second disk: the package, and a newer one.

use std::path::{Path, PathBuf};

use crate::lab::process::tool;
use crate::lab::{Context, Res};

/// Where it is unpacked in the machine.
pub(crate) const FOLDER: &str = "/var/lib/machine";
/// What the newer package's version has on top.
pub(crate) const NEWER: &str = "+newer";
/// A tar, and what is in it.
pub(crate) struct Payload {
    pub(crate) tar: PathBuf,
    /// The package's version.
    pub(crate) version: String,
}

impl Payload {
    /// Puts it together in this folder.
    pub(crate) fn build(scratch: &Path) -> Res<Self> {
        let folder = scratch.join("payload");
        std::fs::create_dir_all(&folder).context(folder.display())?;
        let package = package()?;
        let path = |path: &Path| path.display().to_string();
        tool("cp", &[&path(&package), &path(&folder.join("kordon.deb"))])?;
        let version = tool("dpkg-deb", &["-f", &path(&package), "Version"])?.trim().to_owned();
        newer(&package, &version, scratch, &folder.join("newer.deb"))?;
        let tar = scratch.join("payload.tar");
        tool("tar", &["-C", &path(&folder), "-cf", &path(&tar), "."])?;
        Ok(Payload { tar, version })
    }
}

/// The package that `make deb` left.
fn package() -> Res<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian");
    let built = || format!("{}: no package; `make deb` builds it", folder.display());
    let entries = std::fs::read_dir(&folder).map_err(|_| built())?;
    let mut packages: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    packages.sort();
    match packages.len() {
        1 => packages.pop().ok_or_else(built),
        0 => Err(built()),
        n => Err(format!("{}: {n} packages, which one?", folder.display())),
    }
}

/// The same package again, with a higher version.
fn newer(package: &Path, version: &str, scratch: &Path, to: &Path) -> Res {
    let folder = scratch.join("newer");
    let path = folder.display().to_string();
    tool("dpkg-deb", &["-R", &package.display().to_string(), &path])?;
    let control = folder.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).context(control.display())?;
    let line = |version: &str| format!("\nVersion: {version}\n");
    let text = text.replacen(&line(version), &line(&format!("{version}{NEWER}")), 1);
    std::fs::write(&control, text).context(control.display())?;
    tool("dpkg-deb", &["--root-owner-group", "-b", &path, &to.display().to_string()]).map(drop)
}
