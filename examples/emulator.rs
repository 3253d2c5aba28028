//! Starts the emulator for any client in any language, and prints where it is as one JSON line:
//!
//! ```text
//! cargo run --example emulator -- --google-port 8025 --microsoft-port 8026
//! ```
//!
//! It runs until Ctrl-C. Open a sign-in address in a browser to click through the consent page, or use one of the
//! ready-made access tokens.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use postroom::emulator::{Consent, Emulator, PushSubscription};
use url::Url;

/// Google and Microsoft on 127.0.0.1, with mail to play with.
#[derive(Debug, Parser)]
#[command(name = "emulator")]
struct Options {
    /// Port of Google's server; any free one by default
    #[arg(long, default_value_t = 0)]
    google_port: u16,
    /// Port of Microsoft's server; any free one by default
    #[arg(long, default_value_t = 0)]
    microsoft_port: u16,
    /// What its mail and ids are made from: the same seed gives the same world
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Milliseconds that every answer is delayed
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// A folder of .eml files, or an mbox, to put into every mailbox as well
    #[arg(long)]
    mail: Option<PathBuf>,
    /// The largest message that Exchange sends, in MB: an administrator may allow up to 150
    #[arg(long, default_value_t = 35)]
    largest_message: usize,
    /// Grant every sign-in at once instead of showing the consent page
    #[arg(long)]
    grant: bool,
    /// Let everybody ask as much as they like, whatever the services' quotas are
    #[arg(long)]
    no_quota: bool,
    /// Port of this machine to which Google Cloud Pub/Sub pushes what happens in watched mailboxes; Microsoft's watches say
    /// themselves where to
    #[arg(long, value_name = "PORT", default_value_t = 8028)]
    push_port: u16,
    /// Record every request and answer as JSON lines into this directory
    #[arg(long)]
    record: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let mut builder = Emulator::builder()
        .seed(options.seed)
        .google_port(options.google_port)
        .microsoft_port(options.microsoft_port)
        .latency(Duration::from_millis(options.latency))
        .largest_message(options.largest_message * 1024 * 1024)
        .quota(!options.no_quota)
        .record(options.record);
    if options.grant {
        builder = builder.consent(Consent::Automatic);
    }
    if let Some(mail) = options.mail {
        builder = builder.mail(mail);
    }
    let emulator = builder.start().await?;
    println!("{}", emulator.ready_line());
    eprintln!("\nConnect a mailbox to it in another terminal:");
    for (name, service) in [
        ("google", emulator.google()),
        ("microsoft", emulator.microsoft()),
    ] {
        let base = service.base_url.as_str().trim_end_matches('/');
        eprintln!(
            "\n  cargo run --example mail -- --account {name} connect {name} \\\n      --client-id {} \\\n      \
             --client-secret '{}' \\\n      --auth-endpoint {base} --api-endpoint {base}",
            service.client_id, service.client_secret,
        );
    }
    let topic = emulator.create_topic("mail");
    let account = emulator.push_service_account();
    let pushed_to = format!("http://127.0.0.1:{}/", options.push_port);
    let pushed_to = Url::parse(&pushed_to).map_err(std::io::Error::other)?;
    emulator.push_topic(&topic, PushSubscription::new(pushed_to));
    eprintln!("\nKeep a copy of it that is told what happens:");
    let follow = |name: &str, port: u16| {
        eprint!(
            "\n  cargo run --example mail -- --account {name} sync {name}.sqlite \\\n      \
             --follow --listen 127.0.0.1:{port}"
        );
    };
    follow("google", options.push_port);
    eprintln!(" \\\n      --topic {topic} \\\n      --push-account {account}");
    follow("microsoft", 0);
    eprintln!();
    eprintln!("\nThe emulator runs until Ctrl-C.");
    tokio::signal::ctrl_c().await
}
