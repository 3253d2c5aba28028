//! The example programs `emulator` and `mail` as their users meet them: two processes, standard output and error, exit
//! codes, Ctrl-C and worse. What the crate does underneath is in the other test files.

use std::io::{BufRead, Read};
use std::path::Path;
use std::process::Command;

use crate::programs::{Emulator, Mail, click, errors, fetch, id};
use serde_json::Value;

#[test]
fn a_mailbox_is_connected_read_organised_and_disconnected_from_another_process() {
    let emulator = Emulator::start();
    for (service, address) in [
        ("google", "reader@gmail.example"),
        ("microsoft", "reader@outlook.example"),
    ] {
        let mail = Mail::new();
        let account = mail.connect(&emulator, service, "work", address);
        assert_eq!(account["address"], address);
        assert_eq!(mail.accounts(), ["work"]);

        let folders = mail.json("work", &["folders"]);
        let roles = folders["folders"].as_array().unwrap().iter();
        assert_eq!(roles.filter(|folder| folder["role"] == "inbox").count(), 1);

        let inbox = mail.list("work", "in:inbox");
        assert!(inbox.len() > 5, "{service}");
        let with_file = mail.list("work", "subject:report has:attachment").remove(0);
        let message = mail.json("work", &["read", id(&with_file)]);
        assert_eq!(message["subject"], "Monthly report with chart and figures");
        assert!(message["body"]["text"].is_string() || message["body"]["html"].is_string());
        let output = mail.run([
            "--account",
            "work",
            "attachment",
            id(&with_file),
            "figures.xls",
        ]);
        assert!(output.status.success(), "{}", errors(&output));
        let saved = std::fs::read_to_string(mail.path("figures.xls")).unwrap();
        assert!(saved.starts_with("month\tamount"), "{service}: {saved}");
        // It is there already, and stays as it is.
        mail.fails(2, &["attachment", id(&with_file), "figures.xls"]);
        let part = message["attachments"].as_array().unwrap().iter();
        let part = part.last().unwrap()["id"].as_str().unwrap();
        let output = mail.run(["attachment", id(&with_file), part, "--out", "-"]);
        assert_eq!(output.stdout, saved.as_bytes(), "{service}");

        let search = ["search", "subject:report", "is:unread", "--explain"];
        let plan = mail.json("work", &search);
        let [exactness, filtered] = match service {
            "google" => ["exact", ""],
            _ => ["superset", "subject:report -is:read"],
        };
        assert_eq!(plan["exactness"], exactness);
        assert_eq!(plan["filtered"].as_str().unwrap_or_default(), filtered);
        assert!(!plan["sent"].as_array().unwrap().is_empty());
        let found = mail.json("work", &["search", "subject:report"]);
        let found = found["messages"].as_array().unwrap();
        assert!(found.iter().any(|message| message["id"] == with_file["id"]));

        let is = |query: &str, id: &str| {
            let found = mail.list("work", query);
            found.iter().any(|message| message["id"] == id)
        };
        let one = id(&inbox[0]);
        for (mark, query, holds) in [
            ("read", "is:read", true),
            ("unread", "is:read", false),
            ("starred", "is:starred", true),
            ("unstarred", "is:starred", false),
        ] {
            mail.json("work", &["mark", mark, one]);
            assert_eq!(is(query, one), holds, "{service}: {mark}");
        }
        mail.json("work", &["move", "junk", one]);
        assert!(is("in:junk", one), "{service}");
        mail.json("work", &["archive", id(&inbox[1])]);
        mail.json("work", &["move", "archive", id(&inbox[2])]);
        for archived in [id(&inbox[1]), id(&inbox[2])] {
            assert!(!is("in:inbox", archived), "{service}");
            mail.json("work", &["read", archived]);
        }
        mail.json("work", &["trash", id(&inbox[3])]);
        assert!(is("in:trash", id(&inbox[3])), "{service}");

        let disconnected = mail.json("work", &["disconnect"]);
        assert_eq!(disconnected["revoked"], service == "google");
        assert!(mail.accounts().is_empty());
    }
}

