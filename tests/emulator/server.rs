//! The emulator as a server: what goes wrong on request, TLS and HTTP/2, time, the log and the file of
//! requests, mail of one's own. What each vendor's API does is in the tests named after it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::gmail_client::{Gmail, HandClock, OUTLOOK, READER, TEAM, mail, raw};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::Method;
use postroom::clock::Clock;
use postroom::emulator::{Emulator, Fault, FaultKind, Vendor};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

async fn start() -> (Emulator, Gmail) {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    (emulator, gmail)
}

#[tokio::test]
async fn a_fault_strikes_what_it_is_meant_for_as_often_as_it_says() {
    let (emulator, gmail) = start().await;
    let fault = Fault::new(FaultKind::unavailable(Some(Duration::from_secs(7))))
        .on(Method::GET, "/labels")
        .after(1)
        .times(2);
    emulator.fault(fault);
    let mut seen = Vec::new();
    for path in ["/labels", "/profile", "/labels", "/labels", "/labels"] {
        let answer = gmail.get(path).await;
        seen.push(answer.status);
        if answer.status == 503 {
            assert_eq!(answer.headers["retry-after"], "7");
            answer.assert_refused(503, "backendError", "currently unavailable");
        }
    }
    assert_eq!(seen, [200, 200, 503, 503, 200]);
}

#[tokio::test]
async fn ready_made_faults_speak_as_the_vendor_does() {
    let (emulator, gmail) = start().await;
    for (kind, status, reason) in [
        (FaultKind::rate_limited(None), 429, "rateLimitExceeded"),
        (FaultKind::unauthorized(), 401, "authError"),
        (FaultKind::forbidden(), 403, "insufficientPermissions"),
        (FaultKind::not_found(), 404, "notFound"),
        (FaultKind::internal_error(), 500, "backendError"),
        (
            FaultKind::google_error(403, "dailyLimitExceeded", "Daily Limit Exceeded"),
            403,
            "dailyLimitExceeded",
        ),
    ] {
        emulator.fault(Fault::new(kind).at(Vendor::Google));
        gmail
            .get("/profile")
            .await
            .assert_refused(status, reason, "");
    }
    emulator.fault(Fault::new(FaultKind::rate_limited(None)).at(Vendor::Microsoft));
    assert_eq!(gmail.get("/profile").await.status, 200);
    let url = &emulator.microsoft().base_url;
    let throttled = reqwest_client().get(url.join("v1.0/me").unwrap());
    let throttled = throttled.send().await.unwrap();
    assert_eq!(throttled.status(), 429);
    let body: Value = serde_json::from_slice(&throttled.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "ApplicationThrottled");
}

#[tokio::test]
async fn a_fault_strikes_single_calls_inside_a_batch() {
    let (emulator, gmail) = start().await;
    emulator.fault(Fault::new(FaultKind::rate_limited(None)).on(Method::GET, "/labels"));
    let part = |path: &str| {
        format!(
            "--b\r\nContent-Type: application/http\r\n\r\nGET /gmail/v1/users/me{path}\r\n\r\n\r\n"
        )
    };
    let body = format!("{}{}--b--\r\n", part("/labels"), part("/profile"));
    let kind = [("Content-Type", "multipart/mixed; boundary=b")];
    let answer = gmail
        .send("POST", "/batch/gmail/v1", &kind, body.as_bytes())
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("HTTP/1.1 429 Too Many Requests"));
    assert!(answer.text().contains("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_connection_is_dropped_before_or_after_the_effect() {
    let (emulator, gmail) = start().await;
    let authorization = format!("Bearer {}", gmail.token);
    let body = raw(&mail(READER, TEAM, "Cut off")).to_string();
    let length = body.len().to_string();
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
        ("Content-Length", length.as_str()),
    ];
    for (kind, arrived) in [(FaultKind::DropBefore, 0), (FaultKind::DropAfter, 1)] {
        emulator.fault(Fault::new(kind));
        let path = "/gmail/v1/users/me/messages/send";
        let answer = gmail
            .exchange("POST", path, &headers, body.as_bytes())
            .await;
        assert!(answer.is_none());
        assert_eq!(emulator.messages(TEAM).len(), arrived);
    }
}

