//! Reloads that are asked for: carried out one at a time, and one answers everybody who may share it.
//!
//! Invariants: whoever asked before a reading begins may share it, whoever asks later gets one that begins later;
//! orders are carried out in the order in which they came; nobody shares what somebody else accepts. Where
//! several ask at a time, readings begin at least [`APART`] apart, so that a storm of requests makes a few.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::message::ReloadReport;
use crate::failure::{ExitStatus, Failure};

/// Time between the beginnings of two readings, where several ask at a time. Who is alone never waits for it.
const APART: Duration = Duration::from_millis(250);
/// Requests that may lie here unread: they are taken in while a reload runs, so these come within a moment.
const UNREAD: usize = 1024;

type Outcome = Result<ReloadReport, Failure>;
type Reply = oneshot::Sender<Outcome>;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Read the files and put them in force.
    Reload {
        /// Lists that the guards may find odd, this once.
        accept: BTreeSet<String>,
    },
    /// Put the rule set that was in force before in force again.
    Undo,
}

/// Asks for reloads; cheap to clone.
#[derive(Clone)]
pub struct Reloader {
    requests: mpsc::Sender<Asked>,
}

/// What [`serve`] serves.
pub(super) struct Requests(mpsc::Receiver<Asked>);

struct Asked {
    by: String,
    order: Order,
    reply: Option<Reply>,
}

/// A way to ask, and where it arrives.
pub(super) fn requests() -> (Reloader, Requests) {
    let (requests, asked) = mpsc::channel(UNREAD);
    (Reloader { requests }, Requests(asked))
}

impl Reloader {
    /// Asks and waits until it is carried out. `by` is who asks, for the log.
    pub async fn carry_out(&self, order: Order, by: &str) -> Outcome {
        let (reply, answer) = oneshot::channel();
        self.send(by, order, Some(reply))?;
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::new(ExitStatus::NotRunning, "the daemon is stopping")))
    }

    /// Asks for a reload and does not wait; its outcome goes to the log.
    pub fn request(&self, by: &str) {
        if let Err(failure) = self.send(by, Order::Reload { accept: BTreeSet::new() }, None) {
            tracing::error!("{failure}");
        }
    }

    fn send(&self, by: &str, order: Order, reply: Option<Reply>) -> Result<(), Failure> {
        let asked = Asked { by: by.to_owned(), order, reply };
        self.requests.try_send(asked).map_err(|_| {
            Failure::new(ExitStatus::TryAgain, "too many reloads are waiting; try again")
        })
    }
}

/// Carries out what is asked for, with who asked, until nobody can ask any more.
pub(super) async fn serve<F: Future<Output = Outcome>>(
    Requests(mut asked): Requests,
    carry_out: impl Fn(Order, String) -> F,
) {
    let mut due = Due::default();
    let mut earliest = Instant::now();
    loop {
        if due.0.is_empty() {
            let Some(one) = asked.recv().await else { return };
            due.take(one);
        }
        let wait = sleep_until(earliest);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => break,
                Some(one) = asked.recv() => due.take(one),
            }
        }
        while let Ok(one) = asked.try_recv() {
            due.take(one);
        }
        // From here on nobody joins it.
        let Some(next) = due.0.pop_front() else { continue };
        earliest = Instant::now();
        let by = next.words();
        let (order, replies, alone) = (next.order, next.replies, next.others == 0);
        let outcome = {
            let work = carry_out(order, by);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    outcome = &mut work => break outcome,
                    Some(one) = asked.recv() => due.take(one),
                }
            }
        };
        for reply in replies {
            // A client that has gone away does not need its answer.
            let _gone = reply.send(outcome.clone());
        }
        if !(alone && due.0.is_empty()) {
            earliest += APART;
        }
    }
}

/// What is to be carried out, in order.
#[derive(Default)]
struct Due(VecDeque<Shared>);

/// An order, and everybody whom it answers.
struct Shared {
    order: Order,
    by: String,
    others: usize,
    replies: Vec<Reply>,
}

impl Due {
    fn take(&mut self, asked: Asked) {
        let Asked { by, order, reply } = asked;
        // Going back twice is not going back once.
        let last = self.0.back_mut().filter(|last| last.order == order && order != Order::Undo);
        match last {
            Some(last) => {
                last.others += 1;
                last.replies.extend(reply);
            }
            None => {
                let replies = reply.into_iter().collect();
                self.0.push_back(Shared { order, by, others: 0, replies });
            }
        }
    }
}

impl Shared {
    /// Who asked, for the log.
    fn words(&self) -> String {
        match self.others {
            0 => self.by.clone(),
            others => format!("{} and {others} more", self.by),
        }
    }
}

#[cfg(test)]
mod tests;
