//! What the machine is given on its second disk: the package, a newer one, and the kernel test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::process::{self, tool};
use crate::lab::{Context, Res};

/// Where it is unpacked in the machine.
pub(crate) const FOLDER: &str = "/var/lib/machine";
/// Where the kernel test looks for kordon: where it was built.
pub(crate) const BUILT_KORDON: &str = env!("CARGO_BIN_EXE_kordon");
/// What the newer package's version has on top.
pub(crate) const NEWER: &str = "+newer";
/// The kernel test may have to be compiled first.
const COMPILING: Duration = Duration::from_secs(900);

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
        // Debug information is of no use there, and large.
        let test = path(&kernel_test()?);
        tool("strip", &["-o", &path(&folder.join("kernel-test")), &test])?;
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

/// The kernel test's binary, compiled if need be.
fn kernel_test() -> Res<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["test", "--quiet", "--no-run", "--test", "kernel", "--message-format", "json"];
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = process::run(&mut command, COMPILING)?;
    if output.code != Some(0) {
        return Err(format!("`cargo {}` {}", arguments.join(" "), output.said()));
    }
    let executable = |line: &str| -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let kernel = message["target"]["name"] == "kernel";
        message["executable"].as_str().filter(|_| kernel).map(PathBuf::from)
    };
    output
        .stdout
        .lines()
        .find_map(executable)
        .ok_or_else(|| "cargo built no kernel test".to_owned())
}
