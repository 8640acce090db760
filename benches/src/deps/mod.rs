//! The choices of libraries, measured again: ours beside what was not chosen, doing the same work.
//! What follows from it is in `docs/adr/0002-libraries.md`.

mod map;
mod parse;
mod queue;

pub(crate) use map::map;
pub(crate) use parse::parse;
pub(crate) use queue::queue;
