//! An open port as housekeeping sees it.
//!
//! Thread-safety: used by one thread at a time; the service's thread is told, never waited for, but to close.

use crate::face::Face;
use crate::offer;
use crate::service::Service;
use crate::shared::Shared;
use std::path::PathBuf;
use std::sync::Arc;
use vsw_port::{Device, Health, PortError, PortInfo, PortSpec};

/// Bytes of L3 payload when nobody says otherwise.
const USUAL_MTU: u16 = 1500;

/// See the module.
#[derive(Debug)]
pub(crate) struct VhostDevice {
    pub(crate) service: Arc<Service>,
    pub(crate) id: u32,
    pub(crate) path: PathBuf,
    pub(crate) server: bool,
    pub(crate) shared: Arc<Shared>,
    pub(crate) face: Arc<Face>,
    /// As configured.
    pub(crate) mtu: Option<u16>,
}

impl Drop for VhostDevice {
    fn drop(&mut self) {
        self.service.close(self.id);
    }
}

impl Device for VhostDevice {
    fn info(&self) -> PortInfo {
        let facts = self.face.view().connected.unwrap_or_default();
        let role = if self.server { "server at" } else { "client of" };
        let mut mode = format!("{role} {}", self.path.display());
        if let Some(features) = facts.features {
            let pairs = self.shared.rings() / 2;
            let plural = if pairs == 1 { "" } else { "s" };
            mode += &format!(", {}, {} of {pairs} queue{plural}", offer::words(features), facts.pairs);
        }
        let mtu = self.mtu.or(facts.mtu).unwrap_or(USUAL_MTU);
        PortInfo { mode, mac: None, mtu: mtu.into(), caps: self.shared.terms().caps() }
    }

    fn health(&mut self) -> Health {
        if let Some((ring, fault)) = self.shared.fault() {
            let why = format!("vring {ring}: {fault}");
            // It is told on the port's face when the connection was given up.
            self.service.fail(self.id, why.clone());
            return Health::Failed(why);
        }
        let view = self.face.view();
        let path = self.path.display();
        match view {
            _ if self.shared.is_running() => Health::Up,
            view if view.failed.is_some() => Health::Failed(view.failed.unwrap_or_default()),
            view if view.connected.is_some() => Health::Down("the guest's driver is not up".into()),
            view => Health::Down(view.obstacle.unwrap_or_else(|| format!("no guest: waiting for {path}"))),
        }
    }

    fn configure(&mut self, spec: &PortSpec) -> Result<(), PortError> {
        if self.mtu != spec.mtu {
            self.mtu = spec.mtu;
            self.service.set_mtu(self.id, spec.mtu);
        }
        Ok(())
    }
}
