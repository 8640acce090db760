//! The store: what survives, and what damage is told.

use super::*;
use vsw_config::{Draft, DraftBridge};

fn config(generation: u64, bridge: &str) -> Config {
    let bridges = vec![DraftBridge { name: bridge.into(), ..Default::default() }];
    Config::try_from(Draft { generation, bridges, ..Default::default() }).unwrap()
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, empty) = Store::open(dir.path()).unwrap();
    assert_eq!(empty, Config::default());
    for g in 1..=150 {
        store.commit(&config(g, "br0"), &format!("change {g}")).unwrap();
    }
    drop(store);
    let (store, found) = Store::open(dir.path()).unwrap();
    assert_eq!(found, config(150, "br0"));
    let history = store.history().unwrap();
    assert_eq!(history.len() as u64, HISTORY_LEN);
    assert_eq!((history[0].generation, history[99].generation), (51, 150));
    assert_eq!(history[99].asked, "change 150");
}

/// A process that dies leaves what it had on disk at that moment: a copy of the file, taken without closing.
#[test]
fn a_file_left_by_a_dead_process_holds_every_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    for g in 1..=5 {
        store.commit(&config(g, "br0"), "x").unwrap();
        let after = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join(FILE), after.path().join(FILE)).unwrap();
        assert_eq!(Store::open(after.path()).unwrap().1, config(g, "br0"));
    }
    // An unfinished transaction counts for nothing.
    let db = store.db.as_ref().unwrap();
    let tx = db.begin_write().unwrap();
    tx.open_table(CONFIG).unwrap().insert(CURRENT, &b"half"[..]).unwrap();
    let after = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join(FILE), after.path().join(FILE)).unwrap();
    assert_eq!(Store::open(after.path()).unwrap().1, config(5, "br0"));
    drop(tx);
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Store::open(dir.path()).unwrap();
    let e = Store::open(dir.path()).unwrap_err().to_string();
    assert!(e.contains("is in use by another vswcontrold"), "{e}");
}

#[test]
fn a_damaged_store_is_named_and_left_as_it_is() {
    let good = {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        store.commit(&config(1, "br0"), "x").unwrap();
        drop(store);
        std::fs::read(dir.path().join(FILE)).unwrap()
    };
    let noise: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut middle = good.clone();
    middle[4096..].iter_mut().zip(&noise).for_each(|(b, n)| *b = *n);
    let mut one_bit = good.clone();
    let name = good.windows(3).rposition(|w| w == b"br0").unwrap();
    one_bit[name + 1] ^= 1;
    for (what, bytes) in [
        ("one bit of the newest name", one_bit),
        ("text", b"this is not a database".to_vec()),
        ("noise", noise.clone()),
        ("one byte", vec![0]),
        ("a magic number", good[..9].to_vec()),
        ("magic and noise", [&good[..9], &noise[..]].concat()),
        ("a header", good[..512].to_vec()),
        ("half a file", good[..good.len() / 2].to_vec()),
        ("a short file", good[..good.len() - 4096].to_vec()),
        ("garbage after the header", middle),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, &bytes).unwrap();
        let Err(e) = Store::open(dir.path()) else { panic!("{what} was taken for a store") };
        let e = e.to_string();
        assert!(e.contains("is damaged") && e.contains(path.to_str().unwrap()), "{what}: {e}");
        assert!(e.contains("left untouched") && e.contains("--adopt"), "{what}: {e}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what} was changed");
    }
}

#[test]
fn tables_of_another_kind_or_content_are_damage() {
    const OTHER: TableDefinition<u64, u64> = TableDefinition::new("config");
    type Make = fn(&Database);
    let cases: [(&str, Make); 3] = [
        ("types", |db| {
            let tx = db.begin_write().unwrap();
            tx.open_table(OTHER).unwrap().insert(1, 1).unwrap();
            tx.commit().unwrap();
        }),
        ("no message", |db| put(db, b"\xff\xff\xff")),
        ("a broken rule", |db| {
            let bridges = vec![v1::Bridge { name: "no/name".into(), ..Default::default() }];
            put(db, &v1::Config { generation: 1, bridges, ..Default::default() }.encode_to_vec());
        }),
    ];
    for (what, make) in cases {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::create(dir.path().join(FILE)).unwrap();
        make(&db);
        drop(db);
        let e = Store::open(dir.path()).unwrap_err();
        assert!(matches!(e, StoreError::Damaged { .. }), "{what}: {e}");
    }
}

fn put(db: &Database, bytes: &[u8]) {
    let tx = db.begin_write().unwrap();
    tx.open_table(CONFIG).unwrap().insert(CURRENT, bytes).unwrap();
    tx.commit().unwrap();
}

#[test]
fn an_empty_file_is_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), b"").unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().1, Config::default());
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let e = Store::open(&dir.path().join("absent")).unwrap_err().to_string();
    assert!(e.contains("absent/control.redb: No such file or directory"), "{e}");
}

/// The file is taken away under an open store: what was not lost is not lost later.
#[test]
fn after_a_failed_commit_the_store_opens_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    store.commit(&config(1, "br0"), "x").unwrap();
    store.db = None;
    store.commit(&config(2, "br0"), "y").unwrap();
    assert_eq!(store.history().unwrap().len(), 2);
    store.db = None;
    store.generation = 1;
    let e = store.commit(&config(3, "br0"), "z").unwrap_err();
    assert!(matches!(e, StoreError::Diverged(_)), "{e}");
}

/// Whatever is wrong with the file: the store is read, or it is damaged; nobody dies.
#[test]
fn no_damage_makes_it_panic() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    (1..=3).for_each(|g| store.commit(&config(g, "br0"), "x").unwrap());
    drop(store);
    let path = dir.path().join(FILE);
    let good = std::fs::read(&path).unwrap();
    let mut random = 1u64;
    let mut next = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut damaged = 0;
    for round in 0..150 {
        let mut bytes = good.clone();
        // Half of the rounds go for the header and the first pages, where the structure is.
        let end = if round % 2 == 0 { 600 } else { bytes.len() };
        let (from, len) = (next(end), 1 + next(40));
        bytes[from..].iter_mut().take(len).for_each(|b| *b = next(256) as u8);
        std::fs::write(&path, &bytes).unwrap();
        match Store::open(dir.path()) {
            Ok((_, found)) => assert!(found.generation().0 <= 3),
            Err(StoreError::Damaged { .. }) => {
                damaged += 1;
                assert!(std::fs::read(&path).unwrap() == bytes, "round {round}: the file was changed");
            }
            Err(e) => panic!("round {round}: {e}"),
        }
    }
    assert!(damaged > 15, "only {damaged} of 150 were noticed");
}
