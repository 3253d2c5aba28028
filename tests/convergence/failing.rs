//! What goes wrong at a service and on the way to it, each as somebody has seen it happen.

use http::Method;
use postroom::emulator::{Fault, FaultKind};

use super::World;
use crate::support::{GMAIL, OUTLOOK};

impl World {
    /// The service forgets what it should remember.
    pub(super) fn forget(&mut self) {
        if self.is_gmail() {
            self.tell("the history is lost");
            return self.emulator.expire_history(GMAIL);
        }
        let what = self.random.below(6);
        let names = [
            "all lost",
            "inbox lost",
            "links rot",
            "hold",
            "end early",
            "no hold",
        ];
        self.tell(names[usize::try_from(what).unwrap()]);
        match what {
            0 => self.emulator.expire_deltas(OUTLOOK, None),
            1 => self.emulator.expire_deltas(OUTLOOK, Some("inbox")),
            2 => self.emulator.rot_next_links(OUTLOOK),
            3 => self.emulator.hold_changes(OUTLOOK, true),
            4 => self.emulator.end_next_walk_early(OUTLOOK),
            _ => self.emulator.hold_changes(OUTLOOK, false),
        }
    }

    /// Something goes wrong on the way.
    pub(super) fn fail(&mut self) {
        let place = match (self.is_gmail(), self.random.below(8)) {
            (true, 0) => "/history",
            (true, 1) => "/labels",
            (true, 2) => "/threads/",
            (true, 3) => "/profile",
            (false, 0..=1) => "/delta",
            (false, 2) => "/mailFolders/",
            (false, 3) => "/mailFolders",
            (_, 4..=5) => "/messages",
            (_, 6) => "/messages/",
            _ => "batch",
        };
        let kind = match self.random.below(10) {
            0 => FaultKind::rate_limited(None),
            1 => FaultKind::unavailable(None),
            2 => FaultKind::internal_error(),
            3 => FaultKind::DropBefore,
            4 => FaultKind::DropAfter,
            5 => FaultKind::Truncate,
            6 => FaultKind::NotJson,
            // What is there is said not to be, or a request to be wrong that is right, and not the next time.
            _ if place == "batch" => FaultKind::unavailable(None),
            7 if self.is_gmail() => FaultKind::precondition_failed(),
            7 => FaultKind::resource_not_found(),
            _ => FaultKind::not_found(),
        };
        // Of one message's state nothing is told where it cannot be read.
        let is_hidden = match &kind {
            FaultKind::Status { code, .. } => matches!(code, 400 | 404),
            kind => matches!(kind, FaultKind::Truncate | FaultKind::NotJson),
        };
        self.is_lied_to |= is_hidden && ["/messages/", "/threads/"].contains(&place);
        let method = if place == "batch" {
            Method::POST
        } else {
            Method::GET
        };
        let skipped = u32::try_from(self.random.below(4)).unwrap();
        self.tell(format!("{kind:?} on {place} after {skipped}"));
        let fault = Fault::new(kind).after(skipped);
        self.emulator.fault(match place {
            "/messages" => fault.on_end(method, place),
            place => fault.on(method, place),
        });
    }
}
