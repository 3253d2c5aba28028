//! What the Gmail provider sends and reads, seen by a service that follows a script: a module for each subject.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failure in a test is a panic"
)]

#[path = "../support/gmail.rs"]
mod gmail;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
mod support;

mod circles;
mod drafts;
mod emulated;
mod organising;
mod queries;
mod sending;
mod wire;
