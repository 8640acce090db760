//! What can be wrong with a draft, told to people.

use std::fmt;

/// The object at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    Switch,
    Bridge(String),
    Port(String),
    Station(String),
    /// A named QoS profile.
    Profile(String),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("switch"),
            Self::Bridge(n) => write!(f, "bridge {n}"),
            Self::Port(n) => write!(f, "port {n}"),
            Self::Station(n) => write!(f, "station {n}"),
            Self::Profile(n) => write!(f, "QoS profile {n}"),
        }
    }
}

/// One broken rule: the object, and what is wrong with it and what to do, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {problem}")]
pub struct Violation {
    pub object: Object,
    pub problem: String,
}
