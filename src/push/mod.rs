//! Being told instead of asking: what to do with what a service posts, from bytes and headers to a [`Notification`], without a
//! web framework. What is told is never mail, only that a [sync](crate::Mailbox::sync) is worth while. Setting watches up is
//! [`Mailbox::watch`](crate::Mailbox::watch)'s, answering requests the host's.
//!
//! * [`PubSubEndpoint`] reads what Google Cloud Pub/Sub pushes for Gmail, and believes what carries a token for it; [`pulled`] is
//!   for hosts that nothing can be pushed to.
//! * [`GraphPost`] reads what Microsoft Graph posts for Outlook, and believes what knows the watch's client state.
//! * [`UpkeepHints`](crate::UpkeepHints) is whom to tell: it makes one round of a burst, and at most one more of whatever is told
//!   while that runs. Who syncs without an upkeep keeps a set of the accounts about which something was told.
//! * [`WatchHealth`] says when a watch has lapsed, and when it never fires although things happen.

mod graph;
mod notification;
mod pub_sub;

pub use crate::model::{WatchHealth, WatchState};
pub use graph::{GraphPost, Unverified};
pub use notification::{News, Notification, Reason, Rejected};
pub use pub_sub::{PubSubEndpoint, Pulled, pulled};
