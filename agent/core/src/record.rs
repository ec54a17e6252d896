//! Recordings: what a core ate, in order, so that another core can eat it again and say the same.
//!
//! A recording is [`MAGIC`], then entries: length and CRC-32 (both `u32`, little endian), and so many bytes of postcard
//! (<https://postcard.jamesmunns.com/wire-format>). The first entry is [`Entry::Begin`]. Nothing here reads or writes
//! files.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::audit::{AuditRow, FirewallRule};
use crate::core::Settings;
use crate::event::Event;
use crate::key::{ConnId, NetnsCookie, SocketCookie, Tuple};
use crate::summary::Unattributed;
use crate::time::{ClockOffset, DurationNs, MonoNs};

/// First bytes of a recording. The last one is the layout of the entries: it is raised with every change of a type
/// that an [`Entry`] can hold.
pub const MAGIC: [u8; 8] = *b"tnrec\r\n\x0a";

/// Longest entry that is read, in bytes: a syscall with six captured arguments needs a fraction of it.
pub const MAX_ENTRY: usize = 1 << 20;

/// What happened to the core, or is needed to say what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// The core was made.
    Begin(Settings),
    /// The distance of the clocks, from here on.
    Clock(ClockOffset),
    /// A line of the story that is no fact of the core's.
    Line(String),
    /// [`Core::handle`](crate::core::Core::handle).
    Event(Event),
    /// [`Core::tick`](crate::core::Core::tick).
    Tick(MonoNs),
    /// [`Core::finish`](crate::core::Core::finish).
    Finish(MonoNs),
    /// What the summary tells beyond what the core knows: the last entry.
    End(Ending),
    /// [`Core::call`](crate::core::Core::call): before the first event.
    Named(Named),
}

/// The name of a connection in the story of which a recording is a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name.
    pub id: ConnId,
    /// Its socket.
    pub cookie: SocketCookie,
    /// The socket's namespace.
    pub netns: NetnsCookie,
    /// The socket's addresses.
    pub tuple: Tuple,
}

/// The end of a run, as far as the core doesn't know it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ending {
    /// How long it lasted.
    pub duration: DurationNs,
    /// See [`Closing::unattributed`](crate::summary::Closing::unattributed).
    pub unattributed: Unattributed,
    /// See [`Closing::audit`](crate::summary::Closing::audit).
    pub audit: Vec<AuditRow>,
    /// See [`Closing::firewall`](crate::summary::Closing::firewall).
    pub firewall: Vec<FirewallRule>,
    /// Counters of namespaces and processes that changed.
    pub counters: Vec<CounterChanges>,
}

/// What the counters of one namespace or process did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CounterChanges {
    /// Whose.
    pub title: String,
    /// Name and difference.
    pub changes: Vec<(String, i64)>,
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Longer than [`MAX_ENTRY`].
    #[error("an entry of {0} bytes is longer than any can be")]
    TooLong(u64),
    /// The bytes are not those that were written.
    #[error("its checksum is wrong")]
    Damaged,
    /// Not what this layout has.
    #[error("not an entry of this layout: {0}")]
    Malformed(postcard::Error),
}

impl Entry {
    /// [`encode`].
    ///
    /// # Errors
    /// [`EntryError::TooLong`]: then nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EntryError> {
        encode(self, out)
    }

    /// [`decode`].
    ///
    /// # Errors
    /// [`EntryError::Damaged`], or [`EntryError::Malformed`] where they are no entry, or more than one.
    pub fn decode(head: Head, bytes: &[u8]) -> Result<Self, EntryError> {
        decode(head, bytes)
    }
}

/// Appends an entry of any file that is made of such, with its head.
///
/// # Errors
/// [`EntryError::TooLong`]: then nothing was appended.
pub fn encode<T: Serialize>(entry: &T, out: &mut Vec<u8>) -> Result<(), EntryError> {
    let bytes = postcard::to_allocvec(entry).map_err(EntryError::Malformed)?;
    let len = u32::try_from(bytes.len())
        .ok()
        .filter(|n| *n as usize <= MAX_ENTRY)
        .ok_or(EntryError::TooLong(bytes.len() as u64))?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    out.extend_from_slice(&bytes);
    Ok(())
}

/// Reads an entry from the bytes after its head.
///
/// # Errors
/// [`EntryError::Damaged`], or [`EntryError::Malformed`] where they are no entry, or more than one.
pub fn decode<T: DeserializeOwned>(head: Head, bytes: &[u8]) -> Result<T, EntryError> {
    if crc32fast::hash(bytes) != head.checksum {
        return Err(EntryError::Damaged);
    }
    match postcard::take_from_bytes(bytes).map_err(EntryError::Malformed)? {
        (entry, []) => Ok(entry),
        _ => Err(EntryError::Malformed(postcard::Error::DeserializeBadEncoding)),
    }
}

/// What stands before the bytes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many bytes follow.
    pub len: usize,
    /// Their CRC-32 (ISO 3309, as in gzip).
    pub checksum: u32,
}

impl Head {
    /// Bytes of a head.
    pub const LEN: usize = 8;

    /// Reads a head.
    ///
    /// # Errors
    /// [`EntryError::TooLong`]
    pub fn read(bytes: [u8; Self::LEN]) -> Result<Self, EntryError> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let len = u32::from_le_bytes([a, b, c, d]);
        match usize::try_from(len) {
            Ok(len) if len <= MAX_ENTRY => Ok(Self { len, checksum: u32::from_le_bytes([e, f, g, h]) }),
            _ => Err(EntryError::TooLong(len.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{EventKind, LossSource};

    #[test]
    fn entries_come_back_as_they_were() {
        let what: Arc<str> = "bulk".into();
        let lost = EventKind::Lost { source: LossSource::Ringbuf, what, count: 3 };
        let entries = [
            Entry::Begin(Settings::default()),
            Entry::Clock(ClockOffset { wall_minus_mono_ns: -5 }),
            Entry::Event(Event { t: MonoNs(u64::MAX), kind: lost }),
            Entry::End(Ending::default()),
        ];
        let mut bytes = Vec::new();
        for e in &entries {
            e.encode(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        for e in &entries {
            let (head, after) = rest.split_first_chunk().unwrap();
            let head = Head::read(*head).unwrap();
            let (body, after) = after.split_at(head.len);
            assert_eq!(Entry::decode(head, body).as_ref(), Ok(e));
            rest = after;
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        assert!(matches!(Head::read([255; 8]), Err(EntryError::TooLong(_))));
        let head = |bytes: &[u8]| Head { len: bytes.len(), checksum: crc32fast::hash(bytes) };
        let mut tick = Vec::new();
        Entry::Tick(MonoNs(1)).encode(&mut tick).unwrap();
        let tick = tick[Head::LEN..].to_vec();
        assert_eq!(Entry::decode(head(&tick), &tick), Ok(Entry::Tick(MonoNs(1))));
        assert_eq!(Entry::decode(head(&tick), &tick[1..]), Err(EntryError::Damaged));
        for bytes in [vec![], vec![200, 1], [tick, vec![0]].concat()] {
            assert!(matches!(Entry::decode(head(&bytes), &bytes), Err(EntryError::Malformed(_))));
        }
    }
}
