//! `mail sync` as its users meet it: a copy in a SQLite file, from one call of the program to the next.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod programs;

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command};

use http::Method;
use postroom::emulator::{Emulator, Fault, FaultKind, LifecycleEvent, PushSubscription};
use programs::{Mail, errors, id};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

const GMAIL: &str = "reader@gmail.example";
const OUTLOOK: &str = "reader@outlook.example";

/// How many messages are in each inbox.
const MESSAGES: u64 = 8;

/// An emulator with some messages in the inboxes. It has no quotas: each call of the program would wait for what the one before
/// it took.
async fn emulator() -> Emulator {
    let record = std::env::var_os("POSTROOM_RECORD").map(PathBuf::from);
    let builder = Emulator::builder().empty().quota(false).record(record);
    let emulator = builder.start().await.unwrap();
    for address in [GMAIL, OUTLOOK] {
        for number in 0..MESSAGES {
            deliver(&emulator, address, &format!("Number {number}"));
        }
    }
    emulator
}

/// `mail`, connected to a mailbox by a ready-made token.
fn connected(emulator: &Emulator, address: &str) -> Mail {
    let mail = Mail::new();
    connect(&mail, "work", emulator, address);
    mail
}

fn connect(mail: &Mail, account: &str, emulator: &Emulator, address: &str) {
    let (service, at) = if address.ends_with("gmail.example") {
        ("google", emulator.google())
    } else {
        ("microsoft", emulator.microsoft())
    };
    let token = emulator.access_token(address);
    let base = at.base_url.as_str();
    let connect = [
        "connect",
        service,
        "--everything",
        "--access-token",
        &token,
        "--api-endpoint",
        base,
    ];
    mail.json(account, &connect);
}

fn deliver(emulator: &Emulator, address: &str, subject: &str) {
    let mail = format!("From: billing@shop.example\r\nSubject: {subject}\r\n\r\nThank you.\r\n");
    emulator.deliver(address, mail.as_bytes());
}

fn sync(mail: &Mail, options: &[&str]) -> Value {
    mail.json("work", &[&["sync", "copy.sqlite"], options].concat())
}

fn copied(mail: &Mail, options: &[&str]) -> u64 {
    sync(mail, options)["copy"]["messages"].as_u64().unwrap()
}

fn listed(mail: &Mail, query: &str) -> Vec<Value> {
    let document = mail.json("work", &["list", "--limit", "100", query]);
    document["messages"].as_array().unwrap().clone()
}

