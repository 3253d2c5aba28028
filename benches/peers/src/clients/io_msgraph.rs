//! io-msgraph: its pages, one after another over its one connection.

use std::net::TcpStream;

use io_msgraph::v1::client::{MsgraphClientStd, MsgraphClientStdConnectOptions};
use io_msgraph::v1::rest::users::messages::delta::{
    MsgraphMessagesDelta, MsgraphMessagesDeltaParams,
};
use io_msgraph::v1::rest::users::messages::list::{
    MsgraphMessagesList, MsgraphMessagesListParams, MsgraphMessagesListResponse,
};
use io_msgraph::v1::rest::users::messages::{MsgraphMessage, MsgraphRecipient};
use io_msgraph::v1::send::MsgraphSend;

use super::floor::SELECT;
use super::{Kind, Result, Task, unsupported};
use crate::fields::{self, Fields};
use crate::measure::{Measured, Meter, Reading};

pub fn run(task: Task<'_>) -> Result<Measured> {
    let stream = TcpStream::connect(("127.0.0.1", task.server.port().unwrap_or_default()))?;
    stream.set_nodelay(true)?;
    let client = MsgraphClientStd::new(stream, "token", MsgraphClientStdConnectOptions::default());
    match task.kind {
        Kind::Graph(size) => list(client, task, size),
        Kind::GraphDelta(size) => delta(client, task, size),
        Kind::Gmail | Kind::GmailQuota(_) => Err(unsupported(task)),
    }
}

fn list(mut client: MsgraphClientStd, task: Task<'_>, size: u32) -> Result<Measured> {
    let mut meter = Meter::start();
    let params = MsgraphMessagesListParams {
        top: Some(size),
        select: Some(SELECT),
        ..MsgraphMessagesListParams::default()
    };
    let first = MsgraphMessagesList::new(&client.auth, "me", Some("inbox"), &params)?;
    let mut page = client.run(first)?.response;
    loop {
        for message in page.value {
            count(&mut meter, task.reading, message);
        }
        let Some(link) = page.next_link else { break };
        let next = MsgraphSend::<MsgraphMessagesListResponse>::get(&client.auth, link.parse()?);
        page = client.run(next)?.response;
    }
    Ok(meter.stop())
}

fn delta(mut client: MsgraphClientStd, task: Task<'_>, size: u32) -> Result<Measured> {
    let mut meter = Meter::start();
    let params = MsgraphMessagesDeltaParams {
        select: Some(SELECT),
        max_page_size: Some(size),
        ..MsgraphMessagesDeltaParams::default()
    };
    let first = MsgraphMessagesDelta::with_params(&client.auth, "me", Some("inbox"), &params)?;
    let mut page = client.run(first)?.response;
    let mut rounds = 0;
    loop {
        for item in page.value {
            count(&mut meter, task.reading, item.message);
        }
        rounds += usize::from(page.delta_link.is_some());
        let Some(link) = page.next_link.or(page.delta_link.filter(|_| rounds == 1)) else {
            break;
        };
        let next = MsgraphMessagesDelta::from_link(&client.auth, &link)?.max_page_size(size);
        page = client.run(next)?.response;
    }
    Ok(meter.stop())
}

fn count(meter: &mut Meter, reading: Reading, message: MsgraphMessage) {
    match reading {
        Reading::AsItComes => meter.count(&message.id.as_str()),
        Reading::EveryField => meter.count(&fields(message)),
    }
}

fn fields(message: MsgraphMessage) -> Fields {
    let people = |people: Vec<MsgraphRecipient>| {
        let people = people.into_iter().map(|person| person.email_address);
        people
            .map(|person| {
                (
                    person.name.unwrap_or_default(),
                    person.address.unwrap_or_default(),
                )
            })
            .collect()
    };
    let message_id = message.internet_message_id.unwrap_or_default();
    Fields {
        id: message.id,
        thread: message.conversation_id.unwrap_or_default(),
        folders: message.parent_folder_id.into_iter().collect(),
        categories: message.categories,
        seen: message.is_read == Some(true),
        received: fields::instant(&message.received_date_time.unwrap_or_default()),
        sent: fields::instant(&message.sent_date_time.unwrap_or_default()),
        preview: message.body_preview.unwrap_or_default(),
        subject: message.subject.unwrap_or_default(),
        from: people(message.from.into_iter().collect()),
        to: people(message.to_recipients),
        cc: people(message.cc_recipients),
        message_id: message_id.trim_matches(['<', '>']).to_owned(),
        ..Fields::default()
    }
}
