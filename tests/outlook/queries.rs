//! What becomes of queries at Outlook: what is sent, what is filtered here, and what is refused. That both together are
//! right is in `differential_search.rs`.

use crate::outlook::{calls, connect, with_own_folders};
use crate::scripted::{Reply, Request, Scripted};
use postroom::{
    Detail, ErrorKind, Exactness, FolderRole, Gmail, Keyword, MailProvider, Outlook, PageRequest,
    Query, QueryPlan,
};
use serde_json::{Value, json};

#[tokio::test]
async fn junk_and_trash_are_left_out_unless_they_are_named() {
    let service = with_own_folders(|_| {
        let places = ["f-inbox", "f-junk", "f-trash", "f-thrown-away"];
        let items: Vec<_> = places
            .iter()
            .map(|place| json!({"id": place, "parentFolderId": place, "subject": "plan"}))
            .collect();
        Reply::json(json!({"value": items}))
    });
    let outlook = connect(&service);
    let role = Query::InRole;
    let either = Query::or(role(FolderRole::Junk), role(FolderRole::Inbox));
    let cases = [
        (Query::All, vec!["f-inbox"]),
        (Query::Word("plan".into()), vec!["f-inbox"]),
        (Query::unread(), vec!["f-inbox"]),
    ];
    for (query, expected) in cases {
        let page = outlook
            .list(&query, Detail::Ids, PageRequest::first())
            .await
            .unwrap();
        let listed: Vec<_> = page.items.iter().flatten().map(|m| m.id.as_str()).collect();
        assert_eq!(listed, expected, "{query}");
    }
    let page = outlook
        .list(&role(FolderRole::Trash), Detail::Ids, PageRequest::first())
        .await
        .unwrap();
    assert_eq!(
        page.items.len(),
        4,
        "a folder's own path needs no looking through"
    );
    let service = with_own_folders(|request| {
        assert!(
            request.query("$filter")[0]
                .contains("(parentFolderId eq 'f-junk' or parentFolderId eq 'f-inbox')")
        );
        Reply::json(json!({"value": [
            {"id": "junk", "parentFolderId": "f-junk"}, {"id": "trash", "parentFolderId": "f-trash"},
        ]}))
    });
    // The scripted folders are named after their well-known names; junk's is short here.
    let page = connect(&service)
        .list(&either, Detail::Ids, PageRequest::first())
        .await
        .unwrap();
    let listed: Vec<_> = page.items.iter().flatten().map(|m| m.id.as_str()).collect();
    assert_eq!(listed, ["junk"]);
}

/// Every message was received after it.
const ALL: &str = "receivedDateTime ge 1970-01-01T00:00:00Z";

/// What stands in a plan: folder, `$filter`, `$search`, and what is filtered here.
fn told(plan: &QueryPlan) -> [String; 4] {
    let sent = |wanted: &str| {
        let mut sent = plan.sent.iter();
        let found = sent.find(|(name, _)| name == wanted);
        found
            .map(|(_, value)| value.replace(ALL, "ALL"))
            .unwrap_or_default()
    };
    let filtered = match &plan.exactness {
        Exactness::Superset { filtered } => filtered.to_string(),
        Exactness::Exact => String::new(),
        other => format!("{other:?}"),
    };
    [sent("folder"), sent("$filter"), sent("$search"), filtered]
}

