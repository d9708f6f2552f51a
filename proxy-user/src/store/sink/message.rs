//! Records as messages of syslog (RFC 5424).

use std::fs;

use crate::record::{Record, Verdict};

/// `local0`, as other proxies have it.
const FACILITY: u8 = 16;

/// What is the same in all messages of this process.
pub(super) struct Sender {
    host: String,
    process: u32,
}

impl Sender {
    pub(super) fn new() -> Self {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { host: printable(name.trim()), process: std::process::id() }
    }

    /// The record as JSON behind a header: its verdict is the message's id, and decides how
    /// severe it is.
    pub(super) fn message(&self, record: &Record) -> Vec<u8> {
        let draft = &record.draft;
        let severity = match draft.verdict {
            Verdict::Allowed => 6,
            Verdict::Denied => 5,
            Verdict::Error => 4,
        };
        let (priority, verdict) = (FACILITY * 8 + severity, draft.verdict.as_str());
        let Self { host, process } = self;
        let head = format!("<{priority}>1 {} {host} weir {process} {verdict} - ", draft.timestamp);
        let mut message = head.into_bytes();
        // A record is plain data: JSON has nothing to refuse.
        let _ = serde_json::to_writer(&mut message, record);
        message
    }
}

/// A name as a header may have it: up to 255 printable characters of ASCII, or `-`.
fn printable(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::request;

    #[test]
    fn a_message_has_a_head_and_the_record() {
        let sender = Sender { host: printable("gate 7\n"), process: 42 };
        let mut draft = request();
        draft.verdict = Verdict::Denied;
        let record = Record { id: uuid::Uuid::nil(), draft };
        let message = String::from_utf8(sender.message(&record)).expect("text");
        let begin = format!("<133>1 {} gate7 weir 42 denied - {{", record.draft.timestamp);
        assert!(message.starts_with(&begin), "{message}");
        let json = message.split_once(" - ").expect("a head").1;
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(json["id"], record.id.to_string());
    }
}
