//! The largest attachments that the services keep come down and go up in constant memory, byte for byte. The client is a process of
//! its own, whose memory nobody else uses; so is the emulator, which is not as frugal.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failure in a test is a panic"
)]

mod programs;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, ReqwestTransport};
use postroom::{Content, DraftEdit, Gmail, Mailbox, Outgoing, OutgoingAttachment, Outlook, Query};
use programs::Mail;

const LARGEST_AT_OUTLOOK: usize = 140_000_000;
const LARGEST_AT_GMAIL: usize = 24_000_000;

/// What may be held beyond what the program holds anyway, in KiB.
const ALLOWED: u64 = 32 * 1024;

/// Bytes that do not compress and are the same each time.
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            eight.copy_from_slice(&self.0.to_le_bytes()[..eight.len()]);
        }
    }
}

/// Writes a message with an attachment of so many bytes.
fn write_message(folder: &Path, name: &str, length: usize) {
    let file = std::fs::File::create(folder.join(format!("{name}.eml"))).unwrap();
    let mut file = BufWriter::new(file);
    write!(
        file,
        "From: archive@files.example\r\nSubject: {name}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nAttached.\r\n\
         --b\r\nContent-Type: application/octet-stream; name=noise.bin\r\n\
         Content-Disposition: attachment; filename=noise.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    .unwrap();
    let mut noise = Noise::new();
    let mut left = length;
    // Whole lines, and a multiple of the generator's eight bytes.
    let mut block = vec![0; 57 * 8 * 64];
    while left > 0 {
        let size = left.min(block.len());
        noise.fill(&mut block[..size]);
        for line in block[..size].chunks(57) {
            writeln!(file, "{}\r", STANDARD.encode(line)).unwrap();
        }
        left -= size;
    }
    write!(file, "--b--\r\n").unwrap();
    file.flush().unwrap();
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    high_water(&status).unwrap()
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a test of this program in a process of its own, against an account of the emulator.
fn client(
    test: &str,
    emulator: &programs::Emulator,
    name: &str,
    length: usize,
    file: Option<&Path>,
) -> Output {
    let (vendor, address) = match name {
        "gmail" => ("google", "reader@gmail.example"),
        _ => ("microsoft", "reader@outlook.example"),
    };
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env("POSTROOM_CLIENT", name)
        .env("POSTROOM_CLIENT_ADDRESS", address)
        .env("POSTROOM_CLIENT_BASE", emulator.base(vendor))
        .env("POSTROOM_CLIENT_TOKEN", emulator.access_token(address))
        .env("POSTROOM_CLIENT_LENGTH", length.to_string())
        .env("POSTROOM_CLIENT_FILE", file.unwrap_or(Path::new("")))
        .output()
        .unwrap()
}

/// What a client used, as it says itself, is no more than is allowed.
fn check(name: &str, client: &Output) {
    let said = String::from_utf8_lossy(&client.stdout);
    let errors = String::from_utf8_lossy(&client.stderr);
    assert!(client.status.success(), "{name}: {said}{errors}");
    let line = said.lines().find_map(|line| line.split_once("KiB: "));
    let used: u64 = line.unwrap().1.parse().unwrap();
    println!("{name}: {used} KiB more than the idle program");
    assert!(
        used < ALLOWED,
        "{name}: {used} KiB more than the idle program"
    );
}

#[test]
fn the_largest_attachments_come_down_in_constant_memory() {
    let folder = tempfile::tempdir().unwrap();
    write_message(folder.path(), "gmail", LARGEST_AT_GMAIL);
    write_message(folder.path(), "outlook", LARGEST_AT_OUTLOOK);
    let emulator = programs::Emulator::start_with(&["--mail".as_ref(), folder.path().as_ref()]);
    let outcomes = [("gmail", LARGEST_AT_GMAIL), ("outlook", LARGEST_AT_OUTLOOK)]
        .map(|(name, length)| (name, client("reader", &emulator, name, length, None)));
    drop(emulator);
    for (name, client) in outcomes {
        check(name, &client);
    }
}

/// One is sent. Where `POSTROOM_LARGE_DRAFTS` is set, another is kept as a draft, changed, and sent as that.
#[test]
fn the_largest_attachments_go_up_in_constant_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noise.bin");
    // Exchange sends as much as its administrator allows, and counts the base64.
    let emulator = programs::Emulator::start_with(&["--largest-message".as_ref(), "250".as_ref()]);
    let sizes = [("gmail", LARGEST_AT_GMAIL), ("outlook", LARGEST_AT_OUTLOOK)];
    let outcomes = sizes.map(|(name, length)| {
        let mut noise = vec![0; length];
        Noise::new().fill(&mut noise);
        std::fs::write(&file, noise).unwrap();
        (name, client("writer", &emulator, name, length, Some(&file)))
    });
    drop(emulator);
    for (name, client) in outcomes {
        check(name, &client);
    }
}

/// The most memory that a process had until it ended, in KiB. What it says is not looked at until then.
fn peak_of(mut command: Command) -> u64 {
    let mut process = Running(command.spawn().unwrap());
    let status = format!("/proc/{}/status", process.0.id());
    let mut most = 0;
    while process.0.try_wait().unwrap().is_none() {
        // It only grows, so that the last look tells all; of a process that has just ended there is none.
        if let Some(now) = std::fs::read_to_string(&status)
            .ok()
            .as_deref()
            .and_then(high_water)
        {
            most = now;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let ended = process.0.wait().unwrap();
    let mut errors = String::new();
    let mut output = process.0.stderr.take().unwrap();
    std::io::Read::read_to_string(&mut output, &mut errors).unwrap();
    assert!(ended.success(), "{errors}");
    most
}

/// The file in a message as a service keeps it.
fn attached(raw: &[u8]) -> Vec<u8> {
    let find = |from: usize, what: &[u8]| {
        let mut windows = raw[from..].windows(what.len());
        from + windows.position(|window| window == what).unwrap()
    };
    let start = find(find(0, b"noise.bin"), b"\r\n\r\n") + 4;
    let mut file = Vec::new();
    for line in raw[start..].split(|byte| *byte == b'\n') {
        if line.starts_with(b"--") {
            break;
        }
        STANDARD
            .decode_vec(line.trim_ascii_end(), &mut file)
            .unwrap();
    }
    file
}

/// `mail send` as its users run it; what arrived is what the service has of it. Where `POSTROOM_LARGE_DRAFTS` is set, it
/// is the largest at Outlook too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_sends_large_attachments_in_constant_memory() {
    let at_outlook = match std::env::var_os("POSTROOM_LARGE_DRAFTS") {
        Some(_) => LARGEST_AT_OUTLOOK,
        None => LARGEST_AT_GMAIL,
    };
    for (service, address, length) in [
        ("google", "reader@gmail.example", LARGEST_AT_GMAIL),
        ("microsoft", "reader@outlook.example", at_outlook),
    ] {
        // Exchange sends as much as its administrator allows, and counts the base64.
        let emulator = Emulator::builder().empty().quota(false);
        let emulator = emulator.largest_message(250_000_000).start().await.unwrap();
        let endpoint = match service {
            "google" => &emulator.google().base_url,
            _ => &emulator.microsoft().base_url,
        };
        let mail = Mail::new();
        let token = emulator.access_token(address);
        let connect = ["connect", service, "--access-token", &token];
        let connect = [&connect[..], &["--api-endpoint", endpoint.as_str()]].concat();
        mail.json("work", &connect);
        let mut noise = vec![0; length];
        Noise::new().fill(&mut noise);
        std::fs::write(mail.path("noise.bin"), &noise).unwrap();

        let send = ["--account", "work", "send", "--to", address, "--subject"];
        let small = [&send[..], &["Nothing"]].concat();
        let small = peak_of(mail.command(small));
        let large = [&send[..], &["All of it", "--attach", "noise.bin"]].concat();
        let large = peak_of(mail.command(large));
        println!("{service}: {large} KiB, and {small} KiB without a file");
        assert!(large < small + ALLOWED, "{large} KiB, {small} without");

        let mut arrived = emulator.messages(address);
        arrived.retain(|message| message.raw.len() > length);
        assert!(!arrived.is_empty(), "nothing arrived");
        // Its own copy is the same message.
        assert!(attached(&arrived[0].raw) == noise, "other bytes arrived");
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// The mailbox of the account that a client was started for.
fn mailbox() -> Mailbox {
    let transport = Arc::new(ReqwestTransport::new().unwrap());
    let token = Arc::new(StaticToken::new(setting("POSTROOM_CLIENT_TOKEN")));
    let connection = Connection::new(transport, token);
    let base = setting("POSTROOM_CLIENT_BASE").parse().unwrap();
    if setting("POSTROOM_CLIENT") == "gmail" {
        let gmail = Gmail::new(connection).unwrap();
        Mailbox::new(gmail.with_api_endpoint(base).unwrap())
    } else {
        let outlook = Outlook::new(connection).unwrap();
        Mailbox::new(outlook.with_api_endpoint(base).unwrap())
    }
}

/// Reads the newest message with this subject in the inbox, and holds its attachment against the noise.
async fn read_back(mailbox: &Mailbox, subject: &str) {
    let mut inbox = mailbox.messages(Query::inbox());
    let message = loop {
        let message = inbox.try_next().await.unwrap().unwrap();
        if message.subject.as_deref() == Some(subject) {
            break mailbox.message(&message.id).await.unwrap();
        }
    };
    let attachment = &message.attachments[0].id;
    let mut stream = mailbox.attachment(&message.id, attachment).await.unwrap();
    let mut noise = Noise::new();
    // The generator makes eight bytes at a time, and chunks end anywhere.
    let mut expected: Vec<u8> = Vec::new();
    let mut length = 0;
    while let Some(chunk) = stream.try_next().await.unwrap() {
        let missing = chunk
            .len()
            .saturating_sub(expected.len())
            .next_multiple_of(8);
        let start = expected.len();
        expected.resize(start + missing, 0);
        noise.fill(&mut expected[start..]);
        assert!(
            expected[..chunk.len()] == chunk[..],
            "other bytes after {length}"
        );
        expected.drain(..chunk.len());
        length += chunk.len();
    }
    assert_eq!(length.to_string(), setting("POSTROOM_CLIENT_LENGTH"));
}

#[tokio::test]
#[ignore = "a test above runs it in a process of its own"]
async fn reader() {
    let mailbox = mailbox();
    let idle = peak();
    read_back(&mailbox, &setting("POSTROOM_CLIENT")).await;
    println!("beyond the idle program, in KiB: {}", peak() - idle);
}

#[tokio::test]
#[ignore = "a test above runs it in a process of its own"]
async fn writer() {
    let mailbox = mailbox();
    let idle = peak();
    let content = Content::from_file(setting("POSTROOM_CLIENT_FILE")).await;
    let file = OutgoingAttachment::new("noise.bin", "application/octet-stream", content.unwrap());
    let outgoing = Outgoing::new()
        .to(setting("POSTROOM_CLIENT_ADDRESS").parse().unwrap())
        .subject("All of it")
        .text("Attached.")
        .attach(file);
    mailbox.send(&outgoing).await.unwrap();
    read_back(&mailbox, "All of it").await;
    if std::env::var_os("POSTROOM_LARGE_DRAFTS").is_some() {
        let drafts = mailbox.drafts().unwrap();
        let made = drafts.create(&outgoing).await.unwrap();
        let edit = DraftEdit::new().subject("Changed").text("Still attached.");
        let changed = drafts.update(&made.id, Some(&made.revision), &edit).await;
        let changed = changed.unwrap();
        let sent = mailbox.send_draft(&made.id, Some(&changed.revision)).await;
        sent.unwrap();
        read_back(&mailbox, "Changed").await;
    }
    println!("beyond the idle program, in KiB: {}", peak() - idle);
}
