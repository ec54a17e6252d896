//! Entries of a recording.

use tracenet_core::core::{Core, Settings};
use tracenet_core::record::{Entry, Head};
use tracenet_core::time::MonoNs;

use super::Bytes;

/// Entries with the right checksum and any content: what can be read can be written and read again, and the core takes
/// it, whatever it says.
pub fn recording(data: &[u8]) {
    let mut bytes = Bytes(data);
    let bounds = Settings { max_connections: 16, max_processes: 16, max_half_open: 4, ..Settings::default() };
    let mut core = Core::new(bounds);
    let (mut facts, mut again) = (Vec::new(), Vec::new());
    let mut now = MonoNs(0);
    while !bytes.is_empty() {
        let len = usize::from(bytes.u16());
        let body = bytes.take(len);
        let head = Head { len: body.len(), checksum: crc32fast::hash(body) };
        let Ok(entry) = Entry::decode(head, body) else { continue };
        again.clear();
        entry.encode(&mut again).expect("it is no longer than it was");
        let (first, rest) = again.split_first_chunk().expect("a head");
        assert_eq!(Entry::decode(Head::read(*first).expect("a head"), rest).as_ref(), Ok(&entry));
        match entry {
            Entry::Event(event) => {
                now = now.max(event.t);
                core.handle(event, &mut facts);
            }
            Entry::Tick(t) | Entry::Finish(t) => {
                now = now.max(t);
                core.tick(t, &mut facts);
            }
            Entry::Named(named) => core.call(&named),
            Entry::Begin(_) | Entry::Clock(_) | Entry::Line(_) | Entry::End(_) => {}
        }
        facts.clear();
    }
    core.finish(now, &mut facts);
}
