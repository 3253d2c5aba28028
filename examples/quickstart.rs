//! The whole way from "no account" to "mail sent and received", with no account, no network and no arguments:
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! It starts the emulator, connects a Gmail and an Outlook mailbox through the same sign-in that the real services have,
//! and works with both through the same functions.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use postroom::credentials::MemoryStore;
use postroom::emulator::{Emulator, Service};
use postroom::oauth::SignInOptions;
use postroom::{
    Access, AccountId, Accounts, Keyword, Mailbox, Message, Outgoing, OutgoingAttachment,
    ProviderConfiguration, Query, Secret,
};
type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Anyhow<()> {
    println!("Starting Google and Microsoft on this machine …");
    let emulator = Emulator::start().await?;
    let google = emulator.google();
    let microsoft = emulator.microsoft();
    println!(
        "  Google    {}\n  Microsoft {}\n",
        google.base_url, microsoft.base_url
    );

    // What an administrator registers once. Against the real services, leave the two endpoints out.
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .configuration(
            "google",
            at(ProviderConfiguration::google(&google.client_id), google),
        )
        .configuration(
            "microsoft",
            at(
                ProviderConfiguration::microsoft(&microsoft.client_id),
                microsoft,
            ),
        )
        .build()?;

    println!("Connecting two mailboxes …");
    let gmail = connect(&accounts, &emulator, "google", "reader@gmail.example").await?;
    let outlook = connect(&accounts, &emulator, "microsoft", "reader@outlook.example").await?;

    for mailbox in [&gmail, &outlook] {
        show(mailbox).await?;
    }

    println!("Opening a message with an attachment …");
    let message = with_attachment(&gmail).await?;
    println!("  “{}”", subject(&message));
    let directory = tempfile::Builder::new()
        .prefix("postroom-quickstart-")
        .tempdir()?
        .keep();
    for (index, attachment) in message.attachments.iter().enumerate() {
        let bytes: Vec<_> = gmail
            .attachment(&message.id, &attachment.id)
            .await?
            .try_collect()
            .await?;
        let name = attachment
            .name
            .as_deref()
            .unwrap_or("an attachment without a name");
        // A name that came by mail is only a name: what it may do as a path is the program's to decide.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let safe: String = name.chars().filter(|c| plain(*c)).collect();
        let path = directory.join(format!("{}-{safe}", index + 1));
        std::fs::write(&path, bytes.concat())?;
        println!(
            "  saved {name} ({} bytes) as {}",
            bytes.concat().len(),
            path.display()
        );
    }
    for outcome in gmail.mark_read(std::slice::from_ref(&message.id)).await? {
        outcome?;
    }
    let read = gmail.message(&message.id).await?.has(&Keyword::Seen);
    println!("  marked as read: {}\n", if read { "yes" } else { "no" });

    println!("Sending from Gmail to Outlook …");
    let outgoing = Outgoing::new()
        .to("reader@outlook.example".parse()?)
        .subject("Hello from the other side")
        .text("This mail went from one service to the other.")
        .html("<p>This mail went from <b>one service</b> to the other.</p>")
        .attach(OutgoingAttachment::new(
            "figures.csv",
            "text/csv",
            b"year,mails\n2026,1\n".to_vec(),
        ));
    gmail.send(&outgoing).await?;
    let newest = newest(&outlook, 1).await?.remove(0);
    let arrived = outlook.message(&newest.id).await?;
    let from = arrived
        .from
        .first()
        .map_or("(nobody)", |from| from.address());
    println!("  arrived: “{}” from {from}", subject(&arrived));
    for attachment in &arrived.attachments {
        println!(
            "  with the attachment {}",
            attachment.name.as_deref().unwrap_or("(no name)")
        );
    }
    println!();

    for account in accounts.list().await? {
        accounts.disconnect(&account.id).await?;
        println!("Disconnected {}.", account.id);
    }
    println!(
        "\nNext: `cargo run --example emulator`, which says how to use `mail`, a mail program for the command line."
    );
    Ok(())
}

fn at(configuration: ProviderConfiguration, service: &Service) -> ProviderConfiguration {
    configuration
        .with_client_secret(Secret::new(service.client_secret.as_str()))
        .with_auth_endpoint(service.base_url.clone())
        .with_api_endpoint(service.base_url.clone())
}

/// The authorization-code flow. In a real host, the user's browser goes to the address and comes back to the host's own.
async fn connect(
    accounts: &Accounts,
    emulator: &Emulator,
    configuration: &str,
    address: &str,
) -> Anyhow<Mailbox> {
    let id = AccountId::new(address);
    let access = Access::READ_WRITE | Access::SEND;
    let options = SignInOptions::new()
        .redirect_uri("http://127.0.0.1:8123/signed-in")
        .access(access);
    let connecting = accounts.connect(&id, configuration, options).await?;
    let callback = emulator.sign_in(&connecting.url, address).await?;
    let account = accounts.complete(connecting.pending, &callback).await?;
    println!(
        "  {} may {}",
        account.address.as_deref().unwrap_or("?"),
        account.granted
    );
    Ok(accounts.open(&id).await?)
}

/// The same function for both services.
async fn show(mailbox: &Mailbox) -> Anyhow<()> {
    let profile = mailbox.profile().await?;
    println!("\n{}", profile.address);
    println!("{}", "─".repeat(profile.address.len()));
    let names: Vec<_> = mailbox
        .folders()
        .await?
        .into_iter()
        .map(|folder| folder.name)
        .collect();
    println!("Folders: {}", names.join(", "));
    println!("Newest messages:");
    for message in newest(mailbox, 5).await? {
        let unread = if message.has(&Keyword::Seen) {
            ' '
        } else {
            '●'
        };
        let from = message
            .from
            .first()
            .map_or("(nobody)", |from| from.name().unwrap_or(from.address()));
        println!(
            "  {unread} {:<28} {}",
            shortened(from, 28),
            subject(&message)
        );
    }
    println!();
    Ok(())
}

async fn newest(mailbox: &Mailbox, count: usize) -> postroom::Result<Vec<Message>> {
    mailbox
        .messages(Query::inbox())
        .take(count)
        .try_collect()
        .await
}

async fn with_attachment(mailbox: &Mailbox) -> Anyhow<Message> {
    let mut found = mailbox.messages(Query::inbox().and(Query::HasAttachment));
    while let Some(message) = found.try_next().await? {
        let message = mailbox.message(&message.id).await?;
        if message
            .attachments
            .iter()
            .any(|attachment| !attachment.inline && attachment.name.is_some())
        {
            return Ok(message);
        }
    }
    Err("no message with an attachment".into())
}

fn subject(message: &Message) -> &str {
    message.subject.as_deref().unwrap_or("(no subject)")
}

fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}
