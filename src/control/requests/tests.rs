use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;

fn reload() -> Order {
    accepting(&[])
}

fn accepting(lists: &[&str]) -> Order {
    Order::Reload { accept: lists.iter().map(|name| (*name).to_owned()).collect() }
}

/// Stands for the lists: a reload reads the number that they hold when it begins, and answers with it as the
/// generation. It is refused where the number is odd and nobody accepts `odd`.
#[derive(Default)]
struct Lists {
    number: AtomicU64,
    /// Orders as they were begun, with who asked.
    begun: Mutex<Vec<(Order, String)>>,
    /// A reading goes on until it is told.
    slow: bool,
    go_on: Notify,
}

impl Lists {
    fn new(slow: bool) -> (Arc<Lists>, Reloader) {
        let lists = Arc::new(Lists { slow, ..Lists::default() });
        let (reloader, asked) = requests();
        let here = Arc::clone(&lists);
        tokio::spawn(serve(asked, move |order, by| Arc::clone(&here).carry_out(order, by)));
        (lists, reloader)
    }

    async fn carry_out(self: Arc<Self>, order: Order, by: String) -> Outcome {
        let generation = self.number.load(Ordering::Relaxed);
        self.begun.lock().unwrap().push((order.clone(), by));
        if self.slow {
            self.go_on.notified().await;
        }
        let report = ReloadReport {
            schema: 1,
            generation,
            added: 0,
            removed: 0,
            text: String::new(),
            seconds: 0.0,
        };
        match order == reload() && generation % 2 == 1 {
            true => Err(Failure::new(ExitStatus::BadData, format!("{generation} is odd"))),
            false => Ok(report),
        }
    }

    fn begun(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    async fn until_begun(&self, count: usize) {
        let all = async {
            while self.begun() < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(5), all).await.expect("the reload begins");
    }
}

fn ask(reloader: &Reloader, order: Order, by: &str) -> JoinHandle<Outcome> {
    let (reloader, by) = (reloader.clone(), by.to_owned());
    tokio::spawn(async move { reloader.carry_out(order, &by).await })
}

async fn generation(asked: JoinHandle<Outcome>) -> u64 {
    asked.await.unwrap().unwrap().generation
}

#[tokio::test(flavor = "current_thread")]
async fn who_asks_after_a_reading_began_gets_a_later_one() {
    let (lists, reloader) = Lists::new(true);
    let first = ask(&reloader, reload(), "one");
    lists.until_begun(1).await;
    // The files change under the first reading; whoever asks from now on must get what they hold now.
    lists.number.store(2, Ordering::Relaxed);
    let later: Vec<_> = (0..5).map(|_| ask(&reloader, reload(), "later")).collect();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(lists.begun(), 1, "one at a time");
    lists.go_on.notify_one();
    assert_eq!(generation(first).await, 0);
    lists.until_begun(2).await;
    lists.go_on.notify_one();
    for asked in later {
        assert_eq!(generation(asked).await, 2);
    }
    assert_eq!(lists.begun(), 2, "five shared one");
    assert_eq!(lists.begun.lock().unwrap()[1].1, "later and 4 more");
}

#[tokio::test(flavor = "current_thread")]
async fn a_thousand_requests_within_a_second_make_a_few_readings_and_all_get_a_true_answer() {
    // At once, and in bursts over most of a second.
    for pause in [Duration::ZERO, Duration::from_millis(80)] {
        let (lists, reloader) = Lists::new(false);
        let mut asked = Vec::new();
        for number in 0..1000 {
            lists.number.store(number * 2, Ordering::Relaxed);
            asked.push((number * 2, ask(&reloader, reload(), "somebody")));
            // Nobody waits for these; they are served with the others.
            reloader.request("SIGHUP");
            match number % 100 {
                99 => sleep(pause).await,
                _ => tokio::task::yield_now().await,
            }
        }
        for (written, asked) in asked {
            let read = generation(asked).await;
            assert!(read >= written, "read {read}, although {written} was written before");
        }
        assert!(lists.begun() <= 7, "{} readings", lists.begun());
        assert!(lists.begun() >= 2);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn who_asks_alone_does_not_wait() {
    let (lists, reloader) = Lists::new(false);
    let began = Instant::now();
    for _ in 0..20 {
        reloader.carry_out(reload(), "one after the other").await.unwrap();
    }
    assert!(began.elapsed() < APART);
    assert_eq!(lists.begun(), 20, "each its own");
    // The control: two at a time do.
    let began = Instant::now();
    for _ in 0..2 {
        let both = [ask(&reloader, reload(), "one"), ask(&reloader, reload(), "other")];
        for one in both {
            one.await.unwrap().unwrap();
        }
    }
    assert!(began.elapsed() >= APART);
}

#[tokio::test(flavor = "current_thread")]
async fn a_refusal_is_told_to_all_who_shared_it_and_what_one_accepts_is_not_accepted_for_others() {
    let (lists, reloader) = Lists::new(true);
    let first = ask(&reloader, reload(), "first");
    lists.until_begun(1).await;
    lists.number.store(7, Ordering::Relaxed);
    let plain = [ask(&reloader, reload(), "one"), ask(&reloader, reload(), "other")];
    let accepts = ask(&reloader, accepting(&["odd"]), "root");
    let after = ask(&reloader, reload(), "after");
    sleep(Duration::from_millis(10)).await;
    for _ in 0..4 {
        lists.go_on.notify_one();
        sleep(APART).await;
    }
    assert_eq!(generation(first).await, 0);
    for refused in plain {
        let failure = refused.await.unwrap().unwrap_err();
        assert_eq!((failure.status, failure.message.as_str()), (ExitStatus::BadData, "7 is odd"));
    }
    assert_eq!(generation(accepts).await, 7);
    assert!(after.await.unwrap().is_err());
    let orders: Vec<Order> = lists.begun.lock().unwrap().iter().map(|one| one.0.clone()).collect();
    assert_eq!(orders, [reload(), reload(), accepting(&["odd"]), reload()]);
}

#[tokio::test(flavor = "current_thread")]
async fn going_back_is_never_shared_and_keeps_its_place() {
    let (lists, reloader) = Lists::new(true);
    let orders = [reload(), reload(), Order::Undo, Order::Undo, reload()];
    let first = ask(&reloader, reload(), "first");
    lists.until_begun(1).await;
    let asked: Vec<_> = orders.into_iter().map(|order| ask(&reloader, order, "next")).collect();
    sleep(Duration::from_millis(10)).await;
    for _ in 0..5 {
        lists.go_on.notify_one();
        sleep(APART).await;
    }
    for one in asked.into_iter().chain([first]) {
        one.await.unwrap().unwrap();
    }
    let begun: Vec<Order> = lists.begun.lock().unwrap().iter().map(|one| one.0.clone()).collect();
    assert_eq!(begun, [reload(), reload(), Order::Undo, Order::Undo, reload()]);
}

#[tokio::test(flavor = "current_thread")]
async fn whoever_still_waits_when_nobody_serves_is_told() {
    let (reloader, asked) = requests();
    let waiting = ask(&reloader, reload(), "one");
    sleep(Duration::from_millis(1)).await;
    drop(asked);
    assert_eq!(waiting.await.unwrap().unwrap_err().status, ExitStatus::NotRunning);
}
