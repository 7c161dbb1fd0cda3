//! Reloads that stand in nobody's way: at a low priority, a thousand at a time, on processors that never rest.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::control::{Asked, Task, allow_descriptors, tasks};
use crate::lab::topology::*;
use crate::lab::{Context, PATIENCE, Res};
use crate::{Bench, Site};

const N: u32 = 20;
const RELOAD: &str = "reload --config kordon.toml";
const MILLISECOND: Duration = Duration::from_millis(1);
/// The threads that work on rule sets.
const ASIDE: &str = "kordon-aside";

/// What reads, compiles and frees rule sets has the lowest priority; no other thread is lowered, also none that
/// starts later.
pub(super) fn low_priority(bench: &Bench<'_>) -> Res {
    // Long enough that its threads are seen.
    let mut setup = bench.setup();
    let blocked = setup.lists.iter_mut().find(|list| list.name == "blocked");
    let text = &mut blocked.ok_or("no such list")?.text;
    for number in 0..50_000_u32 {
        let [_, b, c, d] = (number * 64).to_be_bytes();
        let _ = writeln!(text, "20.{b}.{c}.{d}/26");
    }
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let seen = |asked: Asked| -> Res<Vec<Task>> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| {
                let answer = asked.answer(PATIENCE);
                done.store(true, Ordering::Relaxed);
                answer
            });
            let mut all = Vec::new();
            while !done.load(Ordering::Relaxed) {
                all.extend(tasks(daemon.pid())?);
                std::thread::sleep(MILLISECOND);
            }
            match answer.join().map_err(|_| "panicked")?? {
                Value::Object(answer) if !answer.contains_key("error") => Ok(all),
                answer => Err(format!("the daemon answered {answer:?}")),
            }
        })
    };
    let socket = site.folder().join("control.sock");
    let mut all = seen(Asked::send(&socket, "reload")?)?;
    all.extend(seen(Asked::send(&socket, "compare")?)?);
    let low = all.iter().filter(|task| task.name == ASIDE).count();
    if low < 10 {
        return Err(format!("the thread {ASIDE} was seen {low} times only"));
    }
    if let Some(task) = all.iter().find(|task| (task.nice == 19) != (task.name == ASIDE)) {
        return Err(format!("the thread {} has the nice value {}", task.name, task.nice));
    }
    // What is carried out on threads of the runtime's pool afterwards.
    site.kordon_ok("lists --config kordon.toml")?;
    site.kordon_ok("mode monitor --config kordon.toml")?;
    let normal = |task: &Task| task.name == ASIDE || task.nice == 0;
    match tasks(daemon.pid())?.into_iter().find(|task| !normal(task)) {
        Some(task) => Err(format!("afterwards {} has the nice value {}", task.name, task.nice)),
        None => Ok(()),
    }
}

/// Requests that come together are answered together, each truthfully; others are served meanwhile.
pub(super) fn thousand_requests(bench: &Bench<'_>) -> Res {
    const REQUESTS: usize = 1000;
    allow_descriptors(8192)?;
    let site = bench.site()?;
    let daemon = site.start()?;
    let blocked = bench.lab.stream(BLOCKED)?.run(MILLISECOND);
    let allowed = bench.lab.stream(ALLOWED)?.run(MILLISECOND);
    let socket = site.folder().join("control.sock");
    let ask = |count: usize| -> Res<Vec<Asked>> {
        let one = |number: usize| {
            if number.is_multiple_of(20) {
                daemon.signal(Signal::SIGHUP)?;
                std::thread::sleep(MILLISECOND * 12);
            }
            Asked::send(&socket, "reload")
        };
        (0..count).map(one).collect()
    };
    let loads = || daemon.metrics()?.get("kordon_reloads_total", &[]);
    let before = loads()?;
    let began = Instant::now();
    let first = ask(REQUESTS / 2)?;
    site.add_to_list("blocked", "203.0.113.200\n")?;
    let mut second = ask(REQUESTS / 2)?;
    let took = began.elapsed();
    if took > Duration::from_secs(2) {
        return Err(format!("to ask took {took:?}: too long to say anything"));
    }
    site.kordon_ok("status --config kordon.toml").context("beside 1,000 who wait")?;
    // Whoever asked after the list was written has it in force with the answer.
    let one = second.pop().ok_or("nobody asked")?;
    let mut later = BTreeSet::from([generation(&one.answer(PATIENCE)?)?]);
    bench.lab.blocked(UNLISTED, N)?;
    site.kordon_ok(RELOAD)?;
    for asked in second {
        later.insert(generation(&asked.answer(PATIENCE)?)?);
    }
    let mut with_it = BTreeSet::new();
    for asked in first {
        let answer = asked.answer(PATIENCE)?;
        let text = answer["reload"]["text"].as_str().unwrap_or_default();
        if text.starts_with("+ 1 prefix") {
            with_it.insert(generation(&answer)?);
        }
    }
    let done = loads()? - before;
    // The one that read the list first, if anybody of the first half shared it.
    let earliest = later.first().copied().unwrap_or(0);
    if with_it.iter().any(|&generation| generation > earliest) {
        return Err(format!("the list came with {with_it:?}, but {later:?} were answered with it"));
    }
    // One more by the command; signals are answered with the others.
    if !(2..=12).contains(&done) {
        return Err(format!("{done} reloads for {REQUESTS} requests in {took:?}"));
    }
    // With a broken list all are refused together.
    site.add_to_list("blocked", "203.0.113.200\nnonsense\n")?;
    for asked in ask(REQUESTS / 10)? {
        let answer = asked.answer(PATIENCE)?;
        if answer["error"]["status"] != 65 {
            return Err(format!("with a broken list the daemon answered {answer}"));
        }
    }
    let rejected = daemon.metrics()?.get("kordon_reloads_rejected_total", &[])?;
    if !(1..=6).contains(&rejected) {
        return Err(format!("{rejected} refusals for {} requests", REQUESTS / 10));
    }
    bench.lab.blocked(UNLISTED, N)?;
    let (blocked_id, allowed_id) = (blocked.id(), allowed.id());
    let (_, sent) = (blocked.stop()?, allowed.stop()?);
    bench.lab.fence(BLOCKED)?;
    bench.lab.ledger().wait_for(allowed_id, sent, PATIENCE);
    let lost = bench.lab.ledger().missing(allowed_id, sent).len();
    match (lost, bench.lab.ledger().arrived(blocked_id)) {
        (0, 0) => Ok(()),
        (lost, leaked) => Err(format!("{lost} of {sent} lost, {leaked} leaked")),
    }
}

/// A reload comes to its end while every processor has something else to do.
pub(super) fn busy_processors(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    let stop = AtomicBool::new(false);
    let processors = available_parallelism().context("processors")?.get();
    std::thread::scope(|scope| {
        let hogs: Vec<_> = (0..processors)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop()
                    }
                })
            })
            .collect();
        let outcome = (|| {
            bench.lab.passes(UNLISTED, N)?;
            site.add_to_list("blocked", "203.0.113.200\n")?;
            site.kordon_ok(RELOAD)?;
            bench.lab.blocked(UNLISTED, N)?;
            bench.lab.passes(ALLOWED, N)
        })();
        let busy = hogs.iter().filter(|hog| !hog.is_finished()).count();
        stop.store(true, Ordering::Relaxed);
        match busy == processors {
            true => outcome,
            false => Err("not every processor was busy".to_owned()),
        }
    })
}

fn generation(answer: &Value) -> Res<u64> {
    answer["reload"]["generation"].as_u64().ok_or_else(|| format!("the daemon answered {answer}"))
}
