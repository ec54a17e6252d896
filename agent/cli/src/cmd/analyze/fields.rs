//! `-Y`: what a display filter may ask for, by Wireshark's names, and where it is found in a frame.

use std::ops::ControlFlow;

use tracenet_collectors::decode::{Layer, Protocol};
use tracenet_core::tcp::Analysis;
use tracenet_filter::{Field, FieldId, FieldTable, FieldType, Fields, Filter, ParseError, Value, Visit};

use super::{Seen, Word};

mod analysis;
mod frame;
mod link;
mod names;
mod network;
mod tcp;
mod track;
mod udp;

use track::{Now, Track};

/// A filter, and what it has to remember from packet to packet.
#[derive(Debug)]
pub struct Display {
    filter: Filter,
    track: Track,
}

impl Display {
    /// Compiles a filter.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self { filter: Filter::parse(text, &Table)?, track: Track::default() })
    }

    /// Another capture begins.
    pub fn restart(&mut self) {
        self.track = Track::default();
    }

    /// Whether the packet is to be shown. Every packet must be asked for, in the order of the file.
    pub fn shows(&mut self, seen: &Seen<'_>) -> bool {
        self.track.packet(seen);
        let shown = self.filter.matches(&Packet { seen, track: &self.track });
        self.track.done(seen, shown);
        shown
    }
}

/// Where a field is found.
#[derive(Clone, Copy)]
enum Of {
    Frame,
    Header(Protocol),
    /// IPv4 or IPv6.
    AnyIp,
}

/// A field: its name and type, the header that holds it, and how its values are read there.
struct Definition {
    name: &'static str,
    kind: FieldType,
    of: Of,
    read: fn(&Header<'_>, &mut Sink<'_, '_>) -> ControlFlow<()>,
}

/// The fields of every header, in groups.
const GROUPS: &[&[Definition]] = &[
    frame::FIELDS,
    link::FIELDS,
    network::FIELDS,
    network::OTHERS,
    tcp::FIELDS,
    tcp::OPTIONS,
    analysis::FIELDS,
    udp::FIELDS,
];

/// A group's number is in the upper half of a field's.
const GROUP_SHIFT: u32 = 16;

fn definition(id: FieldId) -> Option<&'static Definition> {
    let group = GROUPS.get((id.0 >> GROUP_SHIFT) as usize)?;
    group.get((id.0 & ((1 << GROUP_SHIFT) - 1)) as usize)
}

fn definitions() -> impl Iterator<Item = (FieldId, &'static Definition)> {
    (0..).zip(GROUPS).flat_map(|(group, fields)| {
        (0..).zip(*fields).map(move |(n, field)| (FieldId((group << GROUP_SHIFT) | n), field))
    })
}

struct Table;

impl FieldTable for Table {
    fn field(&self, name: &str) -> Option<Field> {
        definitions().find(|(_, d)| d.name == name).map(|(id, d)| Field { id, kind: d.kind })
    }

    fn names(&self) -> Vec<&str> {
        definitions().map(|(_, d)| d.name).collect()
    }

    fn named_value(&self, field: FieldId, name: &str) -> Option<u64> {
        let definition = definition(field)?;
        names::value(definition.name, definition.kind, name)
    }

    fn to_utc(&self, local_s: i64) -> i64 {
        let zone = jiff::tz::TimeZone::system();
        let Ok(local) = jiff::Timestamp::from_second(local_s) else { return 0 };
        let civil = jiff::tz::TimeZone::UTC.to_datetime(local);
        zone.to_timestamp(civil).map_or(0, |utc| utc.as_second() - local_s)
    }
}

/// One header of a frame; for fields of the frame the frame itself.
struct Header<'a> {
    /// From the header's first byte to the end of the layer.
    bytes: &'a [u8],
    /// The decoded transport header, if it is one.
    layer: Option<&'a Layer>,
    word: Option<&'a Word>,
    /// What is known of its conversation.
    now: Option<&'a Now>,
    packet: &'a Packet<'a>,
}

impl<'a> Header<'a> {
    fn u8(&self, at: usize) -> Option<u64> {
        self.bytes.get(at).map(|b| u64::from(*b))
    }

    fn u16(&self, at: usize) -> Option<u64> {
        self.number(at, 2)
    }

    fn u32(&self, at: usize) -> Option<u64> {
        self.number(at, 4)
    }

    /// Big endian, eight bytes at most.
    fn number(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.slice(at, len)?;
        Some(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn slice(&self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..at.checked_add(len)?)
    }

    fn ipv4(&self, at: usize) -> Option<Value<'static>> {
        self.slice(at, 4)?.first_chunk().map(|b| Value::Ipv4(u32::from_be_bytes(*b)))
    }

