//! Our switch, as users run it: `vswd`, `vswcontrold` and `vswctl`, in directories and a namespace of
//! their own.

use super::lab::{Folder, Netns};
use super::process::{Daemon, finish};
use anyhow::{Context, Result};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// A running switch with one bridge, `br0`.
#[derive(Debug)]
pub(crate) struct Vsw {
    vswd: Daemon,
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
        let mut vswd = command("vswd")?;
        vswd.args(more).env_remove("VSW_SHORTCUT");
        if let Some(cpu) = cpu {
            vswd.arg("--workers").arg(format!("{cpu},"));
        }
        let mut vswd = Daemon::start("vswd", &mut vswd, dir.path())?;
        let answers = |socket: &str| UnixStream::connect(run.join(socket)).is_ok();
        vswd.wait_ready(|| answers("datapath.sock"))?;
        let mut control = Daemon::start("vswcontrold", &mut command("vswcontrold")?, dir.path())?;
        control.wait_ready(|| answers("control.sock"))?;
        let switch = Self { vswd, _control: control, dir };
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

    pub(crate) fn pid(&self) -> u32 {
        self.vswd.pid()
    }
}
