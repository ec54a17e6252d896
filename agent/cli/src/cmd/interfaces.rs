//! `tracenet interfaces`: what ifconfig, ip and ethtool show, and what it means for a capture.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;
use tracenet_collectors::interfaces::details::{self, Details};
use tracenet_collectors::interfaces::ethtool::Offloads;

use crate::failure::Failure;
use crate::paint::push_safe;

/// `tracenet interfaces`
#[derive(Debug, Args)]
pub struct InterfacesArgs {
    /// Only this one.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// A line for each, with the columns of netstat -i.
    #[arg(short = 's', long)]
    pub short: bool,
    /// One tracenet.interface/1 object a line.
    #[arg(long, conflicts_with = "short")]
    pub json: bool,
}

/// Shows the interfaces of this network namespace.
pub fn main(args: &InterfacesArgs) -> Result<u8, Failure> {
    let mut all = details::all()
        .map_err(|e| Failure::Runtime(format!("cannot ask the kernel for its interfaces: {e}")))?;
    if let Some(name) = &args.name {
        all.retain(|d| d.name == *name);
        if all.is_empty() {
            return Err(Failure::NotFound(format!("no interface {name} in this network namespace")));
        }
    }
    let text = match () {
        () if args.json => json(&all)?,
        () if args.short => short(&all),
        () => long(&all),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write standard output: {e}")))
        }
        _ => Ok(0),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    details: &'a Details,
}

fn json(all: &[Details]) -> Result<String, Failure> {
    let mut out = String::new();
    for details in all {
        let line = tracenet_core::json::to_string(&Line { schema: "tracenet.interface/1", details });
        out.push_str(&line.map_err(|e| Failure::Runtime(e.to_string()))?);
        out.push('\n');
    }
    Ok(out)
}

fn short(all: &[Details]) -> String {
    let mut out = format!(
        "{:<15} {:>6} {:>10} {:>6} {:>6} {:>6} {:>10} {:>6} {:>6} {:>6} Flg\n",
        "Iface", "MTU", "RX-OK", "RX-ERR", "RX-DRP", "RX-OVR", "TX-OK", "TX-ERR", "TX-DRP", "TX-OVR"
    );
    for d in all {
        let (rx, tx) = (&d.rx, &d.tx);
        let _ = writeln!(
            out,
            "{:<15} {:>6} {:>10} {:>6} {:>6} {:>6} {:>10} {:>6} {:>6} {:>6} {}",
            safe(&d.name),
            d.mtu,
            rx.packets,
            rx.errors,
            rx.dropped,
            rx.fifo_errors,
            tx.packets,
            tx.errors,
            tx.dropped,
            tx.fifo_errors,
            letters(d)
        );
    }
    out
}

/// netstat's letters for flags, in its order.
fn letters(d: &Details) -> String {
    const LETTERS: [(&str, char); 9] = [
        ("ALLMULTI", 'A'),
        ("BROADCAST", 'B'),
        ("DEBUG", 'D'),
        ("LOOPBACK", 'L'),
        ("MULTICAST", 'M'),
        ("PROMISC", 'P'),
        ("NOTRAILERS", 'N'),
        ("NOARP", 'O'),
        ("POINTOPOINT", 'p'),
    ];
    let has = |name: &str| d.flags.contains(&name);
    let mut letters: String =
        LETTERS.iter().filter(|(name, _)| has(name)).map(|(_, letter)| letter).collect();
    if has("UP") {
        letters.push_str(if has("NO-CARRIER") { "U" } else { "RU" });
    }
    letters
}

fn long(all: &[Details]) -> String {
    let mut out = String::new();
    for (i, d) in all.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        one(d, &mut out);
    }
    out
}

