//! Measures this crate against its peers and against a bare client, all on the same local server in turn; ../README.md says
//! how to read what it prints. Server and clients are processes of their own: this program again, with other arguments.

mod clients;
mod fields;
mod mail;
mod measure;
mod report;
mod server;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use url::Url;

use self::clients::{Kind, Result, Task};
use self::measure::{Measured, Reading};
use self::report::{Case, Run};
use self::server::{Counts, Settings};

/// Units a second where the quota of 2026 is enforced and time runs 60-fold.
const UNITS_PER_SECOND: u32 = 6_000;
/// A client that takes longer is run once.
const LONG_SECONDS: f64 = 5.0;
/// A case in which no client takes longer is run this many times as often: what else a machine does weighs more there than what
/// is measured.
const SHORT_SECONDS: f64 = 0.2;
const SHORT_AGAIN: usize = 9;

const GMAIL: [&str; 6] = [
    "floor",
    "floor, every field",
    "postroom",
    "io-gmail",
    "google-gmail1 by 16",
    "google-gmail1",
];
const GRAPH: [&str; 5] = [
    "floor",
    "floor, every field",
    "postroom",
    "io-msgraph",
    "graph-rs-sdk",
];
/// A copy lists this many of the newest messages first, and again in their turn; page by page, each from the second in which
/// the one before it ended.
const TOLD_AHEAD: u64 = 250;
/// As many times the messages are read once more by this crate alone, whose memory is not to grow with them.
const LARGER: usize = 10;
const OWN: [&str; 1] = ["postroom"];
const QUOTA: [&str; 2] = ["postroom", "google-gmail1 by 16"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["server", settings] => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            Ok(runtime.block_on(server::run(serde_json::from_str(settings)?))?)
        }
        ["client", client, kind, reading, port, messages] => {
            let server: Url = format!("http://127.0.0.1:{port}/").parse()?;
            let task = Task {
                kind: Kind::parse(kind).ok_or("there is no such task")?,
                reading: match *reading {
                    "every-field" => Reading::EveryField,
                    _ => Reading::AsItComes,
                },
                server: &server,
                messages: messages.parse()?,
            };
            let measured = clients::run(client, task)?;
            if measured.messages != task.messages as u64 {
                return Err(format!("{} messages came", measured.messages).into());
            }
            println!("{}", serde_json::to_string(&measured)?);
            Ok(())
        }
        ["--quick"] => compare(1, 60, 150),
        [] => compare(5, 2_000, 5_000),
        [only] => compare_only(only, 5, 2_000, 5_000),
        _ => Err("arguments: nothing, --quick, or a part of a case's name".into()),
    }
}

fn compare(rounds: usize, messages: usize, with_quota: usize) -> Result<()> {
    compare_only("", rounds, messages, with_quota)
}

fn compare_only(only: &str, rounds: usize, messages: usize, with_quota: usize) -> Result<()> {
    prove(Kind::Gmail, &GMAIL, messages)?;
    prove(Kind::Graph(100), &GRAPH, messages)?;
    prove(Kind::GraphDelta(100), &GRAPH, messages)?;
    println!("Every client read the same fields of the same messages.\n");
    let mut cases = Vec::new();
    for (latency_ms, inner_ms) in [(20, 0), (0, 0), (20, 5), (0, 5)] {
        cases.push(Case {
            name: format!(
                "Gmail, {messages} whole messages, {latency_ms} ms, {inner_ms} ms a message"
            ),
            kind: Kind::Gmail,
            settings: settings(messages, latency_ms, inner_ms),
            clients: &GMAIL,
        });
    }
    for size in [100, 1_000] {
        cases.push(Case {
            name: format!("Graph, {messages} listed messages in pages of {size}, 20 ms"),
            kind: Kind::Graph(size),
            settings: settings(messages, 20, 0),
            clients: &GRAPH,
        });
        cases.push(Case {
            name: format!("Graph, {messages} listed messages in pages of {size}, 0 ms"),
            kind: Kind::Graph(size),
            settings: settings(messages, 0, 0),
            clients: &GRAPH,
        });
        cases.push(Case {
            name: format!("Graph delta, {messages} messages in pages of {size}, 20 ms"),
            kind: Kind::GraphDelta(size),
            settings: settings(messages, 20, 0),
            clients: &GRAPH,
        });
    }
    cases.push(Case {
        name: format!("Gmail's quota, {with_quota} whole messages in conversations, time 60-fold"),
        kind: Kind::GmailQuota(UNITS_PER_SECOND * 60),
        settings: Settings {
            mixed_threads: true,
            units_per_second: Some(UNITS_PER_SECOND.into()),
            ..settings(with_quota, 20, 0)
        },
        clients: &QUOTA,
    });
    for (kind, what) in [(Kind::Gmail, "whole"), (Kind::Graph(100), "listed")] {
        let larger = messages * LARGER;
        cases.push(Case {
            name: format!("Memory, {larger} {what} messages, 0 ms"),
            kind,
            settings: settings(larger, 0, 0),
            clients: &OWN,
        });
        cases.push(Case {
            name: format!("Memory, {messages} {what} messages, 0 ms"),
            kind,
            settings: settings(messages, 0, 0),
            clients: &OWN,
        });
    }
    let mut bars = Vec::new();
    let mut larger = None;
    for case in cases.into_iter().filter(|case| case.name.contains(only)) {
        let rounds = if case.settings.units_per_second.is_some() {
            1
        } else {
            rounds
        };
        let runs = measure(&case, rounds)?;
        report::print(&case, &runs);
        bars.extend(report::bars(&case, &runs));
        if case.clients == OWN {
            match larger.take() {
                None => larger = Some(runs),
                Some(larger) => bars.extend(report::memory_bar(&case, &larger, &runs)),
            }
        }
    }
    report::print_bars(&bars);
    Ok(())
}