#[tokio::test]
async fn answers_come_distorted() {
    let (emulator, gmail) = start().await;
    emulator.fault(Fault::new(FaultKind::Truncate));
    let answer = gmail.get("/profile").await;
    let announced: usize = answer.headers["content-length"].parse().unwrap();
    assert_eq!(answer.body.len(), announced / 2);
    emulator.fault(Fault::new(FaultKind::Garbage(1_000_000)));
    let answer = gmail.get("/profile").await;
    assert_eq!((answer.status, answer.body.len()), (200, 1_000_000));
    emulator.fault(Fault::new(FaultKind::NotJson));
    let answer = gmail.get("/profile").await;
    assert!(answer.headers["content-type"].starts_with("text/html"));
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    emulator.fault(Fault::new(FaultKind::Nulls));
    let answer = gmail.read("/profile").await;
    let nothing = json!({"emailAddress": null, "messagesTotal": null, "threadsTotal": null,
        "historyId": null});
    assert_eq!(answer, nothing);
}

#[tokio::test]
async fn answers_take_their_time_and_are_dated_by_the_emulators_clock() {
    let clock = Arc::new(HandClock::new());
    let emulator = Emulator::builder()
        .empty()
        .clock(Arc::<HandClock>::clone(&clock))
        .latency(Duration::from_secs(2))
        .start()
        .await
        .unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let answer = gmail.get("/profile").await;
    assert_eq!(clock.monotonic(), Duration::from_secs(2));
    assert_eq!(answer.headers["date"], "Sun, 22 Nov 2026 12:00:02 GMT");
    emulator.fault(Fault::new(FaultKind::Delay(Duration::from_secs(60))));
    gmail.get("/profile").await.ok();
    assert_eq!(clock.monotonic(), Duration::from_secs(64));
}

/// A clock whose sleepers wake when the test says so.
#[derive(Debug)]
struct GateClock {
    sleeping: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl Clock for GateClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let _passed = self.gate.acquire().await;
    }
}

#[tokio::test]
async fn too_many_requests_under_way_are_refused() {
    let clock = Arc::new(GateClock {
        sleeping: AtomicUsize::new(0),
        gate: Semaphore::new(0),
    });
    let emulator = Emulator::builder()
        .empty()
        .clock(Arc::<GateClock>::clone(&clock))
        .latency(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let requests: Vec<_> = (0..53)
        .map(|_| {
            let gmail = gmail.clone();
            tokio::spawn(async move { gmail.get("/profile").await })
        })
        .collect();
    while clock.sleeping.load(Ordering::SeqCst) < 53 {
        tokio::task::yield_now().await;
    }
    clock.gate.add_permits(1_000);
    let mut refused = 0;
    for request in requests {
        let answer = request.await.unwrap();
        if answer.status != 200 {
            let message = "Too many concurrent requests for user.";
            answer.assert_refused(429, "rateLimitExceeded", message);
            refused += 1;
        }
    }
    assert_eq!(refused, 3);
    assert_eq!(gmail.get("/profile").await.status, 200);
}

fn reqwest_client() -> reqwest::Client {
    tls_client(&[])
}

/// A client that trusts these authorities and no other.
fn tls_client(authorities: &[&str]) -> reqwest::Client {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    for authority in authorities {
        let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(authority.as_bytes());
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy()
        .build()
        .unwrap()
}

#[tokio::test]
async fn both_servers_speak_http_2_over_tls_under_the_emulators_authority() {
    let emulator = Emulator::builder().empty().tls(true).start().await.unwrap();
    assert_eq!(emulator.google().base_url.scheme(), "https");
    let client = tls_client(&[emulator.authority_pem().unwrap()]);
    let url = emulator.google().base_url.join("gmail/v1/users/me/profile");
    let answer = client
        .get(url.unwrap())
        .bearer_auth(emulator.access_token(READER))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.status(), 200);
    let other = client.get(emulator.microsoft().base_url.clone());
    assert_eq!(other.send().await.unwrap().version(), http::Version::HTTP_2);
    // An HTTP/2 connection is not dropped for one request, but the request ends without an answer.
    emulator.fault(Fault::new(FaultKind::DropAfter));
    let dropped = client.get(emulator.google().base_url.clone()).send().await;
    assert!(dropped.is_err());
    let stranger = tls_client(&[]).get(emulator.google().base_url.clone());
    assert!(stranger.send().await.is_err());
}

#[tokio::test]
async fn the_log_and_the_recording_show_requests_without_their_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let emulator = Emulator::builder()
        .empty()
        .record(folder.path().to_path_buf())
        .start()
        .await
        .unwrap();
    let gmail = Gmail::new(&emulator, READER);
    gmail.get("/profile?prettyPrint=false").await.ok();
    let query = format!("?access_token={}", gmail.token);
    gmail.get(&format!("/labels{query}")).await.ok();
    let sign_in = "/token?code=secret-code";
    gmail.send("POST", sign_in, &[], b"client_secret=s").await;

    let log = emulator.requests();
    assert_eq!(log.len(), 3);
    assert_eq!(
        (log[0].method.as_str(), log[0].path.as_str(), log[0].status),
        ("GET", "/gmail/v1/users/me/profile", 200)
    );
    assert_eq!(log[0].query.as_deref(), Some("prettyPrint=false"));
    assert!(log[0].had_authorization);
    assert_eq!(log[2].query, None);

    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    let text = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((files.len(), lines.len()), (1, 2));
    assert_eq!(lines[0]["headers"]["authorization"], "Bearer x");
    assert_eq!(lines[0]["response"]["emailAddress"], READER);
    for secret in [gmail.token.as_str(), "secret-code"] {
        assert!(!text.contains(secret));
        assert!(!format!("{log:?}").contains(secret));
    }
}

