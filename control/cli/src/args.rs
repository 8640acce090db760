//! Everything that can be typed. The reference in the documentation is generated from this file.

mod qos;

pub(crate) use qos::{AddQos, PortQosSettings, ProfileSettings, QosQuery};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Control the virtual switch
#[derive(Debug, Parser)]
#[command(
    version,
    infer_long_args = true,
    after_help = "Example:
  vswctl add-br br0
  vswctl add-port br0 tap0 --vlan 10
  vswctl show

Exit status: 0 done; 1 refused, nothing changed; 2 usage; 3 vswcontrold cannot be reached;
4 recorded, but not yet in force."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where vswcontrold listens: unix:PATH [default: control.sock in the run directory]
    #[arg(long, env = "VSW_CONTROL", value_name = "ADDR", global = true, hide_env_values = true)]
    pub(crate) control: Option<String>,
    /// Directory of the sockets
    #[arg(
        long,
        env = "VSW_RUN_DIR",
        value_name = "DIR",
        default_value = "/run/vsw",
        global = true,
        hide_env_values = true
    )]
    pub(crate) run_dir: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", global = true)]
    pub(crate) output: Format,
    /// How long a change may wait for the dataplane
    #[arg(long, value_name = "SECONDS", default_value_t = 5, global = true,
          value_parser = clap::value_parser!(u32).range(..=3600))]
    pub(crate) timeout: u32,
    /// Return when a change is recorded
    #[arg(long, global = true)]
    pub(crate) no_wait: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Change(Box<Change>),
    #[command(flatten)]
    Query(Query),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  vswctl completion bash > /etc/bash_completion.d/vswctl")]
    Completion {
        /// The shell
        #[arg(value_enum, hide_possible_values = true, value_name = "bash|zsh|fish")]
        shell: clap_complete::Shell,
    },
    /// Print the reference of all commands as Markdown
    #[command(hide = true)]
    Reference,
}

/// What changes the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Make a bridge
    #[command(visible_alias = "addbr", after_help = "Example:\n  vswctl add-br br0 --ageing 60")]
    AddBr {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        #[command(flatten)]
        settings: BridgeSettings,
    },
    /// Remove a bridge with its ports
    #[command(visible_alias = "delbr", after_help = "Example:\n  vswctl del-br br0")]
    DelBr {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// If it is not there, that is fine
        #[arg(long)]
        if_exists: bool,
    },
    /// Change settings of a bridge
    #[command(after_help = "Example:\n  vswctl set-br br0 --ageing 60 --mac-limit 1000")]
    SetBr {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        #[command(flatten)]
        settings: BridgeSettings,
    },
    /// Set the ageing time of a bridge, as brctl spells it
    #[command(name = "setageing", after_help = "Example:\n  vswctl setageing br0 60")]
    SetAgeing {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// When a silent station is forgotten
        #[arg(value_name = "SECONDS")]
        seconds: u32,
    },
    /// Add a port to a bridge
    #[command(
        visible_alias = "addif",
        after_help = "Example:
  vswctl add-port br0 tap0 --vlan 10
  vswctl add-port br0 web --type tap --netns web --trunk 10,20-29 --native 10
  vswctl add-port br0 vm0 --type vhost-user --socket /run/vm/web.sock --queues 2
  vswctl add-port br0 tap1 --sent-by 100m --sent-to 1g
  vswctl add-port br0 p0 --type patch --peer p1"
    )]
    AddPort {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// Name of the port
        #[arg(value_name = "PORT")]
        port: String,
        /// Kind of port: auto, tap, internal, packet, afxdp, vhost-user or patch [default: auto]
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        #[command(flatten)]
        settings: PortSettings,
        /// Make the interface in this network namespace: a name, a process id or a path
        #[arg(long, value_name = "NS")]
        netns: Option<String>,
        /// Name of the interface, if not the port's
        #[arg(long, value_name = "NAME")]
        ifname: Option<String>,
        /// The port at the other end of a patch
        #[arg(long, value_name = "PORT")]
        peer: Option<String>,
        /// Absolute path of the Unix socket of a vhost-user port [default: vhost-user/PORT.sock in vswd's run directory]
        #[arg(long, value_name = "PATH")]
        socket: Option<String>,
        /// Who makes the socket of a vhost-user port: `client`: the VM does; `server`: the switch does [default: client]
        #[arg(long, value_name = "MODE")]
        mode: Option<String>,
        /// If it is there with these settings, that is fine
        #[arg(long)]
        may_exist: bool,
    },
    /// Change settings of a port; those not named stay, the VLAN settings are replaced together
    #[command(after_help = "Example:
  vswctl set-port br0 tap0 --trunk 10,20 --mtu 9000 --isolated=false
  vswctl set-port br0 tap0 --qos gold
  vswctl set-port br0 tap0 --sent-by 100m
  vswctl set-port br0 tap0 --storm broadcast=500pps,multicast=2kpps,unknown=1kpps")]
    SetPort {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// Name of the port
        #[arg(value_name = "PORT")]
        port: String,
        #[command(flatten)]
        settings: PortSettings,
    },
    /// Make a QoS profile, which ports can share
    #[command(after_help = qos::ADD)]
    AddQos(AddQos),
    /// Change a QoS profile, live, for all ports that have it; what is not named stays
    #[command(after_help = qos::SET)]
    SetQos {
        /// Name of the profile
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        settings: ProfileSettings,
    },
    /// Remove a QoS profile that no port has
    #[command(after_help = "Example:\n  vswctl del-qos gold")]
    DelQos {
        /// Name of the profile
        #[arg(value_name = "NAME")]
        name: String,
        /// If it is not there, that is fine
        #[arg(long)]
        if_exists: bool,
    },
    /// Remove a port from a bridge
    #[command(visible_alias = "delif", after_help = "Example:\n  vswctl del-port br0 tap0")]
    DelPort {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// Name of the port
        #[arg(value_name = "PORT")]
        port: String,
        /// If it is not there, that is fine
        #[arg(long)]
        if_exists: bool,
    },
    /// Add a static station
    #[command(after_help = "Example:\n  vswctl add-mac br0 02:00:00:00:00:01 tap0 --vlan 10")]
    AddMac {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// Address of the station
        mac: String,
        /// Name of the port it is behind
        port: String,
        /// Its VLAN [default: that of the port's untagged frames]
        #[arg(long, value_name = "N")]
        vlan: Option<u32>,
    },
    /// Remove a static station
    #[command(after_help = "Example:\n  vswctl del-mac br0 02:00:00:00:00:01")]
    DelMac {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// Address of the station
        mac: String,
        /// Its VLAN; may be left out if it is in one only
        #[arg(long, value_name = "N")]
        vlan: Option<u32>,
    },
    /// Forget stations
    #[command(after_help = "Example:\n  vswctl flush-macs br0 --port tap0")]
    FlushMacs {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// Only those behind this port
        #[arg(long, value_name = "PORT")]
        port: Option<String>,
        /// Only those in this VLAN
        #[arg(long, value_name = "N")]
        vlan: Option<u32>,
        /// Static ones too
        #[arg(long = "static")]
        fixed: bool,
    },
}

