//! Records of the BPF ring buffer.

use tracenet_core::core::{Core, Settings};
use tracenet_core::time::MonoNs;
use tracenet_probes::Decoder;

use super::Bytes;

/// Longer than any record but a syscall with captures; what is missing reads as zero.
const RECORD: usize = 700;

/// Records of any kind and length, and what the core makes of them.
pub fn ring(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut decoder = Decoder::default();
    let mut core = Core::new(Settings { max_connections: 16, max_processes: 16, ..Settings::default() });
    let (mut events, mut facts) = (Vec::new(), Vec::new());
    let (mut now, mut handled) = (0, 0);
    while !bytes.is_empty() {
        now = bytes.time(now);
        let kind = u16::from(bytes.u8() % 16);
        let cut = bytes.u8();
        let mut record = Vec::with_capacity(RECORD);
        record.extend_from_slice(&now.to_ne_bytes());
        record.extend_from_slice(&u32::from(bytes.u8() & 7).to_ne_bytes());
        record.extend_from_slice(&u32::from(bytes.u8() & 7).to_ne_bytes());
        record.extend_from_slice(&kind.to_ne_bytes());
        record.extend_from_slice(&[0; 6]);
        let len = usize::from(bytes.u16()) % RECORD;
        record.extend_from_slice(bytes.take(len));
        record.resize(RECORD, 0);
        if cut & 15 == 0 {
            record.truncate(usize::from(bytes.u16()) % RECORD);
        }
        let said = decoder.decode(&record, &mut events);
        assert_eq!(said, (record.len() >= 24).then_some(kind));
        for event in events.drain(..) {
            handled += 1;
            core.handle(event, &mut facts);
        }
        core.tick(MonoNs(now), &mut facts);
        facts.clear();
    }
    assert_eq!(core.totals().events, handled);
    core.finish(MonoNs(now), &mut facts);
}