#[tokio::test]
async fn the_ready_line_is_all_that_another_process_needs() {
    let (emulator, _) = start().await;
    let line = emulator.ready_line();
    assert!(!line.contains('\n'));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        line["google"]["base_url"],
        emulator.google().base_url.as_str()
    );
    assert_eq!(
        line["microsoft"]["client_secret"],
        emulator.microsoft().client_secret
    );
    let accounts = line["accounts"].as_array().unwrap();
    let addresses: BTreeSet<&str> = accounts
        .iter()
        .map(|account| account["address"].as_str().unwrap())
        .collect();
    assert!(addresses.is_superset(&BTreeSet::from([READER, TEAM, OUTLOOK])));
    let token = accounts[0]["access_token"].as_str().unwrap().to_owned();
    let gmail = Gmail::with_token(&emulator, token);
    assert_eq!(gmail.read("/profile").await["emailAddress"], READER);
}

#[tokio::test]
async fn mail_comes_from_a_folder_or_an_mbox() {
    let folder = tempfile::tempdir().unwrap();
    let first = mail("billing@shop.example", READER, "From a file");
    std::fs::write(folder.path().join("1.eml"), &first).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no mail").unwrap();
    let mbox = folder.path().join("all.mbox");
    let second = mail("billing@shop.example", READER, "Second").replace("\r\n", "\n");
    let entry = "From billing@shop.example Fri Nov 20 09:30:00 2026\n";
    let first_entry = first.replace("\r\n", "\n");
    std::fs::write(&mbox, format!("{entry}{first_entry}\n{entry}{second}\n")).unwrap();
    for (path, count) in [(folder.path().to_path_buf(), 1), (mbox, 2)] {
        let emulator = Emulator::builder()
            .empty()
            .mail(path)
            .start()
            .await
            .unwrap();
        for address in [READER, OUTLOOK] {
            let messages = emulator.messages(address);
            assert_eq!(messages.len(), count);
            let date: DateTime<Utc> = "2026-11-20T09:30:00Z".parse().unwrap();
            assert_eq!(messages[0].received, date);
        }
        let gmail = Gmail::new(&emulator, READER);
        gmail.find("subject:\"from a file\"").await;
    }
    let nowhere = Emulator::builder().mail(folder.path().join("missing"));
    assert!(nowhere.start().await.is_err());
}

#[tokio::test]
async fn mail_that_is_cut_or_scrambled_anywhere_can_still_be_read() {
    const WHOLE: &str = "From: =?utf-8?Q?Caf=C3=A9?= <desk@support.example>\r\n\
        To: reader@gmail.example\r\nSubject: =?iso-2022-jp?B?GyRCJDM=?= x\r\n\
        Date: Fri, 20 Nov 2026 09:30:00 +0000\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nInner.\r\n\
        --b\r\nContent-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        PABwAD4A\r\n--b--\r\n";
    let emulator = Emulator::builder()
        .empty()
        .quota(false)
        .start()
        .await
        .unwrap();
    for position in 0..WHOLE.len() {
        emulator.deliver(READER, &WHOLE.as_bytes()[..position]);
        let mut scrambled = WHOLE.as_bytes().to_vec();
        scrambled[position] ^= 0xa5;
        emulator.deliver(READER, &scrambled);
    }
    let gmail = Gmail::new(&emulator, READER);
    let mut read = 0;
    for message in emulator.messages(READER) {
        for format in ["full", "metadata"] {
            let path = format!("/messages/{}?format={format}", message.id);
            assert_eq!(gmail.read(&path).await["id"], message.id);
            read += 1;
        }
    }
    assert_eq!(read, 4 * WHOLE.len());
}

#[tokio::test]
async fn connections_end_with_the_emulator() {
    let (emulator, gmail) = start().await;
    let port = emulator.google().base_url.port().unwrap();
    let mut open = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    // Answered later than the connection above was accepted.
    gmail.get("/profile").await.ok();
    drop(emulator);
    // Closed or reset, but not open.
    let read = open.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}
