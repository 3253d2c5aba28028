//! What becomes of messages on both services, whichever way they come and go: a module for each subject.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failure in a test is a panic"
)]

#[path = "../support/gmail.rs"]
mod gmail;
#[path = "../support/outlook.rs"]
mod outlook;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod composing;
mod corpus;
mod facts;
mod merged;
mod queries;
mod replying;
mod threads;
mod views;
