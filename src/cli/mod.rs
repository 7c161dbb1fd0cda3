//! The command line: one file per command.
//!
//! stdout is data, stderr is talk. Every failure ends as one message on stderr and the exit status that its
//! cause carries.

mod cameras;
mod check;
mod doctor;
mod duration;
mod entries;
mod lists;
mod mode;
mod output;
mod reload;
mod restart;
mod rules;
mod run;
mod setup;
mod status;
mod why;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Action};
use crate::contain;
use crate::failure::{ExitStatus, Failure};

/// Where the configuration is if nothing else is said.
pub const DEFAULT_CONFIG: &str = "/etc/kordon/kordon.toml";

/// Holds every packet that a camera sends outward, judges its destination, and can say why.
#[derive(Debug, Parser)]
#[command(
    name = "kordon",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit status: 0 ok, 1 failed, 2 usage, 3 daemon not running, 65 bad list, 66 file missing,\n\
        69 kernel facility missing, 75 try again, 77 no permission, 78 bad configuration."
)]
struct Cli {
    /// The configuration file [default: /etc/kordon/kordon.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The control socket of the running daemon, instead of the configuration's
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run in the foreground: hold, judge, answer (what the service does)
    #[command(after_help = "Example: kordon run --config /etc/kordon/kordon.toml")]
    Run(run::Args),
    /// Check configuration, lists and rules without touching anything
    #[command(after_help = "Examples:\n  kordon check --config config/kordon.toml\n  \
        kordon check --against-running   what a reload would add and remove")]
    Check(check::Args),
    /// Write a configuration for an interface, after showing the difference
    #[command(after_help = "Examples:\n  sudo kordon setup --interface vlan20 --dry-run\n  \
        sudo kordon setup --interface vlan20 --recorder 192.0.2.200")]
    Setup(setup::Args),
    /// What is wrong on this gateway, and what mends it; changes nothing
    #[command(after_help = "Example: sudo kordon doctor")]
    Doctor(doctor::Args),
    /// What an address, a prefix or an AS number meets, by which list and on what basis
    #[command(
        after_help = "Examples:\n  kordon why 203.0.113.7              asks the running daemon\n  \
        kordon why 203.0.113.0/24 AS64500   what is listed about them\n  \
        kordon why 203.0.113.7 -c FILE      judges by the files, not in force\n  \
        kordon why --exit-code 203.0.113.7  0 passes, 10 a drop by policy"
    )]
    Why(why::Args),
    /// What each list holds, how old it is, what it met, and on what it rests
    #[command(
        after_help = "Examples:\n  kordon lists\n  kordon lists show NAME\n  kordon lists -o csv"
    )]
    Lists(lists::Args),
    /// Who sends what, and what a policy that drops the rest would have to let through
    #[command(
        after_help = "Examples:\n  kordon cameras\n  kordon cameras show gate-3\n  kordon cameras stopped -o csv\n  \
        kordon cameras learn --since 7d"
    )]
    Cameras(cameras::Args),
    /// How the running daemon is doing
    #[command(after_help = "Example: kordon status -o json")]
    Status(status::Args),
    /// Read configuration and lists again and put them in force, or say what is wrong
    #[command(after_help = "Examples:\n  kordon reload\n  \
        kordon reload --accept feed    although it shrank; once\n  \
        kordon reload --undo           back to the rule set before")]
    Reload(reload::Args),
    /// Block prefixes at once and for a time, beside the lists
    #[command(after_help = "Examples:\n  \
        kordon block add 203.0.113.0/24 --ttl 24h --why \"camera gate-3 calls there\"\n  \
        kordon block add - --why \"ticket 7\" <prefixes.txt\n  \
        kordon block list\n  kordon block remove 203.0.113.0/24")]
    Block(entries::Args),
    /// Exempt prefixes at once and for a time, beside the lists
    #[command(after_help = "Examples:\n  \
        kordon allow add 203.0.113.7 --ttl 7d --why \"firmware update\"\n  \
        kordon allow list\n  kordon allow remove 203.0.113.7")]
    Allow(entries::Args),
    /// Show the mode, or change it while packets flow
    #[command(
        after_help = "Examples:\n  kordon mode                                  shows it\n  \
        kordon mode enforce --confirm-within 10m     goes back by itself unless confirmed\n  \
        kordon mode confirm\n  kordon mode monitor --why \"cameras are being moved\""
    )]
    Mode(mode::Args),
    /// Let blocked packets pass for a while; ends by itself
    #[command(after_help = "Example: kordon pause --for 5m --why \"recorder firmware update\"")]
    Pause(mode::PauseArgs),
    /// End a pause early
    #[command(after_help = "Example: kordon resume")]
    Resume,
    /// Check what the next daemon will read, then have systemd restart it; packets wait meanwhile
    #[command(after_help = "Example: kordon restart")]
    Restart(restart::Args),
    /// Show, test, apply, verify or remove the hold and gate rules in the kernel
    #[command(after_help = "Example: kordon rules show")]
    Rules(rules::Args),
}

/// How a reading command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How a reading command prints rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rows {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Where a command finds configuration and daemon.
struct Place {
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
}

impl Place {
    /// The configuration's file, the default one if none was named.
    fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG))
    }

    /// The running daemon's socket.
    fn socket(&self) -> PathBuf {
        match &self.socket {
            Some(socket) => socket.clone(),
            None => config::control_socket(self.config()),
        }
    }

    /// Asks the running daemon; reads the files where --config names them (unless `running`), and where no
    /// daemon answers and nobody insisted on one.
    fn running_or_files<T>(
        &self,
        running: bool,
        ask: impl FnOnce() -> Result<T, Failure>,
        read: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let insists = running || self.socket.is_some();
        if self.config.is_some() && !insists {
            return read();
        }
        match ask() {
            Err(failure) if failure.status == ExitStatus::NotRunning && !insists => {
                output::talk(&format!("{failure}; reading the files instead"));
                read()
            }
            answer => answer,
        }
    }
}

/// The command line, for whoever makes completions of it.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    contain::end_the_process(output::talk);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; clap knows which is which.
            let _closed = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let place = Place { config: cli.config, socket: cli.socket };
    let outcome = match cli.command {
        Command::Run(args) => run::run(&place, &args),
        Command::Check(args) => check::run(&place, &args),
        Command::Setup(args) => setup::run(&place, &args),
        Command::Doctor(args) => doctor::run(&place, &args),
        Command::Why(args) => why::run(&place, &args),
        Command::Lists(args) => lists::run(&place, &args),
        Command::Cameras(args) => cameras::run(&place, &args),
        Command::Status(args) => status::run(&place, &args),
        Command::Reload(args) => reload::run(&place, &args),
        Command::Block(args) => entries::run(&place, Action::Block, args),
        Command::Allow(args) => entries::run(&place, Action::Allow, args),
        Command::Mode(args) => mode::run(&place, args),
        Command::Pause(args) => mode::pause(&place, args),
        Command::Resume => mode::resume(&place),
        Command::Restart(args) => restart::run(&place, &args),
        Command::Rules(args) => rules::run(&place, &args),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => fail(&failure, &place),
    }
}

fn fail(failure: &Failure, place: &Place) -> ExitCode {
    output::talk(&format!("kordon: {failure}"));
    if failure.status == ExitStatus::NotRunning {
        match &place.config {
            Some(file) if !file.exists() => {
                output::talk(&format!("{}: no such file", file.display()));
            }
            Some(_) | None => {
                output::talk(
                    "why: journalctl -u kordon -n 20; to start it: systemctl start kordon",
                );
            }
        }
    }
    ExitCode::from(failure.status.code())
}
