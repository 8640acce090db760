//! A named network namespace.

use crate::typed::{Typed, run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Deleted on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// With `lo` up. `what` is for people who look.
    pub fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vsw-t-{}-{}-{what}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let this = Self { name };
        this.make();
        this
    }

    /// Makes it (again).
    pub fn make(&self) {
        run(&format!("ip netns add {}", self.name));
        self.ip("link set lo up");
    }
    /// Deletes it, and what is in it.
    pub fn delete(&self) {
        run(&format!("ip netns del {}", self.name));
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in it, which must succeed.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        run(&format!("ip -n {} {words}", self.name))
    }

    /// A command line in it.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(line.split_whitespace());
        command
    }
    pub fn typed(&self, line: &str) -> Typed {
        Typed::of(&mut self.command(line))
    }

    pub fn has(&self, ifname: &str) -> bool {
        Typed::of(Command::new("ip").args(["-n", &self.name, "link", "show", "dev", ifname])).ok()
    }

    /// Gives an interface its addresses in 10.0.0.0/24 and fd00::/64, without the wait for duplicates.
    #[track_caller]
    pub fn address(&self, ifname: &str, n: u8) {
        self.ip(&format!("link set dev {ifname} up"));
        self.ip(&format!("addr add 10.0.0.{n}/24 dev {ifname}"));
        self.ip(&format!("addr add fd00::{n}/64 dev {ifname} nodad"));
    }

    /// Runs `f` on a thread of its own that is in the namespace; what it opens stays there.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).expect("it exists");
        let enter = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("it can be entered");
            f()
        };
        std::thread::scope(|scope| match scope.spawn(enter).join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}
