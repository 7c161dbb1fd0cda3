//! `kordon run`: the daemon, in the foreground.

use std::process::ExitCode;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

use super::Place;
use crate::control::store::Store;
use crate::failure::Failure;
use crate::{daemon, log};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How much to log on stderr (with fields in the journal, where stderr leads there)
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
    // Before anything else is opened.
    let store = Store::inherited();
    log::start(match args.log {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    });
    // Through the log, not written to stderr here: whoever reads stderr may have stopped reading.
    Ok(match daemon::run(place.config(), store) {
        Ok(()) => {
            log::flush();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            log::last_words(&format!("kordon: {failure}"));
            ExitCode::from(failure.status.code())
        }
    })
}
