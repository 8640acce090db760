//! A way back for an operator whose store is lost: the dataplane keeps a copy of the configuration it applied
//! last, and an empty store can begin with that.
//!
//! Without `--adopt` an empty store beside such a copy is refused: its first change would take everything else
//! out of the running switch. Called once, before anything else runs.

use crate::{Store, StoreError};
use prost::Message;
use std::path::{Path, PathBuf};
use vsw_api::v1;
use vsw_config::Config;

/// The dataplane's copy in the state directory: a `vsw.v1.Config` message.
const COPY: &str = "datapath.config";

#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error(
        "store: nothing is recorded in it, but the dataplane has applied generation {generation}; start \
         `vswcontrold --adopt` to take that over, or remove {} to begin with an empty switch", .copy.display()
    )]
    Unasked { generation: u64, copy: PathBuf },
    #[error("{}: cannot be adopted ({cause}); remove it to begin with an empty switch", .copy.display())]
    Unreadable { copy: PathBuf, cause: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to begin with: the recorded configuration, or if nothing was ever recorded the dataplane's copy, which
/// is recorded if `adopt` says so.
pub fn adopted(
    store: &mut Store,
    recorded: Config,
    state_dir: &Path,
    adopt: bool,
) -> Result<Config, AdoptError> {
    if recorded.generation().0 != 0 {
        return Ok(recorded);
    }
    let copy = state_dir.join(COPY);
    let unreadable = |cause: String| AdoptError::Unreadable { copy: copy.clone(), cause };
    let bytes = match std::fs::read(&copy) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(recorded),
        bytes => bytes.map_err(|e| unreadable(e.to_string()))?,
    };
    let message = v1::Config::decode(&*bytes).map_err(|e| unreadable(e.to_string()))?;
    if message.generation == 0 {
        return Ok(recorded);
    }
    if !adopt {
        return Err(AdoptError::Unasked { generation: message.generation, copy });
    }
    let config = Config::try_from(vsw_api::draft(message))
        .map_err(|v| unreadable(crate::Error::Violations(v).to_string()))?;
    store.commit(&config, "adopt the dataplane's configuration")?;
    tracing::info!("generation {}: adopted from {}", config.generation(), copy.display());
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_store_comes_back_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, empty) = Store::open(dir.path()).unwrap();
        let begin = |store: &mut Store, adopt| adopted(store, empty.clone(), dir.path(), adopt);
        assert_eq!(begin(&mut store, true).unwrap(), empty);

        let copy = dir.path().join(COPY);
        std::fs::write(&copy, b"\xff\xff").unwrap();
        let e = begin(&mut store, true).unwrap_err().to_string();
        assert!(e.contains("cannot be adopted"), "{e}");

        let bridges = vec![v1::Bridge { name: "br0".into(), ..Default::default() }];
        std::fs::write(&copy, v1::Config { generation: 9, bridges, ..Default::default() }.encode_to_vec())
            .unwrap();
        let e = begin(&mut store, false).unwrap_err().to_string();
        assert!(e.contains("has applied generation 9; start `vswcontrold --adopt`"), "{e}");
        let config = begin(&mut store, true).unwrap();
        assert!(config.bridge("br0").is_some());
        drop(store);
        let (mut store, recorded) = Store::open(dir.path()).unwrap();
        assert_eq!(recorded, config);

        // Once something is recorded, the copy has no say.
        std::fs::write(&copy, b"\xff\xff").unwrap();
        assert_eq!(adopted(&mut store, recorded, dir.path(), true).unwrap(), config);
    }
}
