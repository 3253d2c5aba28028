//! `mail`: a mail program for the command line, to try the crate with.
//!
//! ```text
//! cargo run --example mail -- --account work connect google --client-id … --client-secret …
//! cargo run --example mail -- --account work list "is:unread"
//! ```
//!
//! Without a Google or Microsoft developer account, start `cargo run --example emulator` first and give `connect` its
//! addresses. Exit codes: 0 done, 1 something on this machine failed, 2 bad usage, 3 sign-in needed, 4 the provider
//! refused, 5 network, 6 an audit found differences, 130 stopped by Ctrl-C.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

mod connect;
mod doctor;
mod drafts;
mod export;
mod importing;
mod listening;
mod messages;
mod organising;
mod outbox;
mod output;
mod reading;
mod searching;
mod sending;
mod setup;
mod synced;
mod syncing;

#[path = "../mirror/database.rs"]
mod database;
#[path = "../push_receiver/receiving.rs"]
mod receiving;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use postroom::credentials::Service as Vendor;
use postroom::oauth::Finding;
use postroom::{AccountId, Accounts, Action, ErrorKind};

use crate::output::Output;
use crate::setup::{Registration, Setup};

/// Read, organise and send mail of Gmail and Outlook mailboxes.
#[derive(Debug, Parser)]
#[command(name = "mail", version)]
struct Options {
    /// The account to use; needed only where several are connected
    #[arg(long, global = true, value_name = "NAME")]
    account: Option<String>,
    /// Where accounts are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "POSTROOM_STORE",
        default_value = ".postroom"
    )]
    store: PathBuf,
    /// Print one JSON document instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Tell on standard error what is asked of the service
    #[arg(long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect a mailbox
    Connect(connect::Connect),
    /// Find out why signing in does not work: examine an account's registration, or the one given
    Doctor(doctor::Doctor),
    /// List the connected accounts
    Accounts,
    /// List folders and labels
    Folders,
    /// List or search messages, newest first
    List(messages::List),
    /// Search messages, or explain how a search would be done
    Search(searching::Search),
    /// Show a message
    Read(reading::Read),
    /// Show the conversation that a message belongs to, or change all of it
    Thread(messages::Conversation),
    /// Write messages into files
    Export(export::Export),
    /// Keep a copy of the mailbox in SQLite in step, or audit it
    Sync(syncing::Sync),
    /// Save an attachment
    Attachment(messages::Attachment),
    /// Send a message
    Send(sending::Send),
    /// Answer a message
    Reply(sending::Answer),
    /// Forward a message
    Forward(sending::Pass),
    /// Show the drafts, or write, change, send or delete one
    Drafts {
        #[command(subcommand)]
        action: Option<drafts::Drafts>,
    },
    /// Show what was sent and what is not known to be, or go on with it
    Outbox {
        #[command(subcommand)]
        action: Option<outbox::Outbox>,
    },
    /// Put messages from files into the mailbox
    Import(importing::Import),
    /// Mark messages
    Mark {
        /// As what
        mark: messages::Mark,
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Move messages into a folder
    Move {
        /// Its id, its name, or what it is for, such as `junk`
        folder: String,
        /// The messages' ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Take messages out of the inbox and keep them
    Archive {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Put messages into the trash
    Trash {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    #[command(flatten)]
    Organise(organising::Command),
    /// Disconnect a mailbox and forget its tokens
    Disconnect,
}

impl Command {
    /// Whether it may send something.
    fn sends(&self) -> bool {
        match self {
            Self::Send(_) | Self::Reply(_) | Self::Forward(_) => true,
            Self::Drafts { action } => matches!(action, Some(drafts::Drafts::Send { .. })),
            Self::Outbox { action } => matches!(action, Some(outbox::Outbox::Retry { .. })),
            _ => false,
        }
    }
}

/// Why the program ends before its work is done.
#[derive(Debug)]
enum Failure {
    /// The command cannot be right as it is.
    Usage(String),
    /// Something on this machine failed.
    Local(String, std::io::Error),
    /// The crate reported an error.
    Mail(postroom::Error),
    /// The crate reported an error while a mailbox of this service was to be connected.
    Connecting(Vendor, postroom::Error),
    /// The crate reported an error about this account.
    Account(AccountId, Option<Vendor>, postroom::Error),
    /// The user pressed Ctrl-C, while this was going on.
    Stopped(Interrupted),
    /// An audit found what a copy lacks; it was reported already.
    Different,
    /// Some of many messages failed; each was reported already.
    Some(ErrorKind),
}

/// What Ctrl-C interrupts, as far as it matters.
#[derive(Clone, Copy, Debug)]
enum Interrupted {
    Sending,
    Syncing,
    Other,
}

impl From<postroom::Error> for Failure {
    fn from(error: postroom::Error) -> Self {
        Self::Mail(error)
    }
}

impl Failure {
    fn code(&self) -> u8 {
        let kind = match self {
            Self::Usage(_) => return 2,
            Self::Local(..) => return 1,
            Self::Stopped(_) => return 130,
            Self::Different => return 6,
            Self::Mail(error) | Self::Connecting(_, error) | Self::Account(_, _, error) => {
                error.kind()
            }
            Self::Some(kind) => *kind,
        };
        match kind {
            ErrorKind::SignInRequired => 3,
            ErrorKind::Network | ErrorKind::Unavailable => 5,
            ErrorKind::CredentialStore | ErrorKind::SendJournal | ErrorKind::Content => 1,
            _ => 4,
        }
    }

    fn explain(&self) {
        match self {
            Self::Usage(message) => eprintln!("error: {message}"),
            Self::Local(what, error) => eprintln!("error: {what}: {error}"),
            Self::Some(_) | Self::Different => {}
            Self::Stopped(Interrupted::Other) => eprintln!("Stopped."),
            Self::Stopped(Interrupted::Syncing) => {
                eprintln!("Stopped. What was copied is kept; the same command goes on with it.");
            }
            Self::Stopped(Interrupted::Sending) => {
                eprintln!(
                    "Stopped. `mail outbox` tells what is known of it; do not send it again before you looked."
                );
            }
            Self::Mail(error) => explain(error),
            Self::Connecting(service, error) => {
                explain(error);
                explain_mistake(error, service);
                eprintln!("  what now: {}", error.action());
            }
            Self::Account(account, service, error) => {
                explain(error);
                if let Some(service) = service {
                    explain_mistake(error, service);
                }
                if error.kind() == ErrorKind::SignInRequired {
                    eprintln!(
                        "  what now: sign in again with `mail --account {account} connect google` (or `microsoft`)"
                    );
                } else {
                    eprintln!("  what now: {}", error.action());
                }
            }
        }
    }
}

/// Says which mistake it is, if it is a known one, and what to click.
fn explain_mistake(error: &postroom::Error, service: &Vendor) {
    match Finding::of(error, service) {
        Some(finding) => {
            eprintln!("  what is wrong: {}", finding.what);
            eprintln!("  remedy: {}. See {}", finding.remedy, finding.guide);
        }
        None if error.action() == Action::DeveloperFixes => {
            eprintln!("  `mail doctor` examines the registration and says what to click");
        }
        None => {}
    }
}

fn explain(error: &postroom::Error) {
    eprintln!("error: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if options.verbose {
        tracing_subscriber::fmt()
            .with_env_filter("postroom=debug")
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .without_time()
            .init();
    }
    let interrupted = match &options.command {
        command if command.sends() => Interrupted::Sending,
        Command::Sync(_) => Interrupted::Syncing,
        _ => Interrupted::Other,
    };
    let tidies_up = matches!(&options.command, Command::Sync(sync) if sync.tidies_up());
    let stop = async {
        if tidies_up || tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let outcome = tokio::select! {
        outcome = run(options) => outcome,
        () = stop => Err(Failure::Stopped(interrupted)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.explain();
            ExitCode::from(failure.code())
        }
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    let output = Output::new(options.json);
    let mut setup = Setup::open(&options.store)?;
    let account = options.account;
    match options.command {
        Command::Connect(command) => {
            let service = command.service.vendor();
            let connected = command.run(&mut setup, account, &output).await;
            return connected.map_err(|failure| match failure {
                Failure::Mail(error) => Failure::Connecting(service, error),
                other => other,
            });
        }
        Command::Accounts => return connect::accounts(&setup, &output).await,
        Command::Doctor(command) => return command.run(&setup, account, &output).await,
        _ => {}
    }
    let uses_outbox = options.command.sends() || matches!(options.command, Command::Outbox { .. });
    let account = setup.choose(account).await?;
    let accounts = if uses_outbox {
        setup.accounts_with_outbox().await?
    } else {
        setup.accounts()?
    };
    let registration = setup.registration(account.as_str());
    let service = registration.map(|registration| registration.service.vendor());
    work(options.command, &accounts, &account, registration, &output)
        .await
        .map_err(|failure| match failure {
            Failure::Mail(error) => Failure::Account(account, service, error),
            other => other,
        })
}

/// What needs an account.
async fn work(
    command: Command,
    accounts: &Accounts,
    account: &AccountId,
    registration: Option<&Registration>,
    output: &Output,
) -> Result<(), Failure> {
    if matches!(command, Command::Disconnect) {
        return connect::disconnect(accounts, account, output).await;
    }
    let mailbox = accounts.open(account).await?;
    match command {
        Command::Folders => messages::folders(&mailbox, output).await,
        Command::List(command) => command.run(&mailbox, output).await,
        Command::Read(command) => command.run(&mailbox, output).await,
        Command::Search(command) => command.run(&mailbox, output).await,
        Command::Thread(command) => command.run(&mailbox, output).await,
        Command::Export(command) => command.run(&mailbox, output).await,
        Command::Sync(command) => command.run(&mailbox, registration, output).await,
        Command::Attachment(command) => command.run(&mailbox, output).await,
        Command::Send(command) => command.run(&mailbox, output).await,
        Command::Reply(command) => command.run(&mailbox, output).await,
        Command::Forward(command) => command.run(&mailbox, output).await,
        Command::Drafts { action } => drafts::run(action, &mailbox, output).await,
        Command::Outbox { action } => outbox::run(action, &mailbox, output).await,
        Command::Import(command) => command.run(&mailbox, output).await,
        Command::Mark { mark, ids } => {
            messages::apply(&mailbox, &ids, &mark.change(), output).await
        }
        Command::Move { folder, ids } => messages::move_to(&mailbox, &folder, &ids, output).await,
        Command::Archive { ids } => {
            messages::apply(&mailbox, &ids, &postroom::Change::Archive, output).await
        }
        Command::Trash { ids } => {
            messages::apply(&mailbox, &ids, &postroom::Change::Trash, output).await
        }
        Command::Organise(command) => organising::run(command, &mailbox, output).await,
        Command::Connect(_) | Command::Doctor(_) | Command::Accounts | Command::Disconnect => {
            Ok(())
        }
    }
}
