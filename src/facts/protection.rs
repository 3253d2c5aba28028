//! How a message is signed or encrypted, told by its media types alone
//! (<https://www.rfc-editor.org/rfc/rfc1847>, <https://www.rfc-editor.org/rfc/rfc3156>,
//! <https://www.rfc-editor.org/rfc/rfc8551>). Nothing is verified or decrypted here.

use serde::Serialize;

use super::source::{Part, Source};
use crate::mime;

/// A signature or an encryption that a message says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Protection {
    /// By which standard.
    pub standard: ProtectionStandard,
    /// Which of the two.
    pub kind: ProtectionKind,
}

/// A standard by which messages are signed and encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProtectionStandard {
    /// S/MIME: certificates.
    Smime,
    /// OpenPGP, as parts of the message.
    PgpMime,
    /// OpenPGP, within the text.
    PgpInline,
    /// Microsoft's rights management
    /// (<https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxorms>).
    RightsManagement,
}

/// What was done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProtectionKind {
    /// It is signed, and can be read without the signature.
    Signed,
    /// It is signed, and can be read only by programs that know the standard: text and attachments are inside.
    SignedOpaque,
    /// It is encrypted; it may be signed inside.
    Encrypted,
    /// It is one of the two before; only decoding it tells which.
    Opaque,
}

pub(super) fn protection(source: &Source<'_>) -> Vec<Protection> {
    let mut found: Vec<Protection> = Vec::new();
    let multiparts = source
        .multiparts
        .iter()
        .filter_map(|value| multipart(value));
    let parts = source.parts.iter().filter_map(part);
    for protection in multiparts.chain(parts).chain(inline(source)) {
        if !found.contains(&protection) {
            found.push(protection);
        }
    }
    // An opaque part is also named in ways that do not say what it is.
    let certain = found.iter().any(|protection| {
        protection.standard == ProtectionStandard::Smime
            && protection.kind != ProtectionKind::Opaque
    });
    found.retain(|protection| {
        !(certain
            && protection.standard == ProtectionStandard::Smime
            && protection.kind == ProtectionKind::Opaque)
    });
    found
}

fn of(standard: ProtectionStandard, kind: ProtectionKind) -> Protection {
    Protection { standard, kind }
}

fn multipart(content_type: &str) -> Option<Protection> {
    let lower = content_type.trim_start().to_ascii_lowercase();
    let kind = if lower.starts_with("multipart/signed") {
        ProtectionKind::Signed
    } else if lower.starts_with("multipart/encrypted") {
        ProtectionKind::Encrypted
    } else {
        return None;
    };
    let protocol = mime::parameter(content_type, "protocol").unwrap_or_default();
    let standard = if protocol.to_ascii_lowercase().contains("pkcs7") {
        ProtectionStandard::Smime
    } else {
        ProtectionStandard::PgpMime
    };
    Some(of(standard, kind))
}

fn part(part: &Part<'_>) -> Option<Protection> {
    use ProtectionKind::{Encrypted, Opaque, Signed, SignedOpaque};
    use ProtectionStandard::{PgpMime, RightsManagement, Smime};
    Some(match part.media_type.as_str() {
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
            let told = part.parameter("smime-type").unwrap_or_default();
            match told.to_ascii_lowercase().as_str() {
                "signed-data" => of(Smime, SignedOpaque),
                "enveloped-data" | "authenveloped-data" => of(Smime, Encrypted),
                // A certificate that is handed over, or only smaller.
                "certs-only" | "compressed-data" => return None,
                _ if part.is_named("smime.p7c") || part.is_named("smime.p7z") => return None,
                _ => of(Smime, Opaque),
            }
        }
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => of(Smime, Signed),
        // As Exchange hands out a signed message whose parts it does not take apart.
        "multipart/signed" => of(Smime, Signed),
        "application/pgp-signature" => of(PgpMime, Signed),
        "application/pgp-encrypted" => of(PgpMime, Encrypted),
        "application/x-microsoft-rpmsg-message" => of(RightsManagement, Encrypted),
        _ => return None,
    })
}

/// Armour in the text (<https://www.rfc-editor.org/rfc/rfc9580#section-6.2>). Only at the beginning of a line: a quoted one
/// is another message's.
fn inline(source: &Source<'_>) -> Option<Protection> {
    let lines = source.text.as_deref()?.lines();
    let kind = lines.map(str::trim_end).find_map(|line| match line {
        "-----BEGIN PGP SIGNED MESSAGE-----" => Some(ProtectionKind::Signed),
        "-----BEGIN PGP MESSAGE-----" => Some(ProtectionKind::Encrypted),
        _ => None,
    })?;
    Some(of(ProtectionStandard::PgpInline, kind))
}
