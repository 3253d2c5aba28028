//! Getting and keeping permission to use a mailbox: every way in, what refuses, what explains it, and what becomes of a grant
//! afterwards: a module for each subject.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failure in a test is a panic"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "what several clients are made of, each brings along"
)]

#[path = "../oauth_service/mod.rs"]
mod oauth_service;
#[path = "../raw_http/mod.rs"]
mod raw_http;
#[path = "../raw_sign_in/mod.rs"]
mod raw_sign_in;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/accounts.rs"]
mod with_accounts;

mod account_beginnings;
mod account_events;
mod account_status;
mod actions;
mod application;
mod beginning;
mod callback;
mod check;
mod check_application;
mod check_emulated;
mod client_proofs;
mod connected_at_once;
mod device;
mod grant_lifetime;
mod id_token;
mod loopback;
mod mistakes;
mod oauth;
mod properties;
mod redaction;
mod refusals;
mod restricted;
mod shared_mailboxes;
mod token_endpoint;
mod token_source;
mod verified_id_token;
mod ways_in;
