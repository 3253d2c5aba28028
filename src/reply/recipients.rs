//! Who gets an answer, and from which of the user's addresses it goes.

use crate::model::{Address, Message};

/// Who gets an answer; see [`recipients()`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipients {
    /// The user's address that it should be from, where that is not the mailbox's own.
    pub from: Option<Address>,
    /// Primary recipients. Empty only where the original names nobody who can be written to.
    pub to: Vec<Address>,
    /// Other recipients.
    pub cc: Vec<Address>,
}

/// Who gets the answer to `original`. `own` are the user's addresses, the mailbox's own first.
///
/// * An answer goes to where its author wants it (`Reply-To`, all of them), else to its authors, else to its sender
///   ([RFC 5322 §3.6.2](https://www.rfc-editor.org/rfc/rfc5322#section-3.6.2)); to `everyone`, it also goes to whoever else the
///   original went to, primary recipients as such.
/// * An answer to the user's own message goes to those whom that one went to: who answers it goes on with it. One that
///   wants its answers elsewhere (`Reply-To`) is no such message: forms on websites write in their owner's name, and the
///   customer stands in `Reply-To`. [`Mailbox::reply`](crate::Mailbox::reply) knows those by what lies among the sent ones.
/// * None of the user's addresses gets it, nor one of them with a tag (`reader+shop@…`), unless nobody else is left: a
///   note to oneself is answered to oneself.
/// * Nobody gets it twice, whatever the case of the letters, and an address that cannot be written to is left out.
/// * It is from the user's address that the original came to, or was from. A primary recipient counts before others, and
///   the mailbox's own address before aliases.
///
/// Hidden recipients of a message that the user sent are not answered: the others would learn of them.
#[must_use]
pub fn recipients(original: &Message, own: &[Address], everyone: bool) -> Recipients {
    let others = |list: &[Address]| -> Vec<Address> {
        let theirs = |address: &&Address| !is_own(address, own);
        list.iter().filter(theirs).filter_map(writable).collect()
    };
    let is_ours = is_from(original, own) && others(&original.reply_to).is_empty();
    let (mut to, mut cc) = (others(&original.to), others(&original.cc));
    if !is_ours {
        let sender = original.sender.as_slice();
        let author = [&original.reply_to, &original.from, sender]
            .into_iter()
            .map(others)
            .find(|list| !list.is_empty());
        if everyone {
            to.splice(0..0, author.unwrap_or_default());
        } else {
            to = author.unwrap_or_default();
            cc.clear();
        }
    } else if !everyone && !to.is_empty() {
        cc.clear();
    }
    if to.is_empty() {
        to = std::mem::take(&mut cc);
    }
    if to.is_empty() {
        // Nobody but the user.
        to = [&original.reply_to, &original.from]
            .into_iter()
            .map(|list| list.iter().filter_map(writable).collect::<Vec<_>>())
            .find(|list| !list.is_empty())
            .unwrap_or_default();
    }
    let mut told: Vec<Address> = Vec::new();
    let mut once = |list: Vec<Address>| -> Vec<Address> {
        let mut kept = Vec::new();
        for address in list {
            if !told.iter().any(|known| known.is_same_mailbox(&address)) {
                told.push(address.clone());
                kept.push(address);
            }
        }
        kept
    };
    let (to, cc) = (once(to), once(cc));
    let from = if is_ours {
        of_own(&original.from, own)
    } else {
        of_own(&original.to, own).or_else(|| of_own(&original.cc, own))
    };
    let main = own.first();
    Recipients {
        from: from
            .filter(|from| main.is_some_and(|main| !main.is_same_mailbox(from)))
            .cloned(),
        to,
        cc,
    }
}

/// Whether the user is its author, and it wants answers from somebody else: it was sent by the user with such a wish, or in
/// the user's name by another's hand.
pub(super) fn is_answered_elsewhere(original: &Message, own: &[Address]) -> bool {
    let is_elsewhere = |address: &Address| !is_own(address, own) && writable(address).is_some();
    is_from(original, own) && original.reply_to.iter().any(is_elsewhere)
}

fn is_from(original: &Message, own: &[Address]) -> bool {
    !original.from.is_empty() && original.from.iter().all(|from| is_own(from, own))
}

/// The first of the user's addresses that is in a list.
fn of_own<'a>(list: &[Address], own: &'a [Address]) -> Option<&'a Address> {
    let is_named = |own: &&Address| list.iter().any(|address| address.is_same_mailbox(own));
    own.iter().find(is_named)
}

/// Whether an address is one of the user's, or one of them with a tag after a plus, which both services deliver to it
/// (<https://support.google.com/a/users/answer/9282734>,
/// <https://learn.microsoft.com/exchange/recipients-in-exchange-online/plus-addressing-in-exchange-online>).
fn is_own(address: &Address, own: &[Address]) -> bool {
    let is = |address: &Address| own.iter().any(|own| own.is_same_mailbox(address));
    if is(address) {
        return true;
    }
    let untagged = address
        .address()
        .rsplit_once('@')
        .and_then(|(local, domain)| {
            let (local, _) = local
                .split_once('+')
                .filter(|(local, _)| !local.is_empty())?;
            Some(Address::received(None, format!("{local}@{domain}")))
        });
    untagged.is_some_and(|untagged| is(&untagged))
}

/// The address as it can be written to. Names came by mail, and may hold what no header can.
fn writable(address: &Address) -> Option<Address> {
    let name = address.name().map(super::quotation::one_line);
    let address = Address::received(name, address.address().trim());
    address.validate().is_ok().then_some(address)
}
