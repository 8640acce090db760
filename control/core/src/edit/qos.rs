//! Changes to QoS profiles, named ones and those of ports. See the parent module.

use super::{Change, named};
use crate::Error;
use vsw_api::v1;
use vsw_config::Config;
use vsw_config::qos::{ColourAction, QosProfile};

/// A new named profile.
pub fn add_qos(now: &Config, request: v1::AddQosRequest) -> Result<Change, Error> {
    let profile = request.profile.ok_or(Error::Missing("QoS profile"))?;
    named(&profile.name, "name of the QoS profile")?;
    let name = profile.name.clone();
    let asked = format!("add-qos {name}");
    let mut config = vsw_api::message(now);
    if let Some(is) = now.profile(&name) {
        if !request.may_exist {
            return Err(Error::ProfileExists(name));
        }
        // Spelling aside: what the request means.
        config.profiles.retain(|p| p.name != name);
        config.profiles.push(profile);
        let meant = Config::try_from(vsw_api::draft(config)).map_err(Error::Violations)?;
        return match meant.profile(&name) == Some(is) {
            true => Ok(Change::none(now, asked)),
            false => Err(Error::ProfileDiffers(name)),
        };
    }
    config.profiles.push(profile);
    Ok(noted(Change::new(config, asked), &name))
}

/// A change of a named profile is a change of every port that has it.
pub fn set_qos(now: &Config, request: v1::SetQosRequest) -> Result<Change, Error> {
    named(&request.name, "name of the QoS profile")?;
    let mut config = vsw_api::message(now);
    let found = config.profiles.iter_mut().find(|p| p.name == request.name);
    let profile = found.ok_or_else(|| Error::NoProfile(request.name.clone()))?;
    let old = profile.sent_by.clone();
    merge(profile, request.change.unwrap_or_default());
    let note = waits_no_more(&format!("QoS profile {}", request.name), &old, &profile.sent_by);
    let mut change = Change::new(config, format!("set-qos {}", request.name));
    change.about = users(now, &request.name).map(|(_, port)| port).collect();
    let mut change = noted(change, &request.name);
    change.notes.extend(note);
    Ok(change)
}

/// Refused while ports have it.
pub fn delete_qos(now: &Config, request: v1::DeleteQosRequest) -> Result<Change, Error> {
    let name = request.name;
    named(&name, "name of the QoS profile")?;
    let asked = format!("del-qos {name}");
    if now.profile(&name).is_none() {
        return if request.if_exists { Ok(Change::none(now, asked)) } else { Err(Error::NoProfile(name)) };
    }
    let users: Vec<(String, String)> = users(now, &name).collect();
    if let Some((bridge, port)) = users.first() {
        let first = format!("{bridge} {port}");
        return Err(Error::ProfileInUse { profile: name, ports: listed(&users), first });
    }
    let mut config = vsw_api::message(now);
    config.profiles.retain(|p| p.name != name);
    Ok(Change::new(config, asked))
}

/// The ports that have a profile, each with its bridge.
fn users(now: &Config, profile: &str) -> impl Iterator<Item = (String, String)> {
    let uses = move |qos: &vsw_config::qos::PortQos| qos.name.as_ref().is_some_and(|n| n.as_str() == profile);
    now.ports().filter(move |(_, _, p)| uses(&p.qos)).map(|(b, n, _)| (b.to_string(), n.to_string()))
}

/// `port a`, `ports a and b`, `ports a, b and 7 more`.
fn listed(users: &[(String, String)]) -> String {
    let name = |n: usize| users[n].1.as_str();
    match users.len() {
        0 => String::new(),
        1 => format!("port {}", name(0)),
        2 => format!("ports {} and {}", name(0), name(1)),
        3 => format!("ports {}, {} and {}", name(0), name(1), name(2)),
        n => format!("ports {}, {} and {} more", name(0), name(1), n - 2),
    }
}

