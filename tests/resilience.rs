//! What the one request loop promises when answers are late, wrong, missing or hostile. The same script is given to both
//! providers, through their public calls.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{FutureExt, TryStreamExt};
use postroom::clock::Clock;
use postroom::credentials::{AccessToken, StaticToken, TokenSource};
use postroom::http::{Connection, Lane};
use postroom::testing::VirtualClock;
use postroom::{
    AttachmentId, Change, Delivery, Detail, Error, ErrorKind, Gmail, Keyword, MailProvider,
    Mailbox, MessageId, Outlook, PageRequest, PageToken, Query, SendTicket,
};
use support::{Script, Scripted};

const TOKEN: &str = "planted-access-token";

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

/// Both services, by name, over one script each.
fn both(answers: &[Scripted]) -> Vec<(&'static str, Arc<Script>, Mailbox, VirtualClock)> {
    let tokens: Arc<dyn TokenSource> = Arc::new(StaticToken::new(TOKEN));
    ["gmail", "outlook"]
        .into_iter()
        .map(|name| {
            let script = Script::new(answers.iter().cloned());
            let clock = VirtualClock::eager(start());
            let connection = Connection::new(script.clone(), Arc::clone(&tokens))
                .with_clock(Arc::new(clock.clone()));
            (name, script, mailbox(name, connection), clock)
        })
        .collect()
}

fn mailbox(name: &str, connection: Connection) -> Mailbox {
    match name {
        "gmail" => Mailbox::new(Gmail::new(connection).unwrap()),
        _ => Mailbox::new(Outlook::new(connection).unwrap()),
    }
}

