//! The commands of the example program `mail` that keep mail in order, as their users meet them: labels, categories, rules,
//! automatic replies, and what is done to messages beyond marking and moving.

use serde_json::Value;

use crate::programs::{Emulator, Mail};

/// The emulator, and `mail` connected to one of its mailboxes.
struct Program {
    emulator: Emulator,
    mail: Mail,
    service: &'static str,
    address: &'static str,
}

impl Program {
    fn start(service: &'static str, address: &'static str, rights: &[&str]) -> Self {
        let program = Self {
            emulator: Emulator::start(),
            mail: Mail::new(),
            service,
            address,
        };
        program.connect(rights);
        program
    }

    /// Connects the account, again if it is connected, to ask for other rights.
    fn connect(&self, rights: &[&str]) {
        let connect = self.emulator.ready_made(self.service, self.address);
        self.json(&[&connect, rights].concat());
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.mail.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let document = self.text(&[&["--json"], arguments].concat());
        serde_json::from_str(&document).unwrap()
    }

    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        self.mail.fails(code, arguments)
    }

    fn inbox(&self) -> Vec<String> {
        let document = self.json(&["list", "in:inbox"]);
        let messages = document["messages"].as_array().unwrap().iter();
        let ids = messages.map(|message| message["id"].as_str().unwrap().to_owned());
        ids.collect()
    }
}

const SERVICES: [(&str, &str); 2] = [
    ("google", "reader@gmail.example"),
    ("microsoft", "reader@outlook.example"),
];

#[test]
fn labels_are_a_tree_that_can_be_changed() {
    for (service, address) in SERVICES {
        let mail = Program::start(service, address, &[]);
        let made = mail.json(&["labels", "create", "Projects"]);
        assert_eq!(made["name"], "Projects");
        mail.json(&["labels", "create", "Alpha station", "--in", "Projects"]);
        let tree = mail.text(&["labels"]);
        let (outer, inner) = tree.split_once("  Alpha station").unwrap();
        assert!(
            outer.contains("Projects") && !inner.contains("Projects"),
            "{tree}"
        );
        mail.json(&["labels", "rename", "Projects", "Endeavours"]);
        let listed = mail.json(&["labels"]);
        let listed = listed["folders"].as_array().unwrap();
        let named = |name: &str| listed.iter().find(|folder| folder["name"] == name);
        assert!(named("Projects").is_none());
        let outer = named("Endeavours").unwrap();
        assert_eq!(named("Alpha station").unwrap()["parent"], outer["id"]);
        let inbox = listed
            .iter()
            .find(|folder| folder["role"] == "inbox")
            .unwrap();
        assert!(inbox["total"].as_u64().unwrap() > 0, "{service}: counted");
        mail.fails(4, &["labels", "create", "endeavours"]);
        mail.fails(4, &["labels", "delete", "inbox"]);
        let colored = ["labels", "color", "Endeavours", "#16a766", "#ffffff"];
        if service == "google" {
            assert_eq!(mail.json(&colored)["color"]["background"], "#16a766");
            let refused = mail.fails(4, &["labels", "color", "Endeavours", "#123456", "#ffffff"]);
            assert!(refused.contains("#16a766"), "{refused}");
        } else {
            mail.fails(4, &colored);
        }
        mail.json(&["labels", "delete", "Endeavours"]);
        let tree = mail.text(&["labels"]);
        assert_eq!(
            tree.contains("Endeavours"),
            service == "microsoft",
            "{tree}"
        );
    }
}