/// What `set-port` says of quality of service.
/// A note, if it takes something away that was not named.
pub(super) fn set(port: &mut v1::Port, request: &v1::SetPortRequest) -> Result<Option<String>, Error> {
    let mut note = None;
    let mut qos = port.qos.take().unwrap_or_default();
    match (&request.qos, &request.own_qos) {
        (Some(_), Some(_)) => return Err(Error::TwoProfiles(port.name.clone())),
        (Some(name), None) => {
            qos.own = None;
            qos.profile = Some(name.clone()).filter(|name| !name.is_empty());
        }
        (None, Some(change)) => {
            note = qos.profile.take().map(|name| {
                format!("port {}: has its own profile now, and QoS profile {name} no more", port.name)
            });
            let mut own = qos.own.take().unwrap_or_default();
            let old = own.sent_by.clone();
            merge(&mut own, change.clone());
            note = note.or_else(|| waits_no_more(&format!("port {}", port.name), &old, &own.sent_by));
            // Nothing said is no profile.
            qos.own = Some(own).filter(|own| *own != v1::QosProfile::default());
        }
        (None, None) => {}
    }
    qos.trust = request.trust.clone().unwrap_or(qos.trust);
    qos.storm = request.storm.or(qos.storm);
    port.qos = Some(qos);
    Ok(note)
}

/// What is given takes the place of what was; the rest stays.
fn merge(profile: &mut v1::QosProfile, change: v1::QosChange) {
    if change.no_sent_by {
        profile.sent_by = None;
    }
    if change.no_sent_to {
        profile.sent_to = None;
    }
    profile.sent_by = change.sent_by.or(profile.sent_by.take());
    if let Some(new) = change.sent_to {
        let shaper = profile.sent_to.get_or_insert_default();
        shaper.max = new.max.or(shaper.max);
        shaper.burst = new.burst.or(shaper.burst).filter(|n| *n != 0);
        shaper.starve_us = new.starve_us.or(shaper.starve_us);
        if !new.classes.is_empty() {
            // Their minimums come with them.
            (shaper.classes, shaper.min) = (new.classes, new.min);
        } else if new.min.is_some() {
            shaper.min = new.min;
            shaper.classes.last_mut().into_iter().for_each(|rest| rest.min = None);
        }
    }
    if change.no_classes
        && let Some(shaper) = &mut profile.sent_to
    {
        shaper.classes.clear();
    }
    if let Some(n) = change.burst {
        let burst = Some(n).filter(|n| *n != 0);
        let limited = profile.sent_to.as_mut().filter(|s| s.max.is_some());
        if profile.sent_by.is_none() && limited.is_none() && burst.is_some() {
            // A burst of nothing: the rules say what is missing.
            profile.sent_by = Some(v1::Policer::default());
        }
        limited.into_iter().for_each(|s| s.burst = burst);
        profile.sent_by.iter_mut().for_each(|p| p.burst = burst);
    }
}

/// A note, where what is sent above the rate is dropped from now on and waited before.
fn waits_no_more(whose: &str, old: &Option<v1::Policer>, new: &Option<v1::Policer>) -> Option<String> {
    let waits = |p: &v1::Policer| p.red == ColourAction::Wait.name();
    let new = new.as_ref()?;
    (old.as_ref().is_some_and(waits) && !waits(new)).then(|| {
        format!("{whose}: what is sent above the rate does not wait any more; add red=wait if it is to")
    })
}

/// Says which class wins where two of them match the same frames. What breaks a rule has no notes: it is refused.
fn noted(mut change: Change, name: &str) -> Change {
    let profile = change.draft.profiles.iter().find(|p| p.name == name).cloned();
    let alone = vsw_config::Draft { profiles: profile.into_iter().collect(), ..Default::default() };
    if let Ok(config) = Config::try_from(alone) {
        let overlaps = config.profile(name).map(QosProfile::overlaps).unwrap_or_default();
        change.notes = overlaps
            .into_iter()
            .map(|(first, second)| {
                format!(
                    "QoS profile {name}: classes {first} and {second} match some of the same frames; {first} \
                     gets them, because it comes first"
                )
            })
            .collect();
    }
    change
}

#[cfg(test)]
mod tests;
