//! What a view of a capture is, and what it is told.

use std::borrow::Cow;
use std::net::SocketAddr;

use tracenet_collectors::decode::Layer;
use tracenet_core::event::tcp_flags;
use tracenet_core::tcp::{Side, StreamSegment, Streams};
use tracenet_core::time::WallNs;

use super::datagrams::Datagrams;
use super::print::{Cell, Print};
use super::reading::{Dissected, Keep};
use crate::args::StreamId;
use crate::units::Count;

/// What a transport header is.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    /// TCP: the analyser's word.
    Segment(StreamSegment),
    /// TCP that an ICMP error quotes: only the number of its stream.
    Quoted(u32),
    /// UDP: the number of its conversation, unless there are too many.
    Datagram(Option<u32>),
    /// UDP that an ICMP error quotes.
    QuotedDatagram,
}

/// A frame that was analysed.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// From 1.
    pub number: u64,
    /// Stamp of the capture's first frame.
    pub first: WallNs,
    pub dissected: Dissected<'a>,
}

impl<'a> Seen<'a> {
    /// Transport headers from the outside in, each with its word.
    pub fn layers(&self) -> impl Iterator<Item = (&'a Layer, &'a Word)> {
        self.dissected.layers.iter().zip(self.dissected.words)
    }

    /// Time since the capture's first frame; zero for what is stamped before it.
    pub fn since_first(&self) -> u64 {
        self.dissected.packet.wall.0.saturating_sub(self.first.0)
    }
}

/// Who of a stream is the client: its originator, unless that answers a SYN.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub client_side: Side,
}

impl Ends {
    /// By the first packet that is seen of the stream. Of UDP it is the originator's.
    pub fn of(layer: &Layer, from: Side) -> Self {
        let syn_ack = tcp_flags::SYN | tcp_flags::ACK;
        let answers = layer.tcp.is_some_and(|segment| segment.flags & syn_ack == syn_ack);
        let (source, destination) = (layer.source, layer.destination);
        if from == Side::Orig && !answers {
            return Self { client: source, server: destination, client_side: from };
        }
        let client_side = if from == Side::Orig { Side::Resp } else { Side::Orig };
        Self { client: destination, server: source, client_side }
    }
}

/// What is known at the end of a capture.
#[derive(Debug, Clone, Copy)]
pub struct Closing<'a> {
    /// Stamp of the first frame.
    pub first: WallNs,
    /// Datagrams of which fragments are missing.
    pub fragments_given_up: u64,
    pub streams: &'a Streams,
    pub datagrams: &'a Datagrams,
}

impl Closing<'_> {
    /// That the stream which was asked for is not there.
    pub fn no_such(&self, id: StreamId) -> String {
        let (what, n) = match id {
            StreamId::Tcp(_) => ("TCP stream", u64::from(self.streams.count())),
            StreamId::Udp(_) => ("UDP conversation", self.datagrams.count() as u64),
        };
        let last = n.checked_sub(1).map(|last| format!(", the last one is {last}"));
        format!("no packets of {id}: the capture has {}{}", Count(n, what), Cell(last))
    }
}

/// One way to look at a capture.
pub trait View {
    /// The header line of its table, the columns' names with tabs between them.
    fn columns(&self) -> Cow<'static, str>;

    /// What it needs of each packet besides the transport headers.
    fn keep(&self) -> Keep {
        Keep::default()
    }

    /// Packets with these words come next.
    fn expect(&self, words: &[Word]) {
        let _ = words;
    }

    /// A packet, in the order of the file.
    fn packet(&mut self, seen: &Seen<'_>, print: &mut Print);

    /// A stream is over: what follows on its addresses is another one, or a straggler. Told before the packet with
    /// which it became known.
    fn ended(&mut self, stream: u32, print: &mut Print) {
        let _ = (stream, print);
    }

    /// The capture has ended, or its damage was reached.
    fn end(&mut self, closing: &Closing<'_>, print: &mut Print) {
        let _ = (closing, print);
    }

    /// Why it could not show what was asked for; asked after the end.
    fn failure(&self) -> Option<String> {
        None
    }
}
