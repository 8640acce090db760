//! The configuration on disk, and the last changes that led to it.
//!
//! One redb file. A change is one transaction with redb's immediate durability: when [`Store::commit`]
//! returns, the change survives a crash of the process and of the machine; if the process dies before, the
//! file holds the state before it. redb locks the file, so that two processes never share it. A file that is
//! no store is refused and not written to.
//!
//! Calls block on the disk for some milliseconds: not for async tasks. `commit` takes `&mut self`; one
//! writer at a time is the caller's business.

use prost::Message;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use vsw_api::v1;
use vsw_config::Config;

/// The store's name in the state directory.
pub const FILE: &str = "control.redb";

/// One row, [`CURRENT`]: a `vsw.v1.Config` message.
const CONFIG: TableDefinition<&str, &[u8]> = TableDefinition::new("config");
const CURRENT: &str = "current";
/// Generation -> (seconds since 1970, what was asked).
const HISTORY: TableDefinition<u64, (u64, &str)> = TableDefinition::new("history");
/// Changes remembered.
const HISTORY_LEN: u64 = 100;

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub generation: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// As one would type it: `add-port br0 tap0`.
    pub asked: String,
}

/// What can be wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store {}: is in use by another vswcontrold; stop that one, or give this one its own --state-dir", .0.display())]
    InUse(PathBuf),
    #[error(
        "store {path}: is damaged ({cause}); it was left untouched. Put a copy of it back, or move it away with \
         `mv {path} {path}.bad` and start `vswcontrold --adopt`, which takes over the configuration that the \
         dataplane applied last. Until then the dataplane goes on with that one", path = path.display()
    )]
    Damaged { path: PathBuf, cause: String },
    #[error("store {}: {cause}; make sure that the directory exists, can be written and has space left", path.display())]
    Io { path: PathBuf, cause: String },
    #[error("store {}: is not what was written last; restart vswcontrold", .0.display())]
    Diverged(PathBuf),
}

/// See the module.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` after a failed commit: redb then wants the file opened anew.
    db: Option<Database>,
    /// The generation on disk, as far as this process knows.
    generation: u64,
}

impl Store {
    /// Opens the store of a state directory, or makes an empty one, and reads the configuration in it.
    pub fn open(state_dir: &Path) -> Result<(Self, Config), StoreError> {
        let path = state_dir.join(FILE);
        let db = open(&path)?;
        let config = read(&path, &db)?;
        let generation = config.generation().0;
        Ok((Self { path, db: Some(db), generation }, config))
    }

    /// Makes `config` the recorded one. Durable on return; on an error the recorded one stays as it was.
    pub fn commit(&mut self, config: &Config, asked: &str) -> Result<(), StoreError> {
        let db = match self.db.take() {
            Some(db) => db,
            None => self.reopened()?,
        };
        write(&db, config, asked).map_err(|e| broken(&self.path, e))?;
        self.db = Some(db);
        self.generation = config.generation().0;
        Ok(())
    }

    /// After a failed commit nobody knows what reached the disk: look, and go on only if it is what it was.
    fn reopened(&self) -> Result<Database, StoreError> {
        let db = open(&self.path)?;
        let config = read(&self.path, &db)?;
        if config.generation().0 != self.generation {
            return Err(StoreError::Diverged(self.path.clone()));
        }
        Ok(db)
    }

    /// The last changes, oldest first.
    pub fn history(&self) -> Result<Vec<Entry>, StoreError> {
        let Some(db) = &self.db else { return Ok(Vec::new()) };
        let rows = || -> Result<_, redb::Error> {
            let mut entries = Vec::new();
            for row in db.begin_read()?.open_table(HISTORY)?.iter()? {
                let (generation, value) = row?;
                let (time, asked) = value.value();
                entries.push(Entry { generation: generation.value(), time, asked: asked.to_owned() });
            }
            Ok(entries)
        };
        rows().map_err(|e| broken(&self.path, e))
    }
}

fn open(path: &Path) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    builder.create(path).map_err(|e| match e {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.into()),
        e => broken(path, e.into()),
    })
}

fn read(path: &Path, db: &Database) -> Result<Config, StoreError> {
    let bytes = || -> Result<Option<Vec<u8>>, redb::Error> {
        let table = match db.begin_read()?.open_table(CONFIG) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(table.get(CURRENT)?.map(|row| row.value().to_vec()))
    };
    let damaged = |cause: String| StoreError::Damaged { path: path.into(), cause };
    let Some(bytes) = bytes().map_err(|e| broken(path, e))? else { return Ok(Config::default()) };
    let message = v1::Config::decode(&*bytes).map_err(|e| damaged(e.to_string()))?;
    Config::try_from(vsw_api::draft(message))
        .map_err(|v| damaged(format!("its configuration breaks a rule: {}", crate::Error::Violations(v))))
}

fn write(db: &Database, config: &Config, asked: &str) -> Result<(), redb::Error> {
    let generation = config.generation().0;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let tx = db.begin_write()?;
    tx.open_table(CONFIG)?.insert(CURRENT, &*vsw_api::message(config).encode_to_vec())?;
    let mut history = tx.open_table(HISTORY)?;
    history.insert(generation, (time, asked))?;
    history.retain(|g, _| g + HISTORY_LEN > generation && g <= generation)?;
    drop(history);
    tx.commit()?;
    Ok(())
}

fn broken(path: &Path, e: redb::Error) -> StoreError {
    use redb::Error::*;
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    let path = path.to_owned();
    match e {
        Io(e) if e.kind() == UnexpectedEof => StoreError::Damaged { path, cause: "it is cut short".into() },
        Io(e) if e.kind() == InvalidData => StoreError::Damaged { path, cause: e.to_string() },
        Io(e) => StoreError::Io { path, cause: e.to_string() },
        PreviousIo => StoreError::Io { path, cause: StorageError::PreviousIo.to_string() },
        e => StoreError::Damaged { path, cause: e.to_string() },
    }
}

#[cfg(test)]
mod tests;
