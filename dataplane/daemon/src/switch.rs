//! The switch thread: makes the switch be what the configuration says, and keeps it so.
//!
//! The only thread that opens and closes ports, publishes snapshots and changes static stations, so none
//! of this needs a lock. It may block for as long as the kernel takes to make an interface; workers and
//! packets never wait for it. The order is make before break: a new port is opened and attached, then a
//! snapshot names it; a port that goes is first missing from a snapshot, then detached, then closed.

use crate::cache::Cache;
use crate::claim::Claim;
use crate::drivers::Drivers;
use crate::fdbs::Fdbs;
use crate::managed::{Managed, State};
use crate::message::{Message, Refused, Scope};
use crate::{qos, status};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::{error, info, warn};
use vsw_accel::{Accel, Plan};
use vsw_api::v1;
use vsw_config::{Config, Diff, PortChange, diff};
use vsw_engine::{Engine, Event};
use vsw_mem::FramePool;
use vsw_port::{Health, PortError};
use vsw_switch::Snapshot;
use vsw_types::{MAX_PORTS, Name, PortIdx};

/// Between two looks at the health of ports and the age of stations.
const TICK: Duration = Duration::from_secs(1);

pub(crate) struct Switch {
    pub(crate) engine: Engine,
    drivers: Drivers,
    pool: &'static FramePool,
    cache: Cache,
    pub(crate) config: Config,
    pub(crate) ports: BTreeMap<Name, Managed>,
    pub(crate) fdbs: Fdbs,
    pub(crate) accel: Accel,
    /// Seconds since 1970.
    pub(crate) started: u64,
}

