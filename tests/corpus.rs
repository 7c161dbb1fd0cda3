//! The committed part of the corpus: what cameras ordinarily send passes, and every tunnel is dropped in time.
//!
//! The whole recordings are measured by `make corpus`; `tests/corpus/README.md` says how they were made.

#[path = "corpus/measure/mod.rs"]
mod measure;

use std::path::{Path, PathBuf};

use kordon::verdict::Tunnel;

use measure::pcap::Packet;
use measure::{Answer, EARLY, Judge, Measured, kordon, measure_all, table};

fn committed() -> Vec<PathBuf> {
    vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")]
}

fn wrong(all: &[Measured], of_interest: impl Fn(&Measured) -> bool) -> Vec<&Measured> {
    all.iter().filter(|one| of_interest(one) && !one.wrong.is_empty()).collect()
}

#[test]
fn no_packet_of_an_ordinary_program_is_dropped() {
    let all = measure_all(&committed(), kordon);
    let ordinary = |one: &Measured| one.class() == "ordinary";
    assert!(wrong(&all, ordinary).is_empty(), "{}", table(&all));
    assert!(all.iter().filter(|one| ordinary(one)).map(|one| one.packets).sum::<usize>() > 2_000);
}

#[test]
fn every_tunnel_is_dropped_within_five_packets_of_its_flow_and_to_the_end() {
    let all = measure_all(&committed(), kordon);
    assert!(wrong(&all, |one| one.class() != "ordinary").is_empty(), "{}", table(&all));
}

#[test]
fn every_tunnel_that_kordon_knows_is_in_the_corpus_and_nothing_else() {
    let all = measure_all(&committed(), || Box::new(|_| Answer::Passes));
    let mut classes: Vec<&str> = all.iter().map(Measured::class).collect();
    classes.dedup();
    let mut known: Vec<&str> = Tunnel::ALL.iter().map(|tunnel| tunnel.label()).collect();
    known.push("ordinary");
    known.sort_unstable();
    assert_eq!(classes, known);
}

/// The control: judges that take everything or nothing for a tunnel, or recognise one a packet too late, fail.
#[test]
fn a_judge_that_is_wrong_is_found_out() {
    let all = measure_all(&committed(), || Box::new(|_| Answer::Tunnel("gre")));
    assert!(all.iter().all(|one| one.class() != "ordinary" || !one.wrong.is_empty()));
    let all = measure_all(&committed(), || Box::new(|_| Answer::Passes));
    let missed = wrong(&all, |one| one.class() != "ordinary").len();
    let expected = all.iter().filter(|one| one.class() != "ordinary").count();
    let unrecognisable = all.iter().filter(|one| one.name.contains("static-key")).count();
    assert_eq!(missed, expected - unrecognisable);

    fn late(by: usize) -> Judge {
        let mut seen = 0;
        Box::new(move |_: &Packet| {
            seen += 1;
            if seen > by { Answer::Tunnel("gre") } else { Answer::Passes }
        })
    }
    let gre = |judge| measure::measure("gre/x", &measure::pcap::read(&gre_file()), judge);
    assert!(gre(|| late(EARLY - 1)).wrong.is_empty());
    assert!(!gre(|| late(EARLY)).wrong.is_empty());
}

fn gre_file() -> PathBuf {
    committed()[0].join("gre/made-plain.pcap")
}
