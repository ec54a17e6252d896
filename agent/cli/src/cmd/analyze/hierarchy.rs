//! `--hierarchy`: which protocols, within which.
//!
//! The tree is that of `tshark -z io,phs`: a frame counts once at each node on its way, with its bytes on the wire.
//! What an ICMP error quotes is no node of its own.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde::Serialize;
use tracenet_collectors::decode::Protocol;

use super::reading::Keep;
use super::{Closing, Print, Seen, View};
use crate::args::Format;

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

/// The tree. Its first node is no protocol: its children are the outermost.
pub struct Hierarchy {
    nodes: Vec<Node>,
    places: FxHashMap<(usize, &'static str), usize>,
}

impl Default for Hierarchy {
    fn default() -> Self {
        let root = Node { name: "", frames: 0, bytes: 0, children: Vec::new() };
        Self { nodes: vec![root], places: FxHashMap::default() }
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
        for (protocol, _) in seen.dissected.headers() {
            let is_end = matches!(protocol, Protocol::Short | Protocol::Malformed);
            if quoted && !is_end {
                continue;
            }
            quoted = matches!(protocol, Protocol::Icmp | Protocol::Icmpv6);
            at = self.step(at, protocol.name(), bytes);
        }
    }

    fn end(&mut self, _: &Closing<'_>, print: &mut Print) {
        let mut path = String::new();
        self.show(0, 0, &mut path, print);
    }
}

impl Hierarchy {
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
