//! Open vSwitch's userspace datapath: its own daemons, database and directory, in a namespace.

use super::lab::{Folder, Netns};
use super::process::{Daemon, finish, is_installed};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

pub(crate) const NAME: &str = "Open vSwitch AF_XDP";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A running Open vSwitch with one bridge, `br0`, of its userspace datapath.
#[derive(Debug)]
pub(crate) struct Ovs {
    // First to go.
    _switch: Daemon,
    _database: Daemon,
    dir: Folder,
}

impl Ovs {
    pub(crate) fn is_installed() -> bool {
        is_installed("ovs-vswitchd") && is_installed("ovsdb-server") && Path::new(SCHEMA).is_file()
    }

    /// In this namespace, its one polling thread on `cpu`.
    pub(crate) fn start(ns: &Netns, cpu: usize) -> Result<Self> {
        let dir = Folder::new("ovs")?;
        let at = |file: &str| dir.path().join(file);
        let here = |command: &mut Command| {
            for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
                command.env(variable, dir.path());
            }
        };
        finish(Command::new("ovsdb-tool").arg("create").arg(at("conf.db")).arg(SCHEMA))?;
        let mut database = Command::new("ovsdb-server");
        database.arg(at("conf.db")).arg(format!("--remote=punix:{}", at("db.sock").display()));
        here(database.arg(format!("--unixctl={}", at("ovsdb.ctl").display())));
        let mut database = Daemon::start("ovsdb-server", &mut database, dir.path())?;
        database.wait_ready(|| at("db.sock").exists())?;
        let mut switch = ns.command("ovs-vswitchd");
        switch.arg(format!("unix:{}", at("db.sock").display()));
        here(switch.arg(format!("--unixctl={}", at("switch.ctl").display())));
        let mut switch = Daemon::start("ovs-vswitchd", &mut switch, dir.path())?;
        switch.wait_ready(|| at("switch.ctl").exists())?;
        let ovs = Self { _switch: switch, _database: database, dir };
        ovs.vsctl(&format!("set Open_vSwitch . other_config:pmd-cpu-mask={:#x}", 1_u64 << cpu))?;
        ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev")?;
        Ok(ovs)
    }

    /// An AF_XDP port of one queue in the driver's mode. A veth sends at once, so asking for wake-ups would
    /// only cost (Open vSwitch, Documentation/intro/install/afxdp.rst).
    pub(crate) fn add_afxdp(&self, ifname: &str) -> Result<()> {
        self.vsctl(&format!(
            "add-port br0 {ifname} -- set interface {ifname} type=afxdp options:n_rxq=1 \
             options:xdp-mode=native options:use-need-wakeup=false"
        ))?;
        let error = self.vsctl(&format!("get interface {ifname} error"))?;
        anyhow::ensure!(error.trim() == "[]", "Open vSwitch cannot open {ifname}: {error}");
        Ok(())
    }

    fn vsctl(&self, words: &str) -> Result<String> {
        let mut command = Command::new("ovs-vsctl");
        command.arg(format!("--db=unix:{}", self.dir.path().join("db.sock").display())).arg("--timeout=20");
        finish(command.args(words.split_whitespace()))
    }
}
