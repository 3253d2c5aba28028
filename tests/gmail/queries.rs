//! What becomes of queries at Gmail: what is sent, what is filtered here, and what is refused. That both together are
//! right is in `differential_search.rs`.

use crate::gmail::{batched, connect};
use crate::scripted::{Reply, Request, Scripted};
use postroom::{
    Detail, ErrorKind, Exactness, Gmail, Keyword, MailProvider, Outlook, PageRequest, Query,
    QueryPlan,
};
use serde_json::json;

/// What stands in a plan: the query that is sent, the labels, and what is filtered here.
fn told(plan: &QueryPlan) -> (Vec<&str>, Vec<&str>, String) {
    let sent = |wanted: &str| {
        let sent = plan.sent.iter();
        sent.filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
            .collect()
    };
    let filtered = match &plan.exactness {
        Exactness::Superset { filtered } => filtered.to_string(),
        Exactness::Exact => String::new(),
        other => format!("{other:?}"),
    };
    (sent("q"), sent("labelIds"), filtered)
}

/// Text of a query, what is sent as `q` and as labels, and what is filtered here.
const CASES: &[(&str, &str, &[&str], &str)] = &[
    ("", "", &[], ""),
    ("in:inbox is:unread", "-is:read", &["INBOX"], ""),
    ("in:trash", "", &["TRASH"], ""),
    ("in:Label_1 budget", "\"budget\"", &["Label_1"], ""),
    (
        "-(has:attachment plan)",
        "(-has:attachment OR -\"plan\")",
        &[],
        "",
    ),
    (
        "in:trash OR is:starred",
        "(in:trash OR is:starred) (-in:spam OR in:trash)",
        &[],
        "",
    ),
    (
        "before:2026-11-22T00:00:00.5Z after:2026-11-22T00:00:00.5Z",
        "before:1795305600 after:1795305600",
        &[],
        "",
    ),
    ("-in:trash", "-in:trash", &[], ""),
    ("-(-red blue)", "(\"red\" OR -\"blue\")", &[], ""),
    ("-(red OR is:starred)", "-\"red\" -is:starred", &[], ""),
    (
        "after:2026-11-22 -before:2026-11-23",
        "after:1795305600 after:1795392000",
        &[],
        "",
    ),
    (
        "subject:\"two words\" \"a phrase\"",
        "subject:\"two words\" \"a phrase\"",
        &[],
        "",
    ),
    ("in:archive", "-in:inbox -in:sent -in:draft", &[], ""),
    ("-in:archive", "(in:inbox OR in:sent OR in:draft)", &[], ""),
    (
        "-in:archive OR in:spam-folder",
        "",
        &[],
        "folder:INBOX OR folder:SENT OR in:DRAFT OR in:spam-folder",
    ),
    (
        "larger:5M -smaller:20K filename:pdf bcc:desk",
        "larger:5242880 larger:20480 filename:\"pdf\" bcc:\"desk\"",
        &[],
        "",
    ),
    ("from:shop cc:desk", "from:\"shop\" cc:\"desk\"", &[], ""),
    // An address is found within longer ones, and another recipient as a recipient.
    (
        "from:billing@shop.example",
        "from:\"billing@shop.example\"",
        &[],
        "from:billing@shop.example",
    ),
    ("to:desk is:unread", "to:\"desk\" -is:read", &[], "to:desk"),
    // What would be found too much is not excluded there.
    (
        "-from:billing@shop.example is:read",
        "is:read",
        &[],
        "-from:billing@shop.example",
    ),
    (
        "is:starred (from:me OR plan)",
        "is:starred",
        &[],
        "from:me OR plan",
    ),
    // A label of the user's own can be asked for as one of the conditions, and nowhere else.
    ("-in:Label_1 is:read", "is:read", &[], "-in:Label_1"),
    (
        "in:Label_1 OR in:inbox",
        "",
        &[],
        "in:Label_1 OR folder:INBOX",
    ),
    (
        "(in:Label_1 from:shop) OR plan",
        "(from:\"shop\" OR \"plan\")",
        &[],
        "(in:Label_1 from:shop) OR plan",
    ),
];

