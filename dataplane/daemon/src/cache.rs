//! The last applied configuration, on disk, so that the dataplane can start alone.
//!
//! `datapath.config` holds the message `vsw.v1.Config`. It is replaced as a whole (write, sync, rename,
//! sync the directory), so that it is always one configuration or the other. Used by the switch thread.

use prost::Message;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use vsw_api::v1;
use vsw_config::Config;

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    file: PathBuf,
}

impl Cache {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned(), file: state_dir.join("datapath.config") }
    }

    /// # Errors
    /// When it cannot be written; the old one is still there then.
    pub(crate) fn save(&self, config: &Config) -> io::Result<()> {
        let new = self.file.with_extension("config.new");
        let mut file = File::create(&new)?;
        file.write_all(&vsw_api::message(config).encode_to_vec())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)?;
        File::open(&self.dir)?.sync_all()
    }

    /// What was saved last; `None` if nothing ever was.
    ///
    /// # Errors
    /// A sentence: what is there is no configuration.
    pub(crate) fn load(&self) -> Result<Option<Config>, String> {
        let name = self.file.display();
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{name}: cannot be read: {e}")),
        };
        let message = v1::Config::decode(&bytes[..]).map_err(|e| format!("{name}: is damaged: {e}"))?;
        match Config::try_from(vsw_api::draft(message)) {
            Ok(config) => Ok(Some(config)),
            Err(found) => Err(format!("{name}: is damaged: {}", found[0])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsw_config::{Draft, DraftBridge};

    #[test]
    fn what_was_saved_is_loaded_and_damage_is_told() {
        let dir = std::env::temp_dir().join(format!("vswd-cache-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let cache = Cache::new(&dir);
        assert_eq!(cache.load(), Ok(None));
        let bridges = vec![DraftBridge { name: "br0".into(), ..Default::default() }];
        let config = Config::try_from(Draft { generation: 7, bridges, ..Default::default() }).unwrap();
        cache.save(&config).unwrap();
        assert_eq!(cache.load(), Ok(Some(config)));
        std::fs::write(dir.join("datapath.config"), [0xff; 9]).unwrap();
        assert!(cache.load().unwrap_err().contains("damaged"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
