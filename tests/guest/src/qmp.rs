//! QEMU's monitor (QEMU's `docs/interop/qmp-spec.txt`): a line of JSON for each message.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Qmp(BufReader<UnixStream>);

impl Qmp {
    /// Reads the greeting and leaves negotiation mode.
    pub(crate) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a live socket");
        let mut this = Self(BufReader::new(stream));
        this.message();
        this.execute("qmp_capabilities", &json!({}));
        this
    }

    /// Its `return` value.
    #[track_caller]
    pub(crate) fn execute(&mut self, command: &str, arguments: &Value) -> Value {
        let line = json!({"execute": command, "arguments": arguments});
        writeln!(self.0.get_mut(), "{line}").expect("QEMU listens");
        loop {
            let message = self.message();
            assert!(message.get("error").is_none(), "{line}: {message}");
            if let Some(value) = message.get("return") {
                return value.clone();
            }
        }
    }

    /// Waits for an event with this value somewhere in its data.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &str, key: &str, value: &str) {
        while !matches!(self.message(), m if m["event"] == name && m["data"][key] == value) {}
    }

    #[track_caller]
    fn message(&mut self) -> Value {
        let mut line = String::new();
        let n = self.0.read_line(&mut line).expect("QEMU answers within a minute");
        assert!(n > 0, "QEMU is there");
        serde_json::from_str(&line).expect("JSON")
    }
}