fn one(d: &Details, out: &mut String) {
    // A string takes everything.
    let _ = writeln!(
        out,
        "{}: {}  mtu {}  state {}  qdisc {}  queue {} packets",
        safe(&d.name),
        d.flags.join(","),
        d.mtu,
        d.state,
        safe(&d.qdisc),
        d.tx_queue_len
    );
    let mut facts = Vec::new();
    facts.extend((!d.mac.is_empty()).then(|| format!("mac {}", d.mac)));
    facts.extend(d.driver.as_ref().map(|name| format!("driver {}", safe(name))));
    facts.extend(d.link.speed_mbit.map(|n| format!("speed {n} Mbit/s")));
    facts.extend(d.link.duplex.map(|duplex| format!("{duplex} duplex")));
    if !facts.is_empty() {
        let _ = writeln!(out, "    {}", facts.join("  "));
    }
    for a in &d.addresses {
        let family = if a.ip.is_ipv6() { "inet6" } else { "inet" };
        let peer = a.peer.map(|peer| format!(" peer {peer}")).unwrap_or_default();
        let _ = writeln!(out, "    {family} {}/{}{peer} scope {}", a.ip, a.prefix, a.scope);
    }
    let (rx, tx) = (&d.rx, &d.tx);
    let _ = writeln!(
        out,
        "    RX  bytes {}  packets {}  errors {}  dropped {}  overruns {}  frame {}  multicast {}",
        rx.bytes,
        rx.packets,
        rx.errors,
        rx.dropped,
        rx.fifo_errors.max(d.rx_over_errors),
        d.rx_frame_errors.saturating_add(d.rx_crc_errors),
        d.multicast
    );
    let _ = writeln!(
        out,
        "    TX  bytes {}  packets {}  errors {}  dropped {}  overruns {}  carrier {}  collisions {}",
        tx.bytes, tx.packets, tx.errors, tx.dropped, tx.fifo_errors, d.tx_carrier_errors, d.collisions
    );
    if let Some(r) = d.rings {
        let _ = writeln!(
            out,
            "    rings  rx {} (at most {})  tx {} (at most {})",
            r.rx, r.rx_max, r.tx, r.tx_max
        );
    }
    let losses: Vec<String> = d
        .driver_counters
        .iter()
        .filter(|(name, value)| *value > 0 && is_loss(name))
        .map(|(name, value)| format!("{} {value}", safe(name)))
        .collect();
    if !losses.is_empty() {
        let _ = writeln!(out, "    lost by the driver  {}", losses.join("  "));
    }
    offloads(&d.offloads, out);
}

/// What a driver's counter of lost packets is called.
fn is_loss(name: &str) -> bool {
    const WORDS: [&str; 8] = ["drop", "miss", "discard", "err", "overrun", "no_buf", "nobuf", "fail"];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// What is switched on, and what a capture on this interface looks like for it. Names are those of `ethtool -K`.
fn offloads(o: &Offloads, out: &mut String) {
    let all = [
        ("gro", o.gro, "received segments are merged before the capture: packets larger than the wire's"),
        (
            "lro",
            o.lro,
            "the card merges received segments: packets larger than the wire's, and no trace of their seams",
        ),
        ("tso", o.tso, "what is sent is cut by the card, after the capture: packets larger than the wire's"),
        ("gso", o.gso, "what is sent is cut after the capture: packets larger than the wire's"),
        ("rx", o.rx_checksum, "checksums of received packets were verified below the capture"),
        ("tx", o.tx_checksum, "checksums of sent packets are not filled in yet: wrong ones are no fault"),
        ("rxvlan", o.rx_vlan, "VLAN tags are taken off received packets; libpcap puts them back"),
        ("txvlan", o.tx_vlan, "VLAN tags are put in after the capture: sent packets have none yet"),
    ];
    let on: Vec<_> = all.iter().filter(|(_, state, _)| *state == Some(true)).collect();
    let off: Vec<&str> =
        all.iter().filter(|(_, state, _)| *state == Some(false)).map(|(name, ..)| *name).collect();
    for (name, _, meaning) in on {
        let _ = writeln!(out, "    {name:<6} on   {meaning}");
    }
    if !off.is_empty() {
        let _ = writeln!(out, "    off: {}", off.join(", "));
    }
}

fn safe(text: &str) -> String {
    let mut out = String::new();
    push_safe(&mut out, text);
    out
}