/// Text of a query, the folder that is listed, `$filter`, `$search`, and what is filtered here.
const CASES: &[[&str; 5]] = &[
    ["", "", "", "", ""],
    ["in:inbox", "inbox", "", "", ""],
    [
        "in:sent is:unread",
        "sentitems",
        "ALL and isRead eq false",
        "",
        "",
    ],
    [
        "in:AAk= in:inbox",
        "AAk=",
        "ALL and parentFolderId eq '{inbox}'",
        "",
        "",
    ],
    [
        "-in:archive",
        "",
        "ALL and parentFolderId ne '{archive}'",
        "",
        "",
    ],
    [
        "from:o'brien@shop.example",
        "",
        "ALL and from/emailAddress/address eq 'o''brien@shop.example'",
        "",
        "",
    ],
    [
        "is:starred OR is:important",
        "",
        "ALL and (flag/flagStatus eq 'flagged' or importance eq 'high')",
        "",
        "",
    ],
    [
        "-(is:starred OR -is:draft)",
        "",
        "ALL and flag/flagStatus ne 'flagged' and isDraft eq true",
        "",
        "",
    ],
    [
        "has:attachment before:2026-11-22T08:00:00.5Z after:2026-11-01",
        "",
        "receivedDateTime lt 2026-11-22T08:00:00Z and receivedDateTime ge 2026-11-01T00:00:00Z and hasAttachments eq true",
        "",
        "",
    ],
    [
        "-after:2026-11-01",
        "",
        "receivedDateTime lt 2026-11-01T00:00:00Z",
        "",
        "",
    ],
    [
        "-category:O'Neil",
        "",
        "ALL and not (categories/any(c:c eq 'O''Neil'))",
        "",
        "",
    ],
    [
        "after:0001-01-01 is:read",
        "",
        "ALL and isRead eq true",
        "",
        "",
    ],
    // Words are found by their beginnings, and only where they are asked for.
    [
        "plan",
        "",
        "",
        "\"(plan OR recipients:plan OR attachment:plan)\"",
        "plan",
    ],
    [
        "in:inbox subject:plan -draft",
        "inbox",
        "",
        "\"subject:plan\"",
        "subject:plan -draft",
    ],
    [
        "from:shop subject:\"weekly plan\" has:attachment",
        "",
        "",
        "\"from:shop AND subject:\\\"weekly plan\\\" AND hasAttachments:true\"",
        "from:shop subject:\"weekly plan\"",
    ],
    [
        "to:a@shop.example OR (cc:b@shop.example is:important)",
        "",
        "",
        "\"(to:a@shop.example OR (cc:b@shop.example AND importance:high))\"",
        "to:a@shop.example OR (cc:b@shop.example is:important)",
    ],
    // What comparisons would say is filtered beside words; days narrow it down, whatever the time zone.
    [
        "subject:plan is:unread in:inbox -in:junk",
        "inbox",
        "",
        "\"subject:plan\"",
        "subject:plan -is:read -in:{junkemail}",
    ],
    [
        "subject:plan after:2026-11-01T12:00:00Z before:2026-11-02",
        "",
        "",
        "\"subject:plan AND received>=2026-10-31 AND received<=2026-11-04\"",
        "subject:plan after:2026-11-01T12:00:00Z before:2026-11-02T00:00:00Z",
    ],
    [
        "larger:5M smaller:6M",
        "",
        "",
        "\"size>=5242880 AND size<6291456\"",
        "",
    ],
    ["is:unread larger:10", "", "", "\"size>=10\"", "-is:read"],
    ["filename:pdf", "", "", "\"attachment:pdf\"", "filename:pdf"],
    // An alternative that only one language says cannot be asked for, and headers tell it.
    [
        "subject:plan OR is:starred",
        "",
        "",
        "",
        "subject:plan OR is:starred",
    ],
    [
        "in:inbox (plan OR is:starred)",
        "inbox",
        "",
        "",
        "plan OR is:starred",
    ],
    [
        "has:attachment (plan OR is:starred)",
        "",
        "ALL and hasAttachments eq true",
        "",
        "plan OR is:starred",
    ],
    // What people type is never an operator.
    [
        "word:\"not\" subject:c++ subject:pre*",
        "",
        "",
        "\"(\\\"not\\\" OR recipients:\\\"not\\\" OR attachment:\\\"not\\\") AND subject:\\\"c++\\\" AND subject:pre\"",
        "not subject:c++ subject:pre*",
    ],
];

