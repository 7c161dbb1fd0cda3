use std::sync::Weak;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::config::Action;
use crate::ruleset::Builder;

/// A rule set that blocks one address, so that a look-up tells which it is.
fn blocking(host: u8) -> Ruleset {
    let mut builder = Builder::new();
    let list = builder.list(Action::Block);
    builder.add(list, format!("203.0.113.{host}/32").parse().unwrap(), 1, None);
    Ruleset::new(Vec::new(), builder.compile())
}

fn blocks(rules: &Ruleset, host: u8) -> bool {
    rules.table().lookup4([203, 0, 113, host].into()).is_some()
}

fn published() -> (Arc<Published>, Follower) {
    let published = Arc::new(Published::new(blocking(1)));
    let follower = Follower::new(Arc::clone(&published));
    (published, follower)
}

fn watch(published: &Published) -> Weak<Ruleset> {
    Arc::downgrade(&published.current())
}

#[test]
fn generations_count_up_from_one() {
    let (published, mut follower) = published();
    assert_eq!((published.current().generation, follower.current().generation), (1, 1));
    for generation in 2..5 {
        assert_eq!(published.publish(blocking(1)), generation);
        assert_eq!(published.current().generation, generation);
    }
    assert_eq!(follower.current().generation, 4);
}

#[test]
fn a_follower_sees_what_is_published_at_once() {
    let (published, mut follower) = published();
    assert!(blocks(follower.current(), 1));
    published.publish(blocking(2));
    assert!(blocks(follower.current(), 2) && !blocks(follower.current(), 1));
    // Several at once: the last one counts.
    published.publish(blocking(3));
    published.publish(blocking(4));
    assert!(blocks(follower.current(), 4) && !blocks(follower.current(), 3));
}

#[test]
fn the_old_one_is_freed_by_the_sweep_and_by_nobody_else() {
    let (published, mut follower) = published();
    let old = watch(&published);
    published.publish(blocking(2));
    assert_eq!(published.sweep(), 1, "the follower has not looked yet");
    assert!(old.upgrade().is_some());
    follower.current();
    assert!(old.upgrade().is_some(), "freed by the follower, on the packet thread");
    assert_eq!(published.sweep(), 0);
    assert!(old.upgrade().is_none());
    assert!(blocks(follower.current(), 2));
}

#[test]
fn a_sweep_waits_for_the_slowest_follower() {
    let (published, mut quick) = published();
    let mut slow = Follower::new(Arc::clone(&published));
    let first = watch(&published);
    published.publish(blocking(2));
    let second = watch(&published);
    published.publish(blocking(3));
    quick.current();
    assert_eq!(published.sweep(), 1);
    // Nobody ever followed the second one.
    assert!(first.upgrade().is_some() && second.upgrade().is_none());
    assert!(blocks(slow.current(), 3));
    assert_eq!(published.sweep(), 0);
    assert!(first.upgrade().is_none());
}

#[test]
fn followers_on_other_threads_never_go_back_and_never_see_half() {
    let (published, _) = published();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut follower = Follower::new(Arc::clone(&published));
            let done = &done;
            scope.spawn(move || {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let rules = follower.current();
                    assert!(rules.generation >= last, "{} after {last}", rules.generation);
                    last = rules.generation;
                    assert!(blocks(rules, (last % 200) as u8));
                }
            });
        }
        for generation in 2..300_u64 {
            assert_eq!(published.publish(blocking((generation % 200) as u8)), generation);
            published.sweep();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(published.sweep(), 0);
}
