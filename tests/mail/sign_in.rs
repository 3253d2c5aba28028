//! `mail connect` on machines that no browser can come back to, as processes: by pasting the address that the browser ended
//! at, and by typing a code on another machine.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Output, Stdio};

use crate::programs::{Emulator, Mail, address_to_visit, decide, errors, led_to};
use serde_json::Value;
use url::Url;

/// Starts `connect --paste`, and gives it with the address that it asks to visit.
fn begin(mail: &Mail, emulator: &Emulator, service: &str) -> (Child, Url) {
    let mut words = vec![
        "--account".to_owned(),
        "work".to_owned(),
        "--json".to_owned(),
    ];
    words.extend(emulator.registration(service));
    words.push("--paste".to_owned());
    let mut process = mail.command(&words).stdin(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(process.stderr.take().unwrap());
    let url = address_to_visit(&mut messages);
    // It goes on to talk, and must find somebody who listens.
    std::thread::spawn(move || messages.lines().for_each(drop));
    (process, url)
}

fn paste(mut process: Child, text: &str) -> Output {
    let mut input = process.stdin.take().unwrap();
    writeln!(input, "{text}").unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn the_address_that_a_browser_elsewhere_ended_at_connects_a_mailbox() {
    let emulator = Emulator::start();
    for (service, address) in [
        ("google", "reader@gmail.example"),
        ("microsoft", "reader@outlook.example"),
    ] {
        let mail = Mail::new();
        let (process, url) = begin(&mail, &emulator, service);
        let ended = led_to(&decide(&url, address, "allow"));
        let output = paste(process, &format!("  {ended} "));
        assert_eq!(output.status.code(), Some(0), "{service}");
        let account: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(account["address"], address);
        assert_eq!(account["status"]["name"], "active");
        assert!(!mail.list("work", "in:inbox").is_empty());

        // What is pasted next is no address, another sign-in's, or a refusal: the account stays what it was.
        let refused = |spoil: &dyn Fn(&Url) -> String, code: i32| {
            let (process, url) = begin(&mail, &emulator, service);
            let output = paste(process, &spoil(&url));
            assert_eq!(output.status.code(), Some(code), "{service}");
            assert!(output.stdout.is_empty());
        };
        refused(&|_| "what was I to paste?".to_owned(), 2);
        refused(&|_| ended.to_string(), 4);
        refused(
            &|url| led_to(&decide(url, address, "cancel")).to_string(),
            4,
        );
        assert!(!mail.list("work", "in:inbox").is_empty());
    }
}

#[test]
fn a_code_that_is_typed_on_another_machine_connects_a_mailbox() {
    let emulator = Emulator::start();
    let mail = Mail::new();
    let mut words = vec![
        "--account".to_owned(),
        "work".to_owned(),
        "--json".to_owned(),
    ];
    words.extend(emulator.registration("microsoft"));
    words.push("--device-code".to_owned());
    let mut process = mail.command(&words).spawn().unwrap();
    let mut messages = BufReader::new(process.stderr.take().unwrap());
    let mut url = address_to_visit(&mut messages);
    let mut code = String::new();
    messages.read_line(&mut code).unwrap();
    url.query_pairs_mut().append_pair("otc", code.trim());
    let page = decide(&url, "reader@outlook.example", "allow");
    assert!(page.contains("You have signed in"), "{page}");
    // The program asks by itself whether that has happened.
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let account: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(account["address"], "reader@outlook.example");
    assert!(!mail.list("work", "in:inbox").is_empty());
}

#[test]
fn a_code_for_gmail_is_refused_with_the_reason() {
    let emulator = Emulator::start();
    let mail = Mail::new();
    let mut words = emulator.registration("google");
    words.push("--device-code".to_owned());
    let output = mail.run(&words);
    assert_eq!(output.status.code(), Some(4));
    let said = errors(&output);
    assert!(said.contains("Google gives devices no access"), "{said}");
    assert!(mail.accounts().is_empty());
}
