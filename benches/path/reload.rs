//! Reloads of the full table, back to back, at 20,000 packets a second: wrong verdicts, losses, how long packets are
//! held, what is left in memory, and how many reloads a thousand requests make.
//!
//! A daemon of its own with two queues and the full BGP table as a block list, at ordinary priority, and the
//! environment of its unit. 20,000 packets a second to an allowed address and 2,000 to a blocked one, numbered and
//! stamped; a packet is held from the moment it is sent to the moment it arrives. In each round, in turns: nothing
//! else; a hog at the nice value of the reloads, which is the equal one; a hog at nice 0; reloads back to back. A
//! hog spins without touching memory and takes as much of a processor, in as long pieces, as a reload did in a
//! round that is not counted. Each reload lists one more address or takes it off again; probes to it are sent
//! before and after.

mod figures;
mod hog;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use kordon::control::aside::NICE;
use nix::sys::signal::Signal;

use super::lab::control::{Asked, allow_descriptors};
use super::lab::daemon::{Backend, Daemon, Setup, Site};
use super::lab::flood::{Flood, Outcome};
use super::lab::topology::{ALLOWED, BLOCKED, Place, UNLISTED};
use super::lab::traffic::{Ledger, Receiver, Stream};
use super::lab::{self, Res, wait_until};
use super::{Bench, common};
pub(super) use figures::Figures;

use figures::{Beside, Storm};
use hog::{Hog, Ordinary, memory, stolen, used_aside};

const RATE: u32 = 20_000;
const BLOCKED_RATE: u32 = 2_000;
const ROUNDS: usize = 10;
/// How long each of a round's turns takes.
const TURN: Duration = Duration::from_millis(1_200);
/// Reloads in the part of its own.
const MANY: usize = 100;
const REQUESTS: usize = 1_000;
/// Probes before and after each reload.
const PROBES: u32 = 10;
/// How long an answer, or peace, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A few reloads among hogs, and a thousand requests: 75 s.
pub(super) fn run(bench: &Bench) -> Res<Figures> {
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    with_traffic(bench, |stage, figures| {
        // What reloads take, each with what it leaves to do; and a warm table.
        let (began, mut warm) = (Instant::now(), Vec::new());
        let share = stage.turn(Beside::Reloads, Duration::ZERO, Duration::ZERO, &mut warm)?;
        let period = began.elapsed() / warm.len().max(1) as u32;
        let busy = period.mul_f64(share.unwrap_or_default().clamp(0.0, 1.0));
        let mut spans = Vec::new();
        for round in 0..rounds {
            for turn in 0..Beside::ALL.len() {
                let beside = Beside::ALL[(turn + round) % Beside::ALL.len()];
                // What the turn before has left to do: the rule set is kept and the old one freed.
                rest(stage.daemon)?;
                let from = stage.allowed.now();
                let share = stage.turn(beside, busy, period, &mut figures.reloads)?;
                spans.push((beside, from, stage.allowed.now()));
                figures.shares.entry(beside).or_default().extend(share);
            }
        }
        figures.memory[1] = resident(stage.daemon)?;
        figures.storm = Some(stage.storm()?);
        Ok(spans)
    })
}

/// A hundred reloads back to back: about two minutes.
pub(super) fn many(bench: &Bench) -> Res<Figures> {
    with_traffic(bench, |stage, figures| {
        let start = stage.allowed.now();
        std::thread::sleep(TURN);
        let between = stage.allowed.now();
        let (used, began) = (used_aside(stage.daemon.pid())?, Instant::now());
        for _ in 0..MANY {
            figures.reloads.push(stage.reload()?);
        }
        let share = (used_aside(stage.daemon.pid())? - used) / began.elapsed().as_secs_f64();
        figures.shares.entry(Beside::Reloads).or_default().push(share);
        let end = stage.allowed.now();
        figures.memory[1] = resident(stage.daemon)?;
        Ok(vec![(Beside::Nothing, start, between), (Beside::Reloads, between, end)])
    })
}

