//! A host's way to a service in whose mailbox somebody does something between two of the host's requests: a page of a sync
//! takes several, and nothing stands still meanwhile.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::Response;
use postroom::emulator::Emulator;
use postroom::http::{Transport, TransportError};
use postroom::{ByteStream, Change, Content, FolderId, Keyword, Mailbox, MessageId};

use super::Told;
use crate::support::direct::Direct;
use crate::support::random::Random;

/// How much somebody does until they tire: if as much happened as a small page tells, for ever, no round would come to an end.
const MOST_DEEDS: u32 = 100;

/// What somebody is about to do, and where.
#[derive(Debug)]
struct Stir {
    random: u64,
    folders: Vec<FolderId>,
    left: u32,
}

/// The way, and who else uses the mailbox.
#[derive(Debug)]
pub(crate) struct Busy {
    way: Direct,
    emulator: Arc<Emulator>,
    address: &'static str,
    user: Mailbox,
    told: Told,
    stir: Mutex<Option<Stir>>,
}

impl Busy {
    pub(crate) fn new(
        emulator: &Arc<Emulator>,
        address: &'static str,
        user: Mailbox,
        told: Told,
    ) -> Self {
        Self {
            way: Direct(Arc::clone(emulator)),
            emulator: Arc::clone(emulator),
            address,
            user,
            told,
            stir: Mutex::new(None),
        }
    }

    /// From now on somebody does something, in these folders among others.
    pub(crate) fn stir(&self, random: u64, folders: Vec<FolderId>) {
        *self.stir.lock().unwrap() = Some(Stir {
            random,
            folders,
            left: MOST_DEEDS,
        });
    }

    /// From now on nobody does.
    pub(crate) fn calm(&self) {
        *self.stir.lock().unwrap() = None;
    }

    /// What is done before the next request, if anything.
    fn next(&self) -> Option<(Vec<MessageId>, Change)> {
        let mut stir = self.stir.lock().unwrap();
        let stir = stir.as_mut()?;
        let mut random = Random(stir.random);
        stir.random = random.next();
        if stir.left == 0 || random.below(4) > 0 {
            return None;
        }
        stir.left -= 1;
        let messages = self.emulator.messages(self.address);
        let some = messages.iter().filter(|_| random.below(5) == 0);
        let ids: Vec<MessageId> = some
            .map(|message| MessageId::from(message.immutable_id.as_str()))
            .collect();
        let change = match random.below(12) {
            0..=1 => {
                self.told.tell("meanwhile a message comes");
                let mail = b"From: billing@shop.example\r\nSubject: Meanwhile\r\n\r\nText\r\n";
                self.emulator.deliver(self.address, mail);
                return None;
            }
            2 => Change::Archive,
            3 => Change::Trash,
            4 => Change::Restore,
            5 => Change::Set(Keyword::Seen),
            6 => Change::Clear(Keyword::Seen),
            7 => Change::Set(Keyword::Flagged),
            8 => Change::Delete,
            _ => {
                let place = usize::try_from(random.below(stir.folders.len().max(1) as u64));
                let to = stir.folders.get(place.ok()?)?.clone();
                Change::MoveTo { to, from: None }
            }
        };
        Some((ids, change))
    }
}

#[async_trait]
impl Transport for Busy {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        if let Some((ids, change)) = self.next() {
            let done = self.user.apply(&ids, &change).await;
            let done = done.map_or(0, |each| each.iter().flatten().count());
            let told = format!("meanwhile {change:?} of {}, {done} done", ids.len());
            self.told.tell(told);
        }
        self.way.send(request).await
    }
}
