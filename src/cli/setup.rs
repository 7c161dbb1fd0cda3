//! `kordon setup`: a configuration for an interface, shown as a difference before it is written.
//!
//! Invariants: nothing is written that the configuration's own reader would refuse; what was there before is
//! kept beside it, under a name that nothing else has.

mod diff;
mod draft;
mod networks;
mod remarks;

use std::fs;
use std::io::{BufRead, IsTerminal};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use ipnet::IpNet;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use self::diff::diff;
use self::draft::{Draft, SHIPPED};
use super::output::toml::array;
use super::{Place, output};
use crate::clock;
use crate::config::{self, Config, Recorder};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter;
use crate::whole::Replacement;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The interface that the cameras are behind
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,

    /// A camera network, instead of the interface's own; may be repeated
    #[arg(long, value_name = "NET")]
    cameras: Vec<IpNet>,

    /// A recorder that no list can block; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    recorder: Vec<IpAddr>,

    /// A network of your own that no list shall block, though it is not private; may be repeated
    #[arg(long, value_name = "NET")]
    local: Vec<IpNet>,

    /// What to begin with
    #[arg(long, value_enum, default_value = "monitor")]
    mode: Mode,

    /// Show the difference and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Write without asking
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Drops nothing, counts what it would drop.
    Monitor,
    /// Drops.
    Enforce,
}

impl From<Mode> for config::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Monitor => config::Mode::Monitor,
            Mode::Enforce => config::Mode::Enforce,
        }
    }
}

/// What would be written.
struct New {
    path: PathBuf,
    old: String,
    text: String,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let file = place.config();
    let links = networks::links()?;
    let interface = interface(args, &links)?;
    let cameras = match args.cameras.as_slice() {
        [] => networks::of_cameras(interface, &links),
        told => told.iter().map(IpNet::trunc).collect(),
    };
    if networks::has_default_route(interface) {
        output::talk(&format!(
            "note: {interface} carries the default route: is it not the way out?"
        ));
    }
    remarks::of_networks(interface, &links, &cameras).iter().for_each(|line| output::talk(line));
    let present = Config::load(file).ok();
    let enforces = present.as_ref().is_some_and(|config| config.mode == config::Mode::Enforce);
    if enforces && args.mode == Mode::Monitor {
        output::talk("note: the file says enforce now; --mode enforce keeps that");
    }
    let (known, local) =
        present.map_or_else(Default::default, |config| (config.recorders, config.local));
    let mut new = configuration(file, args, interface, &cameras, &known)?;
    new.text = with_local(&new.text, &local, &args.local);
    if new.old == new.text {
        output::talk(&format!("{}: nothing to change", file.display()));
        return next_steps(place, args);
    }
    output::data(&format!("{}\n{}\n", file.display(), diff(&new.old, &new.text)))?;
    let read = check_draft(&new)?;
    if let Some(line) = remarks::overridden((interface, &cameras, args.mode.into()), &read) {
        output::talk(&line);
    }
    if args.dry_run {
        output::talk("nothing written (--dry-run)");
        return Ok(ExitCode::SUCCESS);
    }
    check_folder(folder(file))?;
    if !args.yes && !confirmed()? {
        output::talk("nothing written");
        return Ok(ExitCode::FAILURE);
    }
    if let Some(kept) = write(&new)? {
        output::talk(&format!("{}: the old file is kept as {}", file.display(), kept.display()));
    }
    next_steps(place, args)
}

/// The interface that was named. One that is not there, or that belongs to another one, is no place for cameras.
fn interface<'a>(args: &'a Args, links: &[networks::Link]) -> Result<&'a str, Failure> {
    let refuse = |what: String| Err(Failure::new(ExitStatus::Usage, format!("setup: {what}")));
    let there = || remarks::choices(links, networks::has_default_route);
    let Some(name) = &args.interface else {
        return refuse(format!(
            "behind which interface are the cameras? --interface NAME; there are: {}",
            there()
        ));
    };
    if !links.iter().any(|link| link.name == *name) {
        return refuse(format!("no interface {name}; there are: {}", there()));
    }
    if name == "lo" {
        return refuse("no camera is behind lo".to_owned());
    }
    match netfilter::enslaved(std::slice::from_ref(name))?.first() {
        Some(one) => Err(Failure::new(
            ExitStatus::Unavailable,
            format!("setup: {one}: kordon setup --interface {}", one.master),
        )),
        None => Ok(name),
    }
}

