//! Making a change: one at a time, checked, asked about, recorded, and only then reported.
//!
//! The recorded configuration lives in a watch channel; readers take it from there and never wait. Writers
//! queue at the store's mutex, which is held until the commit is durable and published, even when the client
//! that asked goes away in the middle. Waiting for the dataplane happens outside of it.

use crate::edit::Change;
use crate::{Contact, Datapath, Error, Fault, Link, Store, StoreError, reconcile};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tracing::{info, warn};
use vsw_api::v1::{self, PortState};
use vsw_config::{Config, Diff, Draft};

/// Milliseconds that a change waits for the dataplane, unless the client says otherwise.
const DEFAULT_WAIT_MS: u32 = 5000;

/// The right to write.
type Guard = OwnedMutexGuard<Store>;

/// The configuration of one switch, and the way to change it.
#[derive(Debug)]
pub struct Controller {
    store: Arc<Mutex<Store>>,
    recorded: watch::Sender<Arc<Config>>,
    link: watch::Receiver<Link>,
    datapath: Datapath,
}

impl Controller {
    /// Takes over an opened store, and starts the task that keeps the dataplane agreeing with it. The task
    /// ends when the controller is dropped. Must be called in a tokio runtime.
    pub fn start(store: Store, config: Config, datapath: Datapath) -> Arc<Self> {
        let (recorded, news) = watch::channel(Arc::new(config));
        let (report, link) = watch::channel(Link::default());
        let store = Arc::new(Mutex::new(store));
        let this = Arc::new(Self { store, recorded, link, datapath: datapath.clone() });
        tokio::spawn(reconcile::run(Arc::downgrade(&this), datapath, news, report));
        this
    }

    /// The recorded configuration.
    pub fn config(&self) -> Arc<Config> {
        self.recorded.borrow().clone()
    }
    pub fn datapath(&self) -> &Datapath {
        &self.datapath
    }

    /// Makes a change, or refuses it as a whole.
    pub async fn submit<F>(&self, wait: Option<v1::Wait>, edit: F) -> Result<v1::ChangeReply, Error>
    where
        F: FnOnce(&Config) -> Result<Change, Error>,
    {
        let (generation, about, notes) = self.record(edit).await?;
        let wait = wait.unwrap_or_default();
        let pending = match wait.no_wait {
            true => Vec::new(),
            false => {
                let ms = wait.timeout_ms.unwrap_or(DEFAULT_WAIT_MS);
                self.settled(generation, &about, Duration::from_millis(ms.into())).await
            }
        };
        Ok(v1::ChangeReply { generation, pending, notes })
    }

    /// The generation that holds the change, durably, the ports that the change is about, and notes on it.
    async fn record<F>(&self, edit: F) -> Result<(u64, Vec<String>, Vec<String>), Error>
    where
        F: FnOnce(&Config) -> Result<Change, Error>,
    {
        let store = self.store.clone().lock_owned().await;
        let now = self.config();
        let Change { mut draft, asked, about, notes } = edit(&now)?;
        draft.generation = now.generation().0 + 1;
        let next = Config::try_from(draft).map_err(Error::Violations)?;
        if next.bridges().eq(now.bridges()) && next.profiles().eq(now.profiles()) {
            return Ok((now.generation().0, about, notes));
        }
        self.ask(&now, &next).await?;

        let generation = self.commit(store, next, asked).await?;
        Ok((generation, about, notes))
    }

    /// Records and publishes, and returns the generation. Not cancelled with the request: what is on disk is
    /// always published too.
    async fn commit(&self, mut store: Guard, next: Config, asked: String) -> Result<u64, Error> {
        let recorded = self.recorded.clone();
        let generation = next.generation().0;
        let commit = tokio::task::spawn_blocking(move || {
            store.commit(&next, &asked)?;
            info!("generation {generation}: {asked}");
            recorded.send_replace(Arc::new(next));
            Ok::<_, StoreError>(())
        });
        commit.await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?;
        Ok(generation)
    }

    /// Would the dataplane refuse? One that is away has no say. Nor do objects that the change leaves alone:
    /// a port that was fine when it was added must not stand in the way of all else.
    async fn ask(&self, now: &Config, next: &Config) -> Result<(), Error> {
        let refusals = match self.datapath.check(vsw_api::message(next)).await {
            Ok(refusals) => refusals,
            Err(Fault::Away(_)) => return Ok(()),
            Err(Fault::Said(code, why)) => {
                warn!("dataplane: cannot check a configuration: {why} ({code:?})");
                return Ok(());
            }
        };
        let Diff { added, changed, .. } = vsw_config::diff(now, next);
        let touched: Vec<String> =
            added.iter().chain(changed.iter().map(|(n, _)| n)).map(|n| format!("port {n}")).collect();
        let refusals: Vec<_> = refusals
            .into_iter()
            .filter(|r| !r.object.starts_with("port ") || touched.contains(&r.object))
            .collect();
        if refusals.is_empty() { Ok(()) } else { Err(Error::Refused(refusals)) }
    }

    /// Waits until the dataplane has seen the generation, and says what of the change is not in force.
    async fn settled(&self, generation: u64, about: &[String], limit: Duration) -> Vec<v1::Pending> {
        let switch = |reason: String| vec![v1::Pending { object: "switch".into(), reason }];
        let mut link = self.link.clone();
        let seen = link.wait_for(|l| l.wanted >= Some(generation));
        let contact = match tokio::time::timeout(limit, seen).await {
            Ok(Ok(link)) => link.contact.clone(),
            Ok(Err(_)) => return switch("vswcontrold is stopping".into()),
            Err(_) => {
                let ms = limit.as_millis();
                return switch(format!("vswd has not applied generation {generation} within {ms} ms"));
            }
        };
        match contact {
            Contact::Away(why) => switch(format!("{why}; it gets the change as soon as it runs")),
            Contact::Refused(why) => switch(why),
            Contact::Agreed(status) => about.iter().filter_map(|port| pending(&status, port)).collect(),
        }
    }

    /// Makes the recorded generation larger than `above`. Returns the recorded one.
    pub(crate) async fn raise(&self, above: u64) -> Result<u64, Error> {
        let generation = above.saturating_add(1);
        let store = self.store.clone().lock_owned().await;
        let now = self.config();
        if now.generation().0 > above {
            return Ok(now.generation().0);
        }
        let draft = Draft { generation, ..vsw_api::draft(vsw_api::message(&now)) };
        let next = Config::try_from(draft).map_err(Error::Violations)?;
        self.commit(store, next, "raise the generation above the dataplane's".into()).await
    }
}

/// Why the port is not in force, if it is not.
///
/// The convention: FAILED is not in force. DOWN is in force as soon as the port is attached, which a `mode`
/// shows: then only the other side is missing or has no carrier. DOWN without a mode was never attached, for
/// example because there is no such interface yet.
fn pending(status: &v1::DatapathStatus, port: &str) -> Option<v1::Pending> {
    let found = status.ports.iter().find(|p| p.name == port);
    let reason = match found.map(|p| (p.state(), p)) {
        Some((PortState::Up, _)) => return None,
        Some((PortState::Down, p)) if !p.mode.is_empty() => return None,
        Some((_, p)) if !p.reason.is_empty() => p.reason.clone(),
        Some(_) => "it is not attached, and vswd gives no reason".into(),
        None => "vswd does not report it yet".into(),
    };
    Some(v1::Pending { object: format!("port {port}"), reason })
}
