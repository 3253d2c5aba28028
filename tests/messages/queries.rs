//! A query as a text and as a meaning: what is read is what was written, and a message is held against it as its
//! documentation says.

use chrono::{DateTime, Utc};
use postroom::{
    Address, Attachment, Detail, Folder, FolderId, FolderRole, Keyword, Message, NativeQuery,
    Query, QueryError,
};
use proptest::prelude::*;

fn parsed(text: &str) -> Query {
    text.parse().unwrap()
}

#[test]
fn every_kind_of_term_is_read_and_written() {
    for (text, query) in [
        ("*", Query::All),
        ("-*", Query::All.negated()),
        ("bcc:desk", Query::Bcc("desk".into())),
        (
            "filename:\"my plan.pdf\"",
            Query::AttachmentName("my plan.pdf".into()),
        ),
        ("larger:5120", Query::Larger(5 * 1024)),
        ("smaller:1", Query::Smaller(1)),
        ("category:\"Red category\"", Query::category("Red category")),
        ("is:answered", Query::Has(Keyword::Answered)),
        ("in:important", Query::InRole(FolderRole::Important)),
        ("in:Label_1", Query::InFolder("Label_1".into())),
        ("folder:inbox", Query::InFolder("inbox".into())),
        (
            "word:OR word:\"a b\" word:-c",
            Query::And(
                ["OR", "a b", "-c"]
                    .map(|word| Query::Word(word.into()))
                    .into(),
            ),
        ),
        (
            "\"say \\\"hello\\\" \\\\ twice\"",
            Query::Phrase("say \"hello\" \\ twice".into()),
        ),
        (
            "native:gmail:\"has:drive\"",
            Query::Native(NativeQuery::new("gmail", "has:drive")),
        ),
        (
            "after:2026-11-22T08:00:00.500Z",
            Query::After("2026-11-22T08:00:00.5Z".parse().unwrap()),
        ),
    ] {
        assert_eq!(parsed(text), query, "{text}");
        assert_eq!(query.to_string(), text);
    }
    for (text, same) in [
        ("a AND b", "a b"),
        ("NOT a", "-a"),
        ("a OR NOT (b AND c)", "a OR -(b c)"),
        ("larger:2m Smaller:3K", "larger:2097152 smaller:3072"),
        ("(a) ((b))", "a b"),
        ("--a", "a"),
        ("a OR b OR c", "a OR b OR c"),
        ("a b OR c d", "a (b OR c) d"),
        ("has:Attachment IS:Unread", "has:attachment -is:read"),
        ("subject:\"C:\\plan\"", "subject:C:\\plan"),
        ("", "*"),
    ] {
        assert_eq!(parsed(text).to_string(), same, "{text}");
    }
}

