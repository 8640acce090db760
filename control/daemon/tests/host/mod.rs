//! A host with its own directories, on which the real `vswcontrold` and `vswctl` run.
#![allow(dead_code, unreachable_pub)]

use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CONTROL: &str = env!("CARGO_BIN_EXE_vswcontrold");

/// Cargo builds only this package's programs for its tests.
pub fn vswctl() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = Path::new(CONTROL).parent().unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "-p", "vswctl", "--target-dir"]).arg(dir.parent().unwrap());
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "vswctl must build");
        dir.join("vswctl")
    })
}

pub struct Host {
    pub dir: TempDir,
    control: Option<Child>,
}

impl Host {
    /// Without processes.
    pub fn new() -> Self {
        vswctl();
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        Self { dir, control: None }
    }
    /// With a control process.
    pub fn started() -> Self {
        let mut host = Self::new();
        host.start();
        host
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("control.sock")
    }

    /// A `vswcontrold` that has not been started.
    pub fn control(&self) -> Command {
        let mut command = Command::new(CONTROL);
        command.arg("--run-dir").arg(self.run_dir()).arg("--state-dir").arg(self.state_dir());
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
    /// Starts it, and waits until it takes calls.
    pub fn start(&mut self) {
        self.started_by(self.control());
    }
    pub fn started_by(&mut self, mut command: Command) {
        self.control = Some(command.spawn().unwrap());
        let socket = self.socket();
        eventually("vswcontrold takes calls", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    }
    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.control.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
    /// SIGTERM, or another one.
    #[track_caller]
    pub fn stop(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(self.control.as_ref().unwrap()), signal).unwrap();
        eventually("vswcontrold stops", || !self.is_running());
        self.control.take().unwrap().wait().unwrap()
    }
    pub fn is_running(&mut self) -> bool {
        self.control.as_mut().is_some_and(|c| c.try_wait().unwrap().is_none())
    }

    /// What one line typed does.
    pub fn ctl(&self, line: &str) -> Typed {
        let mut command = Command::new(vswctl());
        command.args(line.split_whitespace());
        Typed::from(self.environment(&mut command).output().unwrap())
    }
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("VSW_RUN_DIR", self.run_dir()).env_remove("VSW_CONTROL").env_remove("NO_COLOR")
    }
    /// It has to work, and to print this.
    #[track_caller]
    pub fn good(&self, line: &str, stdout: &str) {
        let t = self.ctl(line);
        assert_eq!((t.status, t.stdout.as_str(), t.stderr.as_str()), (0, stdout, ""), "vswctl {line}");
    }
    /// It has to end like this, with this on standard error and nothing on standard output.
    #[track_caller]
    pub fn bad(&self, line: &str, status: i32, stderr: &str) {
        let t = self.ctl(line);
        assert_eq!((t.status, t.stdout.as_str(), t.stderr.as_str()), (status, "", stderr), "vswctl {line}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug)]
pub struct Typed {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Typed {
    fn from(o: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: o.status.code().unwrap_or(-1), stdout: text(o.stdout), stderr: text(o.stderr) }
    }
}

#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
