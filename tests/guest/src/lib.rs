//! Virtual machines as stations: real guests under QEMU, on the host of a [`vsw_netns::Lab`].
//!
//! `make-guest` makes kernel, initramfs and QEMU of Debian packages and keeps them in a cache; `init` is the
//! guest's only program. A [`Machine`] says what is to be started, a [`Guest`] runs and is killed on drop.
//! A [`Nic`] is the guest's end of a port, of either kind.
//!
//! Complications: the guest is emulated in software, some twenty times slower than the host, and boots in
//! 3 to 10 seconds; no test expects much of it soon. Where no guest was made the tests are skipped, and say so.
//!
//! Thread-safety: a guest does one command at a time; it may be shared by the threads of its test.
#![forbid(unsafe_code)]

mod guest;
mod image;
mod nic;
mod pinger;
mod qmp;
pub mod stories;
pub mod traffic;

pub use guest::{Guest, Machine};
pub use image::lab;
pub use nic::{Kind, Nic};
pub use pinger::Pinger;
