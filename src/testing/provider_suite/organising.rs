//! What every mail provider promises of keeping mail in order: folders, what is done to messages beyond marking and
//! moving, and the settings by which a service keeps order itself.

use chrono::{DateTime, Utc};

use super::{ProviderFixture, REPORT, all, all_ok, changes, delivered, inbox, plain};
use crate::error::ErrorKind;
use crate::mailbox::Mailbox;
use crate::model::{
    Access, AutomaticReply, CategoryColor, Change, Detail, Folder, FolderColor, FolderEdit,
    FolderId, FolderRole, Keyword, MessageId, NewRule, Query, ReplyAudience, ReplySchedule,
    ReplyText, RuleActions, RuleConditions,
};
use crate::provider::FoldersPerMessage;

pub(super) fn kind<T>(outcome: crate::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

/// The error of a change of one message, wherever it is told.
pub(super) fn refusal(outcomes: crate::Result<Vec<crate::Result<()>>>) -> Option<ErrorKind> {
    match outcomes {
        Err(error) => Some(error.kind()),
        Ok(mut outcomes) => kind(outcomes.remove(0)),
    }
}

async fn folder(mailbox: &Mailbox, id: &FolderId) -> Option<Folder> {
    let folders = mailbox.folders().await.unwrap();
    folders.into_iter().find(|folder| folder.id == *id)
}

async fn is_in(mailbox: &Mailbox, id: &MessageId, role: FolderRole) -> bool {
    let folder = mailbox.folder(role).await.unwrap();
    mailbox.message(id).await.unwrap().is_in(&folder.id)
}

/// Read and starred can be set and cleared, one by one and repeatedly.
pub async fn marks_can_be_set_and_cleared(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let mailbox = fixture.mailbox();
    let ids = [id.clone()];
    let keywords = async || {
        let message = mailbox.message(&id).await.unwrap();
        (message.has(&Keyword::Seen), message.has(&Keyword::Flagged))
    };
    assert_eq!(keywords().await, (false, false));
    if !changes(&mailbox, &ids, &Change::Set(Keyword::Seen)).await {
        return assert_eq!(keywords().await, (false, false));
    }
    all_ok(mailbox.mark_read(&ids).await);
    all_ok(mailbox.mark_read(&ids).await);
    all_ok(mailbox.star(&ids).await);
    assert_eq!(keywords().await, (true, true));
    all_ok(mailbox.mark_unread(&ids).await);
    all_ok(mailbox.unstar(&ids).await);
    assert_eq!(keywords().await, (false, false));
}

/// Archive, trash and move take messages out of the inbox, and their ids stay good.
pub async fn moving_archiving_and_trashing_leave_the_inbox(fixture: &dyn ProviderFixture) {
    for number in 0..3 {
        fixture.deliver(&plain(number)).await;
    }
    let mailbox = fixture.mailbox();
    let ids: Vec<MessageId> = inbox(&mailbox)
        .await
        .into_iter()
        .map(|message| message.id)
        .collect();
    let inbox_folder = mailbox.folder(FolderRole::Inbox).await.unwrap();
    let trash = mailbox.folder(FolderRole::Trash).await.unwrap();
    let junk = mailbox.folder(FolderRole::Junk).await.unwrap();

    if !changes(&mailbox, &ids[..1], &Change::Trash).await {
        return assert_eq!(inbox(&mailbox).await.len(), 3);
    }
    all_ok(mailbox.archive(&ids[0..1]).await);
    all_ok(mailbox.trash(&ids[1..2]).await);
    all_ok(mailbox.move_to(&ids[2..3], &junk.id).await);

    assert!(inbox(&mailbox).await.is_empty());
    let messages = mailbox.messages_by_id(&ids, Detail::Headers).await.unwrap();
    let messages: Vec<_> = messages.into_iter().map(Result::unwrap).collect();
    assert!(!messages[0].is_in(&inbox_folder.id) && !messages[0].is_in(&trash.id));
    assert!(messages[1].is_in(&trash.id));
    assert!(messages[2].is_in(&junk.id));
    // What was trashed or is junk is not part of "every message".
    let everything = all(&mailbox, Query::All, Detail::Ids).await;
    assert_eq!(
        everything
            .iter()
            .map(|message| &message.id)
            .collect::<Vec<_>>(),
        [&ids[0]]
    );
    all_ok(mailbox.move_to(&ids[1..2], &inbox_folder.id).await);
    assert_eq!(inbox(&mailbox).await[0].id, ids[1]);
}

/// A provider of one folder per message refuses to add a second; one of many keeps both.
pub async fn folders_per_message_are_as_claimed(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let mailbox = fixture.mailbox();
    let junk = mailbox.folder(FolderRole::Junk).await.unwrap().id;
    let inbox_folder = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let ids = [id.clone()];
    if !changes(&mailbox, &ids, &Change::AddTo(junk.clone())).await {
        return;
    }
    let outcome = mailbox.apply(&ids, &Change::AddTo(junk.clone())).await;
    match mailbox.capabilities().folders_per_message {
        FoldersPerMessage::One => {
            let refused = match outcome {
                Err(error) => error,
                Ok(mut outcomes) => outcomes.remove(0).unwrap_err(),
            };
            assert_eq!(refused.kind(), ErrorKind::Unsupported);
        }
        FoldersPerMessage::Many => {
            all_ok(outcome);
            let message = mailbox.message(&id).await.unwrap();
            assert!(message.is_in(&junk) && message.is_in(&inbox_folder));
            all_ok(mailbox.apply(&ids, &Change::RemoveFrom(junk.clone())).await);
            let message = mailbox.message(&id).await.unwrap();
            assert!(!message.is_in(&junk) && message.is_in(&inbox_folder));
        }
    }
}

/// Folders lie in one another, keep what is in them when they are renamed and moved, and go with it when they are
/// deleted; names are taken once in a place, whatever their case; the service's own folders stay.
pub async fn folders_are_made_renamed_moved_and_deleted(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    if !mailbox.capabilities().edit_folders {
        let made = mailbox.create_folder("Clients of ours", None).await;
        return assert_eq!(kind(made), Some(ErrorKind::Unsupported));
    }
    let top = mailbox
        .create_folder("Clients of ours", None)
        .await
        .unwrap();
    let inner = mailbox.create_folder("Shop", Some(&top.id)).await.unwrap();
    let innermost = mailbox
        .create_folder("2026", Some(&inner.id))
        .await
        .unwrap();
    assert_eq!((top.name.as_str(), &top.parent), ("Clients of ours", &None));
    assert_eq!(inner.parent.as_ref(), Some(&top.id));
    let listed = folder(&mailbox, &innermost.id).await.unwrap();
    assert_eq!(listed.name, "2026");
    assert_eq!(listed.parent, Some(inner.id.clone()));
    assert_eq!(listed.role, None);

    let again = mailbox.create_folder("SHOP", Some(&top.id)).await;
    assert_eq!(kind(again), Some(ErrorKind::Conflict));
    let found = mailbox.ensure_folder("shop", Some(&top.id)).await.unwrap();
    assert_eq!(found.id, inner.id);
    let made = mailbox.ensure_folder("Other", Some(&top.id)).await.unwrap();
    assert_ne!(made.id, inner.id);
    let nameless = mailbox.create_folder(" ", None).await;
    assert_eq!(kind(nameless), Some(ErrorKind::InvalidRequest));

    let message = delivered(fixture, REPORT).await.id;
    let ids = [message.clone()];
    let into = Change::MoveTo {
        to: innermost.id.clone(),
        from: None,
    };
    let is_moved = changes(&mailbox, &ids, &into).await;
    if is_moved {
        all_ok(mailbox.apply(&ids, &into).await);
    }
    let renamed = mailbox.rename_folder(&top.id, "Customers").await.unwrap();
    assert_eq!(
        (renamed.id, renamed.name),
        (top.id.clone(), "Customers".to_owned())
    );
    let listed = folder(&mailbox, &inner.id).await.unwrap();
    assert_eq!(
        (listed.name.as_str(), listed.parent),
        ("Shop", Some(top.id.clone()))
    );
    assert!(folder(&mailbox, &innermost.id).await.is_some());

    let moved = mailbox.move_folder(&inner.id, None).await.unwrap();
    assert_eq!((moved.id, moved.parent), (inner.id.clone(), None));
    let listed = folder(&mailbox, &innermost.id).await.unwrap();
    assert_eq!(
        (listed.name.as_str(), listed.parent),
        ("2026", Some(inner.id.clone()))
    );
    let there = mailbox.message(&message).await.unwrap();
    assert_eq!(there.is_in(&innermost.id), is_moved);
    let into_itself = mailbox.move_folder(&inner.id, Some(&innermost.id)).await;
    assert_eq!(kind(into_itself), Some(ErrorKind::InvalidRequest));

    let own = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let own_renamed = mailbox.rename_folder(&own, "Mine").await;
    assert_eq!(kind(own_renamed), Some(ErrorKind::InvalidRequest));
    let own_deleted = mailbox.delete_folder(&own).await;
    assert_eq!(kind(own_deleted), Some(ErrorKind::InvalidRequest));
    assert!(folder(&mailbox, &own).await.is_some());

    mailbox.delete_folder(&inner.id).await.unwrap();
    let visible = mailbox.folders().await.unwrap();
    let trash = mailbox.folder(FolderRole::Trash).await.unwrap().id;
    // Where deleted folders are kept, they lie in the trash.
    let left = visible.iter().find(|folder| folder.id == inner.id);
    assert!(left.is_none_or(|folder| folder.parent.as_ref() == Some(&trash)));
    mailbox.message(&message).await.unwrap();
    let missing = FolderId::new(format!("{}x", top.id));
    let renamed = mailbox.rename_folder(&missing, "Nothing").await;
    assert!(renamed.is_err());
}

/// Colours are kept, taken away, and refused where the service does not have them.
pub async fn folders_have_colours_where_that_is_claimed(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let color = FolderColor::new("#16a766", "#ffffff");
    let edit = FolderEdit::Create {
        name: "Coloured".to_owned(),
        parent: None,
        color: Some(color.clone()),
    };
    let made = mailbox.edit_folder(&edit).await;
    if !mailbox.capabilities().folder_colors {
        return assert_eq!(kind(made), Some(ErrorKind::Unsupported));
    }
    let id = made.unwrap().unwrap().id;
    assert_eq!(folder(&mailbox, &id).await.unwrap().color, Some(color));
    let impossible = FolderColor::new("#123456", "#ffffff");
    let refused = mailbox.color_folder(&id, Some(impossible)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(
        refused.to_string().contains("#16a766"),
        "it says what there is"
    );
    let other = FolderColor::new("#000000", "#FFFFFF");
    let changed = mailbox.color_folder(&id, Some(other)).await.unwrap();
    assert_eq!(changed.color, Some(FolderColor::new("#000000", "#ffffff")));
    let cleared = mailbox.color_folder(&id, None).await.unwrap();
    assert_eq!((cleared.color, cleared.name.as_str()), (None, "Coloured"));
    assert_eq!(folder(&mailbox, &id).await.unwrap().color, None);
}

/// Messages in a folder are counted, the unread ones apart.
pub async fn folders_are_counted_where_that_is_claimed(fixture: &dyn ProviderFixture) {
    for number in 0..3 {
        fixture.deliver(&plain(number)).await;
    }
    let mailbox = fixture.mailbox();
    let ids = [inbox(&mailbox).await.swap_remove(1).id];
    let is_read = changes(&mailbox, &ids, &Change::Set(Keyword::Seen)).await;
    if is_read {
        all_ok(mailbox.mark_read(&ids).await);
    }
    let roles = [FolderRole::Inbox, FolderRole::Junk];
    let mut folders = Vec::new();
    for role in roles {
        folders.push(mailbox.folder(role).await.unwrap().id);
    }
    let counts = mailbox.counts(&folders).await;
    if !mailbox.capabilities().counts {
        return assert_eq!(kind(counts), Some(ErrorKind::Unsupported));
    }
    let counts: Vec<_> = counts
        .unwrap()
        .into_iter()
        .map(|counts| counts.map(|counts| (counts.total, counts.unread)).unwrap())
        .collect();
    assert_eq!(counts, [(3, if is_read { 2 } else { 3 }), (0, 0)]);
}

/// What was thrown away or marked as unwanted comes back into the inbox.
pub async fn junk_and_trash_are_left_again(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let mailbox = fixture.mailbox();
    let ids = [id.clone()];
    if !changes(&mailbox, &ids, &Change::Junk).await {
        return;
    }
    for (role, there, back) in [
        (FolderRole::Junk, Change::Junk, Change::NotJunk),
        (FolderRole::Trash, Change::Trash, Change::Restore),
    ] {
        all_ok(mailbox.apply(&ids, &there).await);
        assert!(is_in(&mailbox, &id, role).await, "{role:?}");
        assert!(!is_in(&mailbox, &id, FolderRole::Inbox).await);
        all_ok(mailbox.apply(&ids, &back).await);
        assert!(!is_in(&mailbox, &id, role).await, "{role:?}");
        assert!(is_in(&mailbox, &id, FolderRole::Inbox).await);
    }
}

/// Where messages can be in many folders, they are put into some and taken out of others in one step.
pub async fn messages_are_refiled_in_one_step(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let mailbox = fixture.mailbox();
    let inbox_folder = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let refile = |into: Vec<FolderId>| Change::Refile {
        into,
        out_of: vec![inbox_folder.clone()],
    };
    let ids = [id.clone()];
    if !changes(&mailbox, &ids, &refile(Vec::new())).await {
        return;
    }
    if mailbox.capabilities().folders_per_message == FoldersPerMessage::One {
        let outcome = mailbox.apply(&ids, &refile(Vec::new())).await;
        return assert_eq!(refusal(outcome), Some(ErrorKind::Unsupported));
    }
    let mut into = Vec::new();
    for name in ["First", "Second"] {
        into.push(mailbox.ensure_folder(name, None).await.unwrap().id);
    }
    all_ok(mailbox.apply(&ids, &refile(into.clone())).await);
    let message = mailbox.message(&id).await.unwrap();
    assert!(into.iter().all(|folder| message.is_in(folder)));
    assert!(!message.is_in(&inbox_folder));
    let both = mailbox
        .apply(&ids, &refile(vec![inbox_folder.clone()]))
        .await;
    assert_eq!(refusal(both), Some(ErrorKind::InvalidRequest));
}

/// A copy has an id of its own, and the message stays where it is.
pub async fn copies_are_messages_of_their_own(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let mailbox = fixture.mailbox();
    let junk = mailbox.folder(FolderRole::Junk).await.unwrap().id;
    let ids = [id.clone(), id.clone()];
    let copies = mailbox.copy_to(&ids, &junk).await;
    if !mailbox.capabilities().copy {
        return assert_eq!(kind(copies), Some(ErrorKind::Unsupported));
    }
    let copies = copies.unwrap();
    let copies: Vec<MessageId> = copies.into_iter().map(|copy| copy.unwrap()).collect();
    assert_eq!(copies.len(), 2);
    assert_ne!(copies[0], copies[1]);
    for copy in &copies {
        assert_ne!(*copy, id);
        let copy = mailbox.message(copy).await.unwrap();
        assert!(copy.is_in(&junk));
        assert_eq!(copy.message_id.as_deref(), Some("report-1@shop.example"));
    }
    assert!(is_in(&mailbox, &id, FolderRole::Inbox).await);
}

/// Deleting for good needs an access of its own, leaves nothing, and is done where it was done before.
pub async fn messages_are_deleted_for_good(fixture: &dyn ProviderFixture) {
    for number in 0..8 {
        fixture.deliver(&plain(number)).await;
    }
    let mailbox = fixture.mailbox();
    let messages = inbox(&mailbox).await.into_iter();
    let ids: Vec<MessageId> = messages.map(|message| message.id).collect();
    let changer = mailbox.restrict(Access::READ_WRITE | Access::SEND);
    let refused = changer.delete(&ids).await;
    assert_eq!(kind(refused), Some(ErrorKind::PermissionDenied));
    assert_eq!(inbox(&mailbox).await.len(), ids.len());
    if !mailbox.capabilities().delete {
        let outcome = mailbox.delete(&ids).await;
        return assert!(matches!(
            refusal(outcome),
            Some(ErrorKind::Unsupported | ErrorKind::PermissionDenied)
        ));
    }
    all_ok(mailbox.delete(&ids[..2]).await);
    all_ok(mailbox.delete(&ids[..7]).await);
    let left = inbox(&mailbox).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, ids[7]);
    for outcome in mailbox
        .messages_by_id(&ids[..7], Detail::Ids)
        .await
        .unwrap()
    {
        assert_eq!(kind(outcome), Some(ErrorKind::NotFound));
    }
}

/// A message that is gone is told, in its place, among as many as the provider claims.
pub async fn gone_messages_are_told_as_claimed(fixture: &dyn ProviderFixture) {
    for number in 0..15 {
        fixture.deliver(&plain(number)).await;
    }
    let mailbox = fixture.mailbox();
    if !mailbox.capabilities().delete {
        return;
    }
    let messages = inbox(&mailbox).await.into_iter();
    let ids: Vec<MessageId> = messages.map(|message| message.id).collect();
    all_ok(mailbox.delete(&ids[1..2]).await);
    if !changes(&mailbox, &ids[..1], &Change::Set(Keyword::Seen)).await {
        return;
    }
    let told = mailbox.capabilities().missing_told_up_to.min(ids.len());
    let outcomes = mailbox.mark_read(&ids[..told]).await.unwrap();
    assert_eq!(outcomes.len(), told);
    for (place, outcome) in outcomes.into_iter().enumerate() {
        let expected = (place == 1).then_some(ErrorKind::NotFound);
        assert_eq!(kind(outcome), expected, "{place}");
    }
    // Of more, the others are changed all the same.
    let outcomes = mailbox.star(&ids).await.unwrap();
    for (place, outcome) in outcomes.into_iter().enumerate() {
        assert!(place == 1 || outcome.is_ok());
    }
    let left = inbox(&mailbox).await;
    assert_eq!(left.len(), ids.len() - 1);
    assert!(left.iter().all(|message| message.has(&Keyword::Flagged)));
}

/// A tag can have any name, and others stay what they are.
pub async fn tags_of_any_name_can_be_set(fixture: &dyn ProviderFixture) {
    let ids = [delivered(fixture, REPORT).await.id];
    let mailbox = fixture.mailbox();
    let tag = |name: &str| Keyword::Custom(name.to_owned());
    let outcome = mailbox
        .apply(&ids, &Change::Set(tag("Zebra crossing")))
        .await;
    if !mailbox.capabilities().custom_keywords {
        return assert_eq!(refusal(outcome), Some(ErrorKind::Unsupported));
    }
    all_ok(outcome);
    all_ok(mailbox.apply(&ids, &Change::Set(tag("Second"))).await);
    if mailbox.capabilities().categories {
        // What messages are marked with is in the list, with a colour to know it by.
        let listed = mailbox.categories().unwrap().list().await.unwrap();
        let entry = listed.iter().find(|entry| entry.name == "Zebra crossing");
        assert!(entry.unwrap().color.is_some());
    }
    all_ok(
        mailbox
            .apply(&ids, &Change::Clear(tag("Zebra crossing")))
            .await,
    );
    let message = mailbox.message(&ids[0]).await.unwrap();
    assert!(message.has(&tag("Second")) && !message.has(&tag("Zebra crossing")));
}

/// Categories are listed with their colours; a name is there once, whatever its case.
pub async fn categories_are_listed_and_coloured(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let reader = mailbox.restrict(Access::READ_WRITE);
    assert_eq!(kind(reader.categories()), Some(ErrorKind::PermissionDenied));
    if !mailbox.capabilities().categories {
        let none = mailbox.categories();
        return assert_eq!(kind(none), Some(ErrorKind::Unsupported));
    }
    let categories = mailbox.categories().unwrap();
    let teal = Some(CategoryColor::Teal);
    let made = categories.create("Zebra crossing", teal).await.unwrap();
    assert_eq!((made.name.as_str(), made.color), ("Zebra crossing", teal));
    assert!(categories.list().await.unwrap().contains(&made));
    let again = categories.create("ZEBRA crossing", None).await;
    assert_eq!(kind(again), Some(ErrorKind::Conflict));
    let plain = categories.set_color(&made.id, None).await.unwrap();
    assert_eq!((plain.name.as_str(), plain.color), ("Zebra crossing", None));
    categories.delete(&made.id).await.unwrap();
    let gone = categories.delete(&made.id).await;
    assert_eq!(kind(gone), Some(ErrorKind::NotFound));
    let listed = categories.list().await.unwrap();
    assert!(listed.iter().all(|category| category.id != made.id));
}

/// A rule is listed as it was made until it is deleted; one that asks for nothing or does nothing is refused.
pub async fn rules_are_made_listed_and_deleted(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let reader = mailbox.restrict(Access::READ_WRITE);
    assert_eq!(kind(reader.rules()), Some(ErrorKind::PermissionDenied));
    if !mailbox.capabilities().rules {
        return assert_eq!(kind(mailbox.rules()), Some(ErrorKind::Unsupported));
    }
    let folder = mailbox.ensure_folder("Invoices", None).await.unwrap().id;
    let rules = mailbox.rules().unwrap();
    assert_eq!(rules.list().await.unwrap(), []);
    let conditions = RuleConditions {
        from: vec![
            "billing@shop.example".to_owned(),
            "accounts@shop.example".to_owned(),
        ],
        subject: vec!["your invoice".to_owned()],
        words: vec!["amount due".to_owned(), "trade OR return".to_owned()],
        has_attachment: true,
        larger_than: Some(20),
        ..RuleConditions::default()
    };
    let actions = RuleActions {
        move_to: Some(folder),
        mark_read: true,
        mark_important: true,
        ..RuleActions::default()
    };
    let new = NewRule::new(conditions.clone(), actions.clone()).with_name("Invoices");
    let made = rules.create(&new).await.unwrap();
    assert_eq!((&made.conditions, &made.actions), (&conditions, &actions));
    assert!(made.enabled && made.other.is_empty());
    let other = NewRule::new(
        RuleConditions {
            to: vec!["list@desk.example".to_owned()],
            ..RuleConditions::default()
        },
        RuleActions {
            trash: true,
            ..RuleActions::default()
        },
    );
    let second = rules.create(&other).await.unwrap();
    assert_eq!(rules.list().await.unwrap(), [made.clone(), second.clone()]);

    for wrong in [
        NewRule::new(conditions.clone(), RuleActions::default()),
        NewRule::new(RuleConditions::default(), actions),
        NewRule::new(
            conditions,
            RuleActions {
                trash: true,
                archive: true,
                ..RuleActions::default()
            },
        ),
    ] {
        let refused = rules.create(&wrong).await;
        assert_eq!(kind(refused), Some(ErrorKind::InvalidRequest));
    }
    rules.delete(&made.id).await.unwrap();
    let gone = rules.delete(&made.id).await;
    assert_eq!(kind(gone), Some(ErrorKind::NotFound));
    assert_eq!(rules.list().await.unwrap(), [second]);
}

/// An automatic reply is read as it was set, and switched off.
pub async fn replies_are_given_while_away(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let reader = mailbox.restrict(Access::READ_WRITE);
    let refused = kind(reader.automatic_replies());
    assert_eq!(refused, Some(ErrorKind::PermissionDenied));
    if !mailbox.capabilities().automatic_replies {
        let none = kind(mailbox.automatic_replies());
        return assert_eq!(none, Some(ErrorKind::Unsupported));
    }
    let replies = mailbox.automatic_replies().unwrap();
    let before = replies.get().await.unwrap();
    assert_eq!(before.schedule, ReplySchedule::Never);
    let instant = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let from = instant("2026-12-20T08:30:00Z");
    let until = instant("2027-01-07T00:00:00Z");
    let reply = AutomaticReply::new(ReplyText::html("<p>Back in <b>January</b></p>"))
        .between(from, until)
        .with_audience(ReplyAudience::Contacts);
    let set = replies.set(&reply).await.unwrap();
    assert_eq!(set, reply);
    assert_eq!(replies.get().await.unwrap(), reply);

    let backwards = reply.clone().between(until, from);
    let refused = kind(replies.set(&backwards).await);
    assert_eq!(refused, Some(ErrorKind::InvalidRequest));
    let silent = AutomaticReply::new(ReplyText::default());
    let refused = kind(replies.set(&silent).await);
    assert_eq!(refused, Some(ErrorKind::InvalidRequest));
    assert_eq!(replies.get().await.unwrap(), reply);

    let off = AutomaticReply {
        schedule: ReplySchedule::Never,
        ..reply
    };
    let set = replies.set(&off).await.unwrap();
    assert_eq!(set.schedule, ReplySchedule::Never);
}
