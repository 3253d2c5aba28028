//! Messages that are sent later, by a host that keeps their tickets: written now, checked and stored at the service now, sent
//! when they are due, and never twice.
//!
//! ```text
//! cargo run --example send_later
//! ```
//!
//! It needs no account and no network: it starts the emulator, and a clock that the program itself moves. Gmail lets no other
//! program schedule mail, and with the ticket in the host's own table this works on every service, can be cancelled, and
//! survives a restart. How long a ticket lasts is its service's to say: a draft until somebody deletes it; at Gmail, with the
//! right to send and no other, about a week.
//!
//! Hosts that only want a send to happen once need none of this: `Mailbox::send_once` with a `SendJournal` does it.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use postroom::clock::Clock;
use postroom::credentials::FileStore;
use postroom::emulator::{Emulator, Fault, FaultKind, Service};
use postroom::oauth::SignInOptions;
use postroom::testing::VirtualClock;
use postroom::{
    Access, AccountId, Accounts, Confirmation, Delivery, ErrorKind, Outgoing,
    ProviderConfiguration, SETTLED_AFTER, Secret, SendKey, SendTicket,
};
use serde::{Deserialize, Serialize};

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

/// A row of the host's table of messages to send.
#[derive(Serialize, Deserialize)]
struct Row {
    account: AccountId,
    due: DateTime<Utc>,
    state: State,
}

#[derive(Serialize, Deserialize)]
enum State {
    /// Not tried yet.
    Waits(SendTicket),
    /// Written before the send is tried, so that whoever finds it knows that it may have happened.
    Tried(SendTicket, DateTime<Utc>),
    Sent,
    Cancelled,
}

/// The host's table, here a file. A ticket lets its holder send, and may hold the message: the file is as secret as tokens.
struct Table {
    path: PathBuf,
    rows: BTreeMap<String, Row>,
}

impl Table {
    fn open(path: PathBuf) -> Anyhow<Self> {
        let rows = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path, rows })
    }

    fn set(&mut self, name: &str, state: State) -> Anyhow<()> {
        if let Some(row) = self.rows.get_mut(name) {
            row.state = state;
        }
        self.save()
    }

    /// Replaces the file as a whole: after a crash it is the old table or the new one.
    fn save(&self) -> Anyhow<()> {
        let directory = self.path.parent().ok_or("a file without a directory")?;
        let file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(file.as_file(), &self.rows)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Anyhow<()> {
    let clock = Arc::new(VirtualClock::by_hand("2026-11-22T08:00:00Z".parse()?));
    let emulator = Emulator::builder()
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .start()
        .await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("outbox.json");
    let open_accounts = || accounts(&emulator, &clock, directory.path().join("accounts"));

    println!("Writing three messages, to be sent in an hour …");
    let host = open_accounts()?;
    let mut table = Table::open(file.clone())?;
    for (configuration, address, names) in [
        (
            "google",
            "reader@gmail.example",
            &["reminder", "invitation"][..],
        ),
        ("microsoft", "reader@outlook.example", &["report"][..]),
    ] {
        let account = connect(&host, &emulator, configuration, address).await?;
        let mailbox = host.open(&account).await?;
        for name in names {
            let message = Outgoing::new()
                .to("team@outlook.example".parse()?)
                .subject(format!("The {name}"))
                .text("Written an hour before it was sent.");
            // Nobody receives anything yet. What the service would refuse, it refuses here.
            let ticket = mailbox.prepare(&message, &SendKey::new(*name)).await?;
            let row = Row {
                account: account.clone(),
                due: clock.now() + TimeDelta::hours(1),
                state: State::Waits(ticket),
            };
            table.rows.insert((*name).to_owned(), row);
            table.save()?;
            println!("  {name}: prepared");
        }
    }

    println!("Changing one's mind about the invitation …");
    table.set("invitation", State::Cancelled)?;
    println!("  {} of them have been received", received(&emulator));

    println!("The host stops, and starts again an hour later …");
    drop((host, table));
    clock.advance(Duration::from_secs(60 * 60));
    // And just now the answer to a send gets lost, after the message went out.
    emulator.fault(Fault::new(FaultKind::DropAfter).on(Method::POST, "/drafts/send"));

    let host = open_accounts()?;
    let mut table = Table::open(file)?;
    // What a host's timer does each minute.
    for _ in 0..10 {
        if !work(&host, &mut table, &clock).await? {
            break;
        }
        clock.advance(Duration::from_secs(60));
    }
    println!("{} of them have been received", received(&emulator));
    if received(&emulator) != 2 {
        return Err("each message that was not cancelled is received once".into());
    }
    Ok(())
}

/// Sends what is due, settles what is not known, and says whether anything is left to do.
async fn work(host: &Accounts, table: &mut Table, clock: &VirtualClock) -> Anyhow<bool> {
    let names: Vec<String> = table.rows.keys().cloned().collect();
    let mut left = false;
    for name in names {
        let Some(row) = table.rows.get(&name) else {
            continue;
        };
        let mailbox = host.open(&row.account).await?;
        let now = clock.now();
        let ticket = match &row.state {
            State::Waits(ticket) if row.due <= now => ticket.clone(),
            State::Tried(ticket, since) => match mailbox.confirm(ticket).await {
                Ok(Confirmation::Sent(_)) => {
                    println!("  {name}: was sent, as the service says");
                    table.set(&name, State::Sent)?;
                    continue;
                }
                // Early, that it was not sent does not mean that it will not be.
                Ok(Confirmation::NotSent) if is_settled(*since, now) => ticket.clone(),
                Ok(_) => {
                    left = true;
                    continue;
                }
                // What one account does not tell keeps none of the others back. Some grants never tell: then people decide.
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    println!("  {name}: nobody can tell whether it was sent: {error}");
                    continue;
                }
                Err(error) => {
                    println!("  {name}: not known yet: {error}");
                    left = true;
                    continue;
                }
            },
            State::Waits(_) => {
                left = true;
                continue;
            }
            State::Sent | State::Cancelled => continue,
        };
        table.set(&name, State::Tried(ticket.clone(), now))?;
        match mailbox.dispatch(&ticket).await {
            Ok(_) => {
                println!("  {name}: sent");
                table.set(&name, State::Sent)?;
            }
            Err(error) if error.delivery() == Delivery::Unknown => {
                println!("  {name}: the answer was lost; looking for it from now on");
                left = true;
            }
            Err(error) => {
                println!("  {name}: not sent: {error}");
                table.set(&name, State::Waits(ticket))?;
                left |= error.is_transient();
            }
        }
    }
    Ok(left)
}

