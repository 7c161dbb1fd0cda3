//! The control socket: mode 0660, group [`GROUP`], one request per connection.
//!
//! Invariants: who asks for a change is noted as the kernel says it; at most [`CONNECTIONS`] connections and [`message::REQUEST_LIMIT`] bytes of request, and a
//! client has [`DEADLINE`] to say what it wants. Who waits for a reload waits aside, so that others are answered
//! meanwhile: [`SEATS`] at most. Total over any bytes.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Group;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::additions::Additions;
use super::aside::aside;
use super::ask;
use super::caller::{Caller, has_left};
use super::cameras;
use super::changes::{Changes, Kind};
use super::compare::Comparer;
use super::message::{self, ADDRESSES, Answer, ModeOrder, Request, RulesOrder, STRETCHES};
use super::requests::{Order, Reloader};
use super::rights::{claim, decides, refused};
use crate::explain::{self, explain};
use crate::failure::{ExitStatus, Failure};
use crate::telemetry::Observed;

/// Whose members may use the socket.
const GROUP: &str = "kordon";
/// The most connections served at a time.
const CONNECTIONS: usize = 32;
/// The most callers that wait for reloads at a time, unless half of the descriptors are fewer; more are refused.
const SEATS: usize = 1024;
/// Time for a client to send its request.
const DEADLINE: Duration = Duration::from_secs(5);

/// What the server answers from.
pub struct Desk {
    /// Counters, rule set, state.
    pub observed: Arc<Observed>,
    /// Where reloads are asked for.
    pub reloader: Reloader,
    /// What a reload would change.
    pub comparer: Comparer,
    /// The status, assembled by the daemon, which knows every room.
    pub status: Box<dyn Fn() -> message::Status + Send + Sync>,
    /// Who carries out what is asked about the rules.
    pub rules: Clerk,
    /// Who carries out what is asked about the mode.
    pub mode: ModeClerk,
    /// Who carries out what is asked about entries.
    pub additions: Arc<Additions>,
    /// Where changes are noted, with who asked.
    pub changes: Arc<Changes>,
}

/// Carries out an order about the rules and says what changed; blocks.
pub type Clerk = Box<dyn Fn(RulesOrder) -> Result<String, Failure> + Send + Sync>;

/// Carries out an order about the mode, asked by the caller, and says what changed; blocks.
pub type ModeClerk = Box<dyn Fn(ModeOrder, &Caller) -> Result<String, Failure> + Send + Sync>;

/// Opens the control socket; a stale one of a process that is gone is replaced.
///
/// # Errors
/// 75 where another daemon answers there, 66, 77 or 1 where the socket cannot be made.
pub fn listen(path: &Path) -> Result<UnixListener, Failure> {
    if StdStream::connect(path).is_ok() {
        return Err(Failure::new(
            ExitStatus::TryAgain,
            format!("control.socket {}: another daemon answers there", path.display()),
        ));
    }
    let refuse = |error: std::io::Error| {
        let failure = Failure::reading(path, &error);
        Failure::new(failure.status, format!("control.socket {}", failure.message))
    };
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(Failure::new(
            ExitStatus::BadConfig,
            format!("control.socket {}: a file that is no socket is there", path.display()),
        ));
    }
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(refuse)?;
            }
        }
        Err(error) => return Err(refuse(error)),
    }
    let listener = UnixListener::bind(path).map_err(refuse)?;
    give_to_group(path);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(refuse)?;
    Ok(listener)
}

/// Gives the socket to [`GROUP`], so that its members may ask even where the daemon was started by hand.
/// Where there is no such group, or no permission, it keeps the daemon's own.
fn give_to_group(path: &Path) {
    let Ok(Some(group)) = Group::from_name(GROUP) else { return };
    if group.gid == nix::unistd::getegid() {
        return;
    }
    if let Err(error) = std::os::unix::fs::chown(path, None, Some(group.gid.as_raw())) {
        tracing::debug!("control.socket {}: group {GROUP}: {error}", path.display());
    }
}

