//! What tests with real devices share: namespaces of their own that go when the test ends.
#![allow(dead_code, unsafe_code)] // each test binary uses a part of it

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Whether the test can run. Without root it is skipped, and says so for the count.
pub(crate) fn root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root() && std::env::var_os("VSW_NO_ROOT").is_none();
    if !root {
        eprintln!("SKIPPED: needs root: {test}");
    }
    root
}

/// Runs `f` on a thread in a new network namespace, which ends with it.
pub(crate) fn in_fresh_netns(f: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only the network namespace changes; descriptors stay shared.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            f();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a command line; it must succeed.
pub(crate) fn run(line: &str) {
    let words: Vec<_> = line.split_whitespace().collect();
    let out = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
}

/// What a command line prints.
pub(crate) fn output(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    String::from_utf8(Command::new(words[0]).args(&words[1..]).output().unwrap().stdout).unwrap()
}

/// Waits until `f` holds, five seconds at most.
pub(crate) fn wait_for(what: &str, mut f: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !f() {
        assert!(Instant::now() < end, "{what}: not within five seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A named network namespace, deleted on drop.
pub(crate) struct Netns {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl Netns {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vsw-t-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        run(&format!("ip netns add {name}"));
        run(&format!("ip -n {name} link set lo up"));
        Self { path: Path::new("/run/netns").join(&name), name }
    }

    /// Runs `ip` in it.
    pub(crate) fn ip(&self, line: &str) {
        run(&format!("ip -n {} {line}", self.name));
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// A directory for one test, deleted on drop.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vsw-t-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
