//! A copy of a mailbox that is complete and stays complete, in SQLite:
//!
//! ```text
//! cargo run --example mirror
//! POSTROOM_ACCESS_TOKEN=… cargo run --example mirror -- google mail.sqlite
//! ```
//!
//! Without arguments it needs no account and no network: it starts the emulator, copies a mailbox of each service, lets things
//! happen in them, and ends with an audit. With a service (`google` or `microsoft`), a database and a token it brings the copy of
//! a real mailbox up to date, each time that it is run. `mail sync` does the same for accounts that sign in.
//!
//! What a host writes is `database.rs`, and [`follow`] below: pages come, and each is stored together with its cursor. Stop the
//! program whenever you like, also by `kill -9`: it goes on where it was.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

#[path = "mirror/database.rs"]
mod database;

use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime, ReqwestTransport};
use postroom::{
    AuditWindow, Change, Gmail, Keyword, Mailbox, MessageId, Outlook, Scope, SyncChange, SyncPage,
};

use crate::database::Database;

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

/// Brings the copy up to date: the first time newest first, and later with what happened since.
async fn follow(mailbox: &Mailbox, database: &Arc<Database>) -> Anyhow<()> {
    let cursor = database.cursor().await?;
    let mut pages = mailbox.sync(cursor, Scope::default(), database.clone());
    while let Some(page) = pages.try_next().await? {
        if !database.store(&page).await? {
            return Err("another process keeps this copy, too, and was faster".into());
        }
        tell(&page);
    }
    let (messages, folders) = database.counts().await?;
    println!("  the copy has {messages} messages in {folders} folders");
    Ok(())
}

fn tell(page: &SyncPage) {
    let count = |is: fn(&&SyncChange) -> bool| page.changes.iter().filter(is).count();
    let messages = count(|change| matches!(change, SyncChange::Message(_)));
    let moved = count(|change| change.is_move());
    let marked = count(|change| matches!(change, SyncChange::Updated(_)) && !change.is_move());
    let gone =
        |change: &&SyncChange| matches!(change, SyncChange::Deleted(_) | SyncChange::OutOfScope(_));
    let progress = page.progress;
    let expected = match progress.expected {
        Some(expected) => format!("{} of about {expected}", progress.done),
        None => progress.done.to_string(),
    };
    println!(
        "  {:?}: {messages} messages, {moved} moved, {marked} marked, {} gone; done {expected}; {} requests, {} units",
        page.phase,
        count(gone),
        progress.requests,
        progress.units,
    );
    if page.uncertain.is_some() {
        println!("  the service had forgotten something, or gives nothing of a folder for now");
    }
}

/// Compares all that the copy has with all that the service has.
async fn audit(mailbox: &Mailbox, database: &Database) -> Anyhow<()> {
    let audit = mailbox
        .audit(&Scope::default(), AuditWindow::all(), database)
        .await?;
    // Of very many it tells some and counts the others.
    let (untold, all) = (audit.untold, |told: usize, more: u64| told as u64 + more);
    println!(
        "  audit: {} messages there, {} missing here, {} too many, {} stale; {} requests, {} units",
        audit.checked,
        all(audit.missing.len(), untold.missing),
        all(audit.extra.len(), untold.extra),
        all(audit.stale.len(), untold.stale),
        audit.requests,
        audit.units,
    );
    if audit.is_clean() {
        Ok(())
    } else {
        Err("the copy is not what the mailbox is".into())
    }
}

#[tokio::main]
async fn main() -> Anyhow<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => show().await,
        [service, file] => {
            let token = StaticToken::new(std::env::var("POSTROOM_ACCESS_TOKEN")?);
            let connection = Connection::new(Arc::new(ReqwestTransport::new()?), Arc::new(token));
            let mailbox = match service.as_str() {
                "google" => Mailbox::new(Gmail::new(connection)?),
                "microsoft" => Mailbox::new(Outlook::new(connection)?),
                other => return Err(format!("{other} is neither google nor microsoft").into()),
            };
            let address = mailbox.profile().await?.address;
            let database = Arc::new(Database::open(Path::new(file), &address).await?);
            follow(&mailbox, &database).await?;
            audit(&mailbox, &database).await
        }
        _ => Err("give a service and a database, or nothing".into()),
    }
}

/// The same on both services, with mailboxes of the emulator's.
async fn show() -> Anyhow<()> {
    // Without the quotas of the services, for which the first copy of a mailbox waits otherwise.
    let emulator = Emulator::builder().quota(false).start().await?;
    let connection = |address| {
        let token = StaticToken::new(emulator.access_token(address));
        let transport = ReqwestTransport::new()?;
        let connection = Connection::new(Arc::new(transport), Arc::new(token));
        Ok::<_, postroom::Error>(connection.with_regime(Regime::Off))
    };
    let gmail = Gmail::new(connection("reader@gmail.example")?)?;
    let gmail = gmail.with_api_endpoint(emulator.google().base_url.clone())?;
    let outlook = Outlook::new(connection("reader@outlook.example")?)?;
    let outlook = outlook.with_api_endpoint(emulator.microsoft().base_url.clone())?;
    let directory = tempfile::tempdir()?;
    for mailbox in [Mailbox::new(gmail), Mailbox::new(outlook)] {
        let address = mailbox.profile().await?.address;
        let deliver = |subject: &str| {
            let mail =
                format!("From: billing@shop.example\r\nSubject: {subject}\r\n\r\nThank you.\r\n");
            emulator.deliver(&address, mail.as_bytes());
        };
        for number in 1..=300 {
            deliver(&format!("Order {number}"));
        }
        let file = directory.path().join(format!("{address}.sqlite"));
        let database = Arc::new(Database::open(&file, &address).await?);

        println!("\n{address}: the program dies after the first page …");
        let mut pages = mailbox.sync(None, Scope::default(), database.clone());
        if let Some(page) = pages.try_next().await? {
            database.store(&page).await?;
            tell(&page);
        }
        drop((pages, database));

        println!("… and goes on with what is in the file, while new mail arrives:");
        let database = Arc::new(Database::open(&file, &address).await?);
        deliver("Just arrived");
        follow(&mailbox, &database).await?;

        println!("Some mail is read, archived and thrown away, and some arrives:");
        let ids: Vec<MessageId> =
            sqlx::query_scalar("SELECT id FROM messages ORDER BY received_at DESC LIMIT 9")
                .fetch_all(&database.pool)
                .await?
                .into_iter()
                .map(|id: String| MessageId::new(id))
                .collect();
        let (read, rest) = ids.split_at(3);
        let (archived, thrown_away) = rest.split_at(3);
        mailbox.apply(read, &Change::Set(Keyword::Seen)).await?;
        mailbox.apply(archived, &Change::Archive).await?;
        mailbox.apply(thrown_away, &Change::Trash).await?;
        deliver("Just arrived, too");
        follow(&mailbox, &database).await?;

        println!("The service forgets what happened, so that all ids are compared:");
        deliver("Missed");
        emulator.expire_history(&address);
        emulator.expire_deltas(&address, None);
        follow(&mailbox, &database).await?;
        audit(&mailbox, &database).await?;
    }
    Ok(())
}
