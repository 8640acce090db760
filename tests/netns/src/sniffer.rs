//! Listening on a wire.

use crate::Namespace;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A `tcpdump` that prints link-layer headers. Killed on drop.
#[derive(Debug)]
pub struct Sniffer {
    child: Child,
    lines: Receiver<String>,
}

impl Sniffer {
    /// Listens when this returns.
    pub fn new(at: &Namespace, ifname: &str, filter: &str) -> Self {
        let mut command = at.command(&format!("tcpdump -l -n -e -i {ifname} {filter}"));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tcpdump starts");
        let mut said = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        assert!(said.any(|l| l.starts_with("listening on")), "tcpdump listens on {ifname}");
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|l| sender.send(l).is_ok()));
        Self { child, lines }
    }

    /// Waits for a frame whose line contains all of these, ten seconds at most.
    #[track_caller]
    pub fn hears(&self, parts: &[&str]) {
        let end = Instant::now() + Duration::from_secs(10);
        let mut others = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if parts.iter().all(|p| line.contains(p)) {
                return;
            }
            others.push(line);
        }
        panic!("no frame with {parts:?}, but {others:#?}");
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
