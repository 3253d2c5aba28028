//! What the provider of `custom_provider.rs` does to keep mail in order: folders of the user's own, copies, counts, and
//! conversations. What it does with messages that are being written is in `writing`, how it syncs in `syncing`; its other messages,
//! searches and sends are there.

mod reading;
mod syncing;
mod writing;

use postroom::{
    Change, Detail, Error, ErrorKind, Exactness, Folder, FolderCounts, FolderEdit, FolderId,
    FolderRole, Keyword, MailProvider, Message, MessageId, Page, PageRequest, Query, QueryPlan,
    Result, Thread, ThreadId,
};

use self::reading::ids;
pub(crate) use self::reading::message;
pub(crate) use self::syncing::Journal;
pub(crate) use self::writing::{Writing, recipients};
use super::{Kept, ROLES, Shelf, is_blank, not_found};

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// The conversation of a message: what it answers in the end, or itself.
pub(crate) fn conversation(kept: &Kept, parsed: &mail_parser::Message<'_>) -> ThreadId {
    let first = |list: Vec<String>| list.into_iter().next();
    let root = first(ids(parsed.references()))
        .or_else(|| first(ids(parsed.in_reply_to())))
        .or_else(|| parsed.message_id().map(str::to_owned))
        .unwrap_or_else(|| kept.id.clone());
    ThreadId::new(format!("about {root}"))
}

fn in_role(message: &Message, role: FolderRole) -> bool {
    message.is_in(&FolderId::new(role.as_str()))
}

impl Shelf {
    /// The office's folders, and then the user's.
    pub(crate) fn all_folders(&self) -> Vec<Folder> {
        let own = |role: FolderRole| {
            let mut folder = Folder::new(FolderId::new(role.as_str()), role.as_str());
            folder.role = Some(role);
            folder
        };
        let mut folders: Vec<Folder> = ROLES.map(own).into();
        let made = self.office.folders.lock().unwrap();
        folders.extend(made.get(&self.address).into_iter().flatten().cloned());
        folders
    }

    /// A folder that may be changed.
    fn made_folder(&self, id: &FolderId) -> Result<Folder> {
        let folder = self.all_folders().into_iter().find(|one| one.id == *id);
        let folder = folder.ok_or_else(not_found)?;
        if folder.role.is_some() {
            return Err(invalid("this folder is the office's own"));
        }
        Ok(folder)
    }

    /// Whether a folder can be what it is to be.
    fn check(&self, folder: &Folder) -> Result<()> {
        if folder.name.trim().is_empty() {
            return Err(invalid("a folder needs a name"));
        }
        let folders = self.all_folders();
        let is_taken = |other: &Folder| {
            other.id != folder.id
                && other.parent == folder.parent
                && other.name.to_lowercase() == folder.name.to_lowercase()
        };
        if folders.iter().any(is_taken) {
            return Err(Error::new(ErrorKind::Conflict, "there is such a folder"));
        }
        let mut above = folder.parent.clone();
        while let Some(id) = above {
            if id == folder.id {
                return Err(invalid("a folder cannot lie in itself"));
            }
            let parent = folders.iter().find(|one| one.id == id);
            above = parent.ok_or_else(not_found)?.parent.clone();
        }
        Ok(())
    }

    pub(crate) fn edit(&self, edit: &FolderEdit) -> Result<Option<Folder>> {
        let folder = match edit {
            FolderEdit::Create { color: Some(_), .. } | FolderEdit::Color { .. } => {
                return Err(Error::unsupported("the office has no colours"));
            }
            FolderEdit::Create { name, parent, .. } => {
                let id = FolderId::new(format!("f-{:04}", self.office.next()));
                let mut folder = Folder::new(id, name.as_str());
                folder.parent.clone_from(parent);
                folder
            }
            FolderEdit::Rename { folder, name } => {
                let mut folder = self.made_folder(folder)?;
                folder.name.clone_from(name);
                folder
            }
            FolderEdit::Move { folder, parent } => {
                let mut folder = self.made_folder(folder)?;
                folder.parent.clone_from(parent);
                folder
            }
            FolderEdit::Delete(folder) => {
                self.remove(&self.made_folder(folder)?.id);
                return Ok(None);
            }
            _ => return Err(Error::unsupported("the office does not know this edit")),
        };
        self.check(&folder)?;
        let mut made = self.office.folders.lock().unwrap();
        let made = made.entry(self.address.clone()).or_default();
        match made.iter_mut().find(|one| one.id == folder.id) {
            Some(known) => *known = folder.clone(),
            None => made.push(folder.clone()),
        }
        Ok(Some(folder))
    }

