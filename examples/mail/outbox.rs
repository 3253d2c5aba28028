//! `outbox`: what is known of sends, and what can be done about those that are not done.

use clap::Subcommand;
use futures_util::TryStreamExt;
use postroom::{Confirmation, JournalEntry, Mailbox, SendKey};
use serde_json::json;

use crate::Failure;
use crate::output::Output;
use crate::sending::told;

#[derive(Debug, Subcommand)]
pub(crate) enum Outbox {
    /// Find out what became of a send; this sends nothing
    Settle {
        /// Its key
        key: String,
    },
    /// Go on with a send: send what is prepared, look for what may have been sent
    Retry {
        /// Its key
        key: String,
    },
    /// Forget a send; its key then sends again
    Forget {
        /// Its key
        key: String,
    },
}

pub(crate) async fn run(
    action: Option<Outbox>,
    mailbox: &Mailbox,
    output: &Output,
) -> Result<(), Failure> {
    match action {
        None => list(mailbox, output).await,
        Some(Outbox::Settle { key }) => {
            let progress = output.spinner("Looking for it");
            let settled = mailbox.settle(&SendKey::new(key)).await;
            progress.finish_and_clear();
            match settled? {
                Confirmation::Sent(sent) => output.sent(&sent, None),
                Confirmation::NotSent => {
                    output.done("It was not sent. `mail outbox retry` sends it.");
                }
                Confirmation::StillUnknown { ask_again_at } => {
                    let again = match ask_again_at {
                        Some(at) => format!("ask again at {}", at.format("%H:%M:%S UTC")),
                        None => "asking again will not help: ask a recipient".to_owned(),
                    };
                    let unknown = postroom::Error::new(
                        postroom::ErrorKind::Unavailable,
                        format!("it is not known yet whether it was sent; {again}"),
                    );
                    return Err(unknown.with_delivery(postroom::Delivery::Unknown).into());
                }
                _ => output
                    .done("What became of it is told in a way that this program does not know."),
            }
            Ok(())
        }
        Some(Outbox::Retry { key }) => {
            let key = SendKey::new(key);
            let progress = output.spinner("Sending");
            let sent = mailbox.resume(&key).await;
            progress.finish_and_clear();
            told(sent, &key, None, output)
        }
        Some(Outbox::Forget { key }) => {
            mailbox.forget(&SendKey::new(key)).await?;
            output.done("Forgotten.");
            Ok(())
        }
    }
}

async fn list(mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
    let mut entries: Vec<JournalEntry> = mailbox.outbox().try_collect().await?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.state.at()));
    let row = |entry: &JournalEntry| {
        let state = match entry.state.name() {
            "prepared" => "not sent",
            "dispatching" => "unknown",
            other => other,
        };
        json!({
            "Key": entry.key.as_str(),
            "State": state,
            "Since": entry.state.at().format("%Y-%m-%d %H:%M:%S").to_string(),
        })
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    output.rows("sends", &["Key", "State", "Since"], &rows);
    Ok(())
}
