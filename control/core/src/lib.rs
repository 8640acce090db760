//! What the control process knows and does: it remembers the configuration, changes it, and keeps the
//! dataplane agreeing with it.
//!
//! The way of a change: [`edit`] makes a new draft of the configuration in force and the request, without
//! any effect; [`Controller::submit`] checks it, asks the dataplane, and records it in the [`Store`]; the
//! reconciler pushes what is recorded, and is the only one that does.
//!
//! [`Controller`] is shared between tasks. Changes are made one at a time.
#![forbid(unsafe_code)]

mod adopt;
mod datapath;
pub mod edit;
mod error;
mod reconcile;
mod store;
mod submit;

pub use adopt::adopted;
pub use datapath::{Datapath, Fault};
pub use error::{Error, one_line};
pub use reconcile::{Contact, Link};
pub use store::{Entry, FILE, Store, StoreError};
pub use submit::Controller;
