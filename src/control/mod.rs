//! What a running daemon is asked and told: the control socket, reloads, the file watch.

pub mod caller;
pub mod changes;
pub mod client;
pub mod message;
pub mod notify;
pub mod reload;
pub mod server;
pub mod watch;