    /// Takes a folder away with those in it. What was in them goes to the trash.
    fn remove(&self, id: &FolderId) {
        for inner in self.all_folders() {
            if inner.parent.as_ref() == Some(id) {
                self.remove(&inner.id);
            }
        }
        let mut made = self.office.folders.lock().unwrap();
        let made = made.entry(self.address.clone()).or_default();
        made.retain(|folder| folder.id != *id);
        let mut boxes = self.office.boxes.lock().unwrap();
        for kept in boxes.entry(self.address.clone()).or_default() {
            if kept.folder == id.as_str() {
                kept.folder = FolderRole::Trash.as_str().to_owned();
            }
        }
    }

    pub(crate) fn count(&self, folder: &FolderId) -> Result<FolderCounts> {
        let folders = self.all_folders();
        let known = folders.iter().any(|one| one.id == *folder);
        known.then_some(()).ok_or_else(not_found)?;
        let kept = self.kept();
        let within = kept.iter().filter(|kept| kept.folder == folder.as_str());
        let unread = within
            .clone()
            .filter(|kept| !kept.keywords.contains(&Keyword::Seen));
        Ok(FolderCounts::new(
            within.clone().count() as u64,
            unread.count() as u64,
        ))
    }

    pub(crate) fn duplicate(&self, id: &MessageId, to: &FolderId) -> Result<MessageId> {
        let kept = self.find(id)?;
        let copy = self.office.shelve(&self.address, to.as_str(), &kept.raw);
        Ok(MessageId::new(copy))
    }

    /// The office looks at every message, so that what can be found out is found.
    pub(crate) fn plan_of(&self, query: &Query) -> Result<QueryPlan> {
        if is_blank(query) {
            return Err(invalid("a search for no words means nothing"));
        }
        let nothing = message(&Kept::none(), Detail::Full);
        Ok(QueryPlan::new(
            match query.matches(&nothing, &self.all_folders()) {
                Some(_) => Exactness::Exact,
                None => Exactness::Unsupported {
                    why: "the office does not know this term".to_owned(),
                },
            },
        ))
    }

    pub(crate) fn whole(&self, id: &ThreadId, detail: Detail) -> Result<Thread> {
        let mut thread = Thread::new(id.clone());
        for kept in self.kept() {
            let message = message(&kept, detail);
            if message.thread.as_ref() == Some(id) {
                thread.messages.push(Ok(message));
            }
        }
        thread.sort();
        let is_there = !thread.messages.is_empty();
        is_there.then_some(thread).ok_or_else(not_found)
    }

    pub(crate) async fn page_of_threads(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Thread>>> {
        let messages = self.list(query, Detail::Ids, page).await?;
        let mut named: Vec<ThreadId> = Vec::new();
        for message in messages.items {
            let thread = message?.thread.ok_or_else(not_found)?;
            if !named.contains(&thread) {
                named.push(thread);
            }
        }
        let threads = named.into_iter().map(|id| match detail {
            Detail::Ids => Ok(Thread::new(id)),
            _ => self.whole(&id, detail),
        });
        Ok(Page::new(threads.collect(), messages.next))
    }

    pub(crate) async fn change_whole(&self, id: &ThreadId, change: &Change) -> Result<()> {
        let thread = self.whole(id, Detail::Headers)?;
        let concerned = |message: &&Message| match change {
            Change::Archive => in_role(message, FolderRole::Inbox),
            Change::Restore => in_role(message, FolderRole::Trash),
            Change::NotJunk => in_role(message, FolderRole::Junk),
            Change::MoveTo { .. } => {
                !in_role(message, FolderRole::Sent) && !in_role(message, FolderRole::Drafts)
            }
            _ => !in_role(message, FolderRole::Drafts),
        };
        let messages = thread.readable().filter(concerned);
        let messages: Vec<MessageId> = messages.map(|message| message.id.clone()).collect();
        let outcomes = self.apply(&messages, change).await?;
        outcomes.into_iter().collect()
    }
}