/// From when to when there was what beside the packets.
type Spans = Vec<(Beside, Duration, Duration)>;

/// Daemon and traffic.
struct Stage<'a> {
    site: &'a Site,
    daemon: &'a Daemon,
    allowed: Flood,
    blocked: Flood,
    ledger: Ledger,
    probes: Stream,
    /// The probe of each number shall pass.
    pass: Vec<bool>,
    listed: bool,
}

fn with_traffic(
    bench: &Bench,
    work: impl FnOnce(&mut Stage<'_>, &mut Figures) -> Res<Spans>,
) -> Res<Figures> {
    let _ordinary = Ordinary::new()?;
    allow_descriptors(8_192)?;
    let mut setup = Setup { queues: 2, ..Setup::new(Backend::Native) };
    setup.more = "\n[[list]]\nname = \"full\"\npath = \"full.txt\"\nkind = \"prefix\"\n\
        action = \"block\"\nallow_wide = true\n"
        .to_owned();
    let site = Site::new(setup)?;
    let mut text = String::new();
    for route in common::without_default(&bench.routes) {
        let _ = writeln!(text, "{}", route.prefix);
    }
    site.write("full.txt", &text)?;
    drop(text);
    lab::rules::flush_everything()?;
    lab::daemon::set_binary(env!("CARGO_BIN_EXE_kordon"));
    let daemon = site.start()?;
    let snapshot = site.folder().join("state/ruleset.bin");
    if !wait_until(PATIENCE, || snapshot.exists()) {
        return Err("no snapshot was written".to_owned());
    }
    let ledger = Ledger::new();
    let _receiver = Receiver::start(Place::Out2, &ledger)?;
    let mut stage = Stage {
        site: &site,
        daemon: &daemon,
        allowed: Flood::start(Place::Out1, ALLOWED, RATE)?,
        blocked: Flood::start(Place::Out2, BLOCKED, BLOCKED_RATE)?,
        ledger,
        probes: Stream::new(UNLISTED)?,
        pass: Vec::new(),
        listed: false,
    };
    let mut figures = Figures::new();
    figures.memory[0] = resident(&daemon)?;
    let before = stolen()?;
    let spans = work(&mut stage, &mut figures)?;
    figures.stolen = stolen()? - before;
    figures.memory[2] = memory(daemon.pid())?[1];
    stage.end(&mut figures, &spans)?;
    lab::rules::flush_everything()?;
    Ok(figures)
}

/// Waits until nothing aside goes on any more.
fn rest(daemon: &Daemon) -> Res {
    let aside = || -> Res<bool> {
        let tasks = lab::control::tasks(daemon.pid())?;
        Ok(tasks.iter().any(|task| task.name == "kordon-aside"))
    };
    let mut calm = 0;
    // Replaced rule sets are looked for five times a second.
    let rests = wait_until(PATIENCE, || {
        calm = if aside().unwrap_or(true) { 0 } else { calm + 1 };
        calm > 50
    });
    if rests { Ok(()) } else { Err("the daemon does not come to rest".to_owned()) }
}

/// Resident memory once the replaced rule set is freed: a packet thread without packets lets go of it late.
fn resident(daemon: &Daemon) -> Res<f64> {
    rest(daemon)?;
    std::thread::sleep(Duration::from_secs(2));
    memory(daemon.pid()).map(|[now, _]| now)
}

impl Stage<'_> {
    /// One turn of a round; the share of a processor that was taken beside the packets, where something was.
    fn turn(
        &mut self,
        beside: Beside,
        busy: Duration,
        period: Duration,
        reloads: &mut Vec<Duration>,
    ) -> Res<Option<f64>> {
        let hog = |nice| {
            let hog = Hog::start(nice, busy, period);
            std::thread::sleep(TURN);
            hog.stop().map(Some)
        };
        match beside {
            Beside::Nothing => {
                std::thread::sleep(TURN);
                Ok(None)
            }
            Beside::EqualHog => hog(NICE),
            Beside::PlainHog => hog(0),
            Beside::Reloads => {
                let (used, began) = (used_aside(self.daemon.pid())?, Instant::now());
                while began.elapsed() < TURN {
                    reloads.push(self.reload()?);
                }
                let used = used_aside(self.daemon.pid())? - used;
                Ok(Some(used / began.elapsed().as_secs_f64()))
            }
        }
    }

    /// A reload with one more address, or one fewer, and probes to it before and after.
    fn reload(&mut self) -> Res<Duration> {
        self.probe()?;
        self.listed = !self.listed;
        self.site.add_to_list("blocked", if self.listed { "203.0.113.200\n" } else { "" })?;
        let began = Instant::now();
        let answer = self.ask()?.answer(PATIENCE)?;
        let took = began.elapsed();
        let text = answer["reload"]["text"].as_str().unwrap_or_default();
        let due = if self.listed { "+ 1 prefix, - 0" } else { "+ 0 prefixes, - 1" };
        if !text.starts_with(due) {
            return Err(format!("the daemon answered {answer}"));
        }
        self.probe()?;
        Ok(took)
    }

    fn ask(&self) -> Res<Asked> {
        Asked::send(&self.site.folder().join("control.sock"), "reload")
    }

    /// The next reload takes much longer than they take to be judged.
    fn probe(&mut self) -> Res {
        for _ in 0..PROBES {
            self.probes.send()?;
            self.pass.push(!self.listed);
        }
        Ok(())
    }

    fn metric(&self, name: &str) -> Res<u64> {
        self.daemon.metrics()?.get(name, &[])
    }

    /// A thousand requests, most of a second long, and signals among them.
    fn storm(&mut self) -> Res<Storm> {
        let before = self.metric("kordon_reloads_total")?;
        let began = Instant::now();
        let mut asked = Vec::new();
        for number in 0..REQUESTS {
            if number % 20 == 0 {
                self.daemon.signal(Signal::SIGHUP)?;
            }
            asked.push(self.ask()?);
            let due = began + Duration::from_micros(900) * (number as u32 + 1);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let within = began.elapsed();
        let mut answered = 0;
        for one in asked {
            let answer = one.answer(PATIENCE)?;
            answered += usize::from(answer["reload"]["generation"].is_u64());
        }
        let took = began.elapsed();
        let reloads = self.metric("kordon_reloads_total")? - before;
        Ok(Storm { within, answered, reloads, took })
    }

    /// Ends the traffic and adds up.
    fn end(self, figures: &mut Figures, spans: &Spans) -> Res {
        let silence = Duration::from_millis(500);
        let allowed = self.allowed.stop(silence)?;
        let blocked = self.blocked.stop(silence)?;
        let passing = self.pass.iter().filter(|pass| **pass).count() as u32;
        self.ledger.wait_for(self.probes.id(), passing, Duration::from_secs(1));
        let arrived = |number: usize| self.ledger.has(self.probes.id(), number as u32);
        let odd = self.pass.iter().enumerate().filter(|(number, pass)| arrived(*number) != **pass);
        // What was dropped and should not have been: as the daemon counts it.
        let metrics = self.daemon.metrics()?;
        let dropped = metrics.get("kordon_packets_dropped_total", &[])?;
        let due = u64::from(blocked.sent) + u64::from(self.probes.sent() - passing);
        figures.sent = allowed.sent;
        figures.blocked = blocked.sent;
        figures.probes = self.probes.sent();
        figures.lost = allowed.lost();
        figures.wrong =
            odd.count() as u64 + u64::from(blocked.arrived) + dropped.saturating_sub(due);
        for (beside, from, to) in spans {
            figures.held.entry(*beside).or_default().push(held(&allowed, *from, *to));
        }
        Ok(())
    }
}

/// How long the packets sent in this span were held, ascending.
fn held(outcome: &Outcome, from: Duration, to: Duration) -> Vec<Duration> {
    let within = outcome.arrivals.iter().filter(|one| (from..to).contains(&one.sent));
    let mut held: Vec<_> = within.map(|one| one.arrived.saturating_sub(one.sent)).collect();
    held.sort_unstable();
    held
}
