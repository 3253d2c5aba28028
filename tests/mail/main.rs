//! The program `mail` of the examples, run as a process against the emulator: a module for each subject.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failure in a test is a panic"
)]

#[path = "../programs/mod.rs"]
mod programs;
#[path = "../support/mod.rs"]
mod support;

mod doctor;
mod export;
mod first_steps;
mod organising;
mod reading;
mod sending;
mod sign_in;
