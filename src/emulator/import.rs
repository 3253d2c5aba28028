//! Mail of the user's own for the emulator: a folder of `.eml` files, or an mbox. The corpus that comes
//! with it is in `seed`.

use std::fs;
use std::io::{self, BufReader};
use std::path::Path;

use mail_parser::mailbox::mbox::MessageIterator;

use super::world::{Arrival, Place, World};

/// Puts every message found at `path` into the inbox of every account.
pub(crate) fn load(world: &mut World, path: &Path) -> io::Result<()> {
    let messages = if path.is_dir() {
        folder(path)?
    } else {
        mbox(path)?
    };
    let now = world.clock.now();
    let addresses: Vec<String> = world
        .accounts
        .iter()
        .map(|account| account.address.clone())
        .collect();
    for raw in messages {
        let arrival = Arrival::placed(raw, Place::Inbox, now);
        for address in &addresses {
            world.store(address, arrival.clone());
        }
    }
    Ok(())
}

/// The `.eml` files of a folder in the order of their names.
fn folder(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("eml")) {
            files.push(file);
        }
    }
    files.sort();
    files.iter().map(fs::read).collect()
}

fn mbox(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    MessageIterator::new(BufReader::new(fs::File::open(path)?))
        .map(|message| {
            message
                .map(mail_parser::mailbox::mbox::Message::unwrap_contents)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not an mbox"))
        })
        .collect()
}
