//! Settings that were typed, as requests: for a new profile, and for a change of one that is there.

use crate::args::{PortQosSettings, ProfileSettings};
use vsw_api::v1::{Policer, PortQos, QosChange, QosProfile, Shaper};

impl ProfileSettings {
    /// `None`: nothing was typed.
    pub(crate) fn change(&self) -> Option<QosChange> {
        let mut change = QosChange { burst: self.burst, ..Default::default() };
        if let Some(by) = &self.sent_by {
            (change.sent_by, change.no_sent_by) = (by.0.clone(), by.0.is_none());
        }
        if let Some(to) = &self.sent_to {
            (change.sent_to, change.no_sent_to) = (to.0.clone(), to.0.is_none());
        }
        if let Some(classes) = &self.classes {
            change.no_classes = classes.0.is_empty();
            if !change.no_classes {
                change.sent_to.get_or_insert_default().classes = classes.0.clone();
            }
        }
        if self.min.is_some() {
            change.sent_to.get_or_insert_default().min = self.min;
        }
        if self.starve.is_some() {
            change.sent_to.get_or_insert_default().starve_us = self.starve;
        }
        (change != QosChange::default()).then_some(change)
    }

    /// From nothing. `None`: nothing was typed, or only `none`.
    pub(crate) fn profile(&self, name: &str) -> Option<QosProfile> {
        let QosChange { mut sent_by, mut sent_to, burst, .. } = self.change()?;
        if let Some(burst) = burst.filter(|n| *n != 0) {
            let limited = sent_to.as_mut().filter(|s: &&mut Shaper| s.max.is_some());
            if sent_by.is_none() && limited.is_none() {
                // A burst of nothing: the control process says what is missing.
                sent_by = Some(Policer::default());
            }
            limited.into_iter().for_each(|s| s.burst = s.burst.or(Some(burst)));
            sent_by.iter_mut().for_each(|p| p.burst = p.burst.or(Some(burst)));
        }
        let said = sent_by.is_some() || sent_to.is_some();
        said.then(|| QosProfile { name: name.to_owned(), sent_by, sent_to })
    }
}

impl PortQosSettings {
    /// Of a new port. `None`: nothing was typed.
    pub(crate) fn port(&self) -> Option<PortQos> {
        let qos = PortQos {
            profile: self.qos.clone(),
            own: self.own.profile(""),
            trust: self.trust.clone().unwrap_or_default(),
            storm: self.storm,
        };
        (qos != PortQos::default()).then_some(qos)
    }

    /// The named profile that was asked for; empty: none.
    pub(crate) fn named(&self) -> Option<String> {
        if self.no_qos { Some(String::new()) } else { self.qos.clone() }
    }
}