#[test]
fn mail_goes_from_gmail_to_outlook_with_all_its_parts() {
    let emulator = Emulator::start();
    let mail = Mail::new();
    mail.connect(&emulator, "google", "home", "reader@gmail.example");
    mail.connect(&emulator, "microsoft", "work", "reader@outlook.example");
    std::fs::write(mail.path("page.html"), "<p>Hello <b>there</b></p>").unwrap();
    std::fs::write(mail.path("figures.csv"), "year,mails\n2026,1\n").unwrap();
    let sent = mail.json(
        "home",
        &[
            "send",
            "--to",
            "Reader <reader@outlook.example>",
            "--cc",
            "team@outlook.example",
            "--bcc",
            "team@gmail.example",
            "--subject",
            "Füße",
            "--text",
            "Hello there",
            "--html",
            "page.html",
            "--attach",
            "figures.csv",
        ],
    );
    assert!(sent["id"].is_string());
    let arrived = mail.list("work", "in:inbox").remove(0);
    assert_eq!(arrived["subject"], "Füße");
    let arrived = mail.json("work", &["read", id(&arrived)]);
    assert_eq!(arrived["from"][0]["address"], "reader@gmail.example");
    assert_eq!(arrived["cc"][0]["address"], "team@outlook.example");
    assert_eq!(arrived["bcc"], Value::Array(Vec::new()));
    assert_eq!(arrived["attachments"][0]["name"], "figures.csv");
    mail.json(
        "work",
        &[
            "attachment",
            id(&arrived),
            "figures.csv",
            "--out",
            "copy.csv",
        ],
    );
    let original = std::fs::read(mail.path("figures.csv")).unwrap();
    assert_eq!(std::fs::read(mail.path("copy.csv")).unwrap(), original);
}

#[test]
fn a_ready_made_token_needs_no_sign_in() {
    let emulator = Emulator::start();
    for (service, address) in [
        ("google", "reader@gmail.example"),
        ("microsoft", "reader@outlook.example"),
    ] {
        let mail = Mail::new();
        let token = emulator.access_token(address);
        let base = emulator.base(service);
        let connect = [
            "connect",
            service,
            "--access-token",
            token,
            "--api-endpoint",
            base,
        ];
        let account = mail.json("trial", &connect);
        assert_eq!(account["address"], address);
        assert!(!mail.list("trial", "in:inbox").is_empty());

        // A token that is none is reported, and the account is kept for another try.
        let output = mail.run([
            "--account",
            "bad",
            "connect",
            service,
            "--access-token",
            "none",
            "--api-endpoint",
            base,
        ]);
        assert!(output.status.success());
        assert!(
            errors(&output).contains("a look at its mailbox failed"),
            "{}",
            errors(&output)
        );
        assert_eq!(mail.accounts(), ["bad", "trial"]);
        mail.fails(3, &["--account", "bad", "list"]);
    }
}

#[test]
fn the_exit_code_says_who_must_act() {
    let mut emulator = Emulator::start();
    let mail = Mail::new();
    mail.fails(2, &[]);
    mail.fails(2, &["list"]);
    mail.fails(2, &["connect", "google"]);
    mail.fails(2, &["connect", "google", "--client-id", ""]);
    mail.fails(
        2,
        &[
            "connect",
            "google",
            "--client-id",
            "a",
            "--api-endpoint",
            "http://mail.example",
        ],
    );
    assert!(mail.accounts().is_empty(), "what was refused is not kept");
    mail.connect(&emulator, "google", "work", "reader@gmail.example");
    for usage in [
        ["list", "is:new"].as_slice(),
        &["list", "colour:red"],
        &["--account", "other", "list"],
        &["mark", "purple", "an-id"],
        &["move", "no such folder", "an-id"],
        &["send", "--to", "nobody"],
        &["send", "--to", "a@desk.example", "--attach", "missing.pdf"],
        &["connect", "yahoo"],
    ] {
        mail.fails(2, usage);
    }
    mail.fails(4, &["read", "no-such-message"]);
    mail.fails(4, &["mark", "read", "no-such-message"]);

    // The person says no, or signs in to another mailbox: the account stays what it was.
    for (address, decision) in [
        ("reader@gmail.example", "cancel"),
        ("team@gmail.example", "allow"),
    ] {
        let (process, _messages, url) = mail.begin("work", &emulator.registration("google"));
        click(&url, address, decision);
        assert_eq!(process.wait_with_output().unwrap().status.code(), Some(4));
    }
    // So does a registration that is no good.
    let mut wrong = emulator.registration("google");
    wrong[5] = "another-secret".to_owned();
    let (process, _messages, url) = mail.begin("work", &wrong);
    click(&url, "reader@gmail.example", "allow");
    assert_eq!(process.wait_with_output().unwrap().status.code(), Some(4));
    assert!(!mail.list("work", "in:inbox").is_empty());

    // Consent is withdrawn elsewhere.
    let record = std::fs::read_to_string(mail.path("store/accounts/account=work.json")).unwrap();
    let token = record
        .split('"')
        .find(|text| text.starts_with("1//"))
        .unwrap()
        .trim_end_matches('\\');
    let revoke = format!("{}revoke", emulator.base("google"))
        .parse()
        .unwrap();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token);
    let answer = fetch("POST", &revoke, &form.finish());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let said = mail.fails(3, &["list"]);
    assert!(said.contains("mail --account work connect"), "{said}");
    assert_eq!(mail.accounts(), ["work"]);

    mail.connect(&emulator, "google", "work", "reader@gmail.example");
    emulator.stop();
    mail.fails(5, &["list"]);
    assert_eq!(mail.accounts(), ["work"]);
}

