//! What a store holds after the process that was writing to it is killed: a finished save, whole. The process is the
//! test binary itself, told by the environment where to write.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use postroom::Secret;
use postroom::credentials::{CredentialStore, RecordKey, Save, Saved};

use crate::support::random::Random;

/// What the environment says of the store that the process is to write to.
pub(crate) fn told() -> Option<String> {
    std::env::var("POSTROOM_KILLED_WRITER").ok()
}

/// Saves without end.
#[allow(clippy::print_stdout, reason = "it tells the test that started it")]
pub(crate) async fn write_until_killed(store: &dyn CredentialStore, key: &RecordKey) {
    for number in 0_u64.. {
        let record = Secret::new(format!("{number}:{}", "x".repeat(50_000)));
        store.save(key, &record, Save::Always).await.unwrap();
        println!("saved {number}");
    }
}

/// Runs the test `writer` in processes of their own and kills them after a few saves, looking each time at what they left.
pub(crate) async fn finished_saves_survive(
    store: &dyn CredentialStore,
    key: &RecordKey,
    writer: &str,
    told: &OsStr,
) {
    let mut random = Random::seeded();
    for saves in 1..=12 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", writer])
            .env("POSTROOM_KILLED_WRITER", told)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let saved = lines
            .map_while(Result::ok)
            .filter_map(|line| line.split_once("saved ")?.1.parse::<u64>().ok());
        let saved = saved.take(saves).last().unwrap();
        random.pass_a_moment();
        process.kill().unwrap();
        process.wait().unwrap();

        // Nor does a lock outlive the process. A server may yet finish the one statement that it was in, but no more.
        let mut superseded = 0;
        loop {
            let stored = store.load(key).await.unwrap().unwrap();
            let (number, text) = stored.record.expose().split_once(':').unwrap();
            let number = number.parse::<u64>().unwrap();
            assert!(number >= saved, "a finished save is there");
            assert_eq!(text.len(), 50_000, "and whole");
            let save = Save::IfRevision(stored.revision);
            let outcome = store.save(key, &Secret::new("0:"), save).await.unwrap();
            if outcome != Saved::Superseded {
                break;
            }
            superseded += 1;
            assert!(superseded <= 1, "somebody still writes");
        }
    }
}