impl Switch {
    pub(crate) fn new(
        engine: Engine,
        drivers: Drivers,
        pool: &'static FramePool,
        cache: Cache,
        accel: Accel,
    ) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let (config, ports, fdbs) = (Config::default(), BTreeMap::new(), Fdbs::new());
        Self { engine, drivers, pool, cache, config, ports, fdbs, accel, started }
    }

    /// Starts from the last applied configuration. Without one, or with a damaged one, the control process
    /// will bring it.
    pub(crate) fn restore(&mut self) {
        match self.cache.load() {
            Ok(None) => {}
            Ok(Some(config)) => {
                info!("generation {}: restored", config.generation());
                if let Err(e) = self.make(config) {
                    error!("{e:?}");
                }
            }
            Err(why) => warn!("{why}; starting without it, the control process brings the configuration"),
        }
    }

    /// Serves until told to stop.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        let mut tick = Instant::now() + TICK;
        loop {
            let retry = self.ports.values().filter_map(Managed::next_try).min();
            let until = retry.into_iter().chain(self.accel.due()).fold(tick, Instant::min);
            match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.serve(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= tick {
                tick = Instant::now() + TICK;
                // Stations that only the kernel heard must not age.
                self.reconcile();
                self.accel.tick();
                if self.fdbs.age(&self.config, self.engine.now()) > 0 {
                    self.accel.news();
                }
                self.look_after_ports();
            }
            if self.accel.due().is_some_and(|due| due <= Instant::now()) {
                self.reconcile();
            }
            self.retry();
        }
    }

    fn serve(&mut self, message: Message) {
        // Who asked may have given up: then the answer is nobody's.
        match message {
            Message::Check(config, reply) => drop(reply.send(self.check(&config))),
            Message::Apply(config, reply) => drop(reply.send(self.apply(config))),
            Message::Status(reply) => drop(reply.send(status::of(self))),
            Message::Flush(scope, reply) => drop(reply.send(self.flush(&scope))),
            Message::Macs(scope, reply) => drop(reply.send(status::macs(self, &scope))),
            Message::Counters(port, reply) => drop(reply.send(status::counters(self, port.as_deref()))),
            Message::QosStats(port, reply) => drop(reply.send(qos::stats(self, port.as_deref()))),
            Message::LinksChanged => {
                self.look_after_ports();
                self.ports.values_mut().for_each(Managed::prompt);
            }
            Message::PortsChanged => self.look_after_ports(),
            Message::Worker(Event::Broken(slot, why)) => self.broken(slot, &why),
            Message::Worker(Event::Stations) => self.accel.news(),
            Message::Stop => {}
        }
    }

    /// What this host would refuse of a configuration. Changes nothing.
    fn check(&self, new: &Config) -> Vec<v1::Refusal> {
        let d = diff(&self.config, new);
        let reopened = d.changed.iter().filter(|(_, c)| *c != PortChange::Rules).map(|(n, _)| n);
        let mut refusals = Vec::new();
        for name in d.added.iter().chain(reopened) {
            let Some((_, port)) = new.port(name.as_str()) else { continue };
            let is_open = self.ports.get(name).is_some_and(|m| matches!(m.state, State::Open(_)));
            let changed_kind = self.config.port(name.as_str()).is_none_or(|(_, p)| p.kind != port.kind);
            // An open port's own interface would be in its own way.
            if is_open && !changed_kind {
                continue;
            }
            let Some(choice) = self.drivers.choose(name, &port.kind) else { continue };
            let spec = self.drivers.spec(name, port, choice.kind, self.engine.worker_count() as u16);
            let checked = self.drivers.by_kind(choice.kind).and_then(|d| d.check(&spec));
            // What is open is claimed already, by us.
            let claim = || if is_open { Ok(()) } else { Claim::take(choice.kind, &spec).map(drop) };
            let checked = checked.and_then(|()| claim());
            if let Err(e @ PortError::Refused { .. }) = checked {
                refusals.push(v1::Refusal { object: format!("port {name}"), reason: e.to_string() });
            }
        }
        refusals
    }

    fn apply(&mut self, new: Config) -> Result<v1::DatapathStatus, Refused> {
        let (asked, in_force) = (new.generation(), self.config.generation());
        if asked < in_force {
            return Err(Refused::Stale(format!(
                "generation {asked} is older than {in_force}, which is in force"
            )));
        }
        self.make(new)?;
        if let Err(e) = self.cache.save(&self.config) {
            // It is in force all the same; only starting alone would start from the older one.
            error!("generation {asked}: cannot be kept for a lonely start: {e}");
        }
        info!("generation {asked}: in force");
        Ok(status::of(self))
    }

    /// Makes the switch be `new`.
    fn make(&mut self, new: Config) -> Result<(), Refused> {
        let d = diff(&self.config, &new);
        let old = std::mem::replace(&mut self.config, new);
        let reopen = || d.changed.iter().filter(|(_, c)| *c == PortChange::Reopen).map(|(n, _)| n);
        let leaving: Vec<Name> = d.removed.iter().chain(reopen()).cloned().collect();
        for name in &d.added {
            let Some(slot) = self.free_slot() else {
                error!("port {name}: all {MAX_PORTS} slots are in use");
                continue;
            };
            let choice =
                self.config.port(name.as_str()).and_then(|(_, p)| self.drivers.choose(name, &p.kind));
            self.ports.insert(name.clone(), Managed::new(slot, choice));
        }
        self.sync_tables();
        if !leaving.is_empty() {
            self.publish(&leaving)?;
            for name in &leaving {
                self.close(name, PortError::missing("it is being opened anew", "wait a moment"));
            }
        }
        for name in &d.removed {
            self.ports.remove(name);
        }
        for name in reopen() {
            self.rekind(name);
        }
        self.forget_strays(&old, &d);
        for name in d.added.iter().chain(reopen()) {
            self.open(name);
        }
        for (name, _) in d.changed.iter().filter(|(_, c)| *c == PortChange::Device) {
            self.configure(name);
        }
        self.sync_tables();
        self.publish(&[])
    }

    fn sync_tables(&mut self) {
        let ports = &self.ports;
        self.fdbs.sync(&self.config, |n| ports.get(n).map(|m| m.slot), self.engine.now());
    }

    /// Slots are given again only after [`Managed::close`] made sure that nobody remembers them.
    fn free_slot(&self) -> Option<PortIdx> {
        let mut used = [false; MAX_PORTS];
        self.ports.values().for_each(|m| used[m.slot.0 as usize] = true);
        used.iter().position(|u| !u).map(|i| PortIdx(i as u16))
    }

    /// A port that becomes a patch port or stops being one.
    fn rekind(&mut self, name: &Name) {
        let choice = self.config.port(name.as_str()).and_then(|(_, p)| self.drivers.choose(name, &p.kind));
        if let Some(m) = self.ports.get_mut(name) {
            *m = Managed::new(m.slot, choice);
        }
    }

    /// Stations behind a port that moved to another bridge, or in VLANs that it does not carry any more.
    fn forget_strays(&self, old: &Config, d: &Diff) {
        for (name, _) in &d.changed {
            let (Some(m), Some((bridge, port))) = (self.ports.get(name), self.config.port(name.as_str()))
            else {
                continue;
            };
            let moved = old.port(name.as_str()).is_some_and(|(b, _)| b != bridge);
            let stray =
                |b: &Name, e: &vsw_switch::fdb::Entry| (moved && b != bridge) || !port.vlans.carries(e.vlan);
            self.fdbs.forget(m.slot, stray, self.engine.now());
        }
    }

    /// The kernel's shortcut and the tables of stations are to agree.
    fn reconcile(&mut self) {
        // Before looking: what changes meanwhile is told.
        if self.accel.is_on() {
            self.engine.watch_stations();
        }
        if let Err(e) = self.accel.reconcile(self.engine.now()) {
            error!("the kernel's shortcut: its stations cannot be read: {e}");
        }
    }

    /// Tells the kernel's shortcut how ports are.
    fn look_for_shortcuts(&mut self) {
        self.accel.look(self.ports.values().filter_map(Managed::candidate).collect());
    }

    /// Compiles and publishes what is now true, without the ports that are about to go.
    fn publish(&mut self, without: &[Name]) -> Result<(), Refused> {
        let live =
            |n: &Name| self.ports.get(n).filter(|m| m.is_live() && !without.contains(n)).map(|m| m.slot);
        let table = |n: &Name| self.fdbs.table(n.as_str()).cloned();
        let snapshot =
            Snapshot::compile(&self.config, live, |n| table(n).expect("`sync` made a table for each bridge"));
        let plan = Plan::of(&snapshot);
        let broken = |e: std::io::Error| Refused::Broken(format!("the kernel's shortcut: {e}"));
        self.accel.off().map_err(broken)?;
        self.engine.publish(snapshot).map_err(|stuck| Refused::Broken(stuck.to_string()))?;
        let candidates = self.ports.values().filter_map(Managed::candidate).collect();
        self.accel.on(plan, candidates).map_err(broken)
    }

    fn open(&mut self, name: &Name) -> bool {
        let (Some(m), Some((_, port))) = (self.ports.get_mut(name), self.config.port(name.as_str())) else {
            return false;
        };
        if matches!(m.state, State::Patch) {
            self.engine.attach(m.slot, vsw_port::PortCaps::ALL, u32::from(u16::MAX), Vec::new());
            return true;
        }
        m.open(name, port, &self.drivers, &mut self.engine, self.pool)
    }

    /// Closes a port that no snapshot names any more, and forgets its stations.
    fn close(&mut self, name: &Name, why: PortError) {
        let now = self.engine.now();
        if let Some(m) = self.ports.get_mut(name) {
            m.close(&mut self.engine, why);
            self.fdbs.forget(m.slot, |_, _| true, now);
        }
    }

    /// Gives an open device its new MAC and MTU.
    fn configure(&mut self, name: &Name) {
        let (Some(m), Some((_, port))) = (self.ports.get_mut(name), self.config.port(name.as_str())) else {
            return;
        };
        let (State::Open(open), Some(choice)) = (&mut m.state, &m.choice) else { return };
        let spec = self.drivers.spec(name, port, choice.kind, self.engine.worker_count() as u16);
        let result = open.device.configure(&spec);
        if let Err(e) = &result
            && m.unsettled.as_ref() != Some(e)
        {
            warn!("port {name}: {e}");
        }
        m.unsettled = result.err();
        open.learn(m.slot, &self.engine);
    }

    /// Looks how the open ports are; closes what is lost.
    fn look_after_ports(&mut self) {
        let now = self.engine.now();
        let mut lost = Vec::new();
        for (name, m) in &mut self.ports {
            let State::Open(open) = &mut m.state else { continue };
            let health = open.device.health();
            if let Health::Lost(e) = health {
                lost.push((name.clone(), e));
                continue;
            }
            if open.health != health {
                match &health {
                    Health::Down(why) => info!("port {name}: down: {why}"),
                    Health::Failed(why) => warn!("port {name}: failed: {why}"),
                    _ => info!("port {name}: up"),
                }
                if health != Health::Up {
                    self.fdbs.forget(m.slot, |_, _| true, now);
                }
                open.health = health;
            }
            open.learn(m.slot, &self.engine);
            open.shortcut = open.device.shortcut();
        }
        let unsettled: Vec<Name> =
            self.ports.iter().filter(|(_, m)| m.unsettled.is_some()).map(|(n, _)| n.clone()).collect();
        unsettled.iter().for_each(|n| self.configure(n));
        self.look_for_shortcuts();
        self.lose(lost);
    }

    /// Ports that cannot go on: out of the snapshot, closed, and to be opened again.
    fn lose(&mut self, lost: Vec<(Name, PortError)>) {
        if lost.is_empty() {
            return;
        }
        let names: Vec<Name> = lost.iter().map(|(n, _)| n.clone()).collect();
        if let Err(e) = self.publish(&names) {
            error!("{e:?}");
        }
        for (name, why) in lost {
            warn!("port {name}: {why}");
            self.close(&name, why);
        }
    }

    /// A worker found a queue that does not work any more.
    fn broken(&mut self, slot: PortIdx, why: &str) {
        self.look_after_ports();
        // The device may not have noticed.
        let name = self.ports.iter().find(|(_, m)| m.slot == slot && matches!(m.state, State::Open(_)));
        if let Some(name) = name.map(|(n, _)| n.clone()) {
            self.lose(vec![(name, PortError::missing(why, "it is opened again in a moment"))]);
        }
    }

    /// Tries to open those whose time has come.
    fn retry(&mut self) {
        let now = Instant::now();
        let due: Vec<Name> = self
            .ports
            .iter()
            .filter(|(_, m)| m.next_try().is_some_and(|t| t <= now))
            .map(|(n, _)| n.clone())
            .collect();
        let mut opened = false;
        for name in due {
            opened |= self.open(&name);
        }
        if opened && let Err(e) = self.publish(&[]) {
            error!("{e:?}");
        }
    }

    fn flush(&mut self, scope: &Scope) -> Result<u64, Refused> {
        let (table, port) = status::scope(self, scope)?;
        let which = |e: &vsw_switch::fdb::Entry| {
            !e.is_static && scope.vlan.is_none_or(|v| v == e.vlan) && port.is_none_or(|p| p == e.port)
        };
        let gone = table.remove(which, self.engine.now());
        self.reconcile();
        Ok(gone as u64)
    }
}