#[test]
fn a_text_that_is_no_query_is_explained() {
    for (text, explanation) in [
        ("label:x", "there is no field `label:`"),
        (
            "larger:five",
            "`larger:` cannot be `five`, but a number of bytes such as 5000, 20K or 5M",
        ),
        ("larger:+5", "`larger:` cannot be `+5`"),
        (
            "after:yesterday",
            "`after:` cannot be `yesterday`, but a date such as 2026-11-22",
        ),
        ("from:", "`from:` cannot be ``, but some text"),
        (
            "native:gmail",
            "`native:` cannot be `gmail`, but a language and a text",
        ),
        ("a OR", "a quote, a bracket or an OR is not complete"),
        ("NOT", "a quote, a bracket or an OR is not complete"),
        ("(a", "a quote, a bracket or an OR is not complete"),
        ("a)", "a quote, a bracket or an OR is not complete"),
        ("\"a\\\"", "a quote, a bracket or an OR is not complete"),
    ] {
        let error = text.parse::<Query>().unwrap_err().to_string();
        assert!(error.starts_with(explanation), "{text}: {error}");
    }
    let deep = "(".repeat(40) + &")".repeat(40);
    assert_eq!(deep.parse::<Query>(), Err(QueryError::TooLarge));
    assert_eq!(
        "a ".repeat(3_000).parse::<Query>(),
        Err(QueryError::TooLarge)
    );
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn report() -> Message {
    let mut message = Message::new("1".into());
    message.detail = Detail::Full;
    message.subject = Some("Der Plan für März: 会議室".into());
    message.from = vec![Address::received(
        Some("Billing, the Shop".into()),
        "Billing@shop.example",
    )];
    message.to = vec![Address::received(None, "support@desk.example")];
    message.received_at = Some(instant("2026-11-22T08:00:00.700Z"));
    message.size = Some(1_000);
    message.folders = Some(vec!["inbox-id".into()]);
    message.keywords = Some([Keyword::Flagged, Keyword::Custom("Red".into())].into());
    message.body.html = Some("<p>It&#8217;s <b>due</b> on 2026-11-30, don't wait</p>".into());
    let mut file = Attachment::new("1".into(), "text/csv");
    file.name = Some("figures-2026.csv".into());
    message.attachments = vec![file];
    message
}

fn folder(id: &str, role: FolderRole) -> Folder {
    let mut folder = Folder::new(id.into(), id);
    folder.role = Some(role);
    folder
}

#[test]
fn a_message_is_held_against_a_query_as_documented() {
    let message = report();
    let folders = [
        folder("inbox-id", FolderRole::Inbox),
        folder("trash-id", FolderRole::Trash),
    ];
    for yes in [
        "",
        "subject:plan",
        "subject:\"PLAN für märz\"",
        "subject:\"für, März:\"",
        "subject:議",
        "subject:会議",
        "from:billing@SHOP.example",
        "from:shop",
        "from:\"the shop\"",
        "from:@shop.example",
        "to:desk",
        "due",
        "\"due on 2026\"",
        "2026-11-30",
        "don't",
        "\"don t\"",
        "support@desk.example",
        "figures",
        "filename:csv",
        "filename:figures-2026",
        "has:attachment",
        "is:starred",
        "category:RED",
        "in:inbox-id",
        "in:inbox",
        "-in:trash",
        "in:flagged",
        "after:2026-11-22T08:00:00.9Z",
        "before:2026-11-22T08:00:01Z",
        "larger:1000",
        "smaller:1001",
        "plan -planet",
        "planet OR shop",
        "-(is:read is:starred)",
    ] {
        assert_eq!(parsed(yes).matches(&message, &folders), Some(true), "{yes}");
        assert_eq!(
            parsed(yes).negated().matches(&message, &folders),
            Some(false),
            "not {yes}"
        );
    }
    for no in [
        "-*",
        "subject:pla",
        "subject:\"plan märz\"",
        "subject:marz",
        "from:illing@shop.example",
        "from:a-billing@shop.example",
        "from:support",
        "cc:desk",
        "bcc:shop",
        "b",
        "quoted",
        "2026-12",
        "filename:cs",
        "is:read",
        "is:answered",
        "category:Re",
        "in:trash-id",
        "after:2026-11-22T08:00:01Z",
        "before:2026-11-22T08:00:00.9Z",
        "larger:1001",
        "smaller:1000",
        "subject:。",
    ] {
        assert_eq!(parsed(no).matches(&message, &folders), Some(false), "{no}");
    }
}

#[test]
fn what_a_message_does_not_tell_is_not_guessed() {
    let mut message = report();
    message.detail = Detail::Headers;
    message.body.html = None;
    message.attachments.clear();
    message.size = None;
    message.folders = None;
    for (text, answer) in [
        ("due", None),
        ("plan", Some(true)),
        ("has:attachment", None),
        ("larger:1", None),
        ("in:inbox-id", None),
        ("in:inbox", None),
        ("native:gmail:x", None),
        // What is known settles it where it can.
        ("due is:read", Some(false)),
        ("due is:starred", None),
        ("due OR is:starred", Some(true)),
        ("-due -is:starred", Some(false)),
    ] {
        assert_eq!(parsed(text).matches(&message, &[]), answer, "{text}");
    }
    for (text, detail) in [
        ("", Detail::Ids),
        ("from:a OR is:read", Detail::Headers),
        ("-(is:read a)", Detail::Full),
    ] {
        assert_eq!(parsed(text).detail(), detail, "{text}");
    }
    // A service without an archive archives by taking mail out of the others.
    message.folders = Some(vec!["Label_1".into()]);
    let folders = [
        folder("INBOX", FolderRole::Inbox),
        folder("SENT", FolderRole::Sent),
    ];
    assert_eq!(parsed("in:archive").matches(&message, &folders), Some(true));
    message.folders = Some(vec!["SENT".into()]);
    assert_eq!(
        parsed("in:archive").matches(&message, &folders),
        Some(false)
    );
}

/// Any text that is not blank.
fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("OR".to_owned()),
        Just(" ".to_owned()),
        Just("-".to_owned()),
        Just("from:".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("*".to_owned()),
        Just("NOT ".to_owned()),
        "\\PC{1,4}",
    ];
    prop::collection::vec(piece, 1..5)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("blank", |text| !text.trim().is_empty())
}

fn term() -> impl Strategy<Value = Query> {
    let folder = value().prop_map(FolderId::from);
    let instant = (0_i64..4_000_000_000, 0_u32..1_000_000_000)
        .prop_map(|(second, part)| DateTime::from_timestamp(second, part).unwrap());
    prop_oneof![
        Just(Query::All),
        value().prop_map(Query::From),
        value().prop_map(Query::Bcc),
        value().prop_map(Query::Subject),
        value().prop_map(Query::Word),
        value().prop_map(Query::Phrase),
        value().prop_map(Query::AttachmentName),
        value().prop_map(Query::category),
        folder.prop_map(Query::InFolder),
        Just(Query::HasAttachment),
        Just(Query::InRole(FolderRole::Flagged)),
        Just(Query::Has(Keyword::Seen)),
        any::<u64>().prop_map(Query::Larger),
        instant.clone().prop_map(Query::After),
        instant.prop_map(Query::Before),
        (value(), value())
            .prop_map(|(language, text)| Query::Native(NativeQuery::new(language, text))),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    term().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Query::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Query::Or),
            inner.prop_map(|query| Query::Not(Box::new(query))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_as_the_same_query(query in query()) {
        let text = query.to_string();
        prop_assume!(text.len() <= 4_096);
        prop_assert_eq!(text.parse::<Query>(), Ok(query.simplified()), "{}", text);
    }

    #[test]
    fn simpler_queries_mean_the_same(query in query()) {
        let (message, folders) = (report(), [folder("inbox-id", FolderRole::Inbox)]);
        let meant = query.matches(&message, &folders);
        let simplified = query.simplified();
        // What is settled either way is not left open, and never the other way round.
        if let Some(meant) = meant {
            prop_assert_eq!(simplified.matches(&message, &folders), Some(meant), "{}", simplified);
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,60}") {
        if let Ok(query) = text.parse::<Query>() {
            prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query));
        }
    }
}
