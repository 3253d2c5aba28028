//! The methods of `users.settings.sendAs` that tell who mail may be sent as: the account's own address, and the aliases that
//! were added to it. Making and changing them is not emulated.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/alias_and_signature_settings>

use serde_json::{Value, json};

use super::call::Call;
use super::error::Failure;

/// An author that the user added.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) address: String,
    pub(crate) name: String,
    /// Whether its owner agreed.
    pub(crate) is_accepted: bool,
}

pub(crate) fn list(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    Ok(Some(json!({ "sendAs": authors(call)? })))
}

pub(crate) fn get(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let wanted = call.value("sendAsEmail").to_lowercase();
    let mut authors = authors(call)?.into_iter();
    let author = authors.find(|author| {
        let address = author["sendAsEmail"].as_str();
        address.is_some_and(|address| address.to_lowercase() == wanted)
    });
    author.map(Some).ok_or_else(Failure::not_found)
}

fn authors(call: &Call<'_>) -> Result<Vec<Value>, Failure> {
    let own = call.with_world(|world| {
        let account = world.account(&call.account);
        let account = account.ok_or_else(Failure::not_found)?;
        Ok((account.address.clone(), account.display_name.clone()))
    })?;
    call.with_mailbox(|mailbox, _| {
        let mut authors = vec![json!({
            "sendAsEmail": own.0,
            "displayName": own.1,
            "replyToAddress": "",
            "signature": mailbox.settings.signature,
            "isPrimary": true,
            "isDefault": true,
        })];
        // Only what is true is said, and of the own address nobody had to agree.
        authors.extend(mailbox.settings.aliases.iter().map(|alias| {
            json!({
                "sendAsEmail": alias.address,
                "displayName": alias.name,
                "replyToAddress": "",
                "signature": "",
                "treatAsAlias": true,
                "verificationStatus": if alias.is_accepted { "accepted" } else { "pending" },
            })
        }));
        Ok(authors)
    })
}
