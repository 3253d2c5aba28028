//! What people and other programs do in a mailbox. What of it fails did not happen, or did: the service's truth is what counts.

use std::time::Duration;

use postroom::{
    Change, Detail, Draft, DraftEdit, FolderEdit, FolderId, FolderRole, ImportOptions, Keyword,
    MessageId, Outgoing, PageRequest,
};

use super::World;

impl World {
    /// The user does something to some messages.
    async fn apply(&mut self, ids: &[MessageId], change: &Change) {
        let outcome = self.user.apply(ids, change).await;
        let done = outcome.map_or(0, |each| each.iter().flatten().count());
        self.tell(format!("{change:?} of {} messages, {done} done", ids.len()));
    }

    pub(super) fn deliver(&mut self) {
        self.delivered += 1;
        self.tell("a message comes");
        let number = self.delivered;
        let place = usize::try_from(self.random.below(9)).unwrap();
        // Some are parts of a few conversations, which are read as wholes.
        let (subject, references) = match self.conversations.get_mut(place) {
            Some(last) => {
                let before = last.replace(number);
                let references =
                    before.map(|before| format!("References: <{before}@shop.example>\r\n"));
                (format!("Conversation {place}"), references)
            }
            None => (format!("Number {number}"), None),
        };
        let references = references.unwrap_or_default();
        let mail = format!(
            "From: billing@shop.example\r\nSubject: {subject}\r\nMessage-ID: <{number}@shop.example>\r\n\
             {references}\r\nText\r\n"
        );
        self.emulator.deliver(self.address, mail.as_bytes());
        let pause = self.random.below(3_000);
        self.clock.advance(Duration::from_millis(pause));
    }

    /// Some messages that are there.
    fn some(&mut self) -> Vec<MessageId> {
        let all = self.emulator.messages(self.address);
        let share = 1 + self.random.below(6);
        let chosen = all.iter().filter(|_| self.random.below(6) < share);
        chosen
            .map(|message| MessageId::from(message.immutable_id.as_str()))
            .collect()
    }

    pub(super) async fn label(&mut self) -> Option<FolderId> {
        let folders = self.user.folders().await.ok()?;
        let own: Vec<_> = folders
            .into_iter()
            .filter(|folder| folder.role.is_none() && !folder.hidden)
            .filter(|folder| !self.is_gmail() || folder.id.as_str().starts_with("Label_"))
            .collect();
        let index = usize::try_from(self.random.below(own.len().max(1).try_into().ok()?)).ok()?;
        own.get(index).map(|folder| folder.id.clone())
    }

    /// Something happens in the mailbox. What fails did not happen, or did: the service's truth is what counts.
    pub(super) async fn happen(&mut self) {
        let ids = self.some();
        let keyword = match self.random.below(4) {
            3 if !self.is_gmail() => Keyword::Custom("Red category".to_owned()),
            0 => Keyword::Flagged,
            1 => Keyword::Important,
            _ => Keyword::Seen,
        };
        let change = match self.random.below(20) {
            0..=2 => {
                for _ in 0..=self.random.below(4) {
                    self.deliver();
                }
                return;
            }
            3 => Change::Set(keyword),
            4 => Change::Clear(keyword),
            5 => Change::Archive,
            6 => Change::Trash,
            7 => Change::Restore,
            8 => Change::Junk,
            9 => Change::NotJunk,
            10 => Change::Delete,
            11..=12 => return self.edit_folders().await,
            13 if !self.is_gmail() => return self.there_and_back(&ids).await,
            13 => {
                let Some(folder) = self.label().await else {
                    return;
                };
                self.apply(&ids, &Change::AddTo(folder.clone())).await;
                if self.random.below(2) == 0 {
                    return;
                }
                Change::RemoveFrom(folder)
            }
            14 => {
                let Some(to) = self.label().await else { return };
                Change::MoveTo {
                    to,
                    from: self.is_gmail().then(|| FolderId::from("INBOX")),
                }
            }
            15 => return self.do_in_bulk().await,
            16..=17 => return self.write().await,
            18 => return self.import().await,
            _ => return self.forget(),
        };
        self.apply(&ids, &change).await;
    }

