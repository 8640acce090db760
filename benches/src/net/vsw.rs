//! Our switch, as users run it: `vswd`, `vswcontrold` and `vswctl`, in directories and a namespace of
//! their own.

use super::lab::{Folder, Netns};
use super::process::{Daemon, finish};
use crate::interrupt;
use anyhow::{Context, Result, ensure};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Builds the programs in the way in which this one was built.
pub(crate) fn build() -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "-p", "vswd", "-p", "vswcontrold", "-p", "vswctl"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    finish(cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))).map(drop)
}

/// Where they are: beside this one.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("this program is in no directory")?.join(name))
}

const DATAPATH: &str = "datapath.sock";

fn answers(run: &Path, socket: &str) -> bool {
    UnixStream::connect(run.join(socket)).is_ok()
}

/// A running switch with one bridge, `br0`.
#[derive(Debug)]
pub(crate) struct Vsw {
    vswd: Daemon,
    /// How `vswd` was started.
    command: Command,
    _control: Daemon,
    dir: Folder,
}

impl Vsw {
    /// In this namespace. With `cpu` it has one worker, pinned to that; else what is usual.
    pub(crate) fn start(ns: &Netns, cpu: Option<usize>) -> Result<Self> {
        Self::start_with(ns, cpu, &[])
    }

    /// The same with more arguments for `vswd`.
    pub(crate) fn start_with(ns: &Netns, cpu: Option<usize>, more: &[&str]) -> Result<Self> {
        let dir = Folder::new("vsw")?;
        let run = dir.path().join("run");
        std::fs::create_dir_all(&run)?;
        let command = |name: &str| -> Result<Command> {
            let mut command = ns.command(program(name)?);
            command.arg("--run-dir").arg(&run).arg("--state-dir").arg(dir.path().join("state"));
            command.env_remove("VSW_WORKERS").env_remove("VSW_POLL").env("RUST_LOG", "warn");
            Ok(command)
        };
        let mut dataplane = command("vswd")?;
        dataplane.args(more).env_remove("VSW_SHORTCUT");
        if let Some(cpu) = cpu {
            dataplane.arg("--workers").arg(format!("{cpu},"));
        }
        let mut vswd = Daemon::start("vswd", &mut dataplane, dir.path())?;
        vswd.wait_ready(|| answers(&run, DATAPATH))?;
        let mut control = Daemon::start("vswcontrold", &mut command("vswcontrold")?, dir.path())?;
        control.wait_ready(|| answers(&run, "control.sock"))?;
        let switch = Self { vswd, command: dataplane, _control: control, dir };
        // As many stations as the benches have.
        switch.ctl("add-br br0 --mac-limit 250000")?;
        Ok(switch)
    }

    /// What one line typed does; returns when it is in force.
    pub(crate) fn ctl(&self, line: &str) -> Result<String> {
        let mut command = Command::new(program("vswctl")?);
        command.arg("--run-dir").arg(self.dir.path().join("run")).args(["--timeout", "20"]);
        finish(command.args(line.split_whitespace()).env_remove("VSW_CONTROL"))
    }

    /// Adds a `vhost-user` port that connects to this socket, where a guest may listen later.
    pub(crate) fn add_vhost(&self, port: &str, socket: &Path) -> Result<()> {
        let line = format!("--no-wait add-port br0 {port} --type vhost-user --socket {}", socket.display());
        self.ctl(&line).map(drop)
    }

    /// Kills `vswd`, starts another one, and returns when that answers: when it was started.
    pub(crate) fn replace(&mut self) -> Result<Instant> {
        self.vswd.kill()?;
        let start = Instant::now();
        self.vswd = Daemon::start("vswd", &mut self.command, self.dir.path())?;
        let run = self.dir.path().join("run");
        // More often than one waits for other things: this is what is measured.
        while !answers(&run, DATAPATH) {
            ensure!(start.elapsed() < Duration::from_secs(20), "vswd does not answer again");
            interrupt::sleep(Duration::from_millis(1))?;
        }
        Ok(start)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.vswd.pid()
    }
}
