//! Which sockets flags and states choose: ss's rules.

use std::collections::BTreeSet;

use tracenet_collectors::sockets::{Kind, Query, State, States};

use super::flags::{Family, SocketsArgs};
use crate::failure::Failure;

/// The choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Kinds that were asked for.
    pub kinds: BTreeSet<Kind>,
    /// Families that were asked for: kinds of others are not shown.
    pub families: BTreeSet<Family>,
    /// States.
    pub states: States,
    /// The family that addresses in the filter belong to, where there is but one.
    pub preferred: Option<Family>,
}

/// What `state` and `exclude` say, before the expression: `None` where they say nothing.
pub type Stated = Option<States>;

/// 0 to TCP_CLOSING; TCP_BOUND_INACTIVE is no part of "all".
const ALL: States = States(0xfff);

fn connected() -> States {
    without(ALL, States::of(&[State::Listen, State::Close, State::TimeWait, State::SynRecv]))
}

fn without(all: States, those: States) -> States {
    States(all.0 & !those.0)
}

impl Choice {
    /// From the flags. A kind brings its families, a family its kinds, where none of them was named.
    pub fn new(args: &SocketsArgs, stated: Stated) -> Result<Self, Failure> {
        let mut kinds: BTreeSet<Kind> = [(args.tcp, Kind::Tcp), (args.udp, Kind::Udp), (args.raw, Kind::Raw)]
            .into_iter()
            .filter_map(|(asked, kind)| asked.then_some(kind))
            .collect();
        let flags = [
            (args.ipv4, Family::Inet),
            (args.ipv6, Family::Inet6),
            (args.unix, Family::Unix),
            (args.packet, Family::Link),
        ];
        let mut families: BTreeSet<Family> =
            flags.into_iter().filter_map(|(asked, family)| asked.then_some(family)).collect();
        families.extend(&args.family);
        let preferred = if families.len() == 1 { families.first().copied() } else { None };
        let mut states = States::default();
        for default in kinds.iter().map(|k| of_kind(*k)).chain(families.iter().map(|f| of_family(*f))) {
            states.0 |= default.0;
        }
        let mut asked = if args.all {
            ALL
        } else if args.listening {
            States::of(&[State::Listen, State::Close])
        } else if args.bound_inactive {
            States::of(&[State::BoundInactive])
        } else {
            States::default()
        };
        if !args.kinds.is_empty() {
            kinds = named(&args.kinds)?;
            if asked == States::default() {
                asked = connected();
            }
        }
        asked = stated.unwrap_or(asked);
        if kinds.is_empty() && families.is_empty() && args.left_out().is_empty() {
            kinds = Kind::ALL.into();
            if asked == States::default() {
                asked = connected();
            }
        }
        if asked != States::default() {
            states = asked;
        }
        if states == States::default() && args.left_out().is_empty() {
            return Err(Failure::Usage("no state of a socket is left by this filter".into()));
        }
        let mut choice = Self { kinds, families, states, preferred };
        choice.complete();
        Ok(choice)
    }

    fn complete(&mut self) {
        for kind in &self.kinds {
            let its = families_of(*kind);
            if !its.iter().any(|family| self.families.contains(family)) {
                self.families.extend(its);
            }
        }
        for family in &self.families {
            let its = || Kind::ALL.into_iter().filter(|kind| families_of(*kind).contains(family));
            if !its().any(|kind| self.kinds.contains(&kind)) {
                self.kinds.extend(its());
            }
        }
    }

    /// Only sockets of this family are shown: an address of the filter names it.
    pub fn only(&mut self, family: Family) {
        self.families = BTreeSet::from([family]);
    }

    /// What the kernel is asked.
    pub fn query(&self, args: &SocketsArgs) -> Query {
        let shown = |kind: &Kind| families_of(*kind).iter().any(|family| self.families.contains(family));
        Query {
            kinds: self.kinds.iter().copied().filter(shown).collect(),
            v4: self.families.contains(&Family::Inet),
            v6: self.families.contains(&Family::Inet6),
            states: self.states,
            tcp_info: args.info || args.json,
            // A listener's drops are among the memory's numbers.
            memory: args.memory || args.info || args.json,
            details: args.extended || args.json,
        }
    }
}

fn families_of(kind: Kind) -> &'static [Family] {
    match kind {
        Kind::Tcp | Kind::Udp | Kind::Raw => &[Family::Inet, Family::Inet6],
        Kind::UnixStream | Kind::UnixDgram | Kind::UnixSeqpacket => &[Family::Unix],
        Kind::PacketRaw | Kind::PacketDgram => &[Family::Link],
        Kind::Netlink => &[Family::Netlink],
    }
}

fn of_kind(kind: Kind) -> States {
    match kind {
        Kind::Tcp => connected(),
        Kind::Udp | Kind::Raw => States::of(&[State::Established]),
        _ => States::default(),
    }
}

fn of_family(family: Family) -> States {
    match family {
        Family::Inet | Family::Inet6 | Family::Unix => connected(),
        Family::Link | Family::Netlink => States::of(&[State::Close]),
        Family::Vsock | Family::Tipc | Family::Xdp => States::default(),
    }
}

