//! Runs the switch: workers, and what they own.
//!
//! A [`Worker`] is a struct with a [`Worker::pass`]; a thread is a loop that calls it ([`Engine`] makes
//! the threads). Tests call it themselves, with the time they like.
//!
//! ```text
//!   queue ─recv─▶ batch ─▶ keys ─▶ decide ─▶ exec ─▶ outbox ─▶ (finish offloads) ─send─▶ queue
//!                                              └──── mesh ────▶ another worker's outbox
//! ```
//!
//! At a shaped port a scheduler stands between outbox and `send` (`shaper`), and a wheel says when to look
//! at it again.
//!
//! Thread-safety: a worker belongs to one thread. Between threads there are the snapshot (swapped), the
//! forwarding tables (atomics), the mesh (one-writer rings), the counters (published copies) and a mailbox
//! of commands per worker.
#![forbid(unsafe_code)]

mod command;
pub mod counters;
mod engine;
mod exec;
mod inbox;
mod mark;
mod mesh;
pub mod offload;
mod outbox;
mod readiness;
mod shaper;
mod slot;
mod thread;
mod worker;

pub use command::{Attach, Event, Via};
pub use engine::{Engine, Polling, Stuck};
pub use worker::{Published, Worker, WorkerParts};
