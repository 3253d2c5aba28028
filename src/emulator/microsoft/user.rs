//! `/me` and `/users/{id}`: who the mailbox belongs to, and whether one may ask.
//! <https://learn.microsoft.com/en-us/graph/api/user-get>

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::State;
use super::super::tokens::{APPLICATION, Grant};
use super::call::{Answer, Call, Reply};
use super::error::GraphError;
use super::query;

/// What a plain `GET /me` gives.
const DEFAULT: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

/// What there is only on request.
const SELECTABLE: [&str; 5] = [
    "otherMails",
    "proxyAddresses",
    "userType",
    "accountEnabled",
    "mailNickname",
];

/// The address of the user with this id or address, if the token may see that mailbox, or for a `profile` that user.
pub(super) fn resolve(
    state: &State,
    grant: &Grant,
    id: &str,
    profile: bool,
) -> Result<String, GraphError> {
    let world = state.world();
    let found = world
        .accounts
        .iter()
        .find(|account| {
            !account.tenant.is_empty()
                && (account.subject == id || account.address.eq_ignore_ascii_case(id))
        })
        .map(|account| account.address.clone());
    match found {
        Some(address) if address == grant.account => Ok(address),
        // An application's permissions hold for every mailbox of its tenant, and for no others.
        Some(address)
            if grant.account == APPLICATION
                && world
                    .account(&address)
                    .is_some_and(|account| !account.is_personal()) =>
        {
            Ok(address)
        }
        Some(_) if grant.account == APPLICATION => Err(GraphError::new(
            StatusCode::NOT_FOUND,
            "ErrorInvalidUser",
            format!("The requested user '{id}' is invalid."),
        )),
        // Who else there is may be asked; what that takes is the profile's.
        Some(address) if profile => Ok(address),
        // <https://github.com/microsoftgraph/microsoft-graph-explorer-v4/issues/3786>
        Some(_) if !grant.scopes.iter().any(|name| name.ends_with(".Shared")) => {
            Err(GraphError::forbidden())
        }
        Some(address) => {
            let account = world.account(&address);
            let sharing = account.and_then(|account| account.shared.as_ref());
            let shared = sharing.is_some_and(|sharing| sharing.with.contains(&grant.account));
            // Without a right to it the store is said to be empty. <https://github.com/O365/python-o365/issues/170>
            if shared {
                Ok(address)
            } else {
                Err(GraphError::item_not_found())
            }
        }
        None => Err(GraphError::new(
            StatusCode::NOT_FOUND,
            "ErrorInvalidUser",
            format!("The requested user '{id}' is invalid."),
        )),
    }
}

/// `GET /me`
pub(super) fn me(call: &Call<'_>) -> Answer {
    if call.method != Method::GET {
        return Err(GraphError::method_not_allowed());
    }
    if call.is_anothers() {
        call.need(&["User.ReadBasic.All"])?;
    } else {
        call.need(&["User.Read", "User.Read.All"])?;
    }
    let known = [&DEFAULT[..], &SELECTABLE[..]].concat();
    let selected = query::select(call, &known, "microsoft.graph.user")?;
    let world = call.state.world();
    let account = world
        .account(&call.address)
        .ok_or_else(GraphError::forbidden)?;
    let nickname = account.address.split('@').next().unwrap_or_default();
    let mut user = json!({
        "businessPhones": [],
        "displayName": account.display_name,
        "givenName": account.display_name,
        "jobTitle": null,
        // Some personal accounts have none: the principal name has to do.
        "mail": if account.is_personal() { Value::Null } else { json!(account.address) },
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": "en-GB",
        "surname": null,
        "userPrincipalName": account.address,
        "id": account.subject,
        "otherMails": [],
        "proxyAddresses": [format!("SMTP:{}", account.address)],
        "userType": "Member",
        "accountEnabled": true,
        "mailNickname": nickname,
    });
    drop(world);
    let wanted = selected.unwrap_or_else(|| DEFAULT.map(str::to_owned).to_vec());
    if let Some(fields) = user.as_object_mut() {
        fields.retain(|name, _| wanted.contains(name));
        let context = call.url("$metadata#users/$entity");
        fields.insert("@odata.context".to_owned(), json!(context));
    }
    Ok(Reply::json(user))
}