/// `-A`: kinds one after the other; a list that begins with an exception begins with all.
fn named(names: &[String]) -> Result<BTreeSet<Kind>, Failure> {
    let all = names.first().is_some_and(|name| name.starts_with('!'));
    let mut kinds: BTreeSet<Kind> = if all { Kind::ALL.into() } else { BTreeSet::new() };
    for name in names {
        let (add, bare) = name.strip_prefix('!').map_or((true, name.as_str()), |bare| (false, bare));
        let of: Vec<Kind> = match bare {
            "all" => Kind::ALL.into(),
            "inet" => vec![Kind::Tcp, Kind::Udp, Kind::Raw],
            "tcp" => vec![Kind::Tcp],
            "udp" => vec![Kind::Udp],
            "raw" => vec![Kind::Raw],
            "unix" => vec![Kind::UnixStream, Kind::UnixDgram, Kind::UnixSeqpacket],
            "unix_stream" | "u_str" => vec![Kind::UnixStream],
            "unix_dgram" | "u_dgr" => vec![Kind::UnixDgram],
            "unix_seqpacket" | "u_seq" => vec![Kind::UnixSeqpacket],
            "packet" => vec![Kind::PacketRaw, Kind::PacketDgram],
            "packet_raw" | "p_raw" => vec![Kind::PacketRaw],
            "packet_dgram" | "p_dgr" => vec![Kind::PacketDgram],
            "netlink" => vec![Kind::Netlink],
            _ => {
                return Err(Failure::Usage(format!(
                    "-A {name}: unknown kind of sockets; see tracenet sockets --help"
                )));
            }
        };
        for kind in of {
            if add {
                kinds.insert(kind);
            } else {
                kinds.remove(&kind);
            }
        }
    }
    Ok(kinds)
}

/// Takes `state` and `exclude` off the front; what is left is the expression.
pub fn split(words: &[String]) -> Result<(Stated, String), Failure> {
    let mut stated: Stated = None;
    let mut rest = words;
    while let [word, after @ ..] = rest {
        let adds = match word.as_str() {
            "state" => true,
            "exclude" | "excl" => false,
            _ => break,
        };
        let [name, after @ ..] = after else {
            return Err(Failure::Usage(format!("{word}: the name of a state is missing: {STATES}")));
        };
        let these = states(name)
            .ok_or_else(|| Failure::Usage(format!("{word} {name}: no such state; these are: {STATES}")))?;
        stated = Some(match (adds, stated) {
            (true, before) => States(before.unwrap_or_default().0 | these.0),
            (false, before) => without(before.unwrap_or(ALL), these),
        });
        rest = after;
    }
    Ok((stated, rest.join(" ")))
}

const STATES: &str = "established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, \
                      listening, closing, bound-inactive, all, connected, synchronized, bucket, big";

fn states(name: &str) -> Option<States> {
    let one = |state| Some(States::of(&[state]));
    let minis = States::of(&[State::SynRecv, State::TimeWait]);
    let idle = States::of(&[State::Close, State::Listen]);
    match name.to_ascii_lowercase().as_str() {
        "established" => one(State::Established),
        "syn-sent" => one(State::SynSent),
        "syn-recv" | "syn-rcv" => one(State::SynRecv),
        "fin-wait-1" => one(State::FinWait1),
        "fin-wait-2" => one(State::FinWait2),
        "time-wait" => one(State::TimeWait),
        "unconnected" | "close" | "closed" => one(State::Close),
        "close-wait" => one(State::CloseWait),
        "last-ack" => one(State::LastAck),
        "listening" | "listen" => one(State::Listen),
        "closing" => one(State::Closing),
        "bound-inactive" => one(State::BoundInactive),
        "all" => Some(ALL),
        "connected" => Some(without(ALL, idle)),
        "synchronized" => Some(without(ALL, States(idle.0 | States::of(&[State::SynSent]).0))),
        "bucket" => Some(minis),
        "big" => Some(without(ALL, minis)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SocketsArgs,
    }

    fn choice(line: &str) -> Choice {
        let line = Line::try_parse_from(std::iter::once("sockets").chain(line.split(' ')));
        let args = line.map_err(|e| e.to_string()).unwrap().args;
        let (stated, _) = split(&args.filter).map_err(|e| e.to_string()).unwrap();
        Choice::new(&args, stated).map_err(|e| e.to_string()).unwrap()
    }

    #[test]
    fn kinds_bring_families_and_families_kinds() {
        let c = choice("-tunapie");
        assert_eq!(c.kinds, [Kind::Tcp, Kind::Udp].into());
        assert_eq!(c.families, [Family::Inet, Family::Inet6].into());
        assert_eq!(c.states, ALL);
        assert_eq!(choice("-4t").families, [Family::Inet].into());
        assert_eq!(choice("-x").kinds.len(), 3);
        assert_eq!(choice("-4").kinds, [Kind::Tcp, Kind::Udp, Kind::Raw].into());
        assert_eq!(choice("-n").kinds, Kind::ALL.into());
        assert_eq!(choice("-tx").kinds.len(), 4);
        assert_eq!(choice("-A !packet").kinds.len(), 7);
        assert_eq!(choice("-A all,!netlink").kinds.len(), 8);
        assert_eq!(choice("-A tcp,u_str").kinds, [Kind::Tcp, Kind::UnixStream].into());
    }

    #[test]
    fn states_of_flags_and_words() {
        assert_eq!(choice("-t").states, connected());
        assert_eq!(choice("-u").states, States::of(&[State::Established]));
        assert_eq!(choice("-tl").states, States::of(&[State::Listen, State::Close]));
        assert_eq!(choice("-al").states, choice("-l").states);
        assert_eq!(choice("-t state listening").states, States::of(&[State::Listen]));
        assert_eq!(choice("-t state all exclude big").states, states("bucket").unwrap());
        assert_eq!(choice("-0").states, States::of(&[State::Close]));
        for wrong in [&["state"][..], &["state", "open"], &["exclude", ""]] {
            let words: Vec<String> = wrong.iter().map(|w| (*w).to_owned()).collect();
            assert!(matches!(split(&words), Err(Failure::Usage(_))));
        }
    }
}
