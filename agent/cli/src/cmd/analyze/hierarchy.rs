//! `--hierarchy`: which protocols, within which.
//!
//! The tree is that of `tshark -z io,phs`: a frame counts once at each node on its way, with its bytes on the wire.
//! What an ICMP error quotes is no node of its own, but what is in a quoted datagram is. What TCP carries is left out:
//! it is told by messages, which begin and end within segments.

use std::borrow::Cow;

use std::net::{IpAddr, SocketAddr};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use tracenet_collectors::decode::{Layer, Protocol};

use super::reading::Keep;
use super::{Closing, Print, Seen, View, Word};
use crate::args::Format;

mod apps;

use apps::App;

const COLUMNS: &str = "path\tprotocol\tframes\tbytes";

/// Nodes that are kept: frames of more are counted by the deepest node that is.
const MAX_NODES: usize = 1 << 12;

#[derive(Debug)]
struct Node {
    name: &'static str,
    frames: u64,
    /// Of the whole frames on the wire.
    bytes: u64,
    /// In the order of first sight.
    children: Vec<usize>,
}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    protocol: &'static str,
    depth: usize,
    frames: u64,
    bytes: u64,
}

/// UDP conversations of which more than the ports is known.
const MAX_CONVERSATIONS: usize = 1 << 20;

/// What is known of a UDP conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Known {
    #[default]
    New,
    Ports,
    Tftp,
    Quic,
}

/// The tree. Its first node is no protocol: its children are the outermost.
pub struct Hierarchy {
    nodes: Vec<Node>,
    places: FxHashMap<(usize, &'static str), usize>,
    /// By the number of the UDP conversation.
    conversations: Vec<Known>,
    /// Who asked whom for a file: the answer comes from another port.
    tftp: FxHashSet<(SocketAddr, IpAddr)>,
}

impl Default for Hierarchy {
    fn default() -> Self {
        let root = Node { name: "", frames: 0, bytes: 0, children: Vec::new() };
        Self {
            nodes: vec![root],
            places: FxHashMap::default(),
            conversations: Vec::new(),
            tftp: FxHashSet::default(),
        }
    }
}

impl View for Hierarchy {
    fn columns(&self) -> Cow<'static, str> {
        COLUMNS.into()
    }

    fn keep(&self) -> Keep {
        Keep { headers: true, bytes: true, ..Keep::default() }
    }

    fn packet(&mut self, seen: &Seen<'_>, _: &mut Print) {
        let bytes = u64::from(seen.dissected.packet.wire_len);
        let mut at = 0;
        let mut quoted = false;
        let mut datagrams = seen.layers().filter(|(layer, _)| layer.tcp.is_none());
        let mut last = None;
        for (protocol, header) in seen.dissected.headers() {
            let is_end = matches!(protocol, Protocol::Short | Protocol::Malformed);
            if !quoted || is_end {
                at = self.step(at, protocol.name(), bytes);
            }
            last = None;
            match protocol {
                Protocol::Icmp | Protocol::Icmpv6 => quoted = true,
                Protocol::Udp => {
                    last = datagrams.next().map(|(layer, word)| (layer, word, header));
                    if let Some((layer, Word::Datagram(Some(number)), _)) = last
                        && self.known(*number, layer) == Known::Tftp
                    {
                        break;
                    }
                }
                _ => {}
            }
        }
        if let Some((layer, word, header)) = last {
            self.datagram(at, layer, *word, header, bytes);
        }
    }

    fn end(&mut self, _: &Closing<'_>, print: &mut Print) {
        let mut path = String::new();
        self.show(0, 0, &mut path, print);
    }
}

impl Hierarchy {
    /// Of the conversation with that number, to which a datagram belongs.
    fn known(&mut self, number: u32, layer: &Layer) -> Known {
        let at = number as usize;
        if at >= self.conversations.len() {
            if at >= MAX_CONVERSATIONS {
                return Known::Ports;
            }
            self.conversations.resize(at + 1, Known::New);
        }
        let (from, to) = (layer.source, layer.destination);
        let is_tftp = self.tftp.contains(&(from, to.ip())) || self.tftp.contains(&(to, from.ip()));
        let Some(known) = self.conversations.get_mut(at) else { return Known::Ports };
        if *known == Known::New {
            *known = if is_tftp { Known::Tftp } else { Known::Ports };
        }
        *known
    }