/// What the file says, or is told.
async fn sql(mail: &Mail, statement: &str) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(mail.path("copy.sqlite"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query_scalar(statement).fetch_all(&mut connection);
    let rows = rows.await.unwrap();
    connection.close().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_made_kept_in_step_and_holds_what_the_mailbox_has() {
    let emulator = emulator().await;
    for address in [GMAIL, OUTLOOK] {
        let mail = connected(&emulator, address);
        let first = sync(&mail, &[]);
        let inbox = listed(&mail, "in:inbox");
        assert_eq!(first["messages"], MESSAGES, "{address}");
        assert_eq!(first["copy"]["messages"], MESSAGES);
        assert!(first["folders"].as_u64() > Some(5));
        let of_inbox = "SELECT message FROM memberships JOIN folders ON folders.id = folder WHERE role = 'inbox'";
        assert_eq!(sql(&mail, of_inbox).await.len(), inbox.len());
        let one = id(&inbox[0]);
        let subject = format!("SELECT subject FROM messages WHERE id = '{one}'");
        assert_eq!(
            sql(&mail, &subject).await,
            [inbox[0]["subject"].as_str().unwrap()]
        );

        let nothing = sync(&mail, &[]);
        assert_eq!(nothing["messages"], 0, "{nothing}");
        mail.json("work", &["mark", "starred", one]);
        mail.json("work", &["trash", id(&inbox[1])]);
        deliver(&emulator, address, "Just arrived");
        let second = sync(&mail, &[]);
        assert!(second["messages"].as_u64() >= Some(1), "{second}");
        assert_eq!(second["gone"], 1, "{second}");
        let newest = "SELECT subject FROM messages ORDER BY received_at DESC LIMIT 1";
        assert_eq!(sql(&mail, newest).await, ["Just arrived"]);
        let starred =
            format!("SELECT keyword FROM keywords WHERE message = '{one}' AND keyword = 'flagged'");
        assert_eq!(sql(&mail, &starred).await.len(), 1);
        assert_eq!(
            mail.run(["sync", "copy.sqlite", "--audit"]).status.code(),
            Some(0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_tampered_with_is_found_out_and_mended() {
    let emulator = emulator().await;
    for address in [GMAIL, OUTLOOK] {
        let mail = connected(&emulator, address);
        let messages = copied(&mail, &[]);
        let plain = "SELECT message FROM memberships JOIN folders ON folders.id = folder
            WHERE role = 'inbox' AND message NOT IN (SELECT message FROM keywords WHERE keyword = 'flagged')
            ORDER BY message LIMIT 3";
        let ids = sql(&mail, plain).await;
        let [lost, flagged, unfiled] = [&ids[0], &ids[1], &ids[2]];
        for tampering in [
            format!("DELETE FROM messages WHERE id = '{lost}'"),
            format!("INSERT INTO keywords VALUES ('{flagged}', 'flagged')"),
            format!("DELETE FROM memberships WHERE message = '{unfiled}'"),
            "INSERT INTO messages (id) VALUES ('made-up')".to_owned(),
        ] {
            sql(&mail, &tampering).await;
        }

        let output = mail.run(["--json", "sync", "copy.sqlite", "--audit"]);
        assert_eq!(output.status.code(), Some(6), "{}", errors(&output));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let audit = &found["audit"];
        assert_eq!(audit["checked"], messages);
        assert_eq!(audit["missing"], Value::from(vec![lost.as_str()]));
        assert_eq!(audit["extra"], Value::from(vec!["made-up"]));
        assert_eq!(audit["untold"]["missing"], 0);
        assert_eq!(
            audit["stale"].as_array().unwrap().len(),
            2,
            "{address}: {audit}"
        );
        assert!(audit["requests"].as_u64() > Some(0));
        let told = mail.run(["sync", "copy.sqlite", "--audit"]);
        let told = String::from_utf8(told.stdout).unwrap();
        for sentence in [
            "Nothing happened.",
            "1 missing from the copy",
            "1 only in the copy",
            "`mail sync --mend`",
        ] {
            assert!(told.contains(sentence), "{address}: {told}");
        }

        // What is refused to the account is no fault of the message, and mended later.
        let path = format!("/messages/{}", lost.trim_end_matches('='));
        let refused = if address == GMAIL {
            FaultKind::google_error(403, "domainPolicy", "The domain administrators say no.")
        } else {
            FaultKind::graph_error(403, "ErrorAccessDenied", "Access is denied.")
        };
        emulator.fault(Fault::new(refused).on(Method::GET, path).times(u32::MAX));
        let output = mail.run(["sync", "copy.sqlite", "--mend"]);
        assert_eq!(output.status.code(), Some(4), "{}", errors(&output));
        emulator.clear_faults();

        let mended = sync(&mail, &["--mend"]);
        assert_eq!(mended["mended"]["fetched"], 1);
        let told = mail.run(["sync", "copy.sqlite", "--audit"]);
        assert_eq!(told.status.code(), Some(0), "{}", errors(&told));
        let told = String::from_utf8(told.stdout).unwrap();
        assert!(
            told.ends_with("The copy is just what the mailbox is.\n"),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_copy_covers_is_kept_until_it_is_changed() {
    let emulator = emulator().await;
    for address in [GMAIL, OUTLOOK] {
        let mail = connected(&emulator, address);
        let inbox = listed(&mail, "in:inbox");
        mail.json("work", &["archive", id(&inbox[0]), id(&inbox[1])]);
        mail.json("work", &["trash", id(&inbox[2])]);
        assert_eq!(copied(&mail, &["--folder", "inbox"]), MESSAGES - 3);
        assert_eq!(copied(&mail, &[]), MESSAGES - 3);
        assert_eq!(copied(&mail, &["--since", "2100-01-01"]), 0, "{address}");
        assert_eq!(copied(&mail, &["--whole"]), MESSAGES - 1);
        let everything = copied(&mail, &["--junk-and-trash", "--detail", "full"]);
        assert_eq!(everything, MESSAGES);
        assert_eq!(sync(&mail, &["--audit"])["audit"]["checked"], everything);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_copy_of_this_mailbox_stays_as_it_is() {
    let emulator = emulator().await;
    let mail = connected(&emulator, GMAIL);
    sync(&mail, &[]);
    connect(&mail, "team", &emulator, "team@gmail.example");
    let said = mail.fails(2, &["--account", "team", "sync", "copy.sqlite"]);
    assert!(said.contains("reader@gmail.example"), "{said}");
    std::fs::write(
        mail.path("notes.txt"),
        "These are notes and no database at all, as anybody can see.".repeat(40),
    )
    .unwrap();
    let said = mail.fails(1, &["--account", "work", "sync", "notes.txt"]);
    assert!(said.contains("cannot use notes.txt"), "{said}");
    assert!(
        std::fs::read_to_string(mail.path("notes.txt"))
            .unwrap()
            .starts_with("These are notes")
    );
    mail.fails(
        2,
        &[
            "--account",
            "work",
            "sync",
            "other.sqlite",
            "--folder",
            "no such folder",
        ],
    );
    mail.fails(
        2,
        &[
            "--account",
            "work",
            "sync",
            "other.sqlite",
            "--follow",
            "--audit",
        ],
    );
    mail.fails(
        1,
        &["--account", "work", "sync", "no/such/directory.sqlite"],
    );
}

/// `mail sync --follow` in a process of its own.
struct Following {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
    messages: Lines<BufReader<ChildStderr>>,
}

impl Following {
    fn start(mail: &Mail, options: &[&str]) -> Self {
        let follow = ["--account", "work", "sync", "copy.sqlite", "--follow"];
        let mut process = mail.command([&follow, options].concat()).spawn().unwrap();
        Self {
            output: BufReader::new(process.stdout.take().unwrap()).lines(),
            messages: BufReader::new(process.stderr.take().unwrap()).lines(),
            process,
        }
    }

    /// What it tells next.
    fn next(&mut self) -> String {
        self.output.next().unwrap().unwrap()
    }

    /// What it says next beside that.
    fn says(&mut self) -> String {
        self.messages.next().unwrap().unwrap()
    }

    /// Stops it by Ctrl-C, and gives what it says until it ends; `None` where that cannot be done.
    fn stop(mut self) -> Option<Vec<String>> {
        let interrupt = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status();
        if !interrupt.is_ok_and(|status| status.success()) {
            return None; // Only Unix has the program.
        }
        let said = self.messages.by_ref().map(Result::unwrap).collect();
        assert_eq!(self.process.wait().unwrap().code(), Some(130), "{said:?}");
        Some(said)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_tells_what_happens_until_it_is_stopped() {
    let emulator = emulator().await;
    for address in [GMAIL, OUTLOOK] {
        let mail = connected(&emulator, address);
        let mut following = Following::start(&mail, &["--interval", "1"]);
        let begin = following.says();
        assert!(begin.starts_with("Asking every second "), "{begin}");
        let first = following.next();
        assert!(first.starts_with(&format!("{MESSAGES} new, ")), "{first}");
        deliver(&emulator, address, "Just arrived");
        let news = following.next();
        assert!(news.starts_with("1 new. The copy has"), "{news}");
        let Some(said) = following.stop() else { return };
        assert!(
            said[0].starts_with("Stopped. What was copied is kept"),
            "{said:?}"
        );
        assert_eq!(
            mail.run(["sync", "copy.sqlite", "--audit"]).status.code(),
            Some(0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_told_and_need_not_ask() {
    let emulator = emulator().await;
    for address in [GMAIL, OUTLOOK] {
        let mail = connected(&emulator, address);
        let topic = emulator.create_topic("mail");
        let account = emulator.push_service_account();
        let gmail = ["--topic", &topic, "--push-account", account];
        let options = ["--interval", "86400", "--listen", "127.0.0.1:0"];
        let options = match address {
            GMAIL => [&options[..], &gmail].concat(),
            _ => options.to_vec(),
        };
        let mut following = Following::start(&mail, &options);
        let listening = following.says();
        let (_, url) = listening.rsplit_once(" to ").unwrap();
        emulator.push_topic(&topic, PushSubscription::new(url.parse().unwrap()));
        assert!(following.says().starts_with("Asking every 86400 seconds"));
        let told = following.says();
        assert_eq!(told, "The service tells what happens from now on.");
        let first = following.next();
        assert!(first.starts_with(&format!("{MESSAGES} new, ")), "{first}");

        for number in 1..=3 {
            deliver(&emulator, address, &format!("Just arrived: {number}"));
            let news = following.next();
            assert!(news.starts_with("1 new. The copy has"), "{news}");
        }
        if address == OUTLOOK {
            // What ends is made anew, and what happened meanwhile is found.
            emulator.lifecycle_event(address, LifecycleEvent::SubscriptionRemoved);
            deliver(&emulator, address, "While nobody watched");
            assert!(following.next().starts_with("1 new. "));
            assert_eq!(emulator.subscriptions(address), 1);
        }
        let Some(said) = following.stop() else { return };
        assert_eq!(said[0], "The service tells nothing any longer.");
        assert!(said[1].starts_with("Stopped. "), "{said:?}");
        assert_eq!(emulator.subscriptions(OUTLOOK), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_told_learns_why() {
    let emulator = emulator().await;
    let listen = ["--follow", "--listen", "127.0.0.1:0"];
    let command = ["--account", "work", "sync", "copy.sqlite"];
    let mail = connected(&emulator, GMAIL);
    let said = mail.fails(2, &[&command[..], &listen].concat());
    assert!(said.contains("--topic"), "{said}");
    let said = mail.fails(2, &[&command[..], &listen[1..]].concat());
    assert!(said.contains("--follow"), "{said}");
    // Gmail may not publish to this topic: it is asked all the same.
    let topic = emulator.create_topic("closed");
    emulator.close_topic(&topic);
    let account = emulator.push_service_account();
    let gmail = ["--topic", &topic, "--push-account", account];
    let mut following = Following::start(&mail, &[&listen[1..], &gmail].concat());
    assert!(following.next().starts_with(&format!("{MESSAGES} new, ")));
    let Some(said) = following.stop() else { return };
    let said = said.join("\n");
    assert!(said.contains("is asked at intervals"), "{said}");

    let mail = connected(&emulator, OUTLOOK);
    let said = mail.fails(2, &[&command[..], &listen, &gmail].concat());
    assert!(said.contains("--topic is Gmail's"), "{said}");
}
