//! The packet path against a guest's driver written for tests, and for fuzzing.

#[cfg(test)]
mod frames;
mod fuzz;
mod guest;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod life;

#[cfg(fuzzing)]
pub use fuzz::rings;
