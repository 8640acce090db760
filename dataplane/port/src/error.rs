//! Why a port does not work, for people.

/// The cause, and what to do about it, each one sentence without a full stop. The object is known to who
/// asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// It will not work until the operator changes something.
    #[error("{cause}; {remedy}")]
    Refused { cause: String, remedy: String },
    /// Something is missing or gone that can come (back) by itself; tried again now and then.
    #[error("{cause}; {remedy}")]
    Missing { cause: String, remedy: String },
}

impl PortError {
    pub fn refused(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { cause: cause.into(), remedy: remedy.into() }
    }
    pub fn missing(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Missing { cause: cause.into(), remedy: remedy.into() }
    }

    /// What a worker says when its queue died: housekeeping finds out more.
    pub fn dead(e: &std::io::Error) -> Self {
        Self::missing(format!("the device stopped working: {e}"), "it is opened again when it can be")
    }
}
