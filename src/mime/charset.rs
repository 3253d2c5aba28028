//! Bytes of text to characters, by the charset that their part names or, where that cannot be right, by the one that the bytes
//! show. Nothing here fails. The decoders are mail-parser's and encoding_rs's.

use std::borrow::Cow;

use encoding_rs::Encoding;
use mail_parser::decoders::charsets::DecoderFnc;
use mail_parser::decoders::charsets::map::charset_decoder;

use super::read::parameter;

/// The text of a part, by the charset that its `Content-Type` names. Senders often name the wrong one, so:
///
/// 1. a UTF-8 text that is said to be Latin (`iso-8859-1`, `windows-1252` and their kin) is read as UTF-8: no text makes sense
///    as both, unless it is ASCII;
/// 2. a text that is said to be UTF-8 or ASCII, or of which nothing or something unknown is said, is read as UTF-8 if it is; as
///    ISO-2022-JP if it has that charset's escape sequences; as UTF-8 with replaced characters if more of it is UTF-8
///    than is not, such as one that was cut off within a character; else as Windows-1252, which reads anything;
/// 3. any other is read by its charset.
pub(crate) fn text<'a>(bytes: impl Into<Cow<'a, [u8]>>, content_type: Option<&str>) -> String {
    let bytes = bytes.into();
    let label = content_type.and_then(|value| parameter(value, "charset"));
    let decoder = label.as_deref().and_then(decoder);
    if matches!(decoder, Some(Decoder::Latin) | None) {
        // What is UTF-8 already is not copied.
        return match String::from_utf8(bytes.into_owned()) {
            Ok(text) => text,
            Err(error) => not_utf8(error.as_bytes(), decoder),
        };
    }
    not_utf8(&bytes, decoder)
}

