"""Reads messages with Python's email package: one in base64 a line of standard input, one JSON object a line of output."""

import base64
import json
import sys
from email import message_from_bytes, policy
from email.headerregistry import HeaderRegistry, UniqueAddressHeader

REGISTRY = HeaderRegistry()
REGISTRY.map_to_type("disposition-notification-to", UniqueAddressHeader)
POLICY = policy.default.clone(header_factory=REGISTRY)


def addresses(message, name):
    header = message[name]
    if header is None:
        return []
    return [[address.display_name, address.addr_spec] for address in header.addresses]


def leaves(part):
    if part.get_content_maintype() == "multipart":
        return [leaf for child in part.get_payload() for leaf in leaves(child)]
    kind = part.get_content_type()
    found = {
        "type": kind,
        "name": part.get_filename(),
        "id": part["Content-ID"] and str(part["Content-ID"]).strip("<> "),
        "disposition": part.get_content_disposition(),
        "method": part.get_param("method"),
    }
    if kind == "message/rfc822":
        # It is not kept byte by byte.
        found["subject"] = part.get_payload(0)["Subject"]
    else:
        found["data"] = base64.b64encode(part.get_payload(decode=True)).decode()
    return [found]


def defects(message):
    found = [repr(defect) for name in message.keys() for defect in message[name].defects]
    for part in message.walk():
        found += [repr(defect) for defect in part.defects]
    return found


for line in sys.stdin.read().split():
    message = message_from_bytes(base64.b64decode(line), policy=POLICY)
    names = [name for name in message.keys() if name.startswith("X-Case-")]
    print(
        json.dumps(
            {
                "subject": str(message["Subject"]),
                "to": addresses(message, "To"),
                "cc": addresses(message, "Cc"),
                "bcc": addresses(message, "Bcc"),
                "reply_to": addresses(message, "Reply-To"),
                "receipt": addresses(message, "Disposition-Notification-To"),
                "in_reply_to": str(message.get("In-Reply-To", "")).split(),
                "references": str(message.get("References", "")).split(),
                "importance": message["Importance"] and str(message["Importance"]),
                "leave": message["List-Unsubscribe"] and str(message["List-Unsubscribe"]),
                "headers": {name: str(message[name]) for name in names},
                "leaves": leaves(message),
                "defects": defects(message),
            }
        )
    )
