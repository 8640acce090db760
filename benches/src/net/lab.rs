//! The rooms of a lab: network namespaces with their interfaces, and a directory for files.

use super::hugepages;
use super::process::{finish, run};
use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use vsw_port_os::link::Links;
use vsw_port_os::netns;

/// The kernel's own, as a peer.
pub(crate) const BRIDGE: &str = "Linux bridge over veth";

/// Names of everything here begin with it; the process id follows.
const PREFIX: &str = "vsw-b-";

/// A network namespace, deleted on drop. No interface in it speaks IPv6 unasked.
#[derive(Debug)]
pub(crate) struct Netns {
    name: String,
    path: PathBuf,
}

impl Netns {
    pub(crate) fn new(room: &str) -> Result<Self> {
        let name = format!("{PREFIX}{}-{room}", std::process::id());
        run(&format!("ip netns add {name}"))?;
        let ns = Self { path: Path::new("/run/netns").join(&name), name };
        ns.ip("link set lo up")?;
        ns.write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
        Ok(ns)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in it.
    pub(crate) fn ip(&self, words: &str) -> Result<()> {
        run(&format!("ip -n {} {words}", self.name)).map(drop)
    }

    /// A program to be run in it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Writes a kernel setting as it is in this namespace.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        finish(self.command("sh").args(["-c", &format!("echo {value} > {file}")])).map(drop)
    }

    /// Runs `f` in it, on a thread of its own.
    pub(crate) fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        Ok(netns::run_in(&self.path, f)?)
    }

    pub(crate) fn ifindex(&self, ifname: &str) -> Result<u32> {
        Ok(self.inside(|| Links::open()?.by_name(ifname))??.index)
    }

    /// A veth pair from here (`ifname`) to there, both ends up.
    pub(crate) fn veth(&self, ifname: &str, there: &Self, their_ifname: &str) -> Result<()> {
        self.ip(&format!("link add {ifname} type veth peer name {their_ifname} netns {}", there.name))?;
        self.ip(&format!("link set {ifname} up"))?;
        there.ip(&format!("link set {their_ifname} up"))
    }

    /// The kernel's own bridge over these interfaces of this namespace.
    pub(crate) fn bridge(&self, ifnames: &[&str]) -> Result<()> {
        self.ip("link add br0 type bridge")?;
        self.ip("link set br0 up")?;
        ifnames.iter().try_for_each(|i| self.ip(&format!("link set {i} master br0")))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// A directory, deleted on drop.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("{PREFIX}{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what benchmarks left that are no more: processes in their namespaces, these, and directories.
pub(crate) fn sweep() {
    let left = |dir: &Path| -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let named = entries.filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())));
        named.filter(|(name, _)| owner(name).is_some_and(|pid| !is_benchmark(pid))).collect()
    };
    for (name, _) in left(Path::new("/run/netns")) {
        let pids = run(&format!("ip netns pids {name}")).unwrap_or_default();
        for pid in pids.lines().filter_map(|p| Pid::from_raw(p.trim().parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = run(&format!("ip netns del {name}"));
    }
    for (_, path) in left(&std::env::temp_dir()) {
        hugepages::put_back(&path);
        let _ = fs::remove_dir_all(path);
    }
}

/// The process that made what has this name.
fn owner(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

/// Whether the process is alive and runs this program. (It may have been built anew since: ` (deleted)`.)
fn is_benchmark(pid: u32) -> bool {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    exe.file_name().is_some_and(|name| name.to_string_lossy().starts_with(env!("CARGO_PKG_NAME")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_have_an_owner() {
        assert_eq!(owner("vsw-b-17-sw"), Some(17));
        for name in ["vsw-t-17-sw", "vsw-b-17", "vsw-b--sw", "vsw-b-x-sw", "web"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
