//! Who may ask for what over the control socket.

use super::caller::Caller;
use super::message::Request;
use crate::failure::{ExitStatus, Failure};

/// The user behind sudo, as the client claims.
pub(super) fn claim(request: &Request) -> Option<&str> {
    match request {
        Request::Reload { sudo_user, .. }
        | Request::Undo { sudo_user }
        | Request::Entries { sudo_user, .. }
        | Request::Rules { sudo_user, .. }
        | Request::Mode { sudo_user, .. } => sudo_user.as_deref(),
        Request::Status { .. }
        | Request::Lists { .. }
        | Request::Compare { .. }
        | Request::Prefixes { .. }
        | Request::Origins { .. }
        | Request::Cameras { .. }
        | Request::Why { .. } => None,
    }
}

/// An order that decides what passes: nothing that is carried out later than its caller expects.
pub(super) fn decides(request: &Request) -> bool {
    guarded(request).is_some() && !matches!(request, Request::Reload { .. })
}

/// Who may use the socket may ask, and have the files read again; rules, mode, and what is not in the files are for
/// root and for the daemon's own user, because they decide whether anything is dropped.
pub(super) fn refused(request: &Request, caller: &Caller) -> Option<Failure> {
    let what = guarded(request)?;
    (!caller.is_trusted())
        .then(|| Failure::new(ExitStatus::NoPermission, format!("{what} (asked by {caller})")))
}

/// What is said to others than root where a request is for root.
fn guarded(request: &Request) -> Option<&'static str> {
    Some(match request {
        Request::Rules { .. } => "rules: only root may apply or remove them",
        Request::Mode { .. } => "mode: only root may change it, or pause",
        Request::Reload { accept, .. } if !accept.is_empty() => {
            "reload: only root may accept what the guards refuse"
        }
        Request::Undo { .. } => "reload: only root may go back to the rule set before",
        Request::Entries { order, .. } if !order.only_asks() => {
            "block, allow: only root may change what is in force"
        }
        Request::Entries { .. }
        | Request::Status { .. }
        | Request::Reload { .. }
        | Request::Lists { .. }
        | Request::Compare { .. }
        | Request::Prefixes { .. }
        | Request::Origins { .. }
        | Request::Cameras { .. }
        | Request::Why { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Action;
    use crate::control::entries::EntriesOrder;
    use crate::control::message::{ModeOrder, RulesOrder};

    #[test]
    fn the_rules_are_for_root_and_the_daemons_own_user() {
        let rules = |order| Request::Rules { order, sudo_user: None };
        let remove = || rules(RulesOrder::Remove { why: "a fire drill".to_owned() });
        let own = nix::unistd::geteuid().as_raw();
        let by = |uid| Caller::new(uid, None, Some("root"));
        assert_eq!(refused(&remove(), &by(0)), None);
        assert_eq!(refused(&remove(), &by(own)), None);
        let failure = refused(&remove(), &by(own + 1_000)).unwrap();
        assert_eq!(failure.status, ExitStatus::NoPermission);
        assert!(refused(&rules(RulesOrder::Apply), &by(own + 1_000)).is_some());
        let mode = || Request::Mode { order: ModeOrder::Confirm, sudo_user: None };
        assert_eq!(refused(&mode(), &by(own)), None);
        assert!(refused(&mode(), &by(own + 1_000)).is_some());
        assert_eq!(refused(&Request::Status {}, &by(own + 1_000)), None, "asking is free");
        let reload = |accept| Request::Reload { accept, sudo_user: None };
        assert_eq!(refused(&reload(vec![]), &by(own + 1_000)), None, "so is reloading");
        let list = || EntriesOrder::List { action: Action::Block };
        let add = || EntriesOrder::Add {
            action: Action::Block,
            prefixes: vec![],
            seconds: 1,
            why: String::new(),
        };
        let entries = |order| Request::Entries { order, sudo_user: None };
        assert_eq!(refused(&entries(list()), &by(own + 1_000)), None);
        for change in [reload(vec!["a".into()]), Request::Undo { sudo_user: None }, entries(add())]
        {
            assert!(refused(&change, &by(own + 1_000)).is_some());
            assert_eq!(refused(&change, &by(own)), None);
        }
    }
}