/// The text of a part that is not UTF-8, or is not to be read as such.
fn not_utf8(bytes: &[u8], decoder: Option<Decoder>) -> String {
    match decoder {
        Some(Decoder::Latin) => windows_1252(bytes),
        Some(Decoder::Other(decode)) => decode(bytes),
        Some(Decoder::Standard(encoding)) => {
            encoding.decode_without_bom_handling(bytes).0.into_owned()
        }
        None if has_japanese_escapes(bytes) => encoding_rs::ISO_2022_JP
            .decode_without_bom_handling(bytes)
            .0
            .into_owned(),
        None if is_mostly_utf8(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => windows_1252(bytes),
    }
}

/// How text of a charset is read that is not UTF-8.
enum Decoder {
    Latin,
    Other(DecoderFnc),
    Standard(&'static Encoding),
}

/// `None` for UTF-8, ASCII, and what nobody knows.
fn decoder(label: &str) -> Option<Decoder> {
    let label = label.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    let standard = Encoding::for_label_no_replacement(label.as_bytes());
    if standard == Some(encoding_rs::UTF_8) || UNICODE.contains(&label.as_str()) {
        return None;
    }
    if standard == Some(encoding_rs::WINDOWS_1252) {
        return Some(Decoder::Latin);
    }
    charset_decoder(label.as_bytes())
        .map(Decoder::Other)
        .or_else(|| standard.or_else(|| alias(&label)).map(Decoder::Standard))
}

/// Names for UTF-8 and its part ASCII, and for nothing in particular, that <https://encoding.spec.whatwg.org/#names-and-labels>
/// does not have or reads otherwise: it takes ASCII for Windows-1252.
const UNICODE: [&str; 12] = [
    "ascii",
    "us-ascii",
    "us_ascii",
    "ansi_x3.4-1968",
    "iso646-us",
    "cp65001",
    "utf8mb4",
    "utf_8",
    "unknown-8bit",
    "x-unknown",
    "default",
    "binary",
];

/// Names that programs use and no list has (<https://learn.microsoft.com/windows/win32/intl/code-page-identifiers>).
fn alias(label: &str) -> Option<&'static Encoding> {
    let name = label.strip_prefix("x-").unwrap_or(label).replace('_', "-");
    if let Some(encoding) = Encoding::for_label_no_replacement(name.as_bytes()) {
        return Some(encoding);
    }
    Some(match name.as_str() {
        "cp932" | "cp943" | "cp943c" | "windows-932" | "sjis-win" | "sjis-open" | "ms-kanji" => {
            encoding_rs::SHIFT_JIS
        }
        "cp50220" | "cp50221" | "cp50222" | "iso-2022-jp-ms" | "iso-2022-jp-1"
        | "iso-2022-jp-2" | "iso-2022-jp-3" | "iso2022-jp" | "iso2022jp" | "jis" => {
            encoding_rs::ISO_2022_JP
        }
        "cp51932" | "eucjp-win" | "eucjp-ms" | "eucjp" => encoding_rs::EUC_JP,
        "cp949" | "ms949" | "uhc" | "euckr" | "ksc5601" | "ks-c-5601" | "cp51949" => {
            encoding_rs::EUC_KR
        }
        "cp950" | "ms950" | "windows-950" | "big-5" | "big5-eten" => encoding_rs::BIG5,
        "cp936" | "ms936" | "windows-936" | "euc-cn" | "euccn" => encoding_rs::GBK,
        "cp54936" => encoding_rs::GB18030,
        "cp874" | "tis620" => encoding_rs::WINDOWS_874,
        "cp1125" => encoding_rs::IBM866,
        "cp10000" | "mac-roman" | "macroman" => encoding_rs::MACINTOSH,
        "cp10007" | "mac-cyrillic" | "maccyrillic" | "mac-ukrainian" => encoding_rs::X_MAC_CYRILLIC,
        "win-1250" | "win1250" => encoding_rs::WINDOWS_1250,
        "win-1251" | "win1251" => encoding_rs::WINDOWS_1251,
        "koi8" | "cp20866" => encoding_rs::KOI8_R,
        "latin-2" => encoding_rs::ISO_8859_2,
        "ansi" | "win-1252" | "win1252" | "latin-1" | "8859-1" | "iso-8859-1-windows-1252" => {
            encoding_rs::WINDOWS_1252
        }
        _ => return None,
    })
}

fn windows_1252(bytes: &[u8]) -> String {
    encoding_rs::WINDOWS_1252
        .decode_without_bom_handling(bytes)
        .0
        .into_owned()
}

/// The escape sequences that begin Japanese characters (<https://www.rfc-editor.org/rfc/rfc1468>). A text of them is seven
/// bits wide, so that it looks like ASCII; here are only those that something else spoiled.
fn has_japanese_escapes(bytes: &[u8]) -> bool {
    bytes
        .windows(3)
        .any(|window| matches!(window, [0x1b, b'$', b'@' | b'B']))
}

/// Whether more sequences of several bytes are UTF-8 than are not.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let mut right = 0_usize;
    let mut wrong = 0_usize;
    for chunk in bytes.utf8_chunks() {
        right += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        wrong += usize::from(!chunk.invalid().is_empty());
    }
    right > wrong
}

/// A header's value with the charsets of its RFC 2047 words named as the parser knows them.
pub(super) fn with_known_charsets(value: &str) -> Cow<'_, str> {
    if !value.contains("=?") {
        return Cow::Borrowed(value);
    }
    let mut known = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("=?") {
        known.push_str(before);
        known.push_str("=?");
        rest = after;
        let Some((label, word)) = after.split_once('?') else {
            break;
        };
        // A language may follow the charset (RFC 2231 §5).
        let name = label.split('*').next().unwrap_or(label);
        if name.len() <= 40
            && !name.contains(char::is_whitespace)
            && charset_decoder(name.as_bytes()).is_none()
        {
            let lower = name.to_ascii_lowercase();
            let encoding =
                Encoding::for_label_no_replacement(lower.as_bytes()).or_else(|| alias(&lower));
            // What has its name already stays as it is written: a word that cannot be decoded is told as it came.
            if let Some(encoding) =
                encoding.filter(|encoding| encoding.name().to_ascii_lowercase() != lower)
            {
                known.push_str(encoding.name());
                rest = after.get(label.len()..).unwrap_or(word);
            }
        }
    }
    known.push_str(rest);
    Cow::Owned(known)
}
