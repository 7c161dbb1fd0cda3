//! `make corpus` and `make corpus-cut`: measures kordon on whole recordings, and cuts the committed part out of them.
//!
//!     cargo run --release --example corpus -- measure FOLDER...
//!     cargo run --release --example corpus -- cut FOLDER
//!
//! A FOLDER is what scripts/record-corpus wrote for one set. `measure` ends with status 1 if an ordinary packet
//! was dropped, or a tunnel not within five packets.

#[path = "measure/mod.rs"]
mod measure;

mod cut;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let folders: Vec<PathBuf> = words.iter().skip(1).map(PathBuf::from).collect();
    match (words.first().map(String::as_str), &folders[..]) {
        (Some("measure"), [_, ..]) => {
            let all = measure::measure_all(&folders, measure::kordon);
            print!("{}", measure::table(&all));
            let wrong = all.iter().filter(|one| !one.wrong.is_empty()).count();
            let packets: usize = all.iter().map(|one| one.packets).sum();
            println!("{packets} packets in {} files, {wrong} files wrong", all.len());
            ExitCode::from(u8::from(wrong > 0))
        }
        (Some("cut"), [folder]) => {
            cut::cut(folder);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: corpus measure FOLDER... | corpus cut FOLDER");
            ExitCode::from(2)
        }
    }
}
