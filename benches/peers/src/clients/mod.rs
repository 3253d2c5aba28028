//! The clients, each as its own documentation would have it used. What they are asked to do is the same.

pub mod floor;
pub mod google_gmail1;
pub mod graph_rs_sdk;
pub mod io_gmail;
pub mod io_msgraph;
pub mod postroom;

use std::error::Error;

use url::Url;

use crate::measure::{Measured, Reading};

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What is asked of a client.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub kind: Kind,
    pub reading: Reading,
    pub server: &'a Url,
    pub messages: usize,
}

/// What is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All messages of a Gmail mailbox, whole.
    Gmail,
    /// The same, while the server counts units at this many a minute.
    GmailQuota(u32),
    /// The list of all messages of an Outlook mailbox, in pages of this size.
    Graph(u32),
    /// The first round of a delta query, and the empty one after it.
    GraphDelta(u32),
}

impl Kind {
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once(':').unwrap_or((text, "0"));
        let number = number.parse().ok()?;
        Some(match kind {
            "gmail" => Self::Gmail,
            "gmail-quota" => Self::GmailQuota(number),
            "graph" => Self::Graph(number),
            "graph-delta" => Self::GraphDelta(number),
            _ => return None,
        })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gmail => formatter.write_str("gmail"),
            Self::GmailQuota(rate) => write!(formatter, "gmail-quota:{rate}"),
            Self::Graph(size) => write!(formatter, "graph:{size}"),
            Self::GraphDelta(size) => write!(formatter, "graph-delta:{size}"),
        }
    }
}

/// Runs a client. The asynchronous ones get a runtime of one thread.
pub fn run(client: &str, task: Task<'_>) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match client {
        "floor" | "floor, every field" => runtime.block_on(floor::run(task)),
        "postroom" => runtime.block_on(postroom::run(task)),
        "google-gmail1" => runtime.block_on(google_gmail1::run(task, 1)),
        "google-gmail1 by 16" => runtime.block_on(google_gmail1::run(task, 16)),
        "graph-rs-sdk" => runtime.block_on(graph_rs_sdk::run(task)),
        "io-gmail" => io_gmail::run(task),
        "io-msgraph" => io_msgraph::run(task),
        _ => Err(format!("there is no client called {client}").into()),
    }
}

fn unsupported(task: Task<'_>) -> Box<dyn Error + Send + Sync> {
    format!("this client does not do {}", task.kind).into()
}
