//! Uploads, batches and quota of the emulated Gmail: what is too much, too large or out of order is
//! refused in Google's words. Other refusals are in `emulator_google`.

use std::sync::Arc;
use std::time::Duration;

use crate::gmail_client::{Gmail, HandClock, READER, TEAM, mail, raw};
use postroom::emulator::{Emulator, EmulatorBuilder};

const SEND: &str = "/upload/gmail/v1/users/me/messages/send";

async fn start_with(builder: EmulatorBuilder) -> (Emulator, Gmail) {
    let emulator = builder.empty().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    (emulator, gmail)
}

async fn start() -> (Emulator, Gmail) {
    start_with(Emulator::builder().quota(false)).await
}

#[tokio::test]
async fn too_much_in_json_has_to_be_uploaded() {
    let (_emulator, gmail) = start().await;
    let mut message = mail(READER, TEAM, "Large");
    while message.len() < 4 * 1024 * 1024 {
        message.push_str("One line after the other, until it is long enough for this.\r\n");
    }
    let answer = gmail.post("/messages/send", raw(&message)).await;
    answer.assert_refused(400, "badRequest", "Request payload size exceeds the limit");
    let kind = [("Content-Type", "message/rfc822")];
    let target = format!("{SEND}?uploadType=media");
    let answer = gmail.send("POST", &target, &kind, message.as_bytes()).await;
    assert_eq!(answer.status, 200);
    while message.len() <= 36_700_160 {
        message.push_str(&message.clone());
    }
    let answer = gmail.send("POST", &target, &kind, message.as_bytes()).await;
    answer.assert_refused(413, "uploadTooLarge", "maximum message size");
}

#[tokio::test]
async fn an_upload_is_of_a_known_kind_and_form() {
    let (_emulator, gmail) = start().await;
    let message = mail(READER, TEAM, "A");
    let post = async |query: &str, kind: &str, body: &str| {
        let target = format!("{SEND}{query}");
        let kind = [("Content-Type", kind)];
        gmail.send("POST", &target, &kind, body.as_bytes()).await
    };
    let answer = post("?uploadType=media", "application/octet-stream", &message).await;
    answer.assert_refused(400, "badContent", "application/octet-stream");
    assert_eq!(post("", "message/rfc822", &message).await.status, 404);
    let answer = post("?uploadType=multipart", "message/rfc822", &message).await;
    answer.assert_refused(400, "badRequest", "Missing multipart boundary");
    let related = "multipart/related; boundary=b";
    let json = "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n";
    let media = format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{message}\r\n");
    for (body, message) in [
        (format!("{json}{media}"), "Malformed multipart body"),
        (format!("{json}--b--\r\n"), "exactly two parts"),
        (
            format!("{json}{media}{media}--b--\r\n"),
            "exactly two parts",
        ),
    ] {
        let answer = post("?uploadType=multipart", related, &body).await;
        answer.assert_refused(400, "badRequest", message);
    }
    let answer = post(
        "?uploadType=multipart",
        related,
        &format!("{media}{json}--b--\r\n"),
    )
    .await;
    answer.assert_refused(400, "badContent", "message/rfc822");
}

#[tokio::test]
async fn a_resumable_upload_keeps_to_its_ranges() {
    const CHUNK: usize = 256 * 1024;
    let (emulator, gmail) = start().await;
    let start = async |length: &str| {
        let headers = [
            ("X-Upload-Content-Type", "message/rfc822"),
            ("X-Upload-Content-Length", length),
        ];
        let target = format!("{SEND}?uploadType=resumable");
        gmail.send("POST", &target, &headers, b"").await
    };
    let too_large = start("36700161").await;
    too_large.assert_refused(413, "uploadTooLarge", "maximum message size");
    let begun = start("600000").await;
    let session = url::Url::parse(&begun.headers["location"]).unwrap();
    let session = format!("{}?{}", session.path(), session.query().unwrap());
    let body = vec![b'a'; CHUNK];
    for (range, length, message) in [
        ("bytes 0-99999/600000", 100_000, "exact multiple of 262144"),
        (
            "bytes 262144-524287/600000",
            CHUNK,
            "exceeds already uploaded size of 0 byte(s)",
        ),
        (
            "bytes 0-262143/500000",
            CHUNK,
            "announced with 600000 bytes",
        ),
        (
            "bytes 0-99/600000",
            CHUNK,
            "does not agree with the body's length",
        ),
        (
            "0-262143/600000",
            CHUNK,
            "Failed to parse Content-Range header",
        ),
    ] {
        let headers = [("Content-Range", range)];
        let answer = gmail.send("PUT", &session, &headers, &body[..length]).await;
        answer.assert_refused(400, "badRequest", message);
    }
    let unknown = format!("{SEND}?uploadType=resumable&upload_id=unknown");
    let answer = gmail.send("PUT", &unknown, &[], b"a").await;
    answer.assert_refused(404, "notFound", "Requested entity was not found.");
    assert!(emulator.messages(READER).is_empty());
}

