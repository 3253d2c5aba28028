//! Finds what is quoted in plain text: by marks, by the words that mail programs put before a quotation, by their
//! separators. It decides for showing where it is not sure, because what is folded away may be missed.

use super::fold::{Section, SectionKind, sections};

/// Into what plain text falls. Of text with `format=flowed`, fold the text itself or what
/// [`plain_text`](crate::Body::plain_text) gives.
///
/// A quotation is
/// * lines that begin with `>`; the paragraph before them is its attribution if it ends as attributions do (`… wrote:`,
///   `… schrieb:`, `… a écrit :`, `…写道：`) or names an address or a time of day and ends in a colon;
/// * everything after a separator (`-----Original Message-----` in any language, a line of underscores before the lines
///   `From:`, `Sent:`, …) or after such lines alone. After a separator that says that it was forwarded, it is
///   [`Forwarded`](SectionKind::Forwarded).
///
/// A signature begins with a line `-- ` or with what telephones write (`Sent from my …`).
///
/// ```
/// use postroom::view::{SectionKind, fold_text};
///
/// let text = "Yes, please.\n\nOn 1 Jan 2026, Support wrote:\n> Shall we?\n";
/// let kinds: Vec<_> = fold_text(text).iter().map(|section| section.kind).collect();
/// assert_eq!(kinds, [SectionKind::New, SectionKind::Attribution, SectionKind::Quote]);
/// ```
#[must_use]
pub fn fold_text(text: &str) -> Vec<Section<'_>> {
    let lines = lines(text);
    let mut cuts: Vec<(usize, SectionKind)> = Vec::new();
    let mut kind = SectionKind::New;
    // Where the paragraph began that the lines before this one belong to.
    let mut paragraph: Option<usize> = None;
    // The first line that belongs to nothing yet.
    let mut free = 0;
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        let next = if line.is_quoted() {
            if kind != SectionKind::Quote {
                attribute(&lines, index, paragraph, free, &mut cuts);
            }
            SectionKind::Quote
        } else if let Some(rest) = separator(&lines, index) {
            let (attribution, rest_kind) = rest;
            if rest_kind == SectionKind::Quote {
                cuts.push((line.start, SectionKind::Attribution));
                let after = lines.get(index + attribution);
                cuts.extend(after.map(|line| (line.start, SectionKind::Quote)));
            } else {
                cuts.push((line.start, rest_kind));
            }
            break;
        } else if line.is_blank() {
            // Blank lines belong to what they follow.
            kind
        } else if kind == SectionKind::Signature || line.begins_signature(&lines, index) {
            SectionKind::Signature
        } else {
            SectionKind::New
        };
        if next != kind {
            cuts.push((line.start, next));
            kind = next;
        }
        if line.is_quoted() {
            free = index + 1;
        }
        paragraph = match paragraph {
            _ if line.is_blank() || line.is_quoted() => None,
            Some(start) => Some(start),
            None => Some(index),
        };
        index += 1;
    }
    sections(text, cuts)
}

struct Line<'a> {
    start: usize,
    text: &'a str,
}

impl Line<'_> {
    fn is_quoted(&self) -> bool {
        // One space may have been put before it on the way.
        self.text
            .strip_prefix(' ')
            .unwrap_or(self.text)
            .starts_with('>')
    }

    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// A signature's separator, or what a telephone writes at the end of what is new.
    fn begins_signature(&self, lines: &[Self], index: usize) -> bool {
        // RFC 3676 §4.3. The space is often lost on the way.
        if self.text == "-- " || self.text == "--" {
            return true;
        }
        let text = self.text.trim().to_lowercase();
        let named =
            DEVICES.iter().any(|words| text.starts_with(words)) && text.chars().count() < 60;
        // Nothing new comes after it but a quotation.
        named
            && lines
                .iter()
                .skip(index + 1)
                .find(|line| !line.is_blank())
                .is_none_or(|line| {
                    line.is_quoted() || line.text.trim_end().ends_with([':', '：', '_', '-'])
                })
    }
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let this = start;
            start += line.len();
            let line = line.strip_suffix('\n').unwrap_or(line);
            Line {
                start: this,
                text: line.strip_suffix('\r').unwrap_or(line),
            }
        })
        .collect()
}