    /// Counts what is in a datagram.
    fn datagram(&mut self, at: usize, layer: &Layer, word: Word, header: &[u8], bytes: u64) {
        let Some(&[_, _, _, _, high, low, _, _]) = header.first_chunk() else { return };
        let told = usize::from(u16::from_be_bytes([high, low]));
        let Some(payload) = header.get(8..told.min(header.len())) else { return };
        let is_cut = payload.len() < (layer.payload_len as usize).min(told.saturating_sub(8));
        let number = if let Word::Datagram(number) = word { number } else { None };
        let known = number.map_or(Known::Ports, |number| self.known(number, layer));
        if payload.is_empty() {
            if is_cut && !layer.quoted {
                self.step(at, Protocol::Short.name(), bytes);
            }
            return;
        }
        let app = match known {
            Known::Tftp => App::Is(apps::TFTP, 1),
            Known::Quic => App::Is(apps::QUIC, apps::quic_packets(payload)),
            _ => apps::of_udp((layer.source.port(), layer.destination.port()), payload),
        };
        match app {
            App::Is(name, times) => {
                let mut at = at;
                for _ in 0..times {
                    at = self.step(at, name, bytes);
                }
                if is_cut && !layer.quoted && apps::is_read_to_its_end(name) {
                    self.step(at, Protocol::Short.name(), bytes);
                }
                if let Some(number) = number {
                    self.learn(number, name, layer);
                }
            }
            App::Data => {
                self.step(at, Protocol::Data.name(), bytes);
            }
            App::Unsure => {}
        }
    }

    /// Remembers what later datagrams will not tell.
    fn learn(&mut self, number: u32, name: &str, layer: &Layer) {
        if name == apps::QUIC
            && let Some(known) = self.conversations.get_mut(number as usize)
        {
            *known = Known::Quic;
        }
        if name == apps::TFTP && layer.destination.port() == 69 && self.tftp.len() < MAX_CONVERSATIONS {
            self.tftp.insert((layer.source, layer.destination.ip()));
        }
    }

    /// Counts a frame at the child of that name.
    fn step(&mut self, parent: usize, name: &'static str, bytes: u64) -> usize {
        let at = match self.places.get(&(parent, name)) {
            Some(at) => *at,
            None if self.nodes.len() >= MAX_NODES => return parent,
            None => {
                let at = self.nodes.len();
                self.nodes.push(Node { name, frames: 0, bytes: 0, children: Vec::new() });
                self.places.insert((parent, name), at);
                if let Some(parent) = self.nodes.get_mut(parent) {
                    parent.children.push(at);
                }
                at
            }
        };
        if let Some(node) = self.nodes.get_mut(at) {
            node.frames += 1;
            node.bytes += bytes;
        }
        at
    }

    fn show(&self, at: usize, depth: usize, path: &mut String, print: &mut Print) {
        let Some(node) = self.nodes.get(at) else { return };
        for child in &node.children {
            let Some(Node { name, frames, bytes, .. }) = self.nodes.get(*child) else { continue };
            let len = path.len();
            if depth > 0 {
                path.push('/');
            }
            path.push_str(name);
            match print.format {
                Format::Text => {
                    let indent = depth * 2;
                    let width = 40usize.saturating_sub(indent);
                    print.line(format_args!(
                        "{:indent$}{name:<width$} frames {frames:>9}  bytes {bytes:>12}",
                        ""
                    ));
                }
                Format::Tsv | Format::Csv => print.row(format_args!("{path}\t{name}\t{frames}\t{bytes}")),
                Format::Json => {
                    let line = Line { path, protocol: name, depth, frames: *frames, bytes: *bytes };
                    print.json("tracenet.hierarchy/1", &line);
                }
            }
            self.show(*child, depth + 1, path, print);
            path.truncate(len);
        }
    }
}
