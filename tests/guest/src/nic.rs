//! A guest's NIC, and the port that it belongs to.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use vsw_netns::Lab;

/// How a guest is attached to the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// QEMU makes a TAP, the switch attaches it.
    Tap,
    /// Through shared memory; QEMU listens, the switch connects.
    VhostUser,
}

/// One virtio-net NIC of a guest. Its port has the same name.
#[derive(Clone, Debug)]
pub struct Nic {
    pub port: String,
    pub kind: Kind,
    /// The last number of its MAC address.
    pub n: u8,
    /// `script=` and `downscript=` of a TAP.
    pub scripts: [PathBuf; 2],
    socket: PathBuf,
}

impl Nic {
    /// A NIC for `port`, whose MAC address ends in `n`. The TAP is set up by a script, as QEMU's own would.
    pub fn new(lab: &Lab, kind: Kind, port: &str, n: u8) -> Self {
        let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("set-up");
        let socket = lab.run_dir().join("vhost-user").join(format!("{port}.sock"));
        Self { port: port.into(), kind, n, scripts: [up, "no".into()], socket }
    }

    pub fn mac(&self) -> String {
        format!("52:54:00:00:00:{:02x}", self.n)
    }

    /// What is typed for its port, before the settings.
    pub fn add_port(&self, bridge: &str) -> String {
        match self.kind {
            Kind::Tap => format!("add-port {bridge} {}", self.port),
            Kind::VhostUser => format!("add-port {bridge} {} --type vhost-user", self.port),
        }
    }

    /// QEMU's options.
    pub(crate) fn options(&self) -> Vec<String> {
        let Self { port, kind, .. } = self;
        let (mut options, device) = (Vec::new(), self.device());
        match kind {
            Kind::Tap => {
                let [up, down] = self.scripts.each_ref().map(|s| s.display());
                options.extend([
                    "-netdev".into(),
                    format!("tap,id={port},ifname={port},script={up},downscript={down}"),
                ]);
            }
            Kind::VhostUser => {
                let socket = self.socket.display();
                options.extend([
                    "-chardev".into(),
                    format!("socket,id=c-{port},path={socket},server=on,wait=off"),
                ]);
                options.extend(["-netdev".into(), format!("vhost-user,id={port},chardev=c-{port}")]);
            }
        }
        options.extend(["-device".into(), device.to_string()]);
        options
    }

    fn device(&self) -> Value {
        let mut device = json!({
            "driver": "virtio-net-pci", "id": format!("d-{}", self.port), "netdev": self.port,
            "mac": self.mac(), "romfile": "",
        });
        // QEMU 7.2 crashes with MSI-X over vhost-user under software emulation.
        if self.kind == Kind::VhostUser {
            device["vectors"] = json!(0);
        }
        device
    }

    /// The QMP commands that plug it into a running machine.
    pub(crate) fn plug(&self) -> Vec<(&'static str, Value)> {
        let Self { port, kind, .. } = self;
        let mut commands = Vec::new();
        match kind {
            Kind::Tap => {
                let [up, down] = self.scripts.each_ref();
                let tap =
                    json!({"type": "tap", "id": port, "ifname": port, "script": up, "downscript": down});
                commands.push(("netdev_add", tap));
            }
            Kind::VhostUser => {
                let address = json!({"type": "unix", "data": {"path": self.socket}});
                let socket = json!({"addr": address, "server": true, "wait": false});
                let backend = json!({"type": "socket", "data": socket});
                commands.push(("chardev-add", json!({"id": format!("c-{port}"), "backend": backend})));
                let netdev = json!({"type": "vhost-user", "id": port, "chardev": format!("c-{port}")});
                commands.push(("netdev_add", netdev));
            }
        }
        commands.push(("device_add", self.device()));
        commands
    }
}