#[tokio::test]
async fn a_resumable_upload_is_forgotten_after_a_week() {
    let clock = Arc::new(HandClock::new());
    let builder = Emulator::builder().clock(Arc::<HandClock>::clone(&clock));
    let (emulator, gmail) = start_with(builder).await;
    let target = format!("{SEND}?uploadType=resumable");
    let headers = [("X-Upload-Content-Type", "message/rfc822")];
    let begun = gmail.send("POST", &target, &headers, b"").await;
    let session = url::Url::parse(&begun.headers["location"]).unwrap();
    let session = format!("{}?{}", session.path(), session.query().unwrap());
    // The session's address outlives the token that began it.
    clock.advance(Duration::from_secs(6 * 24 * 60 * 60));
    let probe = [("Content-Range", "bytes */1000")];
    assert_eq!(gmail.send("PUT", &session, &probe, b"").await.status, 308);
    clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(gmail.send("PUT", &session, &probe, b"").await.status, 404);
    assert!(emulator.messages(READER).is_empty());
}

/// A batch of these request lines.
async fn batch(gmail: &Gmail, lines: &[String]) -> crate::gmail_client::Answer {
    let mut body = String::new();
    for (index, line) in lines.iter().enumerate() {
        body.push_str(&format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: <{index}>\r\n\r\n{line}\r\n\r\n\r\n"
        ));
    }
    body.push_str("--b--\r\n");
    let kind = [("Content-Type", "multipart/mixed; boundary=b")];
    gmail
        .send("POST", "/batch/gmail/v1", &kind, body.as_bytes())
        .await
}

fn count(text: &str, wanted: &str) -> usize {
    text.matches(wanted).count()
}

#[tokio::test]
async fn a_batch_holds_at_most_a_hundred_calls_and_no_batches_or_uploads() {
    let (_emulator, gmail) = start().await;
    let profile = "GET /gmail/v1/users/me/profile".to_owned();
    let answer = batch(&gmail, &vec![profile.clone(); 101]).await;
    answer.assert_refused(400, "badRequest", "Received: 101, Limit: 100");
    let answer = batch(&gmail, &[]).await;
    answer.assert_refused(400, "badRequest", "0 items");
    let kind = [("Content-Type", "application/json")];
    let answer = gmail.send("POST", "/batch/gmail/v1", &kind, b"{}").await;
    answer.assert_refused(400, "badRequest", "not multipart/mixed");
    let answer = gmail
        .exchange("POST", "/batch", &[("Content-Length", "0")], b"")
        .await;
    assert_eq!(answer.unwrap().status, 401);

    let lines = [
        profile,
        "POST /batch/gmail/v1".to_owned(),
        format!("POST {SEND}?uploadType=media"),
        "GET https://gmail.googleapis.com/gmail/v1/users/me/profile".to_owned(),
        "GET /gmail/v1/users/me/mesages".to_owned(),
        "GET /gmail/v1/users/me/messages?maxResults=x".to_owned(),
    ];
    let answer = batch(&gmail, &lines).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert_eq!(count(&text, "HTTP/1.1 200 OK"), 1, "{text}");
    assert_eq!(count(&text, "HTTP/1.1 400 Bad Request"), 4, "{text}");
    assert_eq!(count(&text, "HTTP/1.1 404 Not Found"), 1, "{text}");
}

#[tokio::test]
async fn a_large_batch_is_too_much_at_once_in_part() {
    let (_emulator, gmail) = start_with(Emulator::builder()).await;
    let profile = "GET /gmail/v1/users/me/profile".to_owned();
    let answer = batch(&gmail, &vec![profile.clone(); 100]).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert_eq!(count(&text, "HTTP/1.1 200 OK"), 50);
    assert_eq!(count(&text, "HTTP/1.1 429 Too Many Requests"), 50);
    assert!(text.contains("Too many concurrent requests for user."));
    let text = batch(&gmail, &vec![profile; 25]).await.text();
    assert_eq!(count(&text, "HTTP/1.1 200 OK"), 25);
}

#[tokio::test]
async fn units_run_out_for_each_user_and_come_back_with_time() {
    let clock = Arc::new(HandClock::new());
    let builder = || {
        Emulator::builder()
            .empty()
            .clock(Arc::<HandClock>::clone(&clock))
    };
    let emulator = builder().start().await.unwrap();
    let (gmail, other) = (Gmail::new(&emulator, READER), Gmail::new(&emulator, TEAM));
    // Looking for a thread costs 40 units whether there is one or not.
    let path = "/threads/ff?format=minimal";
    for _ in 0..25 {
        assert_eq!(gmail.get(path).await.status, 404);
    }
    let answer = gmail.get(path).await;
    answer.assert_refused(403, "rateLimitExceeded", "'Units per minute per user'");
    assert_eq!(answer.json()["error"]["errors"][0]["domain"], "usageLimits");
    assert_eq!(other.get(path).await.status, 404);
    clock.advance(Duration::from_millis(390));
    assert_eq!(gmail.get(path).await.status, 403);
    clock.advance(Duration::from_millis(10));
    assert_eq!(gmail.get(path).await.status, 404);

    // Sixty times as fast, what a minute allows is there after a second; no more is saved up.
    let emulator = builder().quota_speed(60.0).start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    for wait in [0, 1_000, 60_000] {
        clock.advance(Duration::from_millis(wait));
        for _ in 0..25 {
            assert_eq!(gmail.get(path).await.status, 404);
        }
        assert_eq!(gmail.get(path).await.status, 403);
    }
}
