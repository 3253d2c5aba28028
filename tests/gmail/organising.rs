//! Folders, changes and searches at Gmail: which labels and which search text stand for what a host says.

use crate::gmail::{batched, connect};
use crate::scripted::{Reply, Scripted};
use postroom::{
    Access, Change, Detail, ErrorKind, FolderId, FolderRole, Keyword, MailProvider, MessageId,
    PageRequest, Query,
};
use serde_json::json;

fn ids(ids: &[&str]) -> Vec<MessageId> {
    ids.iter().map(|id| MessageId::from(*id)).collect()
}

#[tokio::test]
async fn labels_are_folders_with_roles_and_parents_and_unread_is_none() {
    let service = Scripted::new(|_| {
        Reply::json(json!({"labels": [
            {"id": "Label_3", "name": "Clients/Shop/2026", "type": "user"},
            {"id": "CATEGORY_FORUMS", "name": "CATEGORY_FORUMS", "type": "system"},
            {"id": "UNREAD", "name": "UNREAD", "type": "system"},
            {"id": "Label_1", "name": "Clients", "type": "user"},
            {"id": "Label_2", "name": "a/b", "type": "user"},
            {"id": "SPAM", "name": "SPAM"},
            {"id": "INBOX", "name": "INBOX", "type": "SYSTEM"},
            {"name": "no id"}, null, {"id": "Label_9", "name": null, "type": "user"},
        ]}))
    });
    let folders = connect(&service).folders().await.unwrap();
    let told: Vec<_> = folders
        .iter()
        .map(|f| {
            (
                f.id.as_str(),
                f.name.as_str(),
                f.parent.as_ref().map(FolderId::as_str),
                f.role,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("INBOX", "INBOX", None, Some(FolderRole::Inbox)),
            ("SPAM", "SPAM", None, Some(FolderRole::Junk)),
            ("CATEGORY_FORUMS", "CATEGORY_FORUMS", None, None),
            ("Label_1", "Clients", None, None),
            ("Label_9", "Label_9", None, None),
            ("Label_3", "Shop/2026", Some("Label_1"), None),
            ("Label_2", "a/b", None, None),
        ]
    );
}

#[tokio::test]
async fn each_change_sets_and_clears_its_labels_and_no_others() {
    let to = |to: &str, from: Option<&str>| Change::MoveTo {
        to: to.into(),
        from: from.map(FolderId::from),
    };
    let cases: [(Change, &[&str], &[&str]); 11] = [
        (Change::Set(Keyword::Seen), &[], &["UNREAD"]),
        (Change::Clear(Keyword::Seen), &["UNREAD"], &[]),
        (Change::Set(Keyword::Flagged), &["STARRED"], &[]),
        (Change::Clear(Keyword::Important), &[], &["IMPORTANT"]),
        (Change::Archive, &[], &["INBOX"]),
        (Change::Trash, &["TRASH"], &["INBOX"]),
        (
            to("Label_1", None),
            &["Label_1"],
            &["INBOX", "SPAM", "TRASH"],
        ),
        (to("INBOX", None), &["INBOX"], &["SPAM", "TRASH"]),
        (to("Label_1", Some("Label_2")), &["Label_1"], &["Label_2"]),
        (to("Label_1", Some("Label_1")), &["Label_1"], &[]),
        (Change::RemoveFrom("Label_1".into()), &[], &["Label_1"]),
    ];
    for (change, add, remove) in cases {
        let service = Scripted::new(|_| Reply::json("{}"));
        connect(&service)
            .apply(&ids(&["a"]), &change)
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        let body = service.requests()[0].json();
        let labels = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        assert_eq!(labels("addLabelIds"), add, "{change:?}");
        assert_eq!(labels("removeLabelIds"), remove, "{change:?}");
    }
    for (change, kind) in [
        (Change::Set(Keyword::Answered), ErrorKind::Unsupported),
        (
            Change::Set(Keyword::Custom("red".to_owned())),
            ErrorKind::Unsupported,
        ),
        (Change::AddTo("SENT".into()), ErrorKind::Unsupported),
        (to("DRAFT", None), ErrorKind::Unsupported),
        (Change::AddTo("UNREAD".into()), ErrorKind::InvalidRequest),
    ] {
        let service = Scripted::new(|_| Reply::json("{}"));
        let refused = connect(&service).apply(&ids(&["a"]), &change).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{change:?}");
        assert!(service.requests().is_empty());
    }
}

#[tokio::test]
async fn a_change_to_many_costs_one_request_and_still_answers_for_each() {
    let asked: Vec<_> = (0..1200)
        .map(|number| MessageId::from(format!("m{number}")))
        .collect();
    let service = Scripted::new(|_| Reply::status(204));
    let results = connect(&service)
        .apply(&asked, &Change::Trash)
        .await
        .unwrap();
    assert!(results.len() == asked.len() && results.iter().all(Result::is_ok));
    let sizes: Vec<_> = service
        .requests()
        .iter()
        .map(|request| request.json()["ids"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [1000, 200]);

    // One id is wrong, and the service refuses all without saying which.
    let service = batched(|request| match request.path() {
        path if path.ends_with("/batchModify") => {
            Reply::error(404, json!({"error": {"code": 404}}))
        }
        path if path.contains("/m7/") => Reply::error(404, json!({"error": {"code": 404}})),
        _ => Reply::json("{}"),
    });
    let results = connect(&service)
        .apply(&asked[..30], &Change::Archive)
        .await
        .unwrap();
    let failed: Vec<_> = results
        .iter()
        .enumerate()
        .filter(|(_, result)| result.is_err())
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, 7);
    assert_eq!(
        failed[0].1.as_ref().unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn what_was_not_granted_is_refused_without_asking() {
    let service = Scripted::new(|_| Reply::json("{}"));
    let reads = connect(&service).with_access(Access::READ);
    let sends = connect(&service).with_access(Access::SEND);
    let outgoing = postroom::Outgoing::new().to("support@desk.example".parse().unwrap());
    let refused = [
        reads.apply(&ids(&["a"]), &Change::Trash).await.unwrap_err(),
        reads
            .prepare(&outgoing, &postroom::SendKey::new("k"))
            .await
            .unwrap_err(),
        sends.profile().await.unwrap_err(),
        sends.folders().await.unwrap_err(),
        sends.get(&ids(&["a"]), Detail::Ids).await.unwrap_err(),
        sends
            .list(&Query::All, Detail::Ids, PageRequest::first())
            .await
            .unwrap_err(),
    ];
    assert!(
        refused
            .iter()
            .all(|error| error.kind() == ErrorKind::PermissionDenied)
    );
    assert!(service.requests().is_empty());
    assert!(!reads.capabilities().change && !reads.capabilities().send);
    assert!(sends.capabilities().send && sends.capabilities().confirm_send);
    // Without reading, an upload tells what became of a message, and a draft would not.
    for access in [
        Access::SEND | Access::DRAFT,
        Access::SEND | Access::DRAFT | Access::READ,
        Access::SEND | Access::READ_WRITE,
    ] {
        let gmail = connect(&service).with_access(access);
        assert!(gmail.capabilities().confirm_send, "{access}");
    }
}
