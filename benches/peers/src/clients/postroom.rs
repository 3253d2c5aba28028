//! This crate, as its documentation would have it used.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use postroom::credentials::StaticToken;
use postroom::http::{Connection, Limits, Regime, ReqwestTransport};
use postroom::{
    Detail, Gmail, Keyword, Known, KnownMessage, Mailbox, Message, MessageId, Outlook, PageRequest,
    Query, Scope, SyncChange,
};

use super::{Kind, Result, Task};
use crate::fields::Fields;
use crate::measure::{Measured, Meter, Reading};

pub async fn run(task: Task<'_>) -> Result<Measured> {
    let transport = Arc::new(ReqwestTransport::new()?);
    let connection = Connection::new(transport, Arc::new(StaticToken::new("token")));
    let mut page = PageRequest::first();
    let (mailbox, detail) = match task.kind {
        Kind::Gmail | Kind::GmailQuota(_) => {
            let regime = match task.kind {
                Kind::GmailQuota(units) => {
                    Regime::Custom(Limits::concurrency(5).with_units_per_minute(units))
                }
                _ => Regime::Off,
            };
            let gmail = Gmail::new(connection.with_regime(regime))?;
            (
                Mailbox::new(gmail.with_api_endpoint(task.server.clone())?),
                Detail::Full,
            )
        }
        // How long its pages are is its own to decide, as long as none is longer than the others'.
        Kind::Graph(size) => {
            page = page.with_size(size);
            let outlook = Outlook::new(connection.with_regime(Regime::Off))?;
            (
                Mailbox::new(outlook.with_api_endpoint(task.server.clone())?),
                Detail::Headers,
            )
        }
        Kind::GraphDelta(_) => {
            let outlook = Outlook::new(connection.with_regime(Regime::Off))?;
            let outlook = outlook.with_api_endpoint(task.server.clone())?;
            return sync(&Mailbox::new(outlook), task.reading).await;
        }
    };
    let mut meter = Meter::start();
    let mut messages = mailbox.messages_with(Query::inbox(), detail, page);
    while let Some(message) = messages.next().await {
        let message = message?;
        match task.reading {
            Reading::AsItComes => meter.count(&message.id.as_str()),
            Reading::EveryField => meter.count(&fields(message)),
        }
    }
    Ok(meter.stop())
}

/// A host that has nothing yet.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Known for Nothing {
    async fn page(&self, _: Option<&MessageId>, _: usize) -> postroom::Result<Vec<KnownMessage>> {
        Ok(Vec::new())
    }
}

/// All that is there, and a round in which nothing has changed. The newest messages are told ahead of the others, and once
/// more among them: whoever keeps a copy has them then.
async fn sync(mailbox: &Mailbox, reading: Reading) -> Result<Measured> {
    let mut meter = Meter::start();
    let mut cursor = None;
    let mut copied = HashSet::new();
    for _ in 0..2 {
        let mut pages = mailbox.sync(cursor.take(), Scope::default(), Arc::new(Nothing));
        while let Some(page) = pages.next().await {
            let page = page?;
            for change in page.changes {
                let SyncChange::Message(message) = change else {
                    continue;
                };
                if !copied.insert(message.id.clone()) {
                    continue;
                }
                match reading {
                    Reading::AsItComes => meter.count(&message.id.as_str()),
                    Reading::EveryField => meter.count(&fields(*message)),
                }
            }
            cursor = Some(page.cursor);
        }
    }
    Ok(meter.stop())
}

fn fields(message: Message) -> Fields {
    let seen = message.has(&Keyword::Seen);
    let custom = message
        .keywords
        .iter()
        .flatten()
        .filter_map(|keyword| match keyword {
            Keyword::Custom(name) => Some(name.clone()),
            _ => None,
        });
    let people = |people: Vec<postroom::Address>| {
        let people = people.into_iter();
        people
            .map(|person| {
                (
                    person.name().unwrap_or_default().to_owned(),
                    person.address().to_owned(),
                )
            })
            .collect()
    };
    Fields {
        id: message.id.as_str().to_owned(),
        thread: message
            .thread
            .map(|thread| thread.as_str().to_owned())
            .unwrap_or_default(),
        categories: custom.collect(),
        folders: message
            .folders
            .into_iter()
            .flatten()
            .map(|folder| folder.as_str().to_owned())
            .collect(),
        seen,
        received: message
            .received_at
            .map(|at| at.timestamp())
            .unwrap_or_default(),
        sent: message.sent_at.map(|at| at.timestamp()).unwrap_or_default(),
        size: message.size.unwrap_or_default(),
        preview: message.preview.unwrap_or_default(),
        subject: message.subject.unwrap_or_default(),
        from: people(message.from),
        to: people(message.to),
        cc: people(message.cc),
        message_id: message.message_id.unwrap_or_default(),
        in_reply_to: message.in_reply_to,
        references: message.references,
        text: message.body.text,
        html: message.body.html,
        attachments: message
            .attachments
            .into_iter()
            .map(|file| {
                (
                    file.name.unwrap_or_default(),
                    file.media_type,
                    file.size.unwrap_or_default(),
                )
            })
            .collect(),
    }
}
