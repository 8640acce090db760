//! Keeps the dataplane agreeing with what is recorded.
//!
//! One task, the only one that pushes. It looks at the dataplane twice a second, ten times while that is
//! away, and at once when something new is recorded. It pushes the whole configuration whenever the dataplane
//! is another process than the one it pushed to, or is at another generation. What it found it
//! publishes as a [`Link`]; those who made a change wait for that.
//!
//! A dataplane with a higher generation than the recorded one (the store was put back from an old copy) would
//! refuse what is recorded, so the recorded generation is raised above it. As long as nothing was ever recorded
//! (generation 0), nothing is pushed: an empty store is no wish for an empty switch.

use crate::{Controller, Datapath, Fault};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};
use vsw_api::v1::DatapathStatus;
use vsw_config::Config;

const POLL: Duration = Duration::from_millis(500);
const POLL_AWAY: Duration = Duration::from_millis(100);

/// How things stood when the dataplane was last looked at.
#[derive(Clone, Debug)]
pub struct Link {
    /// The recorded generation that was wanted then; `None`: nobody has looked yet.
    pub wanted: Option<u64>,
    pub contact: Contact,
}

#[derive(Clone, Debug)]
pub enum Contact {
    /// It could not be reached; a sentence.
    Away(String),
    /// It would not take the configuration; a sentence.
    Refused(String),
    /// What is wanted is in force, as far as single ports allow.
    Agreed(Arc<DatapathStatus>),
}

impl Default for Link {
    fn default() -> Self {
        Self { wanted: None, contact: Contact::Away(String::new()) }
    }
}

/// Runs until the controller is gone.
pub(crate) async fn run(
    controller: Weak<Controller>,
    datapath: Datapath,
    mut recorded: watch::Receiver<Arc<Config>>,
    link: watch::Sender<Link>,
) {
    let mut reconciler = Reconciler { controller, datapath, pushed: None, told: String::new() };
    loop {
        let wanted = recorded.borrow_and_update().clone();
        let contact = reconciler.look(&wanted).await;
        let pause = if matches!(contact, Contact::Away(_)) { POLL_AWAY } else { POLL };
        link.send_replace(Link { wanted: Some(wanted.generation().0), contact });
        tokio::select! {
            () = sleep(pause) => {}
            changed = recorded.changed() => if changed.is_err() { return },
        }
    }
}

struct Reconciler {
    controller: Weak<Controller>,
    datapath: Datapath,
    /// Start time of the process that took a configuration, and the generation of that.
    pushed: Option<(u64, u64)>,
    /// What the log said last.
    told: String,
}

impl Reconciler {
    async fn look(&mut self, wanted: &Config) -> Contact {
        let status = match self.datapath.status().await {
            Ok(status) => status,
            Err(fault) => return self.failed(fault),
        };
        let generation = wanted.generation().0;
        if generation == 0 {
            if status.generation != 0 {
                self.tell(
                    format!(
                        "dataplane: has generation {}, but nothing is recorded here; it is left as it is",
                        status.generation
                    ),
                    Tone::Warn,
                );
            }
            return Contact::Agreed(Arc::new(status));
        }
        if status.generation > generation {
            return self.raise(status.generation).await;
        }
        if status.generation == generation && self.pushed == Some((status.started, generation)) {
            return Contact::Agreed(Arc::new(status));
        }
        match self.datapath.apply(vsw_api::message(wanted)).await {
            Ok(status) => {
                self.tell(format!("dataplane: has applied generation {generation}"), Tone::Info);
                self.pushed = Some((status.started, generation));
                Contact::Agreed(Arc::new(status))
            }
            Err(fault) => self.failed(fault),
        }
    }

    /// The change of the recorded generation wakes the task, which then pushes.
    async fn raise(&mut self, above: u64) -> Contact {
        warn!("dataplane: has generation {above}, newer than what is recorded; what is recorded replaces it");
        let Some(controller) = self.controller.upgrade() else {
            return Contact::Away("vswcontrold is stopping".into());
        };
        match controller.raise(above).await {
            Ok(generation) => Contact::Refused(format!("it is being replaced by generation {generation}")),
            Err(e) => {
                self.tell(e.to_string(), Tone::Error);
                Contact::Refused(e.to_string())
            }
        }
    }

    fn failed(&mut self, fault: Fault) -> Contact {
        match fault {
            Fault::Away(why) => {
                self.tell(format!("dataplane: {why}"), Tone::Warn);
                Contact::Away(why)
            }
            Fault::Said(code, why) => {
                self.tell(format!("dataplane: refuses the configuration: {why} ({code:?})"), Tone::Error);
                Contact::Refused(why)
            }
        }
    }

    /// Once, not with every look.
    fn tell(&mut self, what: String, tone: Tone) {
        if self.told == what {
            return debug!("still: {what}");
        }
        match tone {
            Tone::Info => info!("{what}"),
            Tone::Warn => warn!("{what}"),
            Tone::Error => error!("{what}"),
        }
        self.told = what;
    }
}

enum Tone {
    Info,
    Warn,
    Error,
}
