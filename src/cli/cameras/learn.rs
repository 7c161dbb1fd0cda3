//! `kordon cameras learn`: the proposal printed, or written into a folder.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::duration::long_seconds;
use super::super::{Format, Place, output};
use super::{draft, proposal};
use crate::config::label_name;
use crate::control::cameras::CamerasOrder;
use crate::evidence::cameras::Proposal;
use crate::failure::{ExitStatus, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Cameras by name or address; without any, all that were seen
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,

    /// Only what passed within this time (1s to 90d), such as 7d
    #[arg(long, value_name = "AGE", value_parser = long_seconds)]
    since: Option<u64>,

    /// The name of the policy and of its list
    #[arg(long, value_name = "NAME", value_parser = label_name, default_value = "learned")]
    name: String,

    /// Write NAME.toml and NAME.txt into this folder instead of printing them
    #[arg(long, value_name = "FOLDER", conflicts_with = "output")]
    write: Option<PathBuf>,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let order = CamerasOrder::Learn { cameras: args.cameras.clone(), since: args.since };
    let proposal = proposal(place, order)?;
    if let Some(folder) = &args.write {
        output::data(&write(&proposal, &args.name, folder)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.output {
        Format::Json => output::json(&proposal)?,
        Format::Table => {
            let path = format!("lists.d/{}.txt", args.name);
            output::data(&format!(
                "# --- for conf.d/{name}.toml, or the end of kordon.toml\n{toml}\n\
                 # --- for {path}\n{list}",
                name = args.name,
                toml = draft::toml(&proposal, &args.name, &path),
                list = draft::list(&proposal),
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes both files; says what is to be done next. What is there already is not touched.
fn write(proposal: &Proposal, name: &str, folder: &Path) -> Result<String, Failure> {
    let folder = std::path::absolute(folder).map_err(|error| Failure::reading(folder, &error))?;
    let [toml, list] = ["toml", "txt"].map(|ending| folder.join(format!("{name}.{ending}")));
    if let Some(taken) = [&toml, &list].into_iter().find(|path| path.exists()) {
        let message = format!("{}: is there already; choose another --name", taken.display());
        return Err(Failure::new(ExitStatus::Failed, message));
    }
    create(&list, &draft::list(proposal))?;
    create(&toml, &draft::toml(proposal, name, &list.display().to_string()))?;
    let next = match proposal.cameras.iter().all(|camera| !camera.declare) {
        true => "kordon check, kordon reload",
        false => "kordon check, kordon restart (a new [[camera]] needs one)",
    };
    Ok(format!(
        "wrote {}\nwrote {}\nlook through both, then: {next}\n",
        list.display(),
        toml.display()
    ))
}

fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).open(path).and_then(|mut file| {
        // Whatever the umask: the daemon's user reads it.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())
    });
    written.map_err(|error| Failure::reading(path, &error))
}
