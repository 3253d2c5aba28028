//! The emulator answers as the services do, seen by raw clients that know nothing of this crate: a module for each subject.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failure in a test is a panic"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "what several clients are made of, each brings along"
)]

#[path = "../gmail_client/mod.rs"]
mod gmail_client;
#[path = "../graph_client/mod.rs"]
mod graph_client;
#[path = "../raw_http/mod.rs"]
mod raw_http;
#[path = "../raw_sign_in/mod.rs"]
mod raw_sign_in;
#[path = "../receiver/mod.rs"]
mod receiver;
#[path = "../support/mod.rs"]
mod support;

mod delta;
mod gmail;
mod gmail_lists;
mod google;
mod google_sign_in;
mod google_uploads;
mod graph;
mod history;
mod microsoft;
mod microsoft_sign_in;
mod push;
mod searches;
mod server;
mod settings;
mod sign_in;
