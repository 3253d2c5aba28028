//! Whatever a batch is answered: reading it neither panics nor prints it, and no message is taken for another one. The same
//! bytes are the answer of both services: several parts at Gmail, JSON at Outlook.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroom::{Detail, MessageId};
use postroom_fuzz::{BENCH, mailboxes, printed};

fuzz_target!(|data: &[u8]| {
    let wanted = ["a", "b", "c"].map(MessageId::from);
    let types = ["multipart/mixed; boundary=b", "application/json"];
    // An answer may ask to be left alone for a while: the next one finds other mailboxes.
    for (mailbox, media_type) in mailboxes(&BENCH.service).iter().zip(types) {
        BENCH.service.answers_as(media_type, data.to_vec());
        let read = mailbox.messages_by_id(&wanted, Detail::Full);
        let read = BENCH.runtime.block_on(read).expect("each is answered by itself");
        assert_eq!(read.len(), wanted.len());
        for (read, asked) in read.iter().zip(&wanted) {
            match read {
                // Graph knows each message by two kinds of ids, and answers with the other one than was asked for.
                Ok(message) if media_type == types[1] && !wanted.contains(&message.id) => {}
                Ok(message) => assert_eq!(message.id, *asked),
                Err(error) => assert!(!printed(error).contains("planted")),
            }
        }
    }
});
