use nix::errno::Errno;
use thiserror::Error;

use crate::interfaces;

/// Why a capture can't be opened or go on. Each is one line, with the remedy where there is one.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// Packet sockets are refused.
    #[error("cannot capture on {interface}: operation not permitted (needs CAP_NET_RAW; run as root)")]
    Privilege {
        /// Interface asked for.
        interface: String,
    },
    /// No such interface in this namespace.
    #[error("no interface {interface} in this network namespace (there are: {available})")]
    NoInterface {
        /// Interface asked for.
        interface: String,
        /// Names that exist.
        available: String,
    },
    /// The interface isn't up.
    #[error("interface {interface} is down (set it up with: ip link set {interface} up)")]
    Down {
        /// Interface asked for.
        interface: String,
    },
    /// The tcpdump expression is wrong; the message is libpcap's.
    #[error("bad filter expression '{expression}': {message}")]
    Expression {
        /// As given.
        expression: String,
        /// What libpcap says.
        message: String,
    },
    /// The link type can't be decoded.
    #[error(
        "interface {interface} has link type {dlt}, which tracenet can't decode (try the interface 'any')"
    )]
    LinkType {
        /// Interface asked for.
        interface: String,
        /// libpcap's DLT number.
        dlt: i32,
    },
    /// The kernel refuses a filter on the packet socket.
    #[error("cannot set the kernel filter of the capture on {interface}: {source}")]
    Filter {
        /// Interface asked for.
        interface: String,
        /// errno.
        source: Errno,
    },
    /// The interface went away during the capture.
    #[error("capture on {interface} ended: {message}")]
    Gone {
        /// Interface asked for.
        interface: String,
        /// What libpcap says.
        message: String,
    },
    /// Anything else that libpcap says.
    #[error("cannot capture on {interface}: {message}")]
    Pcap {
        /// Interface asked for.
        interface: String,
        /// What libpcap says.
        message: String,
    },
}

impl CaptureError {
    /// True where a missing privilege is the reason.
    pub fn is_privilege(&self) -> bool {
        matches!(self, Self::Privilege { .. })
    }

    /// True where what the user asked for can't be: a wrong interface or expression.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoInterface { .. } | Self::Expression { .. })
    }

    /// libpcap tells the kinds of failure by status codes that the binding doesn't pass on, so they are told
    /// apart by what the system says.
    pub(super) fn open(interface: &str, e: &pcap::Error) -> Self {
        let message = message(e);
        let interface_known = interface == "any" || interfaces::index(interface).is_some();
        let interface = interface.to_owned();
        let low = message.to_ascii_lowercase();
        if ["permission", "not permitted", "cap_net_raw"].iter().any(|w| low.contains(w)) {
            Self::Privilege { interface }
        } else if !interface_known {
            Self::NoInterface { interface, available: available() }
        } else if low.contains("not up") || low.contains("is down") {
            Self::Down { interface }
        } else {
            Self::Pcap { interface, message }
        }
    }

    pub(super) fn read(interface: &str, e: &pcap::Error) -> Self {
        Self::Gone { interface: interface.to_owned(), message: message(e) }
    }
}

/// libpcap's words on one line, without the binding's prefix.
pub(super) fn message(e: &pcap::Error) -> String {
    let text = match e {
        pcap::Error::PcapError(m) => m.clone(),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn available() -> String {
    // Names enough for a terminal line; a node may have hundreds of veth devices.
    const SHOWN: usize = 16;
    let Ok(all) = interfaces::list() else { return "unknown".into() };
    let mut names: Vec<_> = all.iter().take(SHOWN).map(|i| i.name.as_str()).collect();
    let more = format!("and {} more", all.len().saturating_sub(SHOWN));
    if all.len() > SHOWN {
        names.push(&more);
    }
    names.push("any");
    names.join(", ")
}