    fn ipv6(&self, at: usize) -> Option<Value<'static>> {
        self.slice(at, 16)?.first_chunk().map(|b| Value::Ipv6(u128::from_be_bytes(*b)))
    }

    /// The header's own bytes, of which there may be fewer.
    fn span(&self, len: usize) -> &'a [u8] {
        self.bytes.get(..len).unwrap_or(self.bytes)
    }

    /// The analyser's word, if there is one.
    fn analysis(&self) -> Option<&'a Analysis> {
        match self.word? {
            Word::Segment(said) => Some(&said.analysis),
            _ => None,
        }
    }

    fn is_quoted(&self) -> bool {
        self.layer.is_some_and(|l| l.quoted)
    }
}

/// Takes the values of a field.
struct Sink<'a, 'v> {
    /// Number of the header among those of its protocol.
    layer: u32,
    visit: &'a mut Visit<'v>,
}

impl Sink<'_, '_> {
    fn value(&mut self, value: Option<Value<'_>>) -> ControlFlow<()> {
        value.map_or(ControlFlow::Continue(()), |value| (self.visit)(self.layer, value))
    }

    fn uint(&mut self, value: Option<u64>) -> ControlFlow<()> {
        self.value(value.map(Value::Uint))
    }

    fn bit(&mut self, value: Option<u64>, mask: u64) -> ControlFlow<()> {
        self.value(value.map(|v| Value::Uint(u64::from(v & mask != 0))))
    }

    fn label(&mut self, is: bool) -> ControlFlow<()> {
        self.value(is.then_some(Value::Label))
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) -> ControlFlow<()> {
        self.value(bytes.map(Value::Bytes))
    }

    fn ns(&mut self, ns: Option<i128>) -> ControlFlow<()> {
        self.value(ns.map(Value::Time))
    }
}

/// A packet as the filter sees it.
struct Packet<'a> {
    seen: &'a Seen<'a>,
    track: &'a Track,
}

impl Fields for Packet<'_> {
    fn each(&self, field: FieldId, visit: &mut Visit<'_>) -> ControlFlow<()> {
        let Some(definition) = definition(field) else { return ControlFlow::Continue(()) };
        let dissected = &self.seen.dissected;
        let wanted = match definition.of {
            Of::Frame => {
                let header =
                    Header { bytes: dissected.frame(), layer: None, word: None, now: None, packet: self };
                return (definition.read)(&header, &mut Sink { layer: 1, visit });
            }
            Of::Header(protocol) => [protocol; 2],
            Of::AnyIp => [Protocol::Ipv4, Protocol::Ipv6],
        };
        let mut layers = (0..).zip(self.seen.layers()).peekable();
        let mut count = 0;
        for (protocol, bytes) in dissected.headers() {
            let is_transport = matches!(protocol, Protocol::Tcp | Protocol::Udp);
            // A header that could not be decoded has no layer.
            let found =
                if is_transport { layers.next_if(|(_, (l, _))| belongs(l, protocol, bytes)) } else { None };
            if !wanted.contains(&protocol) {
                continue;
            }
            count += 1;
            let header = Header {
                bytes,
                layer: found.map(|(_, (layer, _))| layer),
                word: found.map(|(_, (_, word))| word),
                now: found.and_then(|(n, _)| self.track.now(n)),
                packet: self,
            };
            (definition.read)(&header, &mut Sink { layer: count, visit })?;
        }
        ControlFlow::Continue(())
    }
}

fn belongs(layer: &Layer, protocol: Protocol, bytes: &[u8]) -> bool {
    let ports = [layer.source.port().to_be_bytes(), layer.destination.port().to_be_bytes()];
    layer.tcp.is_some() == (protocol == Protocol::Tcp) && bytes.get(..4) == Some(ports.as_flattened())
}

#[cfg(test)]
mod tests {
    use super::{Display, Table, definition, definitions};
    use tracenet_filter::FieldTable;

    #[test]
    fn names_are_unique_and_lead_back() {
        let names = Table.names();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        for (id, d) in definitions() {
            assert_eq!(Table.field(d.name).map(|f| f.id), Some(id));
            assert_eq!(definition(id).map(|d| d.name), Some(d.name));
        }
    }

    #[test]
    fn slips_are_explained() {
        let error = Display::parse("ip and tcp.prot == 80").expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "column 8: tcp.prot is neither a field nor a protocol name (did you mean tcp.port?)"
        );
        assert!(Display::parse("tcp.checksum.status == Good and ip.proto == TCP").is_ok());
        assert!(Display::parse("tcp.flags.syn == Set and eth.type == IPv4").is_ok());
    }
}
