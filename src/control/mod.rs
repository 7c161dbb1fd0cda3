//! What a running daemon is asked and told: the control socket, reloads, the file watch,
//! and the service manager.

pub mod additions;
pub mod aside;
mod ask;
pub mod caller;
pub mod cameras;
pub mod changes;
pub mod client;
pub mod compare;
pub mod entries;
mod inherited;
pub mod message;
pub mod notify;
pub mod reload;
pub mod requests;
mod rights;
pub mod server;
pub mod store;
pub mod watch;