/// Serves until the runtime ends.
pub async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let seats = Arc::new(Semaphore::new(seats(getrlimit(Resource::Nofile).current)));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (desk, seats) = (Arc::clone(&desk), Arc::clone(&seats));
                tokio::spawn(async move {
                    if let Err(error) = exchange(stream, &desk, permit, seats).await {
                        tracing::debug!("control: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!("control: accept failed: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// How many may wait for reloads, with so many descriptors.
fn seats(descriptors: Option<u64>) -> usize {
    let half = descriptors.map_or(usize::MAX, |all| usize::try_from(all / 2).unwrap_or(usize::MAX));
    half.clamp(CONNECTIONS, SEATS)
}

/// `place` is the client's among the connections, which it gives up for one of `seats` to wait for a reload.
async fn exchange(
    mut stream: UnixStream,
    desk: &Arc<Desk>,
    place: OwnedSemaphorePermit,
    seats: Arc<Semaphore>,
) -> std::io::Result<()> {
    let mut place = Some(place);
    let peer = stream.peer_cred()?;
    let answer = match tokio::time::timeout(DEADLINE, read(&mut stream)).await {
        Ok(line) => match serde_json::from_slice(&line?) {
            Ok(request) => {
                let caller = Caller::new(peer.uid(), peer.pid(), claim(&request));
                if let Some(failure) = refused(&request, &caller) {
                    tracing::warn!("control: refused: {failure}");
                    failure.into()
                } else if decides(&request) && has_left(&stream) {
                    // Told that nobody answers, and perhaps busy with something else by now.
                    tracing::warn!(by = %caller, "control: an order is not carried out: its caller has gone");
                    return Ok(());
                } else if !waits(&request) {
                    answer(request, caller, desk).await
                } else if let Ok(seat) = seats.try_acquire_owned() {
                    place = Some(seat);
                    answer(request, caller, desk).await
                } else {
                    let message = "too many reloads are waiting; try again";
                    Failure::new(ExitStatus::TryAgain, message).into()
                }
            }
            Err(error) => refuse(format!("control: not a request: {error}")),
        },
        Err(_) => refuse(format!("control: no request within {} s", DEADLINE.as_secs())),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    let written = tokio::time::timeout(DEADLINE, stream.write_all(&line)).await?;
    drop(place);
    written
}

/// Whether the answer comes with a reload, which others may share.
fn waits(request: &Request) -> bool {
    match request {
        Request::Reload { .. } | Request::Undo { .. } => true,
        Request::Status { .. }
        | Request::Entries { .. }
        | Request::Rules { .. }
        | Request::Mode { .. }
        | Request::Lists { .. }
        | Request::Compare { .. }
        | Request::Prefixes { .. }
        | Request::Origins { .. }
        | Request::Cameras { .. }
        | Request::Why { .. } => false,
    }
}

async fn read(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(1024);
    let mut chunk = [0_u8; 4096];
    loop {
        let count = stream.read(&mut chunk).await?;
        let read = chunk.get(..count).unwrap_or_default();
        line.extend_from_slice(read);
        if count == 0 || read.contains(&b'\n') || line.len() > message::REQUEST_LIMIT {
            let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
            line.truncate(end.min(message::REQUEST_LIMIT));
            return Ok(line);
        }
    }
}

fn refuse(message: String) -> Answer {
    Failure::new(ExitStatus::Usage, message).into()
}

async fn answer(request: Request, caller: Caller, desk: &Arc<Desk>) -> Answer {
    match request {
        Request::Status {} => Answer::Status(Box::new((desk.status)())),
        Request::Reload { accept, .. } => {
            reload(
                desk,
                Kind::Reload,
                Order::Reload { accept: accept.into_iter().collect() },
                caller,
            )
            .await
        }
        Request::Undo { .. } => reload(desk, Kind::Undo, Order::Undo, caller).await,
        Request::Entries { order, .. } => {
            let (asks, what) = (order.only_asks(), order.words());
            let by = caller.clone();
            let job = move |desk: &Desk| desk.additions.order(order, &by);
            let done = match asks {
                true => carry_out(desk, job).await,
                false => compile(desk, job).await,
            };
            match done {
                Ok(report) => {
                    if !asks {
                        desk.changes.note(Kind::Entries, what, caller);
                    }
                    Answer::Entries(report)
                }
                Err(failure) => failure.into(),
            }
        }
        // Nobody's change: what stands shall stand.
        Request::Rules { order: RulesOrder::Gate, .. } => {
            tracing::info!(by = %caller, "asked: whether the rules stand");
            match carry_out(desk, |desk| (desk.rules)(RulesOrder::Gate)).await {
                Ok(text) => Answer::Rules(text),
                Err(failure) => failure.into(),
            }
        }
        Request::Rules { order, .. } => {
            let what = match &order {
                RulesOrder::Apply | RulesOrder::Gate => "apply".to_owned(),
                RulesOrder::Remove { why } => format!("remove: {why}"),
            };
            tracing::warn!(event = "asked", by = %caller, "asked: rules {what}");
            match carry_out(desk, move |desk| (desk.rules)(order)).await {
                Ok(changed) => {
                    desk.changes.note(Kind::Rules, what, caller);
                    Answer::Rules(changed)
                }
                Err(failure) => failure.into(),
            }
        }
        Request::Mode { order, .. } => {
            let (kind, what) = describe(&order);
            tracing::warn!(event = "asked", by = %caller, "asked: {} {what}", kind.label());
            let by = caller.clone();
            match carry_out(desk, move |desk| (desk.mode)(order, &by)).await {
                Ok(changed) => {
                    desk.changes.note(kind, what, caller);
                    Answer::Mode(changed)
                }
                Err(failure) => failure.into(),
            }
        }
        Request::Lists {} => match carry_out(desk, |desk| Ok(ask::lists(&desk.observed))).await {
            Ok(lists) => Answer::Lists(lists),
            Err(failure) => failure.into(),
        },
        Request::Compare {} => match compile(desk, |desk| desk.comparer.compare()).await {
            Ok(comparison) => Answer::Compare(Box::new(comparison)),
            Err(failure) => failure.into(),
        },
        Request::Why { addresses, .. } if addresses.len() > ADDRESSES => {
            refuse(format!("control: more than {ADDRESSES} addresses in one request"))
        }
        Request::Prefixes { prefixes } if prefixes.len() > STRETCHES => {
            refuse(format!("control: more than {STRETCHES} prefixes in one request"))
        }
        Request::Prefixes { prefixes } => {
            match carry_out(desk, move |desk| Ok(ask::prefixes(&desk.observed, &prefixes))).await {
                Ok(answers) => Answer::Prefixes(answers),
                Err(failure) => failure.into(),
            }
        }
        Request::Origins { origins } if origins.len() > STRETCHES => {
            refuse(format!("control: more than {STRETCHES} AS numbers in one request"))
        }
        Request::Origins { origins } => {
            match carry_out(desk, move |desk| Ok(ask::origins(&desk.observed, &origins))).await {
                Ok(answers) => Answer::Origins(answers),
                Err(failure) => failure.into(),
            }
        }
        Request::Cameras { order } => {
            let job = move |desk: &Desk| cameras::by_daemon(&desk.observed, &order);
            match carry_out(desk, job).await {
                Ok(answer) => Answer::Cameras(Box::new(answer)),
                Err(failure) => failure.into(),
            }
        }
        Request::Why { addresses, camera } => {
            let rules = desk.observed.rules.current();
            let standing = desk.observed.standing();
            let camera = camera.as_deref();
            let one = |address| explain(&rules, standing.mode, explain::RUNNING, address, camera);
            match addresses.into_iter().map(one).collect::<Result<Vec<_>, _>>() {
                Ok(mut answers) => {
                    if standing.paused.is_some() {
                        answers.iter_mut().for_each(explain::in_a_pause);
                    }
                    Answer::Why(answers)
                }
                Err(failure) => failure.into(),
            }
        }
    }
}

async fn reload(desk: &Desk, kind: Kind, order: Order, caller: Caller) -> Answer {
    match desk.reloader.carry_out(order, &caller.to_string()).await {
        Ok(report) => {
            desk.changes.note(kind, format!("generation {}", report.generation), caller);
            Answer::Reload(report)
        }
        Err(failure) => failure.into(),
    }
}

/// What an order about the mode is about, in words.
fn describe(order: &ModeOrder) -> (Kind, String) {
    let because = |why: &str| match why.trim() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    match order {
        ModeOrder::Set { mode, confirm_within: None, why } => {
            (Kind::Mode, format!("{}{}", mode.label(), because(why)))
        }
        ModeOrder::Set { mode, confirm_within: Some(seconds), why } => (
            Kind::Mode,
            format!("{}, to be confirmed within {seconds} s{}", mode.label(), because(why)),
        ),
        ModeOrder::Confirm => (Kind::Mode, "confirm".to_owned()),
        ModeOrder::Pause { seconds, why } => {
            (Kind::Pause, format!("for {seconds} s{}", because(why)))
        }
        ModeOrder::Resume => (Kind::Pause, "resume".to_owned()),
    }
}

/// Runs what blocks on the pool for that.
async fn carry_out<T: Send + 'static>(
    desk: &Arc<Desk>,
    order: impl FnOnce(&Desk) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let desk = Arc::clone(desk);
    tokio::task::spawn_blocking(move || order(&desk))
        .await
        .unwrap_or_else(|error| Err(Failure::new(ExitStatus::Failed, error.to_string())))
}

/// Runs what makes a rule set, aside.
async fn compile<T: Send + 'static>(
    desk: &Arc<Desk>,
    order: impl FnOnce(&Desk) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let desk = Arc::clone(desk);
    aside(move || order(&desk)).await.and_then(|outcome| outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_leaves_half_of_the_descriptors_to_others() {
        assert_eq!(seats(Some(1024)), 512);
        assert_eq!(seats(Some(2048)), SEATS);
        assert_eq!(seats(Some(10)), CONNECTIONS);
        assert_eq!(seats(None), SEATS);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_file_that_is_no_socket_is_not_replaced() {
        let path = std::env::temp_dir().join(format!("kordon-no-socket-{}", std::process::id()));
        std::fs::write(&path, "precious").unwrap();
        let failure = listen(&path).unwrap_err();
        assert_eq!(failure.status, ExitStatus::BadConfig);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_file(&path).unwrap();
        drop(listen(&path).unwrap());
        drop(listen(&path).expect("a socket that nobody serves is replaced"));
        std::fs::remove_file(&path).unwrap();
    }
}