/// Whether what the service says of a send that began then is the last word.
fn is_settled(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - since)
        .to_std()
        .is_ok_and(|passed| passed >= SETTLED_AFTER)
}

fn received(emulator: &Emulator) -> usize {
    emulator
        .messages("team@outlook.example")
        .iter()
        .filter(|message| {
            String::from_utf8_lossy(&message.raw).contains("an hour before it was sent")
        })
        .count()
}

fn accounts(emulator: &Emulator, clock: &Arc<VirtualClock>, store: PathBuf) -> Anyhow<Accounts> {
    let (google, microsoft) = (emulator.google(), emulator.microsoft());
    let at = |configuration: ProviderConfiguration, service: &Service| {
        configuration
            .with_client_secret(Secret::new(service.client_secret.as_str()))
            .with_auth_endpoint(service.base_url.clone())
            .with_api_endpoint(service.base_url.clone())
    };
    let configurations = [
        (
            "google",
            at(ProviderConfiguration::google(&google.client_id), google),
        ),
        (
            "microsoft",
            at(
                ProviderConfiguration::microsoft(&microsoft.client_id),
                microsoft,
            ),
        ),
    ];
    let mut builder = Accounts::builder(Arc::new(FileStore::new(store)))
        .clock(Arc::clone(clock) as Arc<dyn Clock>);
    for (name, configuration) in configurations {
        builder = builder.configuration(name, configuration);
    }
    Ok(builder.build()?)
}

async fn connect(
    accounts: &Accounts,
    emulator: &Emulator,
    configuration: &str,
    address: &str,
) -> Anyhow<AccountId> {
    let account = AccountId::new(address);
    let options = SignInOptions::new()
        .redirect_uri("http://127.0.0.1:8123/signed-in")
        .access(Access::READ_WRITE | Access::SEND);
    let connecting = accounts.connect(&account, configuration, options).await?;
    let callback = emulator.sign_in(&connecting.url, address).await?;
    accounts.complete(connecting.pending, &callback).await?;
    Ok(account)
}