/// Marks the paragraph before a quotation if it says whose it is. Blank lines may stand between.
fn attribute(
    lines: &[Line<'_>],
    quote: usize,
    paragraph: Option<usize>,
    free: usize,
    cuts: &mut Vec<(usize, SectionKind)>,
) {
    let mut end = quote;
    while end > free && lines.get(end - 1).is_some_and(Line::is_blank) {
        end -= 1;
    }
    if quote - end > 2 {
        return;
    }
    // The paragraph is known unless blank lines ended it; an attribution that was wrapped has few lines.
    let mut start = end;
    while start > free
        && end - start < LONGEST_ATTRIBUTION
        && lines.get(start - 1).is_some_and(|line| !line.is_blank())
    {
        start -= 1;
    }
    let begin = paragraph.map_or(start, |paragraph| paragraph.max(start));
    // The shortest run of lines that ends in front of the quotation and looks like one: what stands above it is new text.
    // One that was wrapped may look like one before its beginning is there.
    let words = |begin: usize| -> String {
        let lines = lines.get(begin..end).unwrap_or_default().iter();
        lines
            .map(|line| line.text.trim())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let candidates = || (begin..end).rev().filter(|at| is_attribution(&words(*at)));
    let found = candidates().find(|at| begins_attribution(&words(*at)));
    if let Some(line) = found
        .or_else(|| candidates().next())
        .and_then(|at| lines.get(at))
    {
        // Cuts within it, such as one at a signature, are none.
        cuts.retain(|(at, _)| *at < line.start);
        cuts.push((line.start, SectionKind::Attribution));
    }
}

fn begins_attribution(words: &str) -> bool {
    let lower = words.to_lowercase();
    lower.starts_with(|c: char| c.is_ascii_digit()) || ON.iter().any(|on| lower.starts_with(on))
}

/// How many lines an attribution takes when it was wrapped.
const LONGEST_ATTRIBUTION: usize = 4;

/// How attributions end, in lower case and without the colon, in the languages of Gmail, Outlook, Apple Mail and
/// Thunderbird.
const WROTE: &[&str] = &[
    "wrote",
    "writes",
    "schrieb",
    "schreibt",
    "geschrieben",
    "a écrit",
    "écrit",
    "escribió",
    "escribiu",
    "escreveu",
    "va escriure",
    "ha scritto",
    "scritto",
    "schreef",
    "skrev",
    "kirjoitti",
    "napisał",
    "napisał(a)",
    "napisała",
    "napsal",
    "napsal(a)",
    "napísal",
    "napísal(a)",
    "írta",
    "a scris",
    "написа",
    "написал",
    "написал(а)",
    "пишет",
    "написав",
    "пише",
    "napisao",
    "napisao je",
    "je napisao/la",
    "έγραψε",
    "yazdı",
    "şunu yazdı",
    "כתב",
    "כתב/ה",
    "كتب",
    "viết",
    "đã viết",
    "menulis",
    "เขียน",
    "写道",
    "寫道",
    "書きました",
    "のメール",
    "작성",
    "님이 작성",
    "메시지",
    "kirjutas",
    "rakstīja",
    "rašė",
    "skrifaði",
];

/// How attributions begin that do not end in a word of their own.
const ON: &[&str] = &[
    "on ",
    "am ",
    "le ",
    "el ",
    "em ",
    "il ",
    "op ",
    "den ",
    "dnia ",
    "w dniu ",
    "dne ",
    "på ",
    "wiadomość napisana ",
    "ngày ",
    "στις ",
    "בתאריך",
];

/// What telephones and their programs sign with, in lower case.
const DEVICES: &[&str] = &[
    "sent from my ",
    "sent from mail for ",
    "sent from outlook",
    "get outlook for ",
    "sent from yahoo mail",
    "sent with proton mail",
    "von meinem ",
    "gesendet von ",
    "gesendet mit ",
    "envoyé de mon ",
    "envoyé depuis ",
    "envoyé à partir d",
    "enviado desde ",
    "enviado do ",
    "enviado de ",
    "inviato da ",
    "verstuurd vanaf ",
    "skickat från ",
    "sendt fra ",
    "lähetetty ",
    "wysłane z ",
    "odesláno z ",
    "отправлено с ",
    "发自我的",
    "從我的",
    "iphoneから送信",
    "나의 iphone에서 보냄",
];

fn is_attribution(words: &str) -> bool {
    let words = words.trim();
    if words.len() > 500 {
        return false;
    }
    let Some(before) = words.strip_suffix([':', '：']).map(str::trim_end) else {
        return false;
    };
    let lower = before.to_lowercase();
    if WROTE.iter().any(|wrote| lower.ends_with(wrote)) {
        return true;
    }
    // Languages whose verb stands elsewhere: a date or a time, and a person with an address.
    let address = lower.contains('@');
    let time = has_time(&lower);
    let verb = WROTE
        .iter()
        .any(|wrote| lower.split([' ', '\u{a0}']).any(|word| word == *wrote));
    let begins = ON.iter().any(|on| lower.starts_with(on));
    let dated = time && lower.contains("20");
    (address && (time || begins || lower.ends_with('>'))) || (time && verb) || (dated && begins)
}

/// Whether a time of day is in it, such as `9:00` or `21.30`.
fn has_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(4).any(|window| {
        matches!(window, [hour, b':' | b'.', tens, ones]
            if hour.is_ascii_digit() && (b'0'..b'6').contains(tens) && ones.is_ascii_digit())
    })
}

/// A separator at this line: of how many lines the attribution consists, and what comes after it.
fn separator(lines: &[Line<'_>], index: usize) -> Option<(usize, SectionKind)> {
    let line = lines.get(index)?.text.trim();
    if let Some(words) = dashed(line) {
        let forwarded = FORWARDED.iter().any(|word| words.contains(word));
        let original = ORIGINAL.iter().any(|word| words.contains(word));
        if forwarded {
            return Some((1, SectionKind::Forwarded));
        }
        let fields = header_lines(lines, index + 1);
        return (original || fields >= 3).then_some((1 + fields, SectionKind::Quote));
    }
    let ruled = line.len() >= 20 && line.bytes().all(|byte| byte == b'_');
    let first = index + usize::from(ruled);
    let fields = header_lines(lines, first);
    (fields >= 3).then_some((first - index + fields, SectionKind::Quote))
}

/// What stands between dashes, in lower case.
fn dashed(line: &str) -> Option<String> {
    let inner = line.trim_start_matches('-');
    let before = line.len() - inner.len();
    let words = inner.trim_end_matches('-');
    let after = inner.len() - words.len();
    let words = words.trim();
    (before >= 3 && after >= 3 && !words.is_empty() && words.chars().count() < 60)
        .then(|| words.to_lowercase())
}

/// Parts of what programs write between dashes before what they answer.
const ORIGINAL: &[&str] = &[
    "original message",
    "original-nachricht",
    "ursprüngliche nachricht",
    "originalnachricht",
    "message d'origine",
    "message d’origine",
    "message original",
    "mensaje original",
    "mensagem original",
    "missatge original",
    "messaggio originale",
    "oorspronkelijk bericht",
    "originalt meddelande",
    "ursprungligt meddelande",
    "opprinnelig melding",
    "oprindelig meddelelse",
    "alkuperäinen viesti",
    "wiadomość oryginalna",
    "oryginalna wiadomość",
    "původní zpráva",
    "pôvodná správa",
    "eredeti üzenet",
    "mesaj original",
    "исходное сообщение",
    "оригинальное сообщение",
    "вихідне повідомлення",
    "izvorna poruka",
    "αρχικό μήνυμα",
    "orijinal mesaj",
    "özgün ileti",
    "邮件原件",
    "原始邮件",
    "原始郵件",
    "元のメッセージ",
    "원본 메시지",
    "הודעה מקורית",
    "الرسالة الأصلية",
    "reply message",
];

/// The same for what they forward.
const FORWARDED: &[&str] = &[
    "forwarded",
    "weitergeleitete",
    "message transféré",
    "transféré",
    "reenviado",
    "encaminhada",
    "reenviat",
    "inoltrato",
    "doorgestuurd",
    "vidarebefordrat",
    "videresendt",
    "välitetty",
    "przekazan",
    "přeposlan",
    "preposlan",
    "továbbított",
    "redirecționat",
    "пересылаем",
    "пересланн",
    "переслан",
    "προωθ",
    "iletilen",
    "yönlendirilmiş",
    "转发",
    "轉寄",
    "轉發",
    "転送",
    "전달",
    "הועבר",
    "محوّلة",
    "รับส่งต่อ",
    "chuyển tiếp",
];

/// The names of the lines with which Outlook begins a quotation, in lower case, by what they say: `From`, then `Sent` or
/// `Date`, `To`, `Subject`.
const FROM: &[&str] = &[
    "from",
    "von",
    "de",
    "da",
    "van",
    "från",
    "fra",
    "lähettäjä",
    "od",
    "feladó",
    "de la",
    "от",
    "від",
    "από",
    "kimden",
    "发件人",
    "寄件者",
    "差出人",
    "보낸 사람",
    "מאת",
    "من",
    "từ",
    "dari",
    "จาก",
];
const FIELDS: &[&str] = &[
    "sent",
    "date",
    "to",
    "cc",
    "subject",
    "importance",
    "reply-to",
    "gesendet",
    "datum",
    "an",
    "betreff",
    "wichtigkeit",
    "envoyé",
    "à",
    "objet",
    "date d'envoi",
    "enviado",
    "enviado el",
    "fecha",
    "para",
    "asunto",
    "enviada em",
    "data",
    "assunto",
    "inviato",
    "a",
    "oggetto",
    "verzonden",
    "aan",
    "onderwerp",
    "skickat",
    "till",
    "ämne",
    "sendt",
    "til",
    "emne",
    "dato",
    "lähetetty",
    "vastaanottaja",
    "aihe",
    "päivämäärä",
    "wysłano",
    "wysłane",
    "do",
    "dw",
    "temat",
    "odesláno",
    "komu",
    "předmět",
    "odoslané",
    "predmet",
    "elküldve",
    "címzett",
    "tárgy",
    "trimis",
    "către",
    "subiect",
    "отправлено",
    "дата",
    "кому",
    "копия",
    "тема",
    "надіслано",
    "στάλθηκε",
    "προς",
    "θέμα",
    "ημερομηνία",
    "gönderildi",
    "gönderme tarihi",
    "kime",
    "bilgi",
    "konu",
    "tarih",
    "发送时间",
    "日期",
    "收件人",
    "抄送",
    "主题",
    "寄件日期",
    "傳送時間",
    "收件者",
    "副本",
    "主旨",
    "送信日時",
    "日付",
    "宛先",
    "件名",
    "보낸 날짜",
    "날짜",
    "받는 사람",
    "참조",
    "제목",
    "נשלח",
    "תאריך",
    "אל",
    "נושא",
    "إلى",
    "الموضوع",
    "تاريخ الإرسال",
];

/// How many lines from here on are the header of a quoted message; they begin with its author.
fn header_lines(lines: &[Line<'_>], first: usize) -> usize {
    let mut count = 0;
    let mut names = 0;
    for line in lines.iter().skip(first).take(12) {
        // Plain text made of HTML has stars for bold letters.
        let text = line.text.trim().trim_start_matches('*');
        let name = text
            .split_once([':', '：'])
            .map(|(name, _)| name.trim().trim_end_matches('*').to_lowercase());
        let name = name.as_deref().unwrap_or_default();
        let known = if names == 0 { FROM } else { FIELDS };
        if known.contains(&name) {
            names += 1;
        } else if names == 0 || line.is_blank() || (names < 2 && count > 1) {
            // A long list of recipients goes on in further lines.
            break;
        }
        count += 1;
    }
    if names >= 3 { count } else { 0 }
}
