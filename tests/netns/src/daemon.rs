//! One daemon as a process.

use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// vswd
    Dataplane,
    /// vswcontrold
    Control,
}

impl Role {
    pub const fn program(self) -> &'static str {
        match self {
            Self::Dataplane => "vswd",
            Self::Control => "vswcontrold",
        }
    }
}

/// The folder of the programs, which are built if nobody says with `VSW_BIN_DIR` that they are.
pub fn programs() -> &'static PathBuf {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(dir) = std::env::var_os("VSW_BIN_DIR") {
            return dir.into();
        }
        // target/debug/deps/THIS
        let own = std::env::current_exe().expect("we run");
        let dir = own.ancestors().nth(2).expect("cargo's folders").to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "-p", "vswd", "-p", "vswcontrold", "-p", "vswctl", "--target-dir"]);
        cargo.arg(dir.parent().expect("cargo's folders"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the programs must build");
        dir
    })
}

/// Killed on drop.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.end();
    }
    /// SIGTERM, and ten seconds of patience.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("it runs");
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < end, "it did not stop within 10 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}
