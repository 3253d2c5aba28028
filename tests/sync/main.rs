//! A copy of a mailbox that is complete and stays complete: a module for each service, and for what both must do alike.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

#[path = "../mirror/mod.rs"]
mod mirror;
#[path = "../support/mod.rs"]
mod support;

mod closed;
mod everyday;
mod forgetting;
mod gmail;
mod meanwhile;
mod outlook;
mod recovery;
mod unreadable;
