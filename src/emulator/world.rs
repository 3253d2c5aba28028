//! The mail world behind both faces: accounts, their mailboxes, and how mail gets from
//! one account to another. What a mailbox can do is said in `google::mailbox` and `microsoft::mailbox`,
//! what tokens are worth in `tokens`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::google::mailbox::GmailMailbox;
use super::message::Mail;
use super::microsoft::mailbox::OutlookMailbox;
use super::microsoft::subscriptions::Subscription;
use super::rewrite;
use super::sign_in::{ORGANISATION, PERSONAL};
use super::tokens::{AccessToken, Grant, Tokens};
use super::{EmulatedMessage, Vendor};
use crate::clock::Clock;

/// Everything that the two services know.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    /// The one source of chance, so that a seed gives the same world again.
    pub(crate) random: fastrand::Rng,
    pub(crate) accounts: Vec<Account>,
    pub(crate) tokens: Tokens,
    /// Who is told what happens in Outlook mailboxes.
    pub(crate) subscriptions: Vec<Subscription>,
}

/// A person's or team's account with one vendor, and its mailbox.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) address: String,
    pub(crate) display_name: String,
    /// What never changes: Google's `sub`, Microsoft's `oid`.
    pub(crate) subject: String,
    /// Microsoft's `tid`: the organisation, or the one tenant of all personal accounts. Empty for Google.
    pub(crate) tenant: &'static str,
    /// What there is of it if nobody signs in with it.
    pub(crate) shared: Option<Sharing>,
    pub(crate) mailbox: Mailbox,
}

/// Who may do what in a mailbox that is nobody's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sharing {
    /// Those with Full Access.
    pub(crate) with: Vec<String>,
    /// Those with Send As.
    pub(crate) senders: Vec<String>,
}

/// A mailbox, as its vendor keeps it.
#[derive(Debug)]
pub(crate) enum Mailbox {
    Gmail(GmailMailbox),
    Outlook(OutlookMailbox),
}

/// Where a message comes to lie first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Inbox,
    Archive,
    Sent,
    Junk,
    Trash,
    Drafts,
}

/// A message on its way into a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) mail: Arc<Mail>,
    pub(crate) received: DateTime<Utc>,
    pub(crate) place: Place,
    pub(crate) seen: bool,
    pub(crate) flagged: bool,
}

/// The accounts of every emulator: address, name, tenant and the subject that never changes. Of the two
/// Outlook accounts one is personal, the other an organisation's: the two kinds differ in small ways.
const ACCOUNTS: [(Vendor, &str, &str, &str, &str); 4] = [
    (
        Vendor::Google,
        "reader@gmail.example",
        "Reader",
        "",
        "108204268033311374519",
    ),
    (
        Vendor::Google,
        "team@gmail.example",
        "Team",
        "",
        "112417058216640873352",
    ),
    (
        Vendor::Microsoft,
        "reader@outlook.example",
        "Reader",
        PERSONAL,
        "00000000-0000-0000-8a7b-9c0d1e2f3a4b",
    ),
    (
        Vendor::Microsoft,
        "team@outlook.example",
        "Team",
        ORGANISATION,
        "0b9d8c7e-6f5a-4b3c-9d2e-1f0a9b8c7d6e",
    ),
];