fn settings(messages: usize, latency_ms: u64, inner_ms: u64) -> Settings {
    Settings {
        messages,
        mixed_threads: false,
        latency_ms,
        inner_ms,
        units_per_second: None,
    }
}

/// Holds what the clients read against one another, field by field.
fn prove(kind: Kind, clients: &[&str], messages: usize) -> Result<()> {
    let server = Server::start(settings(messages, 0, 0))?;
    let mut first: Option<(&str, u64)> = None;
    for client in clients {
        let run = server.run(client, kind, Reading::EveryField)?;
        match first {
            None => first = Some((client, run.measured.sum)),
            Some((other, sum)) if sum != run.measured.sum => {
                return Err(format!("{kind}: {client} reads other fields than {other}").into());
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Runs the clients of a case in turn, round by round.
fn measure(case: &Case, rounds: usize) -> Result<Vec<(&'static str, Vec<Run>)>> {
    let server = Server::start(case.settings)?;
    let mut runs: Vec<(&str, Vec<Run>)> = case
        .clients
        .iter()
        .map(|client| (*client, Vec::new()))
        .collect();
    let mut round = 0;
    let mut short = rounds > 1;
    while round < rounds || (short && round < rounds * SHORT_AGAIN) {
        round += 1;
        for (client, runs) in &mut runs {
            if runs
                .first()
                .is_some_and(|run| run.measured.wall_seconds > LONG_SECONDS)
            {
                continue;
            }
            let reading = if client.ends_with("every field") {
                Reading::EveryField
            } else {
                Reading::AsItComes
            };
            let run = server.run(client, case.kind, reading)?;
            short &= run.measured.wall_seconds < SHORT_SECONDS;
            runs.push(run);
        }
    }
    prove_ids(case, &runs)?;
    // Whoever reads conversations as a whole may get a message twice for fewer units.
    if !case.settings.mixed_threads {
        prove_bytes(case, &runs)?;
    }
    Ok(runs)
}

/// All runs of a case must have read each message once: those that decode everything the same fields, the others the same ids.
fn prove_ids(case: &Case, runs: &[(&str, Vec<Run>)]) -> Result<()> {
    let mut expected = [None; 2];
    for (client, runs) in runs {
        let first = &mut expected[usize::from(client.ends_with("every field"))];
        for run in runs {
            let read = (run.measured.messages, run.measured.sum);
            if *first.get_or_insert(read) != read {
                let name = &case.name;
                return Err(format!("{name}: {client} read other messages than the rest").into());
            }
        }
    }
    Ok(())
}

/// All runs of a case must have had the same of the server, but for the messages of seconds in which ranges of time meet:
/// those come with both.
fn prove_bytes(case: &Case, runs: &[(&str, Vec<Run>)]) -> Result<()> {
    let mut bytes = runs.iter().flat_map(|(client, runs)| {
        runs.iter()
            .map(move |run| (client, run.counts.message_bytes))
    });
    let Some((_, expected)) = bytes.next() else {
        return Ok(());
    };
    let again = match case.kind {
        Kind::GraphDelta(_) => TOLD_AHEAD + 40,
        _ => 4,
    };
    let most = expected + again * expected / case.settings.messages as u64;
    match bytes.find(|(_, bytes)| !(expected..=most).contains(bytes)) {
        Some((client, bytes)) => {
            let name = &case.name;
            Err(format!("{name}: {client} got {bytes} bytes of messages, not {expected}").into())
        }
        None => Ok(()),
    }
}

/// A server in a process of its own, which ends with this.
struct Server {
    process: Child,
    port: u16,
    settings: Settings,
}

impl Server {
    fn start(settings: Settings) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["server", &serde_json::to_string(&settings)?])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self {
            process,
            port: line.trim().parse()?,
            settings,
        })
    }

    fn run(&self, client: &str, kind: Kind, reading: Reading) -> Result<Run> {
        self.counts()?;
        let output = Command::new(std::env::current_exe()?)
            .args(["client", client, &kind.to_string()])
            .arg(match reading {
                Reading::EveryField => "every-field",
                Reading::AsItComes => "as-it-comes",
            })
            .args([self.port.to_string(), self.settings.messages.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("{client} failed at {kind}").into());
        }
        let measured: Measured = serde_json::from_slice(&output.stdout)?;
        let counts = self.counts()?;
        Ok(Run { measured, counts })
    }

    /// What was asked since the last time.
    fn counts(&self) -> Result<Counts> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream
            .write_all(b"GET /counts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .ok_or("the server does not count")?;
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
