//! `tracenet sockets ...`: ss's flags.

use clap::{Args, ValueEnum};

use crate::args::Color;

const EXAMPLES: &str = "Examples:
  tracenet sockets -tunap                 every TCP and UDP socket, in numbers, with who holds it
  tracenet sockets -tnlp --all-netns      who listens, in which network namespace
  tracenet sockets -tnpieom state established '( dport = :443 or sport = :ssh ) and dst 10.0.0.0/8'";

/// `tracenet sockets`
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct SocketsArgs {
    /// TCP sockets.
    #[arg(short = 't', long)]
    pub tcp: bool,
    /// UDP sockets.
    #[arg(short = 'u', long)]
    pub udp: bool,
    /// Raw sockets.
    #[arg(short = 'w', long)]
    pub raw: bool,
    /// Unix sockets.
    #[arg(short = 'x', long)]
    pub unix: bool,
    /// Packet sockets.
    #[arg(short = '0', long)]
    pub packet: bool,
    /// IP version 4 only.
    #[arg(short = '4', long)]
    pub ipv4: bool,
    /// IP version 6 only.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Sockets of a family; repeatable.
    #[arg(short = 'f', long, value_enum, value_name = "FAMILY")]
    pub family: Vec<Family>,
    /// Kinds of sockets, as in ss: all, inet, tcp, udp, raw, unix, unix_stream, unix_dgram, unix_seqpacket, packet,
    /// packet_raw, packet_dgram, netlink; with a `!` not those.
    #[arg(short = 'A', long = "query", alias = "socket", value_name = "KIND", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Accepted and left out: DCCP sockets.
    #[arg(short = 'd', long, hide = true)]
    pub dccp: bool,
    /// Accepted and left out: SCTP sockets.
    #[arg(short = 'S', long, hide = true)]
    pub sctp: bool,
    /// Accepted and left out: MPTCP sockets (their subflows are TCP sockets).
    #[arg(short = 'M', long, hide = true)]
    pub mptcp: bool,
    /// Accepted and left out: sockets between virtual machines.
    #[arg(long, hide = true)]
    pub vsock: bool,
    /// Accepted and left out: TIPC sockets.
    #[arg(long, hide = true)]
    pub tipc: bool,
    /// Accepted and left out: XDP sockets.
    #[arg(long, hide = true)]
    pub xdp: bool,
    /// Also those that listen or are not connected.
    #[arg(short = 'a', long, overrides_with = "listening")]
    pub all: bool,
    /// Only those that listen or are not connected.
    #[arg(short = 'l', long, overrides_with = "all")]
    pub listening: bool,
    /// Only TCP ports that are bound, but neither listen nor are connected (Linux 6.8).
    #[arg(short = 'B', long)]
    pub bound_inactive: bool,
    /// Numbers instead of names of services.
    #[arg(short = 'n', long)]
    pub numeric: bool,
    /// Names of hosts, by DNS.
    #[arg(short = 'r', long)]
    pub resolve: bool,
    /// Who holds the socket: name, PID and descriptor of each process.
    #[arg(short = 'p', long)]
    pub processes: bool,
    /// What TCP says of the connection; of a listener, how many connections it dropped.
    #[arg(short = 'i', long)]
    pub info: bool,
    /// User, inode, cookie and more.
    #[arg(short = 'e', long)]
    pub extended: bool,
    /// Memory.
    #[arg(short = 'm', long)]
    pub memory: bool,
    /// Timers.
    #[arg(short = 'o', long)]
    pub options: bool,
    /// Everything of a socket on one line.
    #[arg(short = 'O', long)]
    pub oneline: bool,
    /// No header line.
    #[arg(short = 'H', long)]
    pub no_header: bool,
    /// How many sockets there are, without listing them.
    #[arg(short = 's', long)]
    pub summary: bool,
    /// In the network namespace of this name, as `ip netns` lists them.
    #[arg(short = 'N', long, value_name = "NAME")]
    pub net: Option<String>,
    /// In every network namespace that a process, a thread, a descriptor or a name in /run/netns holds.
    #[arg(long, conflicts_with = "net")]
    pub all_netns: bool,
    /// One tracenet.socket/1 object a line, with everything that is known of it (-p -i -e -m -o).
    #[arg(long)]
    pub json: bool,
    /// When to use colour.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<Color>,
    /// ss's filter: `state STATE` and `exclude STATE` first, then an expression such as
    /// '( dport = :443 or sport = :ssh ) and dst 10.0.0.0/8'. `and` and `or` bind alike, from left to right.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// `-f`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Family {
    Inet,
    Inet6,
    Unix,
    Link,
    Netlink,
    Vsock,
    Tipc,
    Xdp,
}

impl SocketsArgs {
    /// True where no sockets were named, neither by a flag nor by a filter.
    pub fn is_bare(&self) -> bool {
        let named = [self.tcp, self.udp, self.raw, self.unix, self.packet, self.ipv4, self.ipv6];
        !named.contains(&true)
            && self.family.is_empty()
            && self.kinds.is_empty()
            && self.filter.is_empty()
            && self.left_out().is_empty()
    }

    /// Families that ss knows and this command doesn't.
    pub fn left_out(&self) -> Vec<&'static str> {
        let family = |f| self.family.contains(&f);
        [
            (self.dccp, "DCCP"),
            (self.sctp, "SCTP"),
            (self.mptcp, "MPTCP"),
            (self.vsock || family(Family::Vsock), "vsock"),
            (self.tipc || family(Family::Tipc), "TIPC"),
            (self.xdp || family(Family::Xdp), "XDP"),
        ]
        .into_iter()
        .filter_map(|(asked, name)| asked.then_some(name))
        .collect()
    }
}
