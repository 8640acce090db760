//! Handing frames from one worker to another: 32 in, 32 out, in one thread, so that only the queue's own
//! work is measured and not the caches' of two cores.

use crate::Effort;
use crate::report::Row;
use crate::timing::sample;
use anyhow::Result;
use crossbeam_queue::ArrayQueue;
use std::hint::black_box;

const BATCH: usize = 32;
const SLOTS: usize = 1024;

/// As large as a frame's handle, and as little to be copied.
struct Item([u64; 2]);

fn batch() -> impl Iterator<Item = Item> {
    let first = black_box(1);
    (0..BATCH as u64).map(move |i| Item([first, i]))
}

/// Reads them all; how many there were.
fn consume(items: impl Iterator<Item = Item>) -> usize {
    let (n, sum) = items.fold((0, 0), |(n, sum), item| (n + 1, sum ^ item.0[0] ^ item.0[1]));
    black_box(sum);
    n
}

pub(crate) fn queue(effort: Effort) -> Result<Vec<Row>> {
    let n = effort.samples;
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Item>::new(SLOTS);
    let ours = sample(n, || {
        if let Ok(chunk) = producer.write_chunk_uninit(BATCH) {
            chunk.fill_from_iter(batch());
        }
        consumer.read_chunk(BATCH).map_or(0, |chunk| consume(chunk.into_iter()))
    });
    let array = ArrayQueue::new(SLOTS);
    let array = sample(n, || {
        batch().for_each(|item| drop(array.push(item)));
        consume(std::iter::from_fn(|| array.pop()))
    });
    let (sender, receiver) = crossbeam_channel::bounded(SLOTS);
    let channel = sample(n, || {
        batch().for_each(|item| drop(sender.try_send(item)));
        consume(receiver.try_iter())
    });
    let row = Row::alone("hand over, rtrb by chunks", "ns/item", &ours);
    Ok(vec![
        row.clone().beside_cost("crossbeam_queue::ArrayQueue", &array),
        row.beside_cost("crossbeam_channel::bounded", &channel),
    ])
}
