//! Open vSwitch's userspace datapath: its own daemons, database and directory, in a namespace.

use super::lab::{Folder, Netns};
use super::process::{Daemon, finish, is_installed};
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PLAIN: &str = "ovs-vswitchd";
/// Debian's openvswitch-switch-dpdk puts it beside the path, for update-alternatives.
const WITH_DPDK: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";

/// How it meets its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// AF_XDP sockets, asked by a polling thread.
    AfXdp,
    /// AF_PACKET sockets, asked by the main thread.
    Packet,
    /// The same with `userspace-tso-enable`.
    Tso,
    /// TAPs, asked by the main thread.
    Tap,
    /// DPDK's drivers, asked by a polling thread.
    Dpdk,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AfXdp => "Open vSwitch AF_XDP",
            Self::Packet => "Open vSwitch AF_PACKET",
            Self::Tso => "Open vSwitch AF_PACKET with TSO",
            Self::Tap => "Open vSwitch tap",
            Self::Dpdk => "Open vSwitch DPDK",
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        let daemon = if self == Self::Dpdk { Path::new(WITH_DPDK).is_file() } else { is_installed(PLAIN) };
        daemon && is_installed("ovsdb-server") && Path::new(SCHEMA).is_file()
    }

    /// What is set before the daemon starts.
    fn settings(self, cpu: usize) -> String {
        let mask = 1_u64 << cpu;
        match self {
            Self::Tso => "other_config:userspace-tso-enable=true".into(),
            Self::Packet | Self::Tap => String::new(),
            Self::AfXdp => format!("other_config:pmd-cpu-mask={mask:#x}"),
            // No bus to look at, no files that would stay.
            Self::Dpdk => format!(
                "other_config:pmd-cpu-mask={mask:#x} other_config:dpdk-init=true \
                 other_config:dpdk-extra=--no-pci\\ --in-memory"
            ),
        }
    }
}

/// A running Open vSwitch with one bridge, `br0`, of its userspace datapath.
#[derive(Debug)]
pub(crate) struct Ovs {
    // First to go.
    switch: Daemon,
    _database: Daemon,
    dir: Folder,
    kind: Kind,
}

impl Ovs {
    /// In this namespace, what moves frames on `cpu`.
    pub(crate) fn start(ns: &Netns, kind: Kind, cpu: usize) -> Result<Self> {
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
        let settings = kind.settings(cpu);
        if !settings.is_empty() {
            vsctl(dir.path(), &format!("--no-wait set Open_vSwitch . {settings}"))?;
        }
        let program = if kind == Kind::Dpdk { WITH_DPDK } else { PLAIN };
        // Where the main thread moves the frames it is put on the switch's core; a polling thread goes there by
        // itself, and the main thread must not be in its way.
        let mut switch = match kind {
            Kind::AfXdp | Kind::Dpdk => ns.command(program),
            Kind::Packet | Kind::Tso | Kind::Tap => {
                let mut command = ns.command("taskset");
                command.args(["-c", &cpu.to_string(), program]);
                command
            }
        };
        switch.arg(format!("unix:{}", at("db.sock").display()));
        here(switch.arg(format!("--unixctl={}", at("switch.ctl").display())));
        let mut switch = Daemon::start("ovs-vswitchd", &mut switch, dir.path())?;
        switch.wait_ready(|| at("switch.ctl").exists())?;
        let ovs = Self { switch, _database: database, dir, kind };
        // As many stations as the benches have.
        ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev other_config:mac-table-size=250000")?;
        Ok(ovs)
    }

    /// Adds an interface as its manuals recommend. A veth sends at once, so asking AF_XDP for wake-ups would
    /// only cost (Documentation/intro/install/afxdp.rst).
    pub(crate) fn add(&self, ifname: &str) -> Result<()> {
        let options = match self.kind {
            Kind::AfXdp => "type=afxdp options:n_rxq=1 options:xdp-mode=native options:use-need-wakeup=false",
            Kind::Packet | Kind::Tso | Kind::Dpdk => "type=system",
            Kind::Tap => "type=tap",
        };
        self.add_as(ifname, options)
    }

    /// Adds a port of one of DPDK's drivers.
    pub(crate) fn add_dpdk(&self, port: &str, devargs: &str) -> Result<()> {
        self.add_as(port, &format!("type=dpdk options:dpdk-devargs=\"{devargs}\""))
    }

    /// Adds a `vhost-user` port that connects to this socket.
    pub(crate) fn add_vhost(&self, port: &str, socket: &Path) -> Result<()> {
        self.add_as(port, &format!("type=dpdkvhostuserclient options:vhost-server-path={}", socket.display()))
    }

    /// Floods to the ports that were added, and not to the bridge's own.
    pub(crate) fn keep_own_port_out(&self) -> Result<()> {
        let bridge = format!("unix:{}", self.dir.path().join("br0.mgmt").display());
        finish(Command::new("ovs-ofctl").args(["mod-port", &bridge, "br0", "no-flood"])).map(drop)
    }

    fn add_as(&self, ifname: &str, options: &str) -> Result<()> {
        self.vsctl(&format!("add-port br0 {ifname} -- set interface {ifname} {options}"))?;
        let error = self.vsctl(&format!("get interface {ifname} error"))?;
        ensure!(error.trim() == "[]", "Open vSwitch cannot open {ifname}: {error}");
        Ok(())
    }

    /// What the running daemon says.
    pub(crate) fn appctl(&self, words: &str) -> Result<String> {
        let mut command = Command::new("ovs-appctl");
        command.arg("-t").arg(self.dir.path().join("switch.ctl"));
        finish(command.args(words.split_whitespace()))
    }

    fn vsctl(&self, words: &str) -> Result<String> {
        vsctl(self.dir.path(), words)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.switch.pid()
    }
}

/// `\ ` stands for a blank inside a word.
fn vsctl(dir: &Path, words: &str) -> Result<String> {
    let mut command = Command::new("ovs-vsctl");
    command.arg(format!("--db=unix:{}", dir.join("db.sock").display())).arg("--timeout=20");
    let words = words.replace("\\ ", "\0");
    finish(command.args(words.split_whitespace().map(|w| w.replace('\0', " "))))
}