#[test]
fn messages_come_back_and_are_deleted_for_good_only_with_a_right_of_its_own() {
    for (service, address) in SERVICES {
        let mail = Program::start(service, address, &["--everything"]);
        let ids = mail.inbox();
        let one = ids[0].as_str();
        for (there, back) in [
            (["trash", one].as_slice(), ["restore", one].as_slice()),
            (&["junk", one], &["junk", "--not", one]),
        ] {
            mail.json(there);
            assert!(!mail.inbox().contains(&ids[0]), "{service}");
            mail.json(back);
            assert!(mail.inbox().contains(&ids[0]), "{service}");
        }
        let copy = ["copy", "junk", one];
        if service == "microsoft" {
            let copies = mail.json(&copy);
            let copy = copies["copies"][0]["copy"].as_str().unwrap();
            assert_ne!(copy, one);
            mail.json(&["read", copy]);
        } else {
            mail.fails(4, &copy);
        }
        mail.fails(2, &["delete", one]);
        mail.json(&["delete", "--for-good", one]);
        mail.fails(4, &["read", one]);
        mail.connect(&[]);
        mail.fails(4, &["delete", "--for-good", &ids[1]]);
    }
}

#[test]
fn rules_and_replies_are_set_shown_and_taken_back() {
    for (service, address) in SERVICES {
        let mail = Program::start(service, address, &["--everything"]);
        assert_eq!(mail.text(&["rules"]), "No rules.\n");
        mail.json(&["labels", "create", "Invoices"]);
        let rule = [
            "rules",
            "create",
            "--name",
            "Bills",
            "--from",
            "billing@shop.example",
            "--attachment",
            "--move-to",
            "Invoices",
            "--read",
        ];
        let made = mail.json(&rule);
        let id = made["rules"][0]["id"].as_str().unwrap();
        let shown = mail.text(&["rules"]);
        let said = "from billing@shop.example, has attachments";
        assert!(
            shown.contains(said) && shown.contains("mark as read"),
            "{shown}"
        );
        mail.fails(4, &["rules", "create", "--trash"]);
        mail.json(&["rules", "delete", id]);
        assert_eq!(mail.text(&["rules"]), "No rules.\n");
        mail.fails(4, &["rules", "delete", id]);

        assert_eq!(mail.text(&["vacation"]), "The automatic reply is off.\n");
        let on = [
            "vacation",
            "on",
            "--text",
            "Back soon",
            "--from",
            "2026-12-20",
        ];
        mail.fails(2, &on);
        mail.json(&[&on[..], &["--until", "2027-01-07"]].concat());
        let shown = mail.text(&["vacation"]);
        let said = "on from 2026-12-20 00:00 until 2027-01-07 00:00";
        assert!(
            shown.contains(said) && shown.contains("Back soon"),
            "{shown}"
        );
        mail.json(&["vacation", "off"]);
        assert!(
            mail.text(&["vacation"])
                .starts_with("The automatic reply is off.")
        );
    }
}

#[test]
fn categories_are_listed_coloured_and_set_on_messages() {
    let (service, address) = SERVICES[1];
    let mail = Program::start(service, address, &["--everything"]);
    let ids = mail.inbox();
    mail.json(&["categories", "create", "Zebra crossing", "--color", "teal"]);
    mail.json(&["categories", "set", "Zebra crossing", &ids[0]]);
    mail.json(&["categories", "set", "Another one", &ids[0]]);
    let shown = mail.text(&["categories"]);
    let line = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("Zebra crossing").contains("teal"));
    assert!(
        line("Another one").split_whitespace().count() > 2,
        "it has a colour: {shown}"
    );
    let message = mail.json(&["read", &ids[0]]);
    assert!(message["keywords"].to_string().contains("Zebra crossing"));
    mail.json(&["categories", "clear", "zebra crossing", &ids[0]]);
    let message = mail.json(&["read", &ids[0]]);
    assert!(!message["keywords"].to_string().contains("Zebra crossing"));
    mail.fails(2, &["categories", "create", "Third", "--color", "octarine"]);
    mail.json(&["categories", "color", "Zebra crossing"]);
    mail.json(&["categories", "delete", "Zebra crossing"]);
    assert!(!mail.text(&["categories"]).contains("Zebra"));

    let (service, address) = SERVICES[0];
    let mail = Program::start(service, address, &["--everything"]);
    mail.fails(4, &["categories"]);
}
