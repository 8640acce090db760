//! Ctrl-C and SIGTERM: benchmarks end early and clean up, because everything that waits asks here.
//!
//! Thread-safety: one flag, which any thread may read.

use anyhow::{Result, bail};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on signals raise the flag.
pub(crate) fn watch() -> Result<()> {
    Ok(ctrlc::set_handler(|| INTERRUPTED.store(true, Relaxed))?)
}

/// An error once a signal came.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Sleeps, but not through a signal.
pub(crate) fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Tries until `f` gives something, so long at most.
pub(crate) fn wait_for<T>(what: &str, time: Duration, mut f: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + time;
    loop {
        if let Some(found) = f() {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("waited {} s for {what}", time.as_secs());
        }
        sleep(Duration::from_millis(20))?;
    }
}