#[tokio::test]
async fn a_plan_tells_what_is_sent_and_what_is_filtered_here() {
    for [text, expected @ ..] in CASES {
        let service = with_own_folders(|_| Reply::json(json!({"value": []})));
        let outlook = connect(&service);
        let query: Query = text.parse().unwrap();
        let plan = outlook.plan(&query).unwrap();
        assert_eq!(told(&plan), expected.map(str::to_owned), "{text}");
        assert!(service.requests().is_empty(), "a plan asks nothing");

        outlook
            .list(&query, Detail::Headers, PageRequest::first())
            .await
            .unwrap();
        let requests = service.requests();
        let is_listing = |request: &&Request| request.path().ends_with("/messages");
        let asked = requests.iter().find(is_listing).unwrap();
        let path = match expected[0] {
            "" => "/v1.0/me/messages".to_owned(),
            folder => format!(
                "/v1.0/me/mailFolders/{}/messages",
                folder.replace('=', "%3D")
            ),
        };
        assert_eq!(asked.path(), path, "{text}");
        let [_, filter, search, _] = expected;
        let sent = |name: &str| asked.query(name).pop().unwrap_or_default();
        // The scripted folders are named after their well-known names.
        let filter = filter
            .replace("ALL", ALL)
            .replace("'{", "'f-")
            .replace("}'", "'");
        assert_eq!(
            (sent("$filter"), sent("$search")),
            (filter, (*search).to_owned()),
            "{text}"
        );
        assert_eq!(
            asked.query("$orderby").is_empty(),
            !search.is_empty(),
            "{text}"
        );
        assert!(
            !asked.url.query().unwrap().contains('+'),
            "a plus is no space in OData"
        );
    }
}

#[tokio::test]
async fn a_query_that_outlook_cannot_be_asked_is_refused_before_anything_is_asked() {
    let service = Scripted::new(|_| Reply::status(500));
    let outlook = connect(&service);
    let parsed = |text: &str| text.parse::<Query>().unwrap();
    for (query, kind) in [
        (parsed("plan OR is:starred"), ErrorKind::Unsupported),
        (parsed("-plan"), ErrorKind::Unsupported),
        (parsed("larger:5M OR is:starred"), ErrorKind::Unsupported),
        (Query::Has(Keyword::Answered), ErrorKind::Unsupported),
        (Gmail::native_query("has:drive"), ErrorKind::Unsupported),
        (
            Outlook::native_filter("isRead eq true").and(Outlook::native_search("kind:email")),
            ErrorKind::Unsupported,
        ),
        (Query::Word("\"*".into()), ErrorKind::InvalidRequest),
        (
            Outlook::native_filter("isRead eq true) or (isDraft eq true"),
            ErrorKind::InvalidRequest,
        ),
        (
            Outlook::native_filter("subject eq 'it's'"),
            ErrorKind::InvalidRequest,
        ),
        (Outlook::native_search("\\"), ErrorKind::InvalidRequest),
    ] {
        let refused = outlook
            .list(&query, Detail::Ids, PageRequest::first())
            .await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{query}");
        match outlook.plan(&query) {
            Ok(plan) => assert!(
                matches!(&plan.exactness, Exactness::Unsupported { why } if !why.is_empty()),
                "{query}"
            ),
            Err(error) => assert_eq!(error.kind(), kind, "{query}"),
        }
    }
    let nothing = outlook
        .list(&Query::All.negated(), Detail::Ids, PageRequest::first())
        .await
        .unwrap();
    assert!(nothing.items.is_empty() && nothing.next.is_none());
    assert!(service.requests().is_empty());
}

#[tokio::test]
async fn native_queries_are_sent_as_they_are_within_brackets() {
    let service = with_own_folders(|_| Reply::json(json!({"value": []})));
    let outlook = connect(&service);
    let filter =
        Query::unread().and(Outlook::native_filter("startswith(subject,'it''s (')").negated());
    let search = Query::Larger(7).and(Outlook::native_search("kind:email OR subject:\"a (b\""));
    for query in [&filter, &search] {
        outlook
            .list(query, Detail::Ids, PageRequest::first())
            .await
            .unwrap();
        assert_eq!(query.to_string().parse::<Query>().unwrap(), *query);
    }
    let sent = |name: &str| -> Vec<String> {
        calls(&service)
            .iter()
            .flat_map(|call| call.query(name))
            .collect()
    };
    assert_eq!(
        sent("$filter"),
        [format!(
            "{ALL} and isRead eq false and not (startswith(subject,'it''s ('))"
        )]
    );
    assert_eq!(
        sent("$search"),
        ["\"size>=7 AND (kind:email OR subject:\\\"a (b\\\")\""]
    );
}

