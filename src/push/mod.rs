//! Being told instead of asking: what to do with what a service posts, from bytes and headers to a hint, without a web
//! framework. What is told is never mail, only that a [sync](crate::Mailbox::sync) is worth while. Setting watches up is
//! [`Mailbox::watch`](crate::Mailbox::watch)'s, answering requests the host's.
//!
//! * [`Hints`] makes one round of a burst, and at most one more of whatever is told while it runs.
//! * [`WatchHealth`] says when a watch has lapsed, and when it never fires although things happen.

mod health;
mod hints;

pub use health::{WatchHealth, WatchState};
pub use hints::Hints;