/// Everything a host might print about an error.
fn printed(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

fn profile() -> Scripted {
    // Enough for either service.
    Scripted::json(
        200,
        r#"{"emailAddress":"reader@gmail.example","mail":"reader@gmail.example","id":"1"}"#,
    )
}

fn rate_limited(retry_after: Option<&str>) -> Scripted {
    let mut headers = vec![("date", "Mon, 21 Sep 2026 14:13:20 GMT".to_owned())];
    if let Some(value) = retry_after {
        headers.push(("retry-after", value.to_owned()));
    }
    Scripted::Answer(
        429,
        headers,
        r#"{"error":{"code":"TooManyRequests","message":"planted content"}}"#.into(),
    )
}

#[tokio::test]
async fn reads_are_repeated_until_the_service_recovers() {
    let answers = [
        Scripted::Unreachable,
        Scripted::Answer(503, Vec::new(), "<html>planted content</html>".into()),
        Scripted::Lost,
        Scripted::Truncated(r#"{"emailAddress":"#.into()),
        rate_limited(None),
        profile(),
    ];
    for (name, script, mailbox, _) in both(&answers) {
        assert_eq!(
            mailbox.profile().await.unwrap().address,
            "reader@gmail.example",
            "{name}"
        );
        assert_eq!(script.requests(), 6, "{name}");
    }
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_a_floor_in_either_form() {
    // The date is one minute after the answer's own date; the local clock plays no part.
    for (asked, least) in [("30", 30), ("Mon, 21 Sep 2026 14:14:20 GMT", 60)] {
        for (name, _, mailbox, clock) in both(&[rate_limited(Some(asked)), profile()]) {
            mailbox.profile().await.unwrap();
            assert!(
                clock.monotonic().as_secs() >= least,
                "{name} waited {:?}",
                clock.monotonic()
            );
        }
    }
}

#[tokio::test]
async fn a_wait_beyond_patience_is_told_and_not_taken() {
    for (name, script, mailbox, _) in both(&[rate_limited(Some("900")), profile()]) {
        let error = mailbox.profile().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{name}");
        assert_eq!(error.retry_after().unwrap().as_secs(), 900, "{name}");
        assert_eq!(script.requests(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_service_that_wants_to_be_left_alone_is_not_waited_for_in_silence() {
    for (name, script, mailbox, clock) in both(&[rate_limited(Some("900")), profile()]) {
        mailbox.profile().await.unwrap_err();
        clock.advance(Duration::from_secs(600));
        let error = mailbox.profile().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{name}");
        assert_eq!(error.delivery(), Delivery::NotSent, "{name}");
        assert_eq!(error.retry_after().unwrap().as_secs(), 300, "{name}");
        assert_eq!(script.requests(), 1, "{name}: nothing was asked");
        assert_eq!(clock.monotonic().as_secs(), 600, "{name}: nothing waited");
        clock.advance(Duration::from_secs(240));
        mailbox.profile().await.unwrap();
        assert!(clock.monotonic().as_secs() >= 900, "{name}");
    }
}

#[tokio::test]
async fn no_wait_that_a_service_asks_for_is_too_long_to_count() {
    for asked in [
        "18446744073709549568",
        "1e400",
        "-1",
        "NaN",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        for (name, _, mailbox, clock) in both(&[rate_limited(Some(asked))]) {
            clock.advance(Duration::from_secs(86_400));
            for _ in 0..2 {
                let error = mailbox.profile().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::RateLimited, "{name} {asked}");
            }
        }
    }
}

#[tokio::test]
async fn streams_that_nobody_reads_keep_nobody_waiting() {
    let ids: Vec<_> = (1..=5).map(|id| MessageId::new(id.to_string())).collect();
    for (name, _, mailbox, _) in both(&[Scripted::json(200, r#"{"raw":"","value":[]}"#)]) {
        let mut open = Vec::new();
        for id in &ids {
            let stream = mailbox.raw(id).now_or_never();
            open.push(stream.expect("a stream opens").unwrap());
        }
        let alone = mailbox.profile().now_or_never();
        assert!(alone.is_some(), "{name}: a single request was kept waiting");
        let batch = mailbox.messages_by_id(&ids, Detail::Ids).now_or_never();
        assert!(batch.is_some(), "{name}: a batch was kept waiting");
    }
}

#[tokio::test]
async fn a_send_is_repeated_only_after_a_refusal_that_proves_nothing_was_done() {
    for (name, kind) in [("gmail", "draft"), ("outlook", "draft")] {
        let dispatched = async |answers: &[Scripted]| {
            let script = Script::new(
                first_step(name)
                    .into_iter()
                    .chain(look(name))
                    .chain(answers.iter().cloned()),
            );
            let tokens = Arc::new(StaticToken::new(TOKEN));
            let clock = Arc::new(VirtualClock::eager(start()));
            let connection = Connection::new(script.clone(), tokens).with_clock(clock);
            let mailbox = mailbox(name, connection);
            let ticket = prepared(name, &mailbox, &script).await;
            let before = script.requests();
            let outcome = mailbox.dispatch(&ticket).await;
            (outcome, script.requests() - before - look(name).len())
        };
        let sent = match name {
            "gmail" => Scripted::json(
                200,
                r#"{"id":"sent","threadId":"thread","labelIds":["SENT"]}"#,
            ),
            _ => Scripted::Answer(202, Vec::new(), "".into()),
        };

        for lost in [Scripted::Lost, Scripted::Answer(504, Vec::new(), "".into())] {
            let (outcome, requests) = dispatched(&[lost, sent.clone()]).await;
            let error = outcome.unwrap_err();
            assert_eq!(error.delivery(), Delivery::Unknown, "{name} {kind}");
            assert_eq!(
                requests, 1,
                "{name} {kind}: nothing repeats what may have happened"
            );
        }
        for refused in [rate_limited(None), Scripted::Unreachable] {
            let (outcome, requests) = dispatched(&[refused, sent.clone()]).await;
            outcome.unwrap();
            assert_eq!(requests, 2, "{name} {kind}");
        }
    }
}

/// What the requests of the first step are answered with. Outlook is asked what lies there under the key, and told it.
fn first_step(name: &str) -> Vec<Scripted> {
    let draft = Scripted::json(
        201,
        r#"{"id":"draft","conversationId":"thread","isDraft":true}"#,
    );
    match name {
        "gmail" => vec![Scripted::json(
            200,
            r#"{"id":"draft","message":{"id":"message","threadId":"thread"}}"#,
        )],
        _ => vec![Scripted::json(200, r#"{"value":[]}"#), draft.clone(), draft],
    }
}

/// What is asked before a draft is dispatched: Outlook would send it from among the deleted items, too.
fn look(name: &str) -> Vec<Scripted> {
    match name {
        "gmail" => Vec::new(),
        _ => vec![Scripted::json(
            200,
            r#"{"responses":[
                {"id":"0","status":200,"body":{"id":"draft","isDraft":true,"parentFolderId":"drafts"}},
                {"id":"1","status":200,"body":{"id":"outbox"}},
                {"id":"2","status":200,"body":{"id":"trash"}}
            ]}"#,
        )],
    }
}

async fn prepared(name: &str, mailbox: &Mailbox, script: &Script) -> SendTicket {
    let outgoing = postroom::Outgoing::new()
        .to("support@desk.example".parse().unwrap())
        .text("Text");
    let ticket = mailbox
        .prepare(&outgoing, &postroom::SendKey::new("key"))
        .await
        .unwrap();
    assert_eq!(
        script.requests(),
        first_step(name).len(),
        "one draft was written"
    );
    ticket
}

/// Gives out a new token after each rejection.
#[derive(Debug, Default)]
struct Renewing(std::sync::Mutex<usize>);

#[async_trait]
impl TokenSource for Renewing {
    async fn token(&self) -> postroom::Result<AccessToken> {
        Ok(AccessToken::new(format!(
            "token-{}",
            self.0.lock().unwrap()
        )))
    }

    async fn reject(&self, _: &AccessToken) {
        *self.0.lock().unwrap() += 1;
    }
}

/// Has tokens for some requests, and then loses the answer of whoever gives them out.
#[derive(Debug)]
struct Lost(std::sync::atomic::AtomicUsize);

impl Lost {
    fn after(requests: usize) -> Self {
        Self(requests.into())
    }
}

#[async_trait]
impl TokenSource for Lost {
    async fn token(&self) -> postroom::Result<AccessToken> {
        let ordering = std::sync::atomic::Ordering::SeqCst;
        let left = self
            .0
            .fetch_update(ordering, ordering, |left| left.checked_sub(1));
        match left {
            Ok(_) => Ok(AccessToken::new(TOKEN)),
            Err(_) => Err(
                Error::new(ErrorKind::Network, "the token endpoint gave no answer")
                    .with_delivery(Delivery::Unknown),
            ),
        }
    }

    async fn reject(&self, _: &AccessToken) {}
}

#[tokio::test]
async fn a_send_for_which_there_was_no_token_was_not_sent() {
    for name in ["gmail", "outlook"] {
        let (first_step, look) = (first_step(name), look(name));
        for looks in 0..=look.len() {
            let script = Script::new(first_step.iter().chain(&look).cloned());
            let tokens = Arc::new(Lost::after(first_step.len() + looks));
            let mailbox = mailbox(name, Connection::new(script.clone(), tokens));
            let ticket = prepared(name, &mailbox, &script).await;
            let error = mailbox.dispatch(&ticket).await.unwrap_err();
            assert_eq!(error.delivery(), Delivery::NotSent, "{name}");
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_repeated() {
    let unauthorized = || {
        let body = r#"{"error":{"code":"InvalidAuthenticationToken","message":"planted content"}}"#;
        Scripted::json(401, body)
    };
    for name in ["gmail", "outlook"] {
        let script = Script::new([unauthorized(), profile()]);
        mailbox(
            name,
            Connection::new(script.clone(), Arc::new(Renewing::default())),
        )
        .profile()
        .await
        .unwrap();
        let tokens: Vec<_> = {
            let seen = script.seen.lock().unwrap();
            seen.iter()
                .map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(tokens, ["Bearer token-0", "Bearer token-1"], "{name}");

        let script = Script::new([unauthorized()]);
        let mailbox = mailbox(
            name,
            Connection::new(script.clone(), Arc::new(Renewing::default())),
        );
        let error = mailbox.profile().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{name}");
        assert_eq!(script.requests(), 2, "{name}: once is enough");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_an_error_that_quotes_nothing_of_it() {
    let garbage: Vec<u8> = b"planted content "
        .iter()
        .copied()
        .cycle()
        .take(10 * 1024 * 1024)
        .collect();
    let answers = [
        Scripted::Answer(200, Vec::new(), "planted content".into()),
        Scripted::Answer(200, Vec::new(), garbage.into()),
        Scripted::json(
            200,
            r#"{"messages":"planted content","value":"planted content"}"#,
        ),
        Scripted::json(200, r#"{"messages":[{"id":"planted content"#),
        Scripted::Answer(418, Vec::new(), "planted content".into()),
    ];
    for answer in answers {
        for (name, _, mailbox, _) in both(std::slice::from_ref(&answer)) {
            let error = mailbox
                .messages(Query::inbox())
                .try_next()
                .await
                .unwrap_err();
            let text = printed(&error);
            assert!(!text.contains("planted"), "{name}: {text}");
            assert!(
                error
                    .operation()
                    .is_some_and(|operation| operation.starts_with(name)),
                "{name}: {text}"
            );
            assert!(!error.is_transient(), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_nothing_but_nulls_is_empty_or_an_error_that_names_the_request() {
    let nulls = r#"{"messages":null,"value":null,"labels":null,"nextPageToken":null,"@odata.nextLink":null,"id":null,
        "threadId":null,"payload":null,"resultSizeEstimate":null,"emailAddress":null,"mail":null,"historyId":null}"#;
    for (name, _, mailbox, _) in both(&[Scripted::json(200, nulls)]) {
        let listed = mailbox
            .messages(Query::inbox())
            .try_collect::<Vec<_>>()
            .await;
        let unnamed = mailbox.message(&MessageId::new("1")).await.unwrap_err();
        let nobody = mailbox.profile().await.unwrap_err();
        for error in [unnamed, nobody] {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{name}");
            assert!(
                error
                    .operation()
                    .is_some_and(|operation| operation.starts_with(name)),
                "{name}: {error}"
            );
        }
        match name {
            // Gmail leaves an empty list out.
            "gmail" => assert!(listed.unwrap().is_empty()),
            _ => assert_eq!(listed.unwrap_err().kind(), ErrorKind::Protocol),
        }
    }
}

#[tokio::test]
async fn no_token_goes_to_another_host() {
    let script = Script::new([
        Scripted::json(
            200,
            r#"{"value":[],"@odata.nextLink":"https://graph.microsoft.com.attacker.example/v1.0/me/messages"}"#,
        ),
        profile(),
    ]);
    let outlook = Outlook::new(Connection::new(
        script.clone(),
        Arc::new(StaticToken::new(TOKEN)),
    ))
    .unwrap();
    let mailbox = Mailbox::new(outlook);
    let error = mailbox
        .messages(Query::inbox())
        .try_next()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(script.requests(), 1, "the foreign address was never asked");

    for foreign in [
        "https://attacker.example/v1.0/me/messages",
        "http://graph.microsoft.com/v1.0/me/messages",
        "https://graph.microsoft.com:8443/v1.0/me/messages",
        "https://graph.microsoft.com/v1.0/me/drive/recent",
        "not an address",
    ] {
        let page = PageRequest::first().with_token(PageToken::new(foreign));
        let error = mailbox
            .page(&Query::inbox(), Detail::Ids, page)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Protocol | ErrorKind::InvalidRequest
            ),
            "{foreign}"
        );
        assert_eq!(script.requests(), 1, "{foreign} was never asked");
    }
}

#[tokio::test]
async fn dropping_a_call_frees_its_place() {
    let clock = VirtualClock::by_hand(start());
    let script = Script::new([rate_limited(Some("30")), profile()]);
    let connection = Connection::new(script.clone(), Arc::new(StaticToken::new(TOKEN)))
        .with_clock(Arc::new(clock.clone()))
        .with_limits(postroom::http::Limits::concurrency(1));
    let mailbox = mailbox("gmail", connection);
    let waiting = tokio::spawn({
        let mailbox = mailbox.clone();
        async move { mailbox.profile().await }
    });
    clock.until_sleeping(1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    clock.advance(Duration::from_secs(31));
    mailbox.profile().await.unwrap();
}

/// Answers nothing until it is told how many requests to let through.
#[derive(Debug)]
struct Held {
    through: tokio::sync::Semaphore,
    asked: tokio::sync::watch::Sender<usize>,
    order: std::sync::Mutex<Vec<String>>,
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            through: tokio::sync::Semaphore::new(0),
            asked: tokio::sync::watch::Sender::new(0),
            order: std::sync::Mutex::default(),
        })
    }
}

#[async_trait]
impl postroom::http::Transport for Held {
    async fn send(
        &self,
        request: http::Request<postroom::Content>,
    ) -> Result<http::Response<postroom::ByteStream>, postroom::http::TransportError> {
        self.order
            .lock()
            .unwrap()
            .push(request.uri().path().to_owned());
        self.asked.send_modify(|asked| *asked += 1);
        self.through.acquire().await.unwrap().forget();
        let body: bytes::Bytes = r#"{"emailAddress":"reader@gmail.example","labels":[]}"#.into();
        let body = futures_util::stream::iter([Ok(body)]);
        Ok(http::Response::new(Box::pin(body)))
    }
}

#[tokio::test]
async fn who_stops_waiting_for_much_lets_those_go_who_wait_for_little() {
    let held = Held::new();
    let tokens = Arc::new(StaticToken::new(TOKEN));
    let outlook = Outlook::new(Connection::new(held.clone(), tokens)).unwrap();
    let ids: Vec<_> = (1..=4).map(|id| MessageId::new(id.to_string())).collect();
    let mut running = Box::pin(outlook.profile());
    assert!(futures_util::poll!(&mut running).is_pending());
    let mut batch = Box::pin(outlook.get(&ids, Detail::Ids));
    assert!(futures_util::poll!(&mut batch).is_pending());
    let mut waiting = Box::pin(outlook.profile());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(held.order.lock().unwrap().len(), 1);
    drop(batch);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(held.order.lock().unwrap().len(), 2, "it is on its way");
}

#[tokio::test]
async fn what_somebody_waits_for_goes_before_what_fills_a_copy() {
    let held = Held::new();
    let connection = Connection::new(held.clone(), Arc::new(StaticToken::new(TOKEN)))
        .with_limits(postroom::http::Limits::concurrency(1));
    let interactive = Gmail::new(connection).unwrap();
    let backfill = interactive.clone().with_lane(Lane::Backfill);

    // One request is on its way; of those that wait for its place, the later but more urgent one goes first.
    let profile = || {
        let gmail = interactive.clone();
        async move { gmail.profile().await.map(drop) }
    };
    let first = tokio::spawn(profile());
    held.asked
        .subscribe()
        .wait_for(|asked| *asked == 1)
        .await
        .unwrap();
    let mut patient = Box::pin(async { backfill.folders().await.map(drop) });
    assert!(futures_util::poll!(&mut patient).is_pending());
    let mut urgent = Box::pin(profile());
    assert!(futures_util::poll!(&mut urgent).is_pending());
    held.through.add_permits(3);
    first.await.unwrap().unwrap();
    let (urgent, patient) = futures_util::join!(urgent, patient);
    urgent.unwrap();
    patient.unwrap();
    let order = held.order.lock().unwrap().clone();
    assert_eq!(
        order,
        [
            "/gmail/v1/users/me/profile",
            "/gmail/v1/users/me/profile",
            "/gmail/v1/users/me/labels"
        ]
    );
    assert_eq!(interactive.spent().requests, 3);
    assert_eq!(
        interactive.spent().units,
        3,
        "a profile and a list of labels cost one unit each"
    );
}

#[tokio::test]
async fn no_error_of_any_call_holds_the_token_or_the_answer() {
    for status in [400, 401, 403, 404, 409, 410, 412, 413, 429, 500, 507] {
        let body = r#"{"error":{"code":"planted code!","message":"planted content","status":"x","errors":[{"message":
            "planted content","reason":"planted reason!"}],"innerError":{"request-id":"request-1"}}}"#;
        for (name, _, mailbox, _) in both(&[Scripted::json(status, body)]) {
            let id = MessageId::new("1");
            let errors = [
                mailbox.profile().await.err(),
                mailbox.folders().await.err(),
                mailbox.message(&id).await.err(),
                mailbox.raw(&id).await.err(),
                mailbox.attachment(&id, &AttachmentId::new("1")).await.err(),
                mailbox
                    .apply(std::slice::from_ref(&id), &Change::Set(Keyword::Seen))
                    .await
                    .map_or_else(Some, |mut outcomes| outcomes.remove(0).err()),
            ];
            for error in errors.into_iter().flatten() {
                let text = printed(&error);
                assert!(!text.contains("planted"), "{name} {status}: {text}");
            }
        }
    }
}
