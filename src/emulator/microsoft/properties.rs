//! Extended properties: how their ids are written, of which kind their values are, and those that Exchange itself acts
//! upon. Where they are kept is `mailbox`'s.
//! <https://learn.microsoft.com/en-us/graph/api/resources/extended-properties-overview>

use chrono::{DateTime, Utc};

use super::error::GraphError;

/// `PidTagDeferredSendTime`: until then a message that is sent waits.
/// <https://learn.microsoft.com/en-us/office/client-developer/outlook/mapi/pidtagdeferredsendtime-canonical-property>
pub(crate) const DEFERRED_SEND_TIME: &str = "systemtime 0x3fef";

/// `PidTagInReplyToId` and `PidTagInternetReferences`.
/// <https://learn.microsoft.com/en-us/office/client-developer/outlook/mapi/pidtaginreplytoid-canonical-property>
pub(crate) const IN_REPLY_TO: &str = "string 0x1042";
pub(crate) const REFERENCES: &str = "string 0x1039";

/// `PidTagListUnsubscribe`.
/// <https://learn.microsoft.com/en-us/office/client-developer/outlook/mapi/pidtaglistunsubscribe-canonical-property>
pub(crate) const LIST_UNSUBSCRIBE: &str = "string 0x1045";

/// `PidTagMessageFlags`: a message that is made without the flag that says unsent is no draft.
/// <https://learn.microsoft.com/en-us/office/client-developer/outlook/mapi/pidtagmessageflags-canonical-property>
pub(crate) const MESSAGE_FLAGS: &str = "integer 0x0e07";

/// `PidTagMessageDeliveryTime` and `PidTagClientSubmitTime`.
/// <https://learn.microsoft.com/en-us/office/client-developer/outlook/mapi/pidtagmessagedeliverytime-canonical-property>
pub(crate) const DELIVERY_TIME: &str = "systemtime 0x0e06";
pub(crate) const SUBMIT_TIME: &str = "systemtime 0x0039";

/// `PidTagTransportMessageHeaders`: the header of a message that was received.
/// <https://learn.microsoft.com/en-us/office/client-developer/outlook/mapi/pidtagtransportmessageheaders-canonical-property>
pub(crate) const TRANSPORT_HEADERS: &str = "string 0x007d";

/// What a single value can be of.
const TYPES: [&str; 12] = [
    "applicationtime",
    "binary",
    "boolean",
    "clsid",
    "currency",
    "double",
    "float",
    "integer",
    "long",
    "short",
    "string",
    "systemtime",
];

/// The id as it comes back: in lower case, tags with all their digits. An id of another form is refused.
pub(crate) fn id(text: &str) -> Result<String, GraphError> {
    canonical(text).ok_or_else(|| {
        GraphError::bad_request(
            "ErrorInvalidRequest",
            "PropertyId values may only be in one of the following formats: 'MapiPropertyType namespaceGuid Name \
             propertyName', 'MapiPropertyType namespaceGuid Id propertyId' or 'MapiPropertyType propertyTag'.",
        )
    })
}

fn canonical(text: &str) -> Option<String> {
    let mut words = text.splitn(4, ' ');
    let kind = words.next()?.to_ascii_lowercase();
    if !TYPES.contains(&kind.as_str()) {
        return None;
    }
    let second = words.next()?.to_ascii_lowercase();
    let Some(word) = words.next() else {
        let tag = number(&second)?;
        return Some(format!("{kind} 0x{tag:04x}"));
    };
    let rest = words.next().filter(|rest| !rest.is_empty())?;
    if !is_guid(&second) {
        return None;
    }
    match word.to_ascii_lowercase().as_str() {
        "name" => Some(format!("{kind} {second} name {}", rest.to_lowercase())),
        "id" => Some(format!("{kind} {second} id 0x{:04x}", number(rest)?)),
        _ => None,
    }
}

fn number(text: &str) -> Option<u16> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_guid(text: &str) -> bool {
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| {
        let parts: Vec<usize> = inner.split('-').map(str::len).collect();
        parts == [8, 4, 4, 4, 12]
            && inner
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    })
}

/// Whether a text is a value of the kind that the id says.
pub(crate) fn fits(id: &str, value: &str) -> bool {
    match id.split(' ').next().unwrap_or_default() {
        "boolean" => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
        "double" | "float" => value.parse::<f64>().is_ok(),
        "integer" | "long" | "short" | "currency" => value.parse::<i64>().is_ok(),
        "systemtime" | "applicationtime" => instant(value).is_some(),
        _ => true,
    }
}

/// A value as an instant.
pub(crate) fn instant(value: &str) -> Option<DateTime<Utc>> {
    let instant = DateTime::parse_from_rfc3339(value).ok()?;
    Some(instant.to_utc())
}

/// The ids that an `$expand` asks for, which it has to: nothing lists all properties of a message.
/// <https://learn.microsoft.com/en-us/graph/api/singlevaluelegacyextendedproperty-get>
pub(crate) fn expanded(options: &str) -> Result<Vec<String>, GraphError> {
    let refused = || {
        GraphError::bad_request(
            "ErrorInvalidRequest",
            "Expanding the property 'SingleValueExtendedProperties' requires a filter on 'id'.",
        )
    };
    let filter = options
        .trim()
        .strip_prefix("$filter=")
        .ok_or_else(refused)?;
    filter
        .split(" or ")
        .map(|term| {
            let literal = term.trim().strip_prefix("id eq ").ok_or_else(refused)?;
            let quoted = literal
                .trim()
                .strip_prefix('\'')
                .and_then(|rest| rest.strip_suffix('\''));
            id(&quoted.ok_or_else(refused)?.replace("''", "'"))
        })
        .collect()
}
