//! The example programs `emulator` and `mail` as processes, and as much of a browser as it takes to sign in.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a failure in a test is a panic"
)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use url::Url;

/// Where `cargo test` puts the examples that it builds with the tests: beside the directory of this program.
pub(crate) fn example(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let directory = this.parent().unwrap().parent().unwrap().join("examples");
    directory.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The emulator in a process of its own; it ends with this.
pub(crate) struct Emulator {
    pub(crate) process: Child,
    pub(crate) ready: Value,
    _output: BufReader<ChildStdout>,
}

impl Emulator {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Without the services' quotas: each program that is started begins with a budget of its own, and all of them together would
    /// be refused.
    pub(crate) fn start_with(arguments: &[&OsStr]) -> Self {
        let mut process = Command::new(example("emulator"))
            .arg("--no-quota")
            .args(arguments)
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

    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn base(&self, service: &str) -> &str {
        self.ready[service]["base_url"].as_str().unwrap()
    }

    pub(crate) fn access_token(&self, address: &str) -> &str {
        let accounts = self.ready["accounts"].as_array().unwrap();
        let account = accounts
            .iter()
            .find(|account| account["address"] == address);
        account.unwrap()["access_token"].as_str().unwrap()
    }

    /// What `connect` is told of an account that has a token already.
    pub(crate) fn ready_made<'a>(&'a self, service: &'a str, address: &str) -> [&'a str; 6] {
        [
            "connect",
            service,
            "--api-endpoint",
            self.base(service),
            "--access-token",
            self.access_token(address),
        ]
    }

    /// What `connect` is told about this emulator.
    pub(crate) fn registration(&self, service: &str) -> Vec<String> {
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
pub(crate) struct Mail {
    pub(crate) directory: tempfile::TempDir,
}

impl Mail {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
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

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds, as `--account NAME --json …`, and reads its document.
    pub(crate) fn json(&self, account: &str, arguments: &[&str]) -> Value {
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
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(!errors.is_empty(), "{arguments:?} failed without a word");
        errors
    }

    pub(crate) fn accounts(&self) -> Vec<String> {
        let output = self.run(["--json", "accounts"]);
        assert!(output.status.success(), "{}", errors(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let accounts = document["accounts"].as_array().unwrap().iter();
        accounts
            .map(|account| account["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Starts `connect`, and gives it with the address that it asks to visit.
    pub(crate) fn begin(
        &self,
        account: &str,
        arguments: &[String],
    ) -> (Child, BufReader<ChildStderr>, Url) {
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
    pub(crate) fn connect(
        &self,
        emulator: &Emulator,
        service: &str,
        account: &str,
        address: &str,
    ) -> Value {
        let (process, _messages, url) = self.begin(account, &emulator.registration(service));
        let page = click(&url, address, "allow");
        assert!(page.contains("close this page"), "{page}");
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn list(&self, account: &str, query: &str) -> Vec<Value> {
        let document = self.json(account, &["list", query]);
        document["messages"].as_array().unwrap().clone()
    }
}

pub(crate) fn address_to_visit(messages: &mut impl BufRead) -> Url {
    let lines = messages.lines().map(Result::unwrap);
    let mut addresses = lines.filter_map(|line| line.trim().parse().ok());
    addresses.next().expect("`connect` says what to visit")
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn id(message: &Value) -> &str {
    message["id"].as_str().unwrap()
}

/// A browser, as far as it takes one: one request, and the whole answer.
pub(crate) fn fetch(method: &str, url: &Url, form: &str) -> String {
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
pub(crate) fn click(url: &Url, address: &str, decision: &str) -> String {
    let answer = decide(url, address, decision);
    fetch("GET", &led_to(&answer), "")
}

/// Where an answer sends the browser.
pub(crate) fn led_to(answer: &str) -> Url {
    let mut lines = answer.lines();
    let location = lines.find_map(|line| line.strip_prefix("location: "));
    let location = location.unwrap_or_else(|| panic!("the page leads nowhere: {answer}"));
    location.trim().parse().unwrap()
}

/// Chooses an account on the consent page, presses the button, and gives the answer to that.
pub(crate) fn decide(url: &Url, address: &str, decision: &str) -> String {
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
    fetch("POST", &action, &form.finish())
}