impl World {
    pub(crate) fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let accounts = ACCOUNTS
            .iter()
            .map(|(vendor, address, display_name, tenant, subject)| Account {
                address: (*address).to_owned(),
                display_name: (*display_name).to_owned(),
                subject: (*subject).to_owned(),
                tenant,
                shared: None,
                mailbox: match vendor {
                    Vendor::Google => Mailbox::Gmail(GmailMailbox::new(&mut random)),
                    Vendor::Microsoft => Mailbox::Outlook(OutlookMailbox::new(&mut random)),
                },
            })
            .collect();
        Self {
            clock,
            random,
            accounts,
            tokens: Tokens::default(),
            subscriptions: Vec::new(),
        }
    }

    /// Adds a shared mailbox to the organisation.
    pub(crate) fn share(&mut self, address: String, sharing: Sharing) {
        let (name, _) = address.split_once('@').unwrap_or_default();
        let subject = self.guid();
        self.accounts.push(Account {
            display_name: name.to_owned(),
            subject,
            tenant: ORGANISATION,
            shared: Some(sharing),
            mailbox: Mailbox::Outlook(OutlookMailbox::new(&mut self.random)),
            address,
        });
    }

    pub(crate) fn account(&self, address: &str) -> Option<&Account> {
        self.accounts
            .iter()
            .find(|account| account.address.eq_ignore_ascii_case(address))
    }

    /// Address and name of every account of a vendor.
    pub(crate) fn people(&self, vendor: Vendor) -> Vec<(String, String)> {
        self.accounts
            .iter()
            .filter(|account| account.vendor() == vendor && account.shared.is_none())
            .map(|account| (account.address.clone(), account.display_name.clone()))
            .collect()
    }

    /// The Gmail mailbox of `address` with the source of chance, which changes need too.
    pub(crate) fn gmail(
        &mut self,
        address: &str,
    ) -> Option<(&mut GmailMailbox, &mut fastrand::Rng)> {
        let Self {
            accounts,
            random,
            clock,
            ..
        } = self;
        let account = accounts
            .iter_mut()
            .find(|account| account.address.eq_ignore_ascii_case(address))?;
        match &mut account.mailbox {
            Mailbox::Gmail(mailbox) => {
                mailbox.now = clock.now();
                Some((mailbox, random))
            }
            Mailbox::Outlook(_) => None,
        }
    }

    /// The Outlook mailbox of `address` with the source of chance, which changes need too.
    pub(crate) fn outlook(
        &mut self,
        address: &str,
    ) -> Option<(&mut OutlookMailbox, &mut fastrand::Rng)> {
        let Self {
            accounts, random, ..
        } = self;
        let account = accounts
            .iter_mut()
            .find(|account| account.address.eq_ignore_ascii_case(address))?;
        match &mut account.mailbox {
            Mailbox::Outlook(mailbox) => Some((mailbox, random)),
            Mailbox::Gmail(_) => None,
        }
    }

    /// A message from somewhere arrives in the inbox of `address`. An address that nobody has is no
    /// error here, as it is none for a server that has accepted the message already.
    pub(crate) fn deliver(&mut self, address: &str, raw: &[u8]) {
        let now = self.clock.now();
        let date = now.to_rfc2822();
        let traced = rewrite::prepend_field(
            raw,
            "Received",
            &format!("by mx.emulator.example with ESMTP for <{address}>; {date}"),
        );
        let traced = rewrite::prepend_field(&traced, "Delivered-To", address);
        self.store(
            address,
            Arrival {
                mail: Arc::new(Mail::new(traced)),
                received: now,
                place: Place::Inbox,
                seen: false,
                flagged: false,
            },
        );
    }

    /// Puts a message into the mailbox of `address` as it is.
    pub(crate) fn store(&mut self, address: &str, arrival: Arrival) {
        let Self {
            accounts,
            random,
            clock,
            ..
        } = self;
        let owner = accounts
            .iter_mut()
            .find(|account| account.address.eq_ignore_ascii_case(address));
        match owner.map(|account| &mut account.mailbox) {
            Some(Mailbox::Gmail(mailbox)) => {
                mailbox.now = clock.now();
                mailbox.store(arrival, random);
            }
            Some(Mailbox::Outlook(mailbox)) => {
                mailbox.store(arrival, random);
            }
            None => {}
        }
    }

    /// Mail leaves an Outlook mailbox: everyone it names gets it, the sender too.
    pub(crate) fn send_out(&mut self, sender: &str, mail: &Mail) {
        self.submit(sender, mail);
        let recipients = mail.parsed().recipients();
        let is_sender = |address: &String| address.eq_ignore_ascii_case(sender);
        if recipients.iter().any(is_sender) {
            let raw = rewrite::remove_field(mail.raw(), "Bcc");
            self.deliver(sender, &raw);
        }
    }

    /// Everything that was held back until now leaves.
    pub(crate) fn send_due(&mut self) {
        let now = self.clock.now();
        let mut due = Vec::new();
        for account in &mut self.accounts {
            if let Mailbox::Outlook(mailbox) = &mut account.mailbox {
                let address = &account.address;
                due.extend(
                    mailbox
                        .due(now)
                        .into_iter()
                        .map(|mail| (address.clone(), mail)),
                );
            }
        }
        for (address, mail) in due {
            self.send_out(&address, &mail);
        }
    }

    /// Mail leaves `sender`: everyone else it names gets a copy without `Bcc`. The sender's own copy, and
    /// what becomes of mail to oneself, is the mailbox's business.
    pub(crate) fn submit(&mut self, sender: &str, mail: &Mail) {
        let outgoing = rewrite::remove_field(mail.raw(), "Bcc");
        for recipient in mail.parsed().recipients() {
            if !recipient.eq_ignore_ascii_case(sender) {
                self.deliver(&recipient, &outgoing);
            }
        }
    }

    /// Gives out an access token in the vendor's shape.
    pub(crate) fn issue_access_token(
        &mut self,
        vendor: Vendor,
        grant: Grant,
        expires: Duration,
    ) -> String {
        let token = match vendor {
            Vendor::Google => format!("ya29.{}", self.opaque(180)),
            Vendor::Microsoft => format!("EwB{}", self.opaque(360)),
        };
        self.tokens
            .access
            .insert(token.clone(), AccessToken { grant, expires });
        token
    }

    /// What was allowed in one consent.
    pub(crate) fn grant(
        &mut self,
        account: String,
        client_id: String,
        scopes: BTreeSet<String>,
    ) -> Grant {
        Grant {
            account,
            client_id,
            scopes,
            family: self.random.u64(..),
        }
    }

    /// A new GUID.
    pub(crate) fn guid(&mut self) -> String {
        let mut digits = self.random.u128(..);
        digits = digits & !(0xf << 76) | (4 << 76);
        digits = digits & !(0x3 << 62) | (2 << 62);
        let text = format!("{digits:032x}");
        let mut guid = String::with_capacity(36);
        for (index, digit) in text.chars().enumerate() {
            if matches!(index, 8 | 12 | 16 | 20) {
                guid.push('-');
            }
            guid.push(digit);
        }
        guid
    }

    /// A new opaque text of letters and digits, as tokens and codes are made of.
    pub(crate) fn opaque(&mut self, length: usize) -> String {
        std::iter::repeat_with(|| self.random.alphanumeric())
            .take(length)
            .collect()
    }
}

impl Account {
    pub(crate) fn vendor(&self) -> Vendor {
        match self.mailbox {
            Mailbox::Gmail(_) => Vendor::Google,
            Mailbox::Outlook(_) => Vendor::Microsoft,
        }
    }

    /// Whether it is a personal Microsoft account rather than an organisation's.
    pub(crate) fn is_personal(&self) -> bool {
        self.tenant == PERSONAL
    }

    pub(crate) fn messages(&self) -> Vec<EmulatedMessage> {
        match &self.mailbox {
            Mailbox::Gmail(mailbox) => mailbox.truth(),
            Mailbox::Outlook(mailbox) => mailbox.truth(),
        }
    }
}

impl Arrival {
    /// A message that lies somewhere already, with the date that it gives itself, or else `otherwise`.
    pub(crate) fn placed(raw: impl Into<Bytes>, place: Place, otherwise: DateTime<Utc>) -> Self {
        let mail = Arc::new(Mail::new(raw));
        let received = mail.parsed().date.unwrap_or(otherwise);
        Self {
            mail,
            received,
            place,
            seen: true,
            flagged: false,
        }
    }
}
