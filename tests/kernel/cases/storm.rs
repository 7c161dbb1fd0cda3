//! Reloads that stand in nobody's way: at a low priority, also on processors that never rest.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use serde_json::Value;

use crate::lab::control::{Asked, Task, tasks};
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
