//! `kordon run`: the daemon, in the foreground.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

use super::Place;
use crate::daemon;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How much to log on stderr
    #[arg(long, value_enum, default_value = "info")]
    log: Level,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    start_log(args.log);
    daemon::run(place.config())?;
    Ok(ExitCode::SUCCESS)
}

fn start_log(level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    // Set only where stderr goes to the journal, which has its own clock.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let colour = std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        // A line that cannot be written is lost; saying so on the same stderr would panic.
        .log_internal_errors(false)
        .with_target(false);
    // A second subscriber exists only in tests; the first one stays.
    let _first = if journal { log.without_time().try_init() } else { log.try_init() };
}
