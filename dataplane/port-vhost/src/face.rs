//! How a port looks from outside: written by the service, read by whoever asks for the port's state.
//!
//! Thread-safety: behind a lock that is held for a copy at most.

use crate::session::Facts;
use std::sync::{Mutex, PoisonError};

/// What there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// A front end is connected; what it said.
    pub(crate) connected: Option<Facts>,
    /// Why none is, if it is not merely that none is there.
    pub(crate) obstacle: Option<String>,
    /// Why the last one was given up.
    pub(crate) failed: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Face(Mutex<View>);

impl Face {
    pub(crate) fn view(&self) -> View {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `true`: it is news.
    pub(crate) fn set(&self, new: View) -> bool {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *view != new;
        *view = new;
        news
    }
}
