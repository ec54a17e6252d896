//! One thread reads and takes apart, another analyses: batches of headers go from the first to the second and come
//! back to be filled again, so that nothing is allocated for a packet.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracenet_collectors::decode::{Layer, Layers, Undecoded};
use tracenet_collectors::files::{Damage, Reader};
use tracenet_core::time::WallNs;

/// Packets of a batch: few enough to stay in the cache.
const BATCH: usize = 512;

/// Batches on their way.
const BATCHES: usize = 4;

/// A packet without its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    pub wall: WallNs,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Bytes in the file.
    pub captured_len: u32,
    /// What stopped the way to a transport header.
    pub outcome: Result<(), Undecoded>,
    /// Layers of this packet.
    layers: usize,
}

/// Packets with their layers, one after the other.
#[derive(Debug, Default)]
pub struct Batch {
    packets: Vec<Packet>,
    layers: Vec<Layer>,
    /// The next packet may take its time.
    pub is_last_for_now: bool,
}

impl Batch {
    /// Each packet with its transport headers, from the outside in.
    pub fn packets(&self) -> impl Iterator<Item = (&Packet, &[Layer])> {
        let mut from = 0;
        self.packets.iter().map(move |p| {
            let layers = self.layers.get(from..from + p.layers).unwrap_or_default();
            from += p.layers;
            (p, layers)
        })
    }
}

/// How the reading ended.
#[derive(Debug)]
pub struct End {
    pub damage: Option<Damage>,
    /// Datagrams of which fragments are missing.
    pub fragments_given_up: u64,
}

/// A capture being read.
pub struct Reading {
    full: Receiver<Batch>,
    empty: Sender<Batch>,
    thread: JoinHandle<End>,
}

impl Reading {
    /// Starts to read.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(reader: Reader) -> std::io::Result<Self> {
        let (to_full, full) = bounded(BATCHES);
        let (empty, from_empty) = bounded(BATCHES);
        for _ in 0..BATCHES {
            // There is room for all of them.
            let _ = empty.try_send(Batch::default());
        }
        let thread = std::thread::Builder::new()
            .name("tracenet-read".into())
            .spawn(move || read(reader, &to_full, &from_empty))?;
        Ok(Self { full, empty, thread })
    }

    /// The next batch; `None` at the end.
    pub fn next(&self) -> Option<Batch> {
        self.full.recv().ok()
    }

    /// Gives a batch back.
    pub fn done(&self, batch: Batch) {
        // At the end nobody wants it.
        let _ = self.empty.try_send(batch);
    }

    /// Waits for the reader, after the last batch; `None` if it died.
    pub fn end(self) -> Option<End> {
        drop((self.full, self.empty));
        self.thread.join().ok()
    }
}

fn read(mut reader: Reader, full: &Sender<Batch>, empty: &Receiver<Batch>) -> End {
    let mut layers = Layers::new();
    // Without a batch to fill, nobody reads any more.
    while let Ok(mut batch) = empty.recv() {
        batch.packets.clear();
        batch.layers.clear();
        let more = fill(&mut batch, &mut reader, &mut layers);
        if full.send(batch).is_err() || !more {
            break;
        }
    }
    End { damage: reader.damage().cloned(), fragments_given_up: layers.fragments_given_up() }
}

fn fill(batch: &mut Batch, reader: &mut Reader, layers: &mut Layers) -> bool {
    batch.is_last_for_now = false;
    while batch.packets.len() < BATCH {
        let Some(frame) = reader.next_frame() else { return false };
        let before = batch.layers.len();
        let outcome = layers.walk(frame.link, frame.data, frame.wire_len, |layer| batch.layers.push(*layer));
        batch.packets.push(Packet {
            wall: frame.wall,
            wire_len: frame.wire_len,
            // No frame exceeds MAX_PACKET.
            captured_len: u32::try_from(frame.data.len()).unwrap_or(u32::MAX),
            outcome,
            layers: batch.layers.len() - before,
        });
        if reader.is_drained() {
            batch.is_last_for_now = true;
            break;
        }
    }
    true
}
