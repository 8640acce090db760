//! What the demo sets up on the host, and takes away again: a directory, two daemons, network namespaces.
//!
//! Complications: it goes also when a step fails or somebody presses Ctrl-C (the signal only sets a flag,
//! see [`Stage::go_on`]). The directory holds a list of what there is, so that `--clean` finds it in a later
//! process.

use crate::run::{output, program, target};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How names of the directories begin.
const PREFIX: &str = "vsw-demo-";
/// For a daemon to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    /// Where the programs are.
    pub(crate) bin: PathBuf,
    daemons: Vec<(&'static str, Child)>,
    interrupted: Arc<AtomicBool>,
    /// Leave everything there.
    pub(crate) keep: bool,
}

impl Stage {
    pub(crate) fn new(profile: &str) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, interrupted.clone())?;
        }
        let dir = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let bin = target().join(profile);
        Ok(Self { dir, bin, daemons: Vec::new(), interrupted, keep: false })
    }

    /// Where a user would look for sockets.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }
    fn log(&self, daemon: &str) -> PathBuf {
        self.dir.join(format!("{daemon}.log"))
    }

    /// Notes what has to be taken away.
    fn note(&self, what: &str) -> Result<()> {
        let mut list = OpenOptions::new().create(true).append(true).open(self.dir.join("list"))?;
        Ok(writeln!(list, "{what}")?)
    }

    pub(crate) fn netns(&self, name: &str) -> Result<()> {
        if Path::new("/run/netns").join(name).exists() {
            bail!(
                "there is a network namespace {name} already; if it is of an earlier demo, `cargo xtask demo --clean`"
            );
        }
        self.note(&format!("netns {name}"))?;
        output(&mut program("ip", ["netns", "add", name])).map(drop)
    }

    /// Starts a daemon; its log is in the directory.
    pub(crate) fn daemon(&mut self, name: &'static str) -> Result<()> {
        let log = File::create(self.log(name))?;
        let mut command = Command::new(self.bin.join(name));
        self.environment(&mut command);
        // A group of its own: Ctrl-C is for us, and we stop it when its ports are gone.
        command.process_group(0).stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        self.note(&format!("pid {} {name}", child.id()))?;
        self.daemons.push((name, child));
        Ok(())
    }

    pub(crate) fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("VSW_")) {
            command.env_remove(name);
        }
        command.env("VSW_RUN_DIR", self.run_dir()).env("VSW_STATE_DIR", self.state_dir())
    }

    /// Waits until both daemons answer.
    pub(crate) fn ready(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.go_on()?;
            let mut version = Command::new(self.bin.join("vswctl"));
            let out = self.environment(version.arg("version")).output()?;
            if out.status.success() && !String::from_utf8_lossy(&out.stdout).contains("cannot be reached") {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("the daemons do not answer: {}", String::from_utf8_lossy(&out.stderr).trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// An error if somebody wants us to stop, or a daemon has ended.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        if self.is_interrupted() {
            bail!("interrupted");
        }
        for (name, child) in &mut self.daemons {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended ({status})");
            }
        }
        Ok(())
    }

    /// The ends of the daemons' logs.
    pub(crate) fn logs(&self) -> String {
        let end = |name: &str| {
            let log = fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("-- {name}\n{}\n", lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        self.daemons.iter().map(|(name, _)| end(name)).collect()
    }

    /// Stops the daemons, which must end well, and removes the rest.
    pub(crate) fn end(mut self) -> Result<()> {
        self.keep = true;
        let daemons = std::mem::take(&mut self.daemons);
        let stopped: Vec<Result<()>> =
            daemons.into_iter().rev().map(|(name, child)| stop(name, child)).collect();
        clean(&self.dir)?;
        stopped.into_iter().collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.keep {
            for (name, child) in std::mem::take(&mut self.daemons).into_iter().rev() {
                let _ = stop(name, child);
            }
            let _ = clean(&self.dir);
        }
    }
}

fn stop(name: &str, mut child: Child) -> Result<()> {
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{name} did not stop well ({status})"),
            None if Instant::now() > end => {
                child.kill()?;
                child.wait()?;
                bail!("{name} did not stop within {} s", PATIENCE.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Every demo that was left on this host.
pub(crate) fn clean_all() -> Result<()> {
    let mut found = 0;
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            clean(&entry.path())?;
            println!("Removed {}", entry.path().display());
            found += 1;
        }
    }
    if found == 0 {
        println!("There is no demo to remove.");
    }
    Ok(())
}

/// Removes what the list in a directory says, and the directory.
fn clean(dir: &Path) -> Result<()> {
    let list = fs::read_to_string(dir.join("list")).unwrap_or_default();
    let words: Vec<Vec<&str>> = list.lines().map(|l| l.split(' ').collect()).collect();
    for w in &words {
        if let ["pid", pid, name] = w[..] {
            end_process(pid.parse()?, name)?;
        }
    }
    for w in &words {
        if let ["netns", name] = w[..] {
            let _ = program("ip", ["netns", "del", name]).output();
        }
    }
    fs::remove_dir_all(dir).with_context(|| format!("{} cannot be removed", dir.display()))
}

/// Ends a process of an earlier demo, if the number still belongs to it.
fn end_process(pid: i32, name: &str) -> Result<()> {
    let is_it = || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    let Some(pid) = Pid::from_raw(pid).filter(|_| is_it()) else { return Ok(()) };
    let _ = kill_process(pid, Signal::TERM);
    let end = Instant::now() + PATIENCE;
    while test_kill_process(pid).is_ok() && is_it() {
        if Instant::now() > end {
            kill_process(pid, Signal::KILL)?;
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