/// A service that gives the first 1,000 of its messages, as it does. There are 2,500, ten of which are sent each second.
fn long_search(seconds_apart: i64) -> Scripted {
    let sent = move |number: i64| {
        let start: chrono::DateTime<chrono::Utc> = "2026-11-22T08:00:00Z".parse().unwrap();
        start - chrono::TimeDelta::seconds(number / 10 * seconds_apart)
    };
    with_own_folders(move |request| {
        let search = request.query("$search").remove(0);
        let until = search
            .split_once("sent<=")
            .map(|(_, date)| date.trim_end_matches('"').to_owned());
        let skip = request
            .query("$skiptoken")
            .pop()
            .map_or(0, |text| text.parse().unwrap());
        let is_wanted = |number: &i64| {
            let day = sent(*number).format("%Y-%m-%d").to_string();
            until.as_ref().is_none_or(|until| day <= *until)
        };
        let found: Vec<i64> = (0..2_500).filter(is_wanted).take(1_000).collect();
        let page: Vec<Value> = found.iter().skip(skip).take(300)
            .map(|number| json!({"id": format!("m{number}"), "subject": "a plan", "sentDateTime": sent(*number)}))
            .collect();
        let mut answer = json!({"value": page});
        if skip + 300 < found.len() {
            let mut next = request.url.clone();
            let pairs: Vec<(String, String)> = next
                .query_pairs()
                .into_owned()
                .filter(|(name, _)| name != "$skiptoken")
                .collect();
            next.query_pairs_mut()
                .clear()
                .extend_pairs(pairs)
                .append_pair("$skiptoken", &(skip + 300).to_string());
            answer["@odata.nextLink"] = json!(next);
        }
        Reply::json(answer)
    })
}

async fn search_through(outlook: &Outlook) -> (Vec<String>, Option<ErrorKind>) {
    let query: Query = "subject:plan".parse().unwrap();
    let (mut ids, mut refusal) = (Vec::new(), None);
    let mut page = PageRequest::first().with_size(300);
    loop {
        let found = outlook.list(&query, Detail::Ids, page).await.unwrap();
        for item in found.items {
            match item {
                Ok(message) => ids.push(message.id.as_str().to_owned()),
                Err(error) => refusal = Some(error.kind()),
            }
        }
        match found.next {
            Some(next) => page = PageRequest::first().with_token(next),
            None => return (ids, refusal),
        }
    }
}

#[tokio::test]
async fn a_search_goes_on_where_the_service_gives_no_more() {
    let service = long_search(3_600);
    let (ids, refusal) = search_through(&connect(&service)).await;
    let expected: Vec<String> = (0..2_500).map(|number| format!("m{number}")).collect();
    assert_eq!(refusal, None);
    assert_eq!(ids, expected, "each message once, newest first");

    // More in a moment than the service gives: that is told, and nothing is passed over in silence.
    let service = long_search(1);
    let (ids, refusal) = search_through(&connect(&service)).await;
    assert_eq!(ids.len(), 1_000);
    assert_eq!(refusal, Some(ErrorKind::Unsupported));
}

#[tokio::test]
async fn what_was_read_for_the_filter_alone_is_not_handed_on() {
    let service = with_own_folders(|request| {
        assert!(request.query("$select")[0].contains("body,"));
        let item = |id: &str, text: &str| {
            let body = json!({"contentType": "html", "content": format!("<p>{text}</p>")});
            json!({"id": id, "isRead": false, "parentFolderId": "f-inbox", "body": body})
        };
        Reply::json(json!({"value": [item("a", "the <b>plan</b>"), item("b", "planets")]}))
    });
    let query: Query = "plan is:unread".parse().unwrap();
    let page = connect(&service)
        .list(&query, Detail::Headers, PageRequest::first())
        .await
        .unwrap();
    let found: Vec<_> = page.items.into_iter().map(Result::unwrap).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id.as_str(), found[0].detail),
        ("a", Detail::Headers)
    );
    assert!(found[0].body.html.is_none());
}
