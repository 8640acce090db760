//! One configured port: open, or waiting to be.

use crate::claim::Claim;
use crate::drivers::{Choice, Drivers};
use std::time::{Duration, Instant};
use vsw_accel::Candidate;
use vsw_engine::Engine;
use vsw_mem::FramePool;
use vsw_port::{Device, Health, OpenPort, PortError, PortInfo, Shortcut};
use vsw_types::{Name, PortIdx};

/// Between two tries to open a port that misses something.
const RETRY: Duration = Duration::from_secs(1);
/// Between two tries that are prompted by news of links: opening a port makes news itself.
const PROMPTED: Duration = Duration::from_millis(300);
/// Between two tries of what the operator would have to change, at most.
const RETRY_MOST: u32 = 16;

/// A configured port. It keeps its slot as long as it is configured.
pub(crate) struct Managed {
    pub(crate) slot: PortIdx,
    /// `None`: a patch port.
    pub(crate) choice: Option<Choice>,
    pub(crate) state: State,
    /// Settings that the open device did not take; it runs with the old ones.
    pub(crate) unsettled: Option<PortError>,
}

pub(crate) enum State {
    /// A patch port, which is always open.
    Patch,
    Open(Open),
    Waiting(Waiting),
}

pub(crate) struct Open {
    pub(crate) device: Box<dyn Device>,
    pub(crate) queues: usize,
    pub(crate) info: PortInfo,
    pub(crate) health: Health,
    pub(crate) shortcut: Option<Shortcut>,
    _claim: Claim,
}

pub(crate) struct Waiting {
    pub(crate) error: PortError,
    tries: u32,
    last: Instant,
    next: Instant,
}

impl Open {
    /// Reads what the device says of itself, and tells the workers what they go by.
    pub(crate) fn learn(&mut self, slot: PortIdx, engine: &Engine) {
        let old = std::mem::replace(&mut self.info, self.device.info());
        if self.info.mtu != old.mtu {
            engine.set_mtu(slot, self.info.mtu);
        }
        if self.info.caps != old.caps {
            engine.set_caps(slot, self.info.caps);
        }
    }
}

impl Managed {
    pub(crate) fn new(slot: PortIdx, choice: Option<Choice>) -> Self {
        let state = match choice {
            None => State::Patch,
            Some(_) => {
                State::Waiting(Waiting::from(PortError::missing("it was not opened yet", "wait a moment")))
            }
        };
        Self { slot, choice, state, unsettled: None }
    }

    /// Its seat at the kernel's shortcut.
    pub(crate) fn seat(&self) -> Option<u32> {
        match &self.state {
            State::Open(open) => open.shortcut.map(|s| s.seat),
            _ => None,
        }
    }

    /// How the kernel's shortcut may use it.
    pub(crate) fn candidate(&self) -> Option<Candidate> {
        let State::Open(open) = &self.state else { return None };
        let Shortcut { seat, takes } = open.shortcut?;
        let up = open.health == Health::Up;
        Some(Candidate { port: self.slot, seat, takes, up, mtu: open.info.mtu })
    }

    /// Whether the packet path knows it.
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.state, State::Waiting(_))
    }

    /// Tries to open it and hands its queues to the workers. `true`: it is open now.
    pub(crate) fn open(
        &mut self,
        name: &Name,
        port: &vsw_config::Port,
        drivers: &Drivers,
        engine: &mut Engine,
        pool: &'static FramePool,
    ) -> bool {
        let tries = match &self.state {
            State::Waiting(w) => w.tries,
            _ => return false,
        };
        // What exists by that name may be something else by now.
        self.choice = drivers.choose(name, &port.kind);
        let Some(choice) = &self.choice else { return false };
        let spec = drivers.spec(name, port, choice.kind, engine.worker_count() as u16);
        let opened = drivers.by_kind(choice.kind).and_then(|d| {
            let claim = Claim::take(choice.kind, &spec)?;
            Ok((claim, d.open(&spec, pool)?))
        });
        match opened {
            Ok((claim, OpenPort { mut device, queues })) => {
                let (info, health, count) = (device.info(), device.health(), queues.len());
                let shortcut = device.shortcut();
                engine.attach(self.slot, info.caps, info.mtu, queues);
                tracing::info!("port {name}: open as {}, {}", choice.kind, info.mode);
                self.state =
                    State::Open(Open { device, queues: count, info, health, shortcut, _claim: claim });
                self.unsettled = None;
                true
            }
            Err(error) => {
                if tries == 0 || !matches!(&self.state, State::Waiting(w) if w.error == error) {
                    tracing::warn!("port {name}: {error}");
                }
                self.state = State::Waiting(Waiting::after(error, tries + 1));
                false
            }
        }
    }

    /// Takes it from the workers and closes it. The snapshot in force does not name it.
    pub(crate) fn close(&mut self, engine: &mut Engine, why: PortError) {
        match engine.detach(self.slot) {
            Ok(queues) => drop(queues),
            Err(stuck) => tracing::error!("{stuck}"),
        }
        if !matches!(self.state, State::Patch) {
            self.state = State::Waiting(Waiting::from(why));
        }
    }

    /// When it is to be tried again.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(w) => Some(w.next),
            _ => None,
        }
    }

    /// Something changed on the host: worth a try soon.
    pub(crate) fn prompt(&mut self) {
        if let State::Waiting(w) = &mut self.state {
            w.next = w.next.min(w.last + PROMPTED);
        }
    }
}

impl From<PortError> for Waiting {
    /// Not tried yet.
    fn from(error: PortError) -> Self {
        let now = Instant::now();
        Self { error, tries: 0, last: now, next: now }
    }
}

impl Waiting {
    fn after(error: PortError, tries: u32) -> Self {
        let last = Instant::now();
        let pause = match error {
            PortError::Missing { .. } => RETRY,
            PortError::Refused { .. } => RETRY * tries.min(RETRY_MOST),
        };
        Self { error, tries, last, next: last + pause }
    }
}