#[test]
fn who_stops_reading_early_sees_no_error() {
    let emulator = Emulator::start();
    let mail = Mail::new();
    let (base, token) = (
        emulator.base("google"),
        emulator.access_token("reader@gmail.example"),
    );
    mail.json(
        "work",
        &[
            "connect",
            "google",
            "--access-token",
            token,
            "--api-endpoint",
            base,
        ],
    );
    for command in [["list", "in:inbox"], ["folders", "--json"]] {
        let mut process = mail.command(command).spawn().unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(errors(&output), "");
    }
}

/// Kills `mail` after so many lines of its log. That a kill within a save tears nothing is shown by the tests of the stores.
#[cfg(unix)]
#[test]
fn a_mail_that_is_killed_leaves_a_readable_store() {
    let emulator = Emulator::start();
    let mail = Mail::new();
    mail.connect(&emulator, "google", "work", "reader@gmail.example");
    let mut moments = 0;
    for lines in 0..40 {
        let (mut process, mut messages, url) = mail.begin(
            "other",
            &[
                emulator.registration("google"),
                vec!["--verbose".to_owned()],
            ]
            .concat(),
        );
        // Half of the calls are killed while they wait, the other half at some point of completing the sign-in.
        if lines % 2 == 1 {
            click(&url, "team@gmail.example", "allow");
            for _ in 0..lines / 2 % 4 {
                messages.read_line(&mut String::new()).unwrap();
            }
            for _ in 0..lines * 2_000 {
                std::hint::spin_loop();
            }
        }
        process.kill().unwrap();
        moments += usize::from(!process.wait().unwrap().success());
        let accounts = mail.accounts();
        assert!(
            accounts.iter().any(|account| account == "work"),
            "{accounts:?}"
        );
        assert!(readable(&mail.path("store")), "after {lines} lines");
    }
    assert!(
        moments >= 20,
        "most calls were killed before their end: {moments}"
    );
    assert!(!mail.list("work", "in:inbox").is_empty());
}

/// Whether everything with a final name is whole.
fn readable(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().all(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return readable(&path);
        }
        path.extension().is_none_or(|extension| extension != "json")
            || serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).is_ok()
    })
}

#[test]
fn ctrl_c_while_the_browser_is_awaited_ends_cleanly() {
    let emulator = Emulator::start();
    let mail = Mail::new();
    let (process, mut messages, _) = mail.begin("work", &emulator.registration("google"));
    let interrupt = Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status();
    if !interrupt.is_ok_and(|status| status.success()) {
        return; // Only Unix has the program.
    }
    let mut said = String::new();
    messages.read_to_string(&mut said).unwrap();
    assert_eq!(process.wait_with_output().unwrap().status.code(), Some(130));
    assert!(said.ends_with("Stopped.\n"), "{said}");
    assert!(mail.accounts().is_empty());
}

#[test]
fn the_readme_names_what_the_emulator_gives() {
    let emulator = Emulator::start();
    let readme = include_str!("../../README.md");
    for service in ["google", "microsoft"] {
        for what in ["client_id", "client_secret"] {
            let value = emulator.ready[service][what].as_str().unwrap();
            assert!(readme.contains(value), "{service}: {what}");
        }
    }
}