fn configuration(
    file: &Path,
    args: &Args,
    interface: &str,
    cameras: &[IpNet],
    known: &[Recorder],
) -> Result<New, Failure> {
    let old = existing(file)?;
    let mut draft = Draft::new(old.as_deref().unwrap_or(SHIPPED));
    let mode = match args.mode {
        Mode::Monitor => "\"monitor\"",
        Mode::Enforce => "\"enforce\"",
    };
    draft.set("", "mode", mode);
    draft.set("cameras", "networks", &networks_of(cameras));
    draft.set("cameras", "interfaces", &array(&[interface.to_owned()]));
    for recorder in more_recorders(known, &args.recorder) {
        draft.append(&format!(
            "[[recorder]]\nname = \"{}\"\naddress = \"{}\"\n",
            recorder.name, recorder.address
        ));
    }
    Ok(New { path: file.to_path_buf(), old: old.unwrap_or_default(), text: draft.text() })
}

fn networks_of(networks: &[IpNet]) -> String {
    array(&networks.iter().map(IpNet::to_string).collect::<Vec<_>>())
}

/// The text with these networks among the local ones, if any is new.
fn with_local(text: &str, known: &[IpNet], more: &[IpNet]) -> String {
    let mut all = known.to_vec();
    for net in more.iter().map(IpNet::trunc) {
        if !all.contains(&net) {
            all.push(net);
        }
    }
    let mut draft = Draft::new(text);
    if all.len() > known.len() {
        draft.set("local", "networks", &networks_of(&all));
    }
    draft.text()
}

/// Those of these addresses that are not known yet, under names that are free.
fn more_recorders(known: &[Recorder], addresses: &[IpAddr]) -> Vec<Recorder> {
    let mut all = known.to_vec();
    for address in addresses {
        if all.iter().any(|recorder| recorder.address == *address) {
            continue;
        }
        let taken = |name: &String| all.iter().any(|recorder| recorder.name == *name);
        let names = (1u32..).map(|number| format!("recorder-{number}"));
        if let Some(name) = { names }.find(|name| !taken(name)) {
            all.push(Recorder { name, address: *address });
        }
    }
    all.split_off(known.len())
}

fn folder(config: &Path) -> &Path {
    match config.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

/// The text of a file, if it is there.
fn existing(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::reading(path, &error)),
    }
}

/// Reads the new configuration as the daemon would.
fn check_draft(new: &New) -> Result<Config, Failure> {
    Config::load_text(&new.path, &new.text).map_err(|failure| {
        let message = format!("setup: nothing written: the result would be refused: {failure}");
        Failure::new(failure.status, message)
    })
}

/// Whether this user may write where the configuration lies, so that nobody is asked in vain.
fn check_folder(folder: &Path) -> Result<(), Failure> {
    match access(folder, AccessFlags::W_OK) {
        Err(Errno::EACCES) => Err(Failure::new(
            ExitStatus::NoPermission,
            format!(
                "setup: nothing written: {} may not be written by this user: run it with sudo",
                folder.display()
            ),
        )),
        // A folder that is missing is made; whatever else is wrong shows when the file is written.
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Asks on a terminal.
fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            ExitStatus::Usage,
            "setup: nothing written: no terminal to ask on; give --yes to write",
        ));
    }
    output::talk("write this? [y/N]");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::new(ExitStatus::Failed, format!("stdin: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Writes a file whole; returns where the old one is kept, if there was one.
fn write(new: &New) -> Result<Option<PathBuf>, Failure> {
    let path = &new.path;
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        fs::create_dir_all(parent).map_err(|error| writing(parent, &error))?;
    }
    let kept = match path.exists() {
        true => {
            let kept = free_name(path, today());
            fs::copy(path, &kept).map_err(|error| writing(&kept, &error))?;
            Some(kept)
        }
        false => None,
    };
    let old = fs::metadata(path).ok();
    let mode = old.as_ref().map_or(0o644, |old| old.mode() & 0o7777);
    let put = || {
        let replacement = Replacement::prepare(path, mode, new.text.as_bytes())?;
        // The daemon may read it through its group alone.
        old.map_or(Ok(()), |old| replacement.give_to(old.uid(), old.gid()))?;
        replacement.put_in_place()
    };
    put().map_err(|error| writing(path, &error))?;
    Ok(kept)
}

/// `FILE.2026-11-25.bak`, or with a number behind the date.
fn free_name(path: &Path, day: String) -> PathBuf {
    let name = |number: u32| match number {
        1 => PathBuf::from(format!("{}.{day}.bak", path.display())),
        _ => PathBuf::from(format!("{}.{day}-{number}.bak", path.display())),
    };
    (1..).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(0))
}

