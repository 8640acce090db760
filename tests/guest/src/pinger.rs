//! Pings that go on in the background, and when they were answered.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vsw_netns::{Namespace, eventually};

/// Killed on drop.
#[derive(Debug)]
pub struct Pinger {
    child: Child,
    answers: Arc<Mutex<Vec<Instant>>>,
}

impl Pinger {
    /// Fifty a second, until dropped.
    pub fn new(from: &Namespace, to: &str) -> Self {
        let mut command = from.command(&format!("ping -n -i 0.02 {to}"));
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("ping starts");
        let answers = Arc::<Mutex<Vec<Instant>>>::default();
        let (lines, heard) = (BufReader::new(child.stdout.take().expect("piped")).lines(), answers.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|l| l.contains(" bytes from ")) {
                drop(line);
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            }
        });
        Self { child, answers }
    }

    fn first(&self, after: Instant) -> Option<Instant> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().find(|a| **a > after).copied()
    }

    /// Waits for an answer after this moment; how long after it came.
    #[track_caller]
    pub fn answered(&self, after: Instant) -> Duration {
        eventually("a ping is answered", || self.first(after).is_some());
        self.first(after).expect("it came") - after
    }

    /// Waits until there are no more answers for half a second.
    #[track_caller]
    pub fn silenced(&self) {
        let silent = Duration::from_millis(500);
        eventually("pings are not answered any more", || {
            std::thread::sleep(silent);
            self.first(Instant::now() - silent).is_none()
        });
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
