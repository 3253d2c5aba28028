//! Folders and labels, categories, rules and automatic replies, and what is done to messages beyond marking and moving.

use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Subcommand, ValueEnum};
use postroom::{
    AutomaticReply, Category, CategoryColor, Change, ErrorKind, Folder, FolderColor, FolderEdit,
    FolderId, Keyword, Mailbox, MessageId, NewRule, ReplyAudience, ReplySchedule, ReplyText, Rule,
    RuleActions, RuleConditions, RuleId,
};
use serde_json::json;

use crate::Failure;
use crate::messages::{apply, find};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the folders or labels as a tree with counts, or change them
    Labels {
        #[command(subcommand)]
        action: Option<Labels>,
    },
    /// Show or change the list of categories, or mark messages with one; Outlook only
    Categories {
        #[command(subcommand)]
        action: Option<Categories>,
    },
    /// Show, make or delete the rules that the service applies to arriving mail
    Rules {
        #[command(subcommand)]
        action: Option<Rules>,
    },
    /// Show the automatic reply, or switch it on or off
    Vacation {
        #[command(subcommand)]
        action: Option<Vacation>,
    },
    /// Take messages out of the trash
    Restore {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Put messages among the unwanted ones, or take them out again
    Junk {
        /// They are not unwanted
        #[arg(long)]
        not: bool,
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Copy messages into a folder; Outlook only
    Copy {
        /// Its id, its name, or what it is for
        folder: String,
        /// The messages' ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete messages for good; connect with --everything to be allowed to
    Delete {
        /// Nobody can bring them back: say so
        #[arg(long, required = true)]
        for_good: bool,
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Labels {
    /// Make one
    Create {
        /// Its name
        name: String,
        /// The one that it lies in
        #[arg(long = "in", value_name = "FOLDER")]
        parent: Option<String>,
        /// Its colours, such as `#16a766 #ffffff`; Gmail only
        #[arg(long, num_args = 2, value_names = ["GROUND", "TEXT"])]
        color: Option<Vec<String>>,
    },
    /// Give one another name
    Rename {
        /// Its id or name
        folder: String,
        /// Its new name
        name: String,
    },
    /// Put one, with all that lies in it, into another one, or to the top
    Move {
        /// Its id or name
        folder: String,
        /// Where it goes; to the top without
        #[arg(long = "in", value_name = "FOLDER")]
        parent: Option<String>,
    },
    /// Give one other colours, or none; Gmail only
    Color {
        /// Its id or name
        folder: String,
        /// Such as `#16a766 #ffffff`
        #[arg(num_args = 0..=2, value_names = ["GROUND", "TEXT"])]
        color: Vec<String>,
    },
    /// Delete one, with those that lie in it
    Delete {
        /// Its id or name
        folder: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Categories {
    /// Add one to the list
    Create {
        /// Its name
        name: String,
        /// Its colour, such as `teal`
        #[arg(long)]
        color: Option<CategoryColor>,
    },
    /// Give one another colour, or none
    Color {
        /// Its name
        name: String,
        /// Such as `teal`
        color: Option<CategoryColor>,
    },
    /// Take one from the list
    Delete {
        /// Its name
        name: String,
    },
    /// Mark messages with one, which is made if it is not there
    Set {
        /// Its name
        name: String,
        /// The messages' ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Take one from messages
    Clear {
        /// Its name
        name: String,
        /// The messages' ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Make one
    Create(CreateRule),
    /// Delete one
    Delete {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateRule {
    /// What to call it; Gmail has no names for rules
    #[arg(long)]
    name: Option<String>,
    /// In the sender's address or name; of several, one is enough
    #[arg(long)]
    from: Vec<String>,
    /// In a recipient's address or name
    #[arg(long)]
    to: Vec<String>,
    /// In the subject
    #[arg(long)]
    subject: Vec<String>,
    /// In subject or text
    #[arg(long)]
    word: Vec<String>,
    /// Only with attachments
    #[arg(long)]
    attachment: bool,
    /// Only of more than so many kilobytes
    #[arg(long, value_name = "KILOBYTES")]
    larger_than: Option<u32>,
    /// Move it there: the id or name of a folder
    #[arg(long, value_name = "FOLDER")]
    move_to: Option<String>,
    /// Keep it out of the inbox
    #[arg(long)]
    archive: bool,
    /// Throw it away
    #[arg(long)]
    trash: bool,
    /// Mark it as read
    #[arg(long)]
    read: bool,
    /// Mark it as important
    #[arg(long)]
    important: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Vacation {
    /// Switch it on
    On {
        /// What it says
        #[arg(long, required_unless_present = "html")]
        text: Option<String>,
        /// What it says, as HTML
        #[arg(long)]
        html: Option<String>,
        /// Its subject; Gmail only
        #[arg(long)]
        subject: Option<String>,
        /// From this day on, in UTC: 2026-12-20
        #[arg(long, requires = "until")]
        from: Option<NaiveDate>,
        /// Up to the beginning of this day
        #[arg(long, requires = "from")]
        until: Option<NaiveDate>,
        /// Who gets it
        #[arg(long, value_enum, default_value_t = Audience::Everyone)]
        to: Audience,
    },
    /// Switch it off
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Audience {
    Everyone,
    Contacts,
    Organisation,
}

pub(crate) async fn run(
    command: Command,
    mailbox: &Mailbox,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        Command::Labels { action } => labels(action, mailbox, output).await,
        Command::Categories { action } => categories(action, mailbox, output).await,
        Command::Rules { action } => rules(action, mailbox, output).await,
        Command::Vacation { action } => vacation(action, mailbox, output).await,
        Command::Restore { ids } => apply(mailbox, &ids, &Change::Restore, output).await,
        Command::Junk { not: false, ids } => apply(mailbox, &ids, &Change::Junk, output).await,
        Command::Junk { not: true, ids } => apply(mailbox, &ids, &Change::NotJunk, output).await,
        Command::Delete { ids, .. } => apply(mailbox, &ids, &Change::Delete, output).await,
        Command::Copy { folder, ids } => copy(&folder, &ids, mailbox, output).await,
    }
}

async fn copy(
    folder: &str,
    ids: &[String],
    mailbox: &Mailbox,
    output: &Output,
) -> Result<(), Failure> {
    let folder = find(&mailbox.folders().await?, folder)?;
    let ids: Vec<MessageId> = ids.iter().map(|id| MessageId::new(id.as_str())).collect();
    let copies = mailbox.copy_to(&ids, &folder).await?;
    let rows = ids.iter().zip(&copies);
    let rows: Vec<_> = rows
        .map(|(id, copy)| match copy {
            Ok(copy) => json!({ "id": id, "copy": copy, "error": null }),
            Err(error) => json!({ "id": id, "copy": null, "error": error.to_string() }),
        })
        .collect();
    output.rows("copies", &["id", "copy", "error"], &rows);
    match copies.into_iter().find_map(Result::err) {
        Some(error) => Err(Failure::Some(error.kind())),
        None => Ok(()),
    }
}

async fn labels(action: Option<Labels>, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
    let Some(action) = action else {
        return tree(mailbox, output).await;
    };
    let folders = mailbox.folders().await?;
    let named =
        |name: &Option<String>| name.as_deref().map(|name| find(&folders, name)).transpose();
    let color = |colors: &[String]| match colors {
        [background, text] => Ok(Some(FolderColor::new(background, text))),
        [] => Ok(None),
        _ => Err(Failure::Usage("a label has two colours".to_owned())),
    };
    let edit = match action {
        Labels::Create {
            name,
            parent,
            color: colors,
        } => FolderEdit::Create {
            name,
            parent: named(&parent)?,
            color: color(&colors.unwrap_or_default())?,
        },
        Labels::Rename { folder, name } => FolderEdit::Rename {
            folder: find(&folders, &folder)?,
            name,
        },
        Labels::Move { folder, parent } => FolderEdit::Move {
            folder: find(&folders, &folder)?,
            parent: named(&parent)?,
        },
        Labels::Color {
            folder,
            color: colors,
        } => FolderEdit::Color {
            folder: find(&folders, &folder)?,
            color: color(&colors)?,
        },
        Labels::Delete { folder } => FolderEdit::Delete(find(&folders, &folder)?),
    };
    match mailbox.edit_folder(&edit).await? {
        Some(folder) if output.is_json() => output.document(&folder),
        Some(folder) => output.folders(&[folder]),
        None => output.done("Deleted."),
    }
    Ok(())
}

/// Every folder below the one that it lies in, with how many messages are in it.
async fn tree(mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
    let mut folders = mailbox.folders().await?;
    let uncounted: Vec<FolderId> = folders
        .iter()
        .filter(|folder| folder.total.is_none())
        .map(|folder| folder.id.clone())
        .collect();
    match mailbox.counts(&uncounted).await {
        Ok(counts) => {
            for (id, counts) in uncounted.iter().zip(counts) {
                let folder = folders.iter_mut().find(|folder| folder.id == *id);
                if let (Some(folder), Ok(counts)) = (folder, counts) {
                    folder.total = Some(counts.total);
                    folder.unread = Some(counts.unread);
                }
            }
        }
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        Err(error) => return Err(error.into()),
    }
    if output.is_json() {
        output.folders(&folders);
        return Ok(());
    }
    let mut shown = Vec::new();
    let mut open: Vec<(usize, &Folder)> = Vec::new();
    let inside = |parent: Option<&FolderId>, depth: usize| {
        let children = folders.iter().rev();
        children
            .filter(move |folder| folder.parent.as_ref() == parent)
            .map(move |folder| (depth, folder))
            .collect::<Vec<_>>()
    };
    open.extend(inside(None, 0));
    while let Some((depth, folder)) = open.pop() {
        let mut indented = folder.clone();
        indented.name = format!("{}{}", "  ".repeat(depth), folder.name);
        shown.push(indented);
        // A list that leads in circles ends with as many rows as there are folders.
        if shown.len() < folders.len() {
            open.extend(inside(Some(&folder.id), depth + 1));
        }
    }
    output.folders(&shown);
    Ok(())
}

async fn categories(
    action: Option<Categories>,
    mailbox: &Mailbox,
    output: &Output,
) -> Result<(), Failure> {
    let keyword = |name: String| Keyword::Custom(name);
    let action = match action {
        Some(Categories::Set { name, ids }) => {
            return apply(mailbox, &ids, &Change::Set(keyword(name)), output).await;
        }
        Some(Categories::Clear { name, ids }) => {
            return apply(mailbox, &ids, &Change::Clear(keyword(name)), output).await;
        }
        action => action,
    };
    let categories = mailbox.categories()?;
    let listed = categories.list().await?;
    let named = |name: &str| {
        let same = |category: &&Category| category.name.to_lowercase() == name.to_lowercase();
        listed
            .iter()
            .find(same)
            .ok_or_else(|| Failure::Usage(format!("there is no category {name}")))
    };
    let shown = match action {
        None => listed,
        Some(Categories::Create { name, color }) => vec![categories.create(&name, color).await?],
        Some(Categories::Color { name, color }) => {
            let id = &named(&name)?.id;
            vec![categories.set_color(id, color).await?]
        }
        Some(Categories::Delete { name }) => {
            categories.delete(&named(&name)?.id).await?;
            output.done("Deleted.");
            return Ok(());
        }
        Some(Categories::Set { .. } | Categories::Clear { .. }) => return Ok(()),
    };
    let rows: Vec<_> = shown.iter().map(|category| json!(category)).collect();
    output.rows("categories", &["name", "color"], &rows);
    Ok(())
}

async fn rules(action: Option<Rules>, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
    let rules = mailbox.rules()?;
    let shown = match action {
        None => rules.list().await?,
        Some(Rules::Create(rule)) => {
            let rule = rule.read(mailbox).await?;
            vec![rules.create(&rule).await?]
        }
        Some(Rules::Delete { id }) => {
            rules.delete(&RuleId::from(id)).await?;
            output.done("Deleted.");
            return Ok(());
        }
    };
    let rows: Vec<_> = shown
        .iter()
        .map(|rule| {
            let mut row = json!(rule);
            if let Some(fields) = row.as_object_mut().filter(|_| !output.is_json()) {
                fields.insert("if".to_owned(), conditions(rule).into());
                fields.insert("then".to_owned(), actions(rule).into());
            }
            row
        })
        .collect();
    output.rows("rules", &["id", "name", "if", "then"], &rows);
    Ok(())
}

impl CreateRule {
    async fn read(self, mailbox: &Mailbox) -> Result<NewRule, Failure> {
        let mut conditions = RuleConditions::default();
        conditions.from = self.from;
        conditions.to = self.to;
        conditions.subject = self.subject;
        conditions.words = self.word;
        conditions.has_attachment = self.attachment;
        conditions.larger_than = self.larger_than;
        let mut actions = RuleActions::default();
        if let Some(folder) = self.move_to {
            actions.move_to = Some(find(&mailbox.folders().await?, &folder)?);
        }
        actions.archive = self.archive;
        actions.trash = self.trash;
        actions.mark_read = self.read;
        actions.mark_important = self.important;
        let rule = NewRule::new(conditions, actions);
        Ok(match self.name {
            Some(name) => rule.with_name(name),
            None => rule,
        })
    }
}

fn conditions(rule: &Rule) -> String {
    let conditions = &rule.conditions;
    let mut said = Vec::new();
    for (what, texts) in [
        ("from", &conditions.from),
        ("to", &conditions.to),
        ("subject", &conditions.subject),
        ("words", &conditions.words),
    ] {
        if !texts.is_empty() {
            said.push(format!("{what} {}", texts.join(" or ")));
        }
    }
    if conditions.has_attachment {
        said.push("has attachments".to_owned());
    }
    if let Some(size) = conditions.larger_than {
        said.push(format!("larger than {size} kB"));
    }
    let others = rule
        .other
        .iter()
        .filter(|part| !part.name.starts_with("action"));
    said.extend(others.map(|part| format!("{} {}", part.name, part.value)));
    said.join(", ")
}

fn actions(rule: &Rule) -> String {
    let actions = &rule.actions;
    let mut said = Vec::new();
    if let Some(folder) = &actions.move_to {
        said.push(format!("move to {folder}"));
    }
    for (does, what) in [
        (actions.archive, "archive"),
        (actions.trash, "throw away"),
        (actions.mark_read, "mark as read"),
        (actions.mark_important, "mark as important"),
        (!rule.enabled, "(switched off)"),
    ] {
        if does {
            said.push(what.to_owned());
        }
    }
    let others = rule
        .other
        .iter()
        .filter(|part| part.name.starts_with("action"));
    said.extend(others.map(|part| format!("{} {}", part.name, part.value)));
    said.join(", ")
}

async fn vacation(
    action: Option<Vacation>,
    mailbox: &Mailbox,
    output: &Output,
) -> Result<(), Failure> {
    let replies = mailbox.automatic_replies()?;
    let reply = match action {
        None => replies.get().await?,
        Some(Vacation::Off) => {
            let mut reply = replies.get().await?;
            reply.schedule = ReplySchedule::Never;
            replies.set(&reply).await?
        }
        Some(Vacation::On {
            text,
            html,
            subject,
            from,
            until,
            to,
        }) => {
            let mut message = ReplyText::default();
            message.text = text;
            message.html = html;
            let mut reply = AutomaticReply::new(message);
            reply.subject = subject;
            if let (Some(from), Some(until)) = (from, until) {
                reply = reply.between(midnight(from), midnight(until));
            }
            let audience = match to {
                Audience::Everyone => ReplyAudience::Everyone,
                Audience::Contacts => ReplyAudience::Contacts,
                Audience::Organisation => ReplyAudience::Organisation,
            };
            replies.set(&reply.with_audience(audience)).await?
        }
    };
    output.automatic_reply(&reply);
    Ok(())
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}
