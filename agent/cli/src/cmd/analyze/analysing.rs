//! The thread that analyses: between the one that reads and the one that shows.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracenet_collectors::decode::Layer;
use tracenet_collectors::files::{Damage, Reader};
use tracenet_core::tcp::streams::Pair;
use tracenet_core::tcp::{Analysis, Streams};
use tracenet_core::time::WallNs;

use super::Word;
use super::datagrams::Datagrams;
use super::reading::{BATCHES, Batch, Keep, Reading};

/// All that is known of a capture's conversations.
#[derive(Debug, Default)]
pub struct Known {
    pub streams: Streams,
    pub datagrams: Datagrams,
    /// Of the batch at hand.
    pairs: Vec<Pair>,
}

/// How the analysis ended.
#[derive(Debug)]
pub struct End {
    pub known: Known,
    pub damage: Option<Damage>,
    /// Datagrams of which fragments are missing.
    pub fragments_given_up: u64,
}

/// A capture being read and analysed.
pub struct Analysing {
    analysed: Receiver<Batch>,
    empty: Sender<Batch>,
    thread: JoinHandle<Option<End>>,
}

impl Analysing {
    /// Starts to read and to analyse.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(reader: Reader, keep: Keep) -> io::Result<Self> {
        let (empty, from_empty) = bounded(BATCHES);
        for _ in 0..BATCHES {
            // There is room for all of them.
            let _ = empty.try_send(Batch::default());
        }
        let reading = Reading::start(reader, keep, from_empty)?;
        let (to_analysed, analysed) = bounded(BATCHES);
        let thread = std::thread::Builder::new()
            .name("tracenet-tcp".into())
            .spawn(move || analyse(reading, &to_analysed))?;
        Ok(Self { analysed, empty, thread })
    }

    /// The next batch; `None` at the end.
    pub fn next(&self) -> Option<Batch> {
        self.analysed.recv().ok()
    }

    /// Gives a batch back.
    pub fn done(&self, batch: Batch) {
        // At the end nobody wants it.
        let _ = self.empty.try_send(batch);
    }

    /// Waits for both threads, after the last batch; `None` if one of them died.
    pub fn end(self) -> Option<End> {
        drop((self.analysed, self.empty));
        self.thread.join().ok().flatten()
    }
}

fn analyse(reading: Reading, analysed: &Sender<Batch>) -> Option<End> {
    let mut known = Known::default();
    // Whoever shows may have seen enough.
    while let Ok(mut batch) = reading.full.recv() {
        known.batch(&mut batch);
        if analysed.send(batch).is_err() {
            break;
        }
    }
    let end = reading.end()?;
    Some(End { known, damage: end.damage, fragments_given_up: end.fragments_given_up })
}

impl Known {
    fn batch(&mut self, batch: &mut Batch) {
        let mut pairs = std::mem::take(&mut self.pairs);
        pairs.clear();
        let segments = batch.layers().iter().filter(|layer| layer.tcp.is_some() && !layer.quoted);
        pairs.extend(segments.map(|layer| self.streams.pair(layer.source, layer.destination)));
        let mut next = Ahead { pairs: &mut pairs, at: 0, fetched: 0 };
        let (mut words, mut ended) = (std::mem::take(&mut batch.words), std::mem::take(&mut batch.ended));
        for (at, dissected) in batch.packets().enumerate() {
            words.extend(
                dissected.layers.iter().map(|layer| self.word(dissected.packet.wall, layer, &mut next)),
            );
            if self.streams.has_ended() {
                ended.extend(self.streams.ended().map(|stream| (at, stream)));
            }
        }
        (batch.words, batch.ended) = (words, ended);
        self.pairs = pairs;
    }

    /// What a layer is; `pairs` are those of the segments from here on.
    #[inline]
    fn word(&mut self, wall: WallNs, layer: &Layer, pairs: &mut Ahead<'_>) -> Word {
        let (source, destination) = (layer.source, layer.destination);
        match &layer.tcp {
            None if layer.quoted => Word::QuotedDatagram,
            None => Word::Datagram(self.datagrams.number(source, destination, layer.payload_len)),
            Some(segment) if layer.quoted => {
                Word::Quoted(self.streams.quoted(wall.0, source, destination, segment))
            }
            Some(segment) => {
                let Some(pair) = pairs.next(&self.streams) else { return Word::QuotedDatagram };
                let mut said = self.streams.segment_of(pair, wall.0, segment, layer.payload_len, layer.ip.id);
                if layer.cut {
                    // Wireshark says nothing of a header that it can't read to its end.
                    said.analysis = Analysis::default();
                }
                Word::Segment(said)
            }
        }
    }
}

/// Segments whose streams are fetched before the first of them is analysed: few enough that the cache keeps them.
const AHEAD: usize = 128;

/// The pairs of a batch, one for each segment.
struct Ahead<'a> {
    pairs: &'a mut [Pair],
    at: usize,
    fetched: usize,
}

impl Ahead<'_> {
    #[inline]
    fn next(&mut self, streams: &Streams) -> Option<&Pair> {
        if self.at == self.fetched {
            self.fetched = (self.at + AHEAD).min(self.pairs.len());
            streams.fetch(self.pairs.get_mut(self.at..self.fetched)?);
        }
        self.at += 1;
        self.pairs.get(self.at - 1)
    }
}