/// What only asks.
#[derive(Debug, Subcommand)]
pub(crate) enum Query {
    /// List the bridges
    #[command(after_help = "Example:\n  vswctl list-br")]
    ListBr,
    /// List the ports of a bridge
    #[command(after_help = "Example:\n  vswctl list-ports br0")]
    ListPorts {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
    },
    /// Show bridges and ports, and the state of each port
    #[command(after_help = "Example:\n  vswctl show br0\n  vswctl show -o json")]
    Show {
        /// Name of the bridge [default: all]
        #[arg(value_name = "BR")]
        bridge: Option<String>,
    },
    /// Show the stations that a bridge knows
    #[command(visible_alias = "showmacs", after_help = "Example:\n  vswctl show-macs br0 --vlan 10")]
    ShowMacs {
        /// Name of the bridge
        #[arg(value_name = "BR")]
        bridge: String,
        /// Only those in this VLAN
        #[arg(long, value_name = "N")]
        vlan: Option<u32>,
        /// Only those behind this port
        #[arg(long, value_name = "PORT")]
        port: Option<String>,
    },
    /// Show what ports received (rx: sent by the attached side) and sent
    #[command(after_help = "Example:\n  vswctl stats tap0 --watch")]
    Stats {
        /// Name of the port [default: all]
        port: Option<String>,
        /// Again every second, with rates, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Show what was dropped, and why
    #[command(after_help = "Example:\n  vswctl drops tap0")]
    Drops {
        /// Name of the port [default: all]
        port: Option<String>,
        /// Again every second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// List the QoS profiles, and the ports that have them
    #[command(after_help = "Example:\n  vswctl list-qos\n  vswctl list-qos -o json")]
    ListQos,
    /// Show what quality of service does
    #[command(subcommand, after_help = "Example:\n  vswctl qos show tap0")]
    Qos(QosQuery),
    /// Print the versions of vswctl, vswcontrold and vswd
    #[command(after_help = "Example:\n  vswctl version")]
    Version,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BridgeSettings {
    /// When a silent station is forgotten [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ageing: Option<u32>,
    /// Most stations remembered [default: 16384]
    #[arg(long, value_name = "N")]
    pub(crate) mac_limit: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PortSettings {
    /// Access port: untagged on the wire, in this VLAN
    #[arg(long, value_name = "N", conflicts_with_all = ["trunk", "native", "native_tagged", "qinq"])]
    pub(crate) vlan: Option<u32>,
    /// Trunk port: tagged, these VLANs, as in 10,20-29
    #[arg(long, value_name = "LIST", conflicts_with = "qinq")]
    pub(crate) trunk: Option<String>,
    /// VLAN of a trunk's untagged frames
    #[arg(long, value_name = "N", conflicts_with = "qinq")]
    pub(crate) native: Option<u32>,
    /// Frames of the native VLAN leave tagged
    #[arg(long, requires = "native")]
    pub(crate) native_tagged: bool,
    /// QinQ port: whatever comes gets this service VLAN
    #[arg(long, value_name = "N")]
    pub(crate) qinq: Option<u32>,
    /// Customer VLANs that a QinQ port takes [default: all]
    #[arg(long, value_name = "LIST", requires = "qinq")]
    pub(crate) cvlans: Option<String>,
    /// Address of the interface that the switch makes
    #[arg(long)]
    pub(crate) mac: Option<String>,
    /// Bytes of payload that a frame may carry
    #[arg(long, value_name = "N")]
    pub(crate) mtu: Option<u32>,
    /// Queue pairs
    #[arg(long, value_name = "N")]
    pub(crate) queues: Option<u32>,
    /// Most stations remembered behind the port; with set-port, 0 lifts the limit
    #[arg(long, value_name = "N")]
    pub(crate) mac_limit: Option<u32>,
    /// Isolated ports of a bridge do not hear each other
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) isolated: Option<bool>,
    #[command(flatten)]
    pub(crate) qos: PortQosSettings,
}