fn today() -> String {
    output::day(clock::now())
}

fn writing(path: &Path, error: &std::io::Error) -> Failure {
    let status = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
        std::io::ErrorKind::NotFound => ExitStatus::NoInput,
        _ => ExitStatus::Failed,
    };
    Failure::new(status, format!("{}: {error}", path.display()))
}

fn next_steps(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let config = match &place.config {
        Some(config) => format!(" -c {}", config.display()),
        None => String::new(),
    };
    let mut text = format!(
        "next:\n  kordon check{config}\n  systemctl enable --now kordon-gate kordon    # kordon restart if \
         it runs already\n  kordon status{config}\n  kordon doctor{config}\n"
    );
    if args.mode == Mode::Monitor {
        text.push_str(&format!(
            "after a look at what it would drop:\n  kordon mode enforce --confirm-within 10m{config}\n  \
             kordon mode confirm{config}\n"
        ));
    }
    output::data(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_file_is_kept_under_a_name_of_its_own() {
        let folder = std::env::temp_dir().join(format!("kordon-setup-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("kordon.toml");
        let new =
            |text: &str| New { path: path.clone(), old: String::new(), text: text.to_owned() };
        assert_eq!(write(&new("one")).unwrap(), None);
        let first = write(&new("two")).unwrap().unwrap();
        let second = write(&new("three")).unwrap().unwrap();
        assert_ne!(first, second);
        for (file, text) in [(&first, "one"), (&second, "two"), (&path, "three")] {
            assert_eq!(fs::read_to_string(file).unwrap(), text);
        }
        assert!(first.display().to_string().ends_with(&format!("kordon.toml.{}.bak", today())));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_local_network_is_added_once_beside_those_that_are_there() {
        let nets = |texts: &[&str]| -> Vec<IpNet> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let text = "mode = \"monitor\"\n[local]\nnetworks = [\"198.51.100.0/24\"]\n";
        let known = nets(&["198.51.100.0/24"]);
        assert_eq!(with_local(text, &known, &nets(&["198.51.100.7/24"])), text);
        assert_eq!(
            with_local(text, &known, &nets(&["203.0.113.7/28", "203.0.113.0/28"])),
            text.replace("0/24\"]", "0/24\", \"203.0.113.0/28\"]")
        );
        let made = with_local(SHIPPED, &[], &known);
        assert!(made.ends_with("\n[local]\nnetworks = [\"198.51.100.0/24\"]\n"), "{made}");
        let read = Config::load_text(Path::new("kordon.toml"), &made).unwrap();
        assert_eq!(read.local, known);
    }

    #[test]
    fn a_recorder_is_added_once_and_under_a_free_name() {
        let recorder = |name: &str, address: &str| Recorder {
            name: name.into(),
            address: address.parse().unwrap(),
        };
        let [one, two, three] =
            ["198.51.100.7", "2001:db8::7", "198.51.100.8"].map(|text| text.parse().unwrap());
        let known = [recorder("nvr", "198.51.100.7"), recorder("recorder-2", "198.51.100.9")];
        let more = more_recorders(&known, &[one, two, two, three]);
        assert_eq!(
            more,
            [recorder("recorder-1", "2001:db8::7"), recorder("recorder-3", "198.51.100.8")]
        );
        assert_eq!(more_recorders(&known, &[one]), []);
    }
}
