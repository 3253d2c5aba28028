//! What the Outlook provider sends and reads, seen by a service that follows a script: a module for each subject.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failure in a test is a panic"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "what several clients are made of, each brings along"
)]

#[path = "../graph_client/mod.rs"]
mod graph_client;
#[path = "../support/outlook.rs"]
mod outlook;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
mod support;

mod drafts;
mod outcomes;
mod queries;
mod sending;
mod wire;
