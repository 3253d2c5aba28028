//! The example programs `emulator` and `mail` as their users meet them: two processes, standard output and error, exit
//! codes, Ctrl-C and worse. What the crate does underneath is in the other test files.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use url::Url;

/// Where `cargo test` puts the examples that it builds with the tests: beside the directory of this program.
fn example(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let directory = this.parent().unwrap().parent().unwrap().join("examples");
    directory.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The emulator in a process of its own; it ends with this.
struct Emulator {
    process: Child,
    ready: Value,
    _output: BufReader<ChildStdout>,
}

impl Emulator {
    fn start() -> Self {
        let mut process = Command::new(example("emulator"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("`cargo test` builds the examples; so does `cargo build --examples`");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self {
            process,
            ready,
            _output: output,
        }
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn base(&self, service: &str) -> &str {
        self.ready[service]["base_url"].as_str().unwrap()
    }

    fn access_token(&self, address: &str) -> &str {
        let accounts = self.ready["accounts"].as_array().unwrap();
        let account = accounts
            .iter()
            .find(|account| account["address"] == address);
        account.unwrap()["access_token"].as_str().unwrap()
    }

    /// What `connect` is told about this emulator.
    fn registration(&self, service: &str) -> Vec<String> {
        let base = self.base(service);
        let words = [
            "connect",
            service,
            "--client-id",
            self.ready[service]["client_id"].as_str().unwrap(),
            "--client-secret",
            self.ready[service]["client_secret"].as_str().unwrap(),
            "--auth-endpoint",
            base,
            "--api-endpoint",
            base,
        ];
        words.map(str::to_owned).to_vec()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `mail` with a store of its own.
struct Mail {
    directory: tempfile::TempDir,
}

impl Mail {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(example("mail"));
        for name in ["CLIENT_ID", "CLIENT_SECRET", "ACCESS_TOKEN", "STORE"] {
            command.env_remove(format!("POSTROOM_{name}"));
        }
        command
            .current_dir(self.directory.path())
            .arg("--store")
            .arg(self.path("store"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds, as `--account NAME --json …`, and reads its document.
    fn json(&self, account: &str, arguments: &[&str]) -> Value {
        let mut all = vec!["--account", account, "--json"];
        all.extend(arguments);
        let output = self.run(&all);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            errors(&output)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that ends with this code, and gives what it says.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(!errors.is_empty(), "{arguments:?} failed without a word");
        errors
    }

    fn accounts(&self) -> Vec<String> {
        let output = self.run(["--json", "accounts"]);
        assert!(output.status.success(), "{}", errors(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let accounts = document["accounts"].as_array().unwrap().iter();
        accounts
            .map(|account| account["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Starts `connect`, and gives it with the address that it asks to visit.
    fn begin(&self, account: &str, arguments: &[String]) -> (Child, BufReader<ChildStderr>, Url) {
        let mut words = vec![
            "--account".to_owned(),
            account.to_owned(),
            "--json".to_owned(),
        ];
        words.extend_from_slice(arguments);
        let mut process = self.command(&words).spawn().unwrap();
        let mut messages = BufReader::new(process.stderr.take().unwrap());
        let url = address_to_visit(&mut messages);
        (process, messages, url)
    }

    /// Connects an account as a person does: visits the address, chooses, and lets the browser go where it is sent.
    fn connect(&self, emulator: &Emulator, service: &str, account: &str, address: &str) -> Value {
        let (process, _messages, url) = self.begin(account, &emulator.registration(service));
        let page = click(&url, address, "allow");
        assert!(page.contains("close this page"), "{page}");
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn list(&self, account: &str, query: &str) -> Vec<Value> {
        let document = self.json(account, &["list", query]);
        document["messages"].as_array().unwrap().clone()
    }
}

fn address_to_visit(messages: &mut impl BufRead) -> Url {
    let lines = messages.lines().map(Result::unwrap);
    let mut addresses = lines.filter_map(|line| line.trim().parse().ok());
    addresses.next().expect("`connect` says what to visit")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn id(message: &Value) -> &str {
    message["id"].as_str().unwrap()
}

/// A browser, as far as it takes one: one request, and the whole answer.
fn fetch(method: &str, url: &Url, form: &str) -> String {
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(&address).unwrap();
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Chooses an account on the consent page, presses the button, and gives the page that the browser ends at.
fn click(url: &Url, address: &str, decision: &str) -> String {
    let page = fetch("GET", url, "");
    let values = |name: &str| {
        let start = format!("{name}=\"");
        let found: Vec<String> = page
            .split(&start)
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"))
            .collect();
        found
    };
    let action = url.join(&values("action")[0]).unwrap();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("account", address);
    for scope in values("name=\"scope\" value") {
        form.append_pair("scope", &scope);
    }
    form.append_pair("decision", decision);
    let answer = fetch("POST", &action, &form.finish());
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .unwrap_or_else(|| panic!("the page leads nowhere: {answer}"));
    fetch("GET", &location.trim().parse().unwrap(), "")
}

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
    let readme = include_str!("../README.md");
    for service in ["google", "microsoft"] {
        for what in ["client_id", "client_secret"] {
            let value = emulator.ready[service][what].as_str().unwrap();
            assert!(readme.contains(value), "{service}: {what}");
        }
    }
}
