//! The packet path against a guest's driver written for tests.

mod frames;
mod guest;
mod hostile;
mod life;