    async fn edit_folders(&mut self) {
        if self.random.below(2) == 0 {
            let number = self.random.below(1_000);
            let create = FolderEdit::Create {
                name: format!("Label {number}"),
                parent: self.label().await,
                color: None,
            };
            return self.edit(&create).await;
        }
        let Some(folder) = self.label().await else {
            return;
        };
        let edit = match self.random.below(3) {
            0 => FolderEdit::Delete(folder),
            1 => FolderEdit::Move {
                folder,
                parent: self.label().await,
            },
            _ => {
                let name = format!("Renamed {}", self.random.below(1_000));
                FolderEdit::Rename { folder, name }
            }
        };
        self.edit(&edit).await;
    }

    async fn edit(&mut self, edit: &FolderEdit) {
        let is_done = self.user.edit_folder(edit).await.is_ok();
        self.tell(format!("{edit:?}, done: {is_done}"));
    }

    /// A great deal happens at once, once in a while.
    async fn do_in_bulk(&mut self) {
        if self.random.below(4) > 0 {
            return;
        }
        for _ in 0..=self.random.below(120) {
            self.deliver();
        }
        let all = self.emulator.messages(self.address).into_iter();
        let all: Vec<MessageId> = all
            .map(|message| MessageId::from(message.immutable_id.as_str()))
            .collect();
        let change = match self.random.below(4) {
            0 => Change::Archive,
            1 => Change::Trash,
            2 => Change::Set(Keyword::Seen),
            _ => return,
        };
        self.apply(&all, &change).await;
    }

    /// Messages go somewhere and come back, and some then go for good.
    async fn there_and_back(&mut self, ids: &[MessageId]) {
        let back = Change::MoveTo {
            to: FolderId::from("inbox"),
            from: None,
        };
        self.apply(ids, &back).await;
        if self.random.below(2) == 0 {
            self.sync().await;
        }
        self.apply(ids, &Change::Archive).await;
        self.apply(ids, &back).await;
        if self.random.below(2) == 0 {
            self.sync().await;
        }
        let some = ids.get(..ids.len() / 2).unwrap_or_default();
        match self.random.below(3) {
            0 => self.apply(some, &Change::Delete).await,
            1 => self.apply(some, &Change::Set(Keyword::Flagged)).await,
            _ => {}
        }
    }

    /// Somebody writes: drafts come, become others, are thrown away or sent. Copies of what is sent turn up later.
    async fn write(&mut self) {
        let Ok(drafts) = self.user.drafts() else {
            return;
        };
        let there = drafts.list(Detail::Ids, PageRequest::first()).await;
        let there: Vec<Draft> = there.map_or_else(
            |_| Vec::new(),
            |page| page.items.into_iter().flatten().collect(),
        );
        let place = usize::try_from(self.random.below(there.len().max(1) as u64)).unwrap();
        let choice = self.random.below(5);
        let number = self.random.below(1_000);
        let told = match (choice, there.get(place)) {
            (2, Some(draft)) => {
                let edit = DraftEdit::new().subject(format!("Rewritten {number}"));
                let done = drafts.update(&draft.id, None, &edit).await.is_ok();
                format!("a draft is rewritten, done: {done}")
            }
            (3, Some(draft)) => {
                let done = drafts.discard(&draft.id).await.is_ok();
                format!("a draft is thrown away, done: {done}")
            }
            (4, Some(draft)) => {
                let done = self.user.send_draft(&draft.id, None).await.is_ok();
                format!("a draft is sent, done: {done}")
            }
            _ => {
                let outgoing = Outgoing::new()
                    .to("support@desk.example".parse().unwrap())
                    .subject(format!("Written {number}"))
                    .text("Text");
                let done = drafts.create(&outgoing).await.is_ok();
                format!("a draft is written, done: {done}")
            }
        };
        self.tell(told);
    }

    /// Mail comes from elsewhere, as old as it is.
    async fn import(&mut self) {
        let days = self.random.below(4_000);
        let date =
            chrono::DateTime::UNIX_EPOCH + Duration::from_secs(40 * 365 * 86_400 + days * 86_400);
        let raw = format!(
            "From: billing@shop.example\r\nSubject: From elsewhere\r\nDate: {}\r\n\r\nText\r\n",
            date.to_rfc2822()
        );
        let mut options = ImportOptions::new();
        if let Some(folder) = self.label().await {
            options = options.folder(folder);
        } else if let Some(inbox) = self.roles.get(&FolderRole::Inbox) {
            options = options.folder(inbox.clone());
        }
        let done = self.user.import(raw.into_bytes(), &options).await.is_ok();
        self.tell(format!("an old message is imported, done: {done}"));
    }
}
