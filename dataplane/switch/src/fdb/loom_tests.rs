//! Every interleaving of one writer and one reader in one bucket (RUSTFLAGS="--cfg loom").

use super::*;
use loom::thread;

fn key(i: u32) -> FdbKey {
    FdbKey::new(VlanId::DEFAULT, MacAddr([2, 0, 0, 0, 0, i as u8]))
}

/// A slot that is given to another station is never read as a mixture of the two.
#[test]
fn a_reused_slot_is_never_torn() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::default());
        if let Some(b) = bucket.try_lock() {
            b.put(0, key(1).0, Value::learned(PortIdx(1), 1));
        }
        let writer = {
            let bucket = bucket.clone();
            thread::spawn(move || {
                if let Some(b) = bucket.try_lock() {
                    b.put(0, key(2).0, Value::learned(PortIdx(2), 2));
                }
            })
        };
        for i in [1, 2] {
            if let Ok((Some(value), _)) = bucket.read(key(i).0) {
                assert_eq!(value.port(), PortIdx(i as u16));
            }
        }
        writer.join().unwrap();
        assert!(matches!(bucket.read(key(2).0), Ok((Some(v), _)) if v.port() == PortIdx(2)));
    });
}

/// Two writers never hold one bucket at once.
#[test]
fn one_writer_at_a_time() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::default());
        let writers: Vec<_> = (1..=2)
            .map(|i| {
                let bucket = bucket.clone();
                thread::spawn(move || {
                    if let Some(b) = bucket.try_lock()
                        && let Some(slot) = b.free()
                    {
                        b.put(slot, key(i).0, Value::learned(PortIdx(i as u16), 0));
                        return true;
                    }
                    false
                })
            })
            .collect();
        let done = writers.into_iter().map(|w| w.join().unwrap()).filter(|ok| *ok).count();
        assert_eq!(bucket.peek().count(), done);
    });
}
