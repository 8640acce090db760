//! What both daemons do alike, so that they behave alike: arguments, log, run directory, serving gRPC
//! with health and reflection until a signal comes, telling systemd.
//!
//! Nothing here knows what the daemons are for. Called from `main`; no type here is shared with others.
#![forbid(unsafe_code)]

mod args;
mod rundir;
mod serve;

pub use args::{Common, run};
pub use rundir::{Role, RunDir, create_dir};
pub use serve::{GRACE, serve};