#[tokio::test]
async fn a_plan_tells_what_is_sent_and_what_is_filtered_here() {
    for (text, q, labels, filtered) in CASES {
        let service = Scripted::new(|_| Reply::json("{}"));
        let gmail = connect(&service);
        let query: Query = text.parse().unwrap();
        let plan = gmail.plan(&query).unwrap();
        let q: Vec<&str> = (!q.is_empty()).then_some(*q).into_iter().collect();
        assert_eq!(
            told(&plan),
            (q.clone(), labels.to_vec(), (*filtered).to_owned()),
            "{text}"
        );
        assert!(service.requests().is_empty(), "a plan asks nothing");

        gmail
            .list(&query, Detail::Ids, PageRequest::first())
            .await
            .unwrap();
        let request = &service.requests()[0];
        assert_eq!(request.query("q"), q, "{text}");
        assert_eq!(request.query("labelIds"), *labels, "{text}");
        let all = plan
            .sent
            .contains(&("includeSpamTrash".to_owned(), "true".to_owned()));
        assert_eq!(all, text.starts_with("in:trash"), "{text}");
        assert_eq!(
            request.query("includeSpamTrash").len(),
            usize::from(all),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_gmail_would_silently_answer_with_nothing_is_refused_here() {
    let service = Scripted::new(|_| Reply::json("{}"));
    let gmail = connect(&service);
    for query in [
        Query::Or(vec![]),
        Query::All.negated(),
        "-*".parse().unwrap(),
    ] {
        assert_eq!(gmail.plan(&query).unwrap().exactness, Exactness::Nothing);
        let nothing = gmail
            .list(&query, Detail::Ids, PageRequest::first())
            .await
            .unwrap();
        assert!(nothing.items.is_empty() && nothing.next.is_none());
    }
    let deep = (0..100).fold(Query::HasAttachment, |query, _| Query::Not(Box::new(query)));
    for (query, kind) in [
        (Query::Has(Keyword::Answered), ErrorKind::Unsupported),
        (
            Query::category("Red").or(Query::unread()),
            ErrorKind::Unsupported,
        ),
        (
            Outlook::native_filter("isRead eq true"),
            ErrorKind::Unsupported,
        ),
        (
            Gmail::native_query("has:drive").or(Query::InFolder("Label_1".into())),
            ErrorKind::Unsupported,
        ),
        (Query::Word("\" ".to_owned()), ErrorKind::InvalidRequest),
        (Query::Subject("…?!".to_owned()), ErrorKind::InvalidRequest),
        (
            Gmail::native_query("a) OR (in:anywhere"),
            ErrorKind::InvalidRequest,
        ),
        (Gmail::native_query("{a"), ErrorKind::InvalidRequest),
        (Gmail::native_query("\"a"), ErrorKind::InvalidRequest),
        (deep, ErrorKind::InvalidRequest),
    ] {
        let refused = gmail.list(&query, Detail::Ids, PageRequest::first()).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{query}");
        match gmail.plan(&query) {
            Ok(plan) => assert!(
                matches!(&plan.exactness, Exactness::Unsupported { why } if !why.is_empty()),
                "{query}"
            ),
            Err(error) => assert_eq!(error.kind(), kind, "{query}"),
        }
    }
    assert!(service.requests().is_empty());
}

#[tokio::test]
async fn a_native_query_is_sent_as_it_is_within_brackets() {
    let service = Scripted::new(|_| Reply::json("{}"));
    let drive = Gmail::native_query("has:drive OR list:(news)");
    let query = Query::unread().and(drive.negated());
    connect(&service)
        .list(&query, Detail::Ids, PageRequest::first())
        .await
        .unwrap();
    let sent = service.requests()[0].query("q");
    assert_eq!(sent, ["-is:read -(has:drive OR list:(news))"]);
    assert_eq!(query.to_string().parse::<Query>().unwrap(), query);
}

#[tokio::test]
async fn a_page_that_is_filtered_keeps_its_place_and_what_was_asked_of_it() {
    let message = |request: &Request| {
        let id = request.path().rsplit('/').next().unwrap().to_owned();
        let from = if id == "2" {
            "billing@shop.example"
        } else {
            "x-billing@shop.example"
        };
        json!({"id": id, "labelIds": ["INBOX"], "internalDate": "1795305600000", "payload": {
            "mimeType": "text/plain", "headers": [{"name": "From", "value": from}],
            "body": {"size": 4, "data": "cGxhbg=="}}})
    };
    let service = batched(move |request| match request.path() {
        "/gmail/v1/users/me/messages" if request.query("pageToken") == ["next"] => {
            Reply::json(json!({"messages": [{"id": "3"}]}))
        }
        "/gmail/v1/users/me/messages" => {
            Reply::json(json!({"messages": [{"id": "1"}, {"id": "2"}], "nextPageToken": "next"}))
        }
        _ => Reply::json(message(request)),
    });
    let gmail = connect(&service);
    let query: Query = "from:billing@shop.example (in:Label_1 OR plan)"
        .parse()
        .unwrap();
    let first = gmail
        .list(&query, Detail::Headers, PageRequest::first())
        .await
        .unwrap();
    let found = first.items.into_iter().map(Result::unwrap);
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id.as_str(), "2");
    // Its text was read to find it, and is not handed on.
    assert_eq!(found[0].detail, Detail::Headers);
    assert!(found[0].body.text.is_none());
    let next = PageRequest::first().with_token(first.next.unwrap());
    let last = gmail.list(&query, Detail::Headers, next).await.unwrap();
    assert!(last.items.is_empty() && last.next.is_none());
}

#[tokio::test]
async fn a_value_in_a_query_stays_a_value() {
    for value in [
        "x\" in:anywhere \"",
        "“x” OR in:trash",
        "x\r\nin:spam",
        "-in:inbox",
        "{from:a to:b}",
        "OR",
    ] {
        let service = Scripted::new(|_| Reply::json("{}"));
        for query in [
            Query::Word(value.to_owned()),
            Query::From(value.to_owned()),
            Query::Subject(value.to_owned()).negated(),
        ] {
            connect(&service)
                .list(&query, Detail::Ids, PageRequest::first())
                .await
                .unwrap();
        }
        for request in service.requests() {
            let q = request.query("q").remove(0);
            let (operator, phrase) = q.split_once('"').unwrap();
            assert!(["", "from:", "-subject:"].contains(&operator), "{q}");
            let phrase = phrase.strip_suffix('"').unwrap();
            assert!(!phrase.contains(['"', '“', '”', '\r', '\n']), "{q}");
        }
    }
}
