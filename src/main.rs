//! argv to a command to an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    kordon::cli::main()
}
