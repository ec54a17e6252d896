//! The parser. As in ss, `and` and `or` bind alike, from left to right, and two conditions side by side are an `and`.
//! Unlike in ss, no blanks are needed around signs and parentheses.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};

use regex::bytes::{Regex, RegexBuilder};
use tracenet_collectors::cgroups::Cgroups;
use tracenet_collectors::interfaces::Interface;
use tracenet_collectors::services::Services;
use tracenet_collectors::sockets::Kind;

use super::{Bound, Host, Node, Pattern, Side};
use crate::cmd::sockets::choice::Choice;
use crate::cmd::sockets::flags::Family;
use crate::cmd::sockets::names::{ethertype, netlink_protocol};

/// Conditions of an expression, and parentheses within each other, at most.
const CONDITIONS_MAX: usize = 1_000;
const DEPTH_MAX: usize = 50;

/// What names mean.
pub(super) struct Context<'a> {
    pub choice: &'a Choice,
    pub services: &'a Services,
    /// Interfaces of the one namespace that is looked into.
    pub interfaces: Option<Vec<Interface>>,
    pub cgroups: &'a dyn Fn() -> Cgroups,
}

/// A mistake, at a column that begins with 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub column: usize,
    pub message: String,
}

type Parsed<T> = Result<T, Mistake>;

/// Reads `text`; `None` where nothing is there.
pub(super) fn parse(text: &str, context: &Context<'_>) -> Parsed<(Option<Node>, Option<Family>)> {
    let mut parser = Parser {
        text: text.chars().collect(),
        at: 0,
        conditions: 0,
        family: context.choice.preferred,
        context,
    };
    let named = parser.family;
    parser.blanks();
    if parser.is_done() {
        return Ok((None, None));
    }
    let node = parser.list(0)?;
    if !parser.is_done() {
        return Err(parser.mistake("this parenthesis was never opened"));
    }
    Ok((Some(node), parser.family.filter(|family| Some(*family) != named)))
}

struct Parser<'a> {
    text: Vec<char>,
    at: usize,
    conditions: usize,
    family: Option<Family>,
    context: &'a Context<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    More,
    Less,
}

const SIGNS: [(&str, Compare); 16] = [
    ("==", Compare::Equal),
    ("!=", Compare::NotEqual),
    (">=", Compare::AtLeast),
    ("<=", Compare::AtMost),
    ("=", Compare::Equal),
    (">", Compare::More),
    ("<", Compare::Less),
    ("eq", Compare::Equal),
    ("neq", Compare::NotEqual),
    ("ne", Compare::NotEqual),
    ("geq", Compare::AtLeast),
    ("ge", Compare::AtLeast),
    ("leq", Compare::AtMost),
    ("le", Compare::AtMost),
    ("gt", Compare::More),
    ("lt", Compare::Less),
];

impl Parser<'_> {
    fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        self.mistake_at(self.at, message)
    }

    fn mistake_at(&self, at: usize, message: impl Into<String>) -> Mistake {
        Mistake { column: at + 1, message: message.into() }
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    /// Takes `word` where it comes next; one of letters must end there.
    fn take(&mut self, word: &str) -> bool {
        let there = word.chars().enumerate().all(|(n, c)| self.text.get(self.at + n) == Some(&c));
        let end = self.at + word.chars().count();
        let ends = !word.ends_with(|c: char| c.is_ascii_alphabetic())
            || !self.text.get(end).is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
        if there && ends {
            self.at = end;
            self.blanks();
        }
        there && ends
    }

    fn take_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.take(word))
    }

    fn list(&mut self, depth: usize) -> Parsed<Node> {
        let mut node = self.one(depth)?;
        while !self.is_done() && self.text.get(self.at) != Some(&')') {
            if self.take_any(&["||", "|", "or"]) {
                let next = self.one(depth)?;
                node = match node {
                    Node::Any(mut nodes) => {
                        nodes.push(next);
                        Node::Any(nodes)
                    }
                    node => Node::Any(vec![node, next]),
                };
            } else {
                // Side by side it is an "and", too.
                self.take_any(&["&&", "&", "and"]);
                let next = self.one(depth)?;
                node = match node {
                    Node::All(mut nodes) => {
                        nodes.push(next);
                        Node::All(nodes)
                    }
                    node => Node::All(vec![node, next]),
                };
            }
        }
        Ok(node)
    }

    fn one(&mut self, depth: usize) -> Parsed<Node> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX || depth > DEPTH_MAX {
            return Err(self.mistake("the expression is too long"));
        }
        let start = self.at;
        if self.take("(") {
            let node = self.list(depth + 1)?;
            if !self.take(")") {
                return Err(self.mistake_at(start, "this parenthesis is never closed"));
            }
            // What is in parentheses takes no more conditions in.
            return Ok(Node::All(vec![node]));
        }
        if self.take_any(&["!", "not"]) {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        for (word, side) in [("dst", Side::Remote), ("src", Side::Local)] {
            if self.take(word) {
                let unequal = self.equality()?;
                let host = self.host()?;
                return Ok(negated(unequal, Node::Host(side, host)));
            }
        }
        for (word, side) in [("dport", Side::Remote), ("sport", Side::Local)] {
            if self.take(word) {
                return self.port_condition(side);
            }
        }
        if self.take("dev") {
            let unequal = self.equality()?;
            return Ok(negated(unequal, self.device()?));
        }
        if self.take("fwmark") {
            let unequal = self.equality()?;
            return Ok(negated(unequal, self.mark()?));
        }
        if self.take("cgroup") {
            let unequal = self.equality()?;
            let (at, path) = self.value("a path")?;
            let id = (self.context.cgroups)().id(&path);
            let id = id.ok_or_else(|| self.mistake_at(at, format!("no cgroup {path} (version 2)")))?;
            return Ok(negated(unequal, Node::Cgroup(id)));
        }
        if self.take("autobound") {
            return Ok(Node::Autobound);
        }
        Err(self.mistake(
            "expected a condition: src, dst, sport, dport, dev, fwmark, cgroup, autobound, not or a parenthesis",
        ))
    }

    fn compare(&mut self) -> Option<Compare> {
        SIGNS.into_iter().find(|(sign, _)| self.take(sign)).map(|(_, compare)| compare)
    }

    /// True for "not equal".
    fn equality(&mut self) -> Parsed<bool> {
        let at = self.at;
        match self.compare() {
            None | Some(Compare::Equal) => Ok(false),
            Some(Compare::NotEqual) => Ok(true),
            Some(_) => Err(self.mistake_at(at, "only = and != are possible here")),
        }
    }

    /// Up to a blank or a parenthesis that closes one outside; a backslash takes what follows as it is.
    fn value(&mut self, what: &str) -> Parsed<(usize, String)> {
        let start = self.at;
        let mut value = String::new();
        let mut open = 0usize;
        while let Some(&c) = self.text.get(self.at) {
            match c {
                '\\' => {
                    self.at += 1;
                    value.extend(self.text.get(self.at));
                    self.at += 1;
                    continue;
                }
                '(' => open += 1,
                ')' if open == 0 => break,
                ')' => open -= 1,
                c if c.is_whitespace() => break,
                _ => {}
            }
            value.push(c);
            self.at += 1;
        }
        if value.is_empty() {
            return Err(self.mistake_at(start, format!("expected {what}")));
        }
        self.blanks();
        Ok((start, value))
    }

    fn port_condition(&mut self, side: Side) -> Parsed<Node> {
        let compare = self.compare().unwrap_or(Compare::Equal);
        let (at, value) = self.value("a port, such as :443 or :https")?;
        let (family, value) = self.family_of(&value);
        let name = value.strip_prefix(':').unwrap_or(value);
        let port = self.port(at, family, name)?;
        self.family = family;
        let equal = |port| Node::Host(side, Host { address: None, port });
        let bound = |bound| Node::Port(side, bound);
        Ok(match (compare, port) {
            (Compare::Equal, port) => equal(port),
            (Compare::NotEqual, port) => negated(true, equal(port)),
            (_, None) => return Err(self.mistake_at(at, "expected a port, such as :443 or :https")),
            (Compare::AtLeast, Some(port)) => bound(Bound::AtLeast(port)),
            (Compare::AtMost, Some(port)) => bound(Bound::AtMost(port)),
            (Compare::More, Some(port)) => negated(true, bound(Bound::AtMost(port))),
            (Compare::Less, Some(port)) => negated(true, bound(Bound::AtLeast(port))),
        })
    }

    /// The family that a value begins with, or the one that was chosen, and the rest.
    fn family_of<'v>(&self, value: &'v str) -> (Option<Family>, &'v str) {
        [
            ("unix:", Family::Unix),
            ("link:", Family::Link),
            ("netlink:", Family::Netlink),
            ("inet:", Family::Inet),
            ("inet6:", Family::Inet6),
        ]
        .into_iter()
        .find_map(|(prefix, family)| Some((Some(family), value.strip_prefix(prefix)?)))
        .unwrap_or((self.family, value))
    }

    fn host(&mut self) -> Parsed<Host> {
        let (at, value) = self.value("an address")?;
        let (family, rest) = self.family_of(&value);
        self.family = family;
        if family == Some(Family::Unix) {
            return Ok(Host { address: Some(Pattern::Unix(self.glob(at, rest)?)), port: None });
        }
        // From the front of "[ADDRESS]:PORT", else the port is behind the last colon (after a network's prefix, the
        // first: an IPv6 address needs its brackets where a port follows).
        let (address, port) = match rest.strip_prefix('[') {
            Some(inside) => {
                let missing = || self.mistake_at(at, "the ] is missing");
                let (address, port) = inside.split_once(']').ok_or_else(missing)?;
                // "[::1]/64" is as good as "[::1/64]".
                match port.strip_prefix('/').map(|p| p.split_once(':').unwrap_or((p, ""))) {
                    Some((prefix, port)) => (format!("{address}/{prefix}"), port),
                    None => (address.to_owned(), port.strip_prefix(':').unwrap_or(port)),
                }
            }
            None => {
                let colon = match rest.split_once('/') {
                    Some((address, prefix)) => prefix.find(':').map(|n| address.len() + 1 + n),
                    None => rest.rfind(':'),
                };
                let (address, port) = colon.and_then(|n| rest.split_at_checked(n)).unwrap_or((rest, ""));
                (address.to_owned(), port.strip_prefix(':').unwrap_or(port))
            }
        };
        let port = self.port(at, family, port)?;
        let address = match (address.as_str(), family) {
            ("" | "*", _) => None,
            (name, Some(Family::Link)) => Some(Pattern::Protocol(
                number(name)
                    .or_else(|| ethertype(name).map(u32::from))
                    .ok_or_else(|| self.mistake_at(at, format!("{name} is no protocol of Ethernet")))?,
            )),
            (name, Some(Family::Netlink)) => Some(Pattern::Protocol(
                number(name)
                    .or_else(|| netlink_protocol(name))
                    .ok_or_else(|| self.mistake_at(at, format!("{name} is no protocol of netlink")))?,
            )),
            (address, _) => self.networks(at, address)?,
        };
        Ok(Host { address, port })
    }

    /// An address, a network, or a host's name; `None` where it takes in everything.
    fn networks(&self, at: usize, text: &str) -> Parsed<Option<Pattern>> {
        if matches!(text, "default" | "any" | "all") {
            return Ok(None);
        }
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let Some(ip) = address.parse().ok().or_else(|| short_v4(address)) else {
            let unknown =
                |_| self.mistake_at(at, format!("{text} is no address, and no host of this name is known"));
            let found = (text, 0).to_socket_addrs().map_err(unknown)?;
            let nets = found.map(|a| (a.ip(), if a.is_ipv4() { 32 } else { 128 })).collect();
            return Ok(Some(Pattern::Ip(nets)));
        };
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(width), |p| p.parse().ok().filter(|p| *p <= width));
        let wrong = || self.mistake_at(at, format!("{text}: a prefix has at most {width} bits"));
        Ok(Some(Pattern::Ip(vec![(ip, prefix.ok_or_else(wrong)?)])))
    }

    /// A port by number or name; `None` for any.
    fn port(&self, at: usize, family: Option<Family>, name: &str) -> Parsed<Option<i64>> {
        if matches!(name, "" | "*") {
            return Ok(None);
        }
        if let Some(port) = number(name) {
            let fits = port <= 65_535 || !matches!(family, None | Some(Family::Inet | Family::Inet6));
            let inodes = self.context.choice.kinds.iter().any(|kind| kind.is_unix());
            if fits || inodes {
                return Ok(Some(i64::from(port)));
            }
            return Err(self.mistake_at(at, format!("{name}: ports end at 65535")));
        }
        match family {
            Some(Family::Link) => {
                let known = self.context.interfaces.iter().flatten().find(|i| i.name == name);
                let port = known.map(|i| Some(i64::from(i.index)));
                port.ok_or_else(|| self.mistake_at(at, format!("no interface {name}")))
            }
            Some(Family::Netlink) if name == "kernel" => Ok(Some(0)),
            Some(Family::Netlink) => Err(self.mistake_at(at, format!("{name} is no port of netlink"))),
            _ => self.service(at, name).map(Some),
        }
    }

    fn service(&self, at: usize, name: &str) -> Parsed<i64> {
        let kinds = &self.context.choice.kinds;
        let of = |kind, protocol| {
            kinds.contains(&kind).then(|| self.context.services.port(name, protocol)).flatten()
        };
        match (of(Kind::Udp, "udp"), of(Kind::Tcp, "tcp")) {
            (Some(a), Some(b)) if a != b => {
                Err(self.mistake_at(at, format!("{name} is port {b} of TCP and {a} of UDP: say which")))
            }
            (Some(port), _) | (None, Some(port)) => Ok(i64::from(port)),
            (None, None) => {
                Err(self.mistake_at(at, format!("{name} is neither a number nor a service of /etc/services")))
            }
        }
    }

    fn device(&mut self) -> Parsed<Node> {
        let (at, name) = self.value("an interface")?;
        let index = number(&name);
        let here = self.context.interfaces.as_ref();
        if index.is_none() && here.is_some_and(|all| all.iter().all(|i| i.name != name)) {
            return Err(self.mistake_at(at, format!("no interface {name}")));
        }
        Ok(Node::Device { name, index })
    }

    fn mark(&mut self) -> Parsed<Node> {
        let (at, value) = self.value("a mark, such as 0x10 or 0x10/0xf0")?;
        let (mark, mask) = value.split_once('/').unwrap_or((&value, "0xffffffff"));
        match (number(mark), number(mask)) {
            (Some(mark), Some(mask)) => Ok(Node::Mark { mark, mask }),
            _ => Err(self.mistake_at(at, format!("{value} is no mark, such as 0x10 or 0x10/0xf0"))),
        }
    }

    /// A pattern of a shell (fnmatch(3)), whatever the case.
    fn glob(&self, at: usize, pattern: &str) -> Parsed<Regex> {
        let mut regex = String::from("^");
        let mut set = false;
        for c in pattern.chars() {
            match c {
                ']' if set => {
                    set = false;
                    regex.push(']');
                }
                '!' if set && regex.ends_with('[') => regex.push('^'),
                '-' if set => regex.push('-'),
                c if set => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                '[' => {
                    set = true;
                    regex.push('[');
                }
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push('$');
        RegexBuilder::new(&regex)
            .unicode(false)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| self.mistake_at(at, format!("{pattern} is no pattern, such as *.socket")))
    }
}

fn negated(not: bool, node: Node) -> Node {
    if not { Node::Not(Box::new(node)) } else { node }
}

/// Decimal, or as 0x1f.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `10` and `192.168` are the beginning of an address.
fn short_v4(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut words = text.split('.');
    for (octet, word) in octets.iter_mut().zip(words.by_ref()) {
        *octet = word.parse().ok()?;
    }
    words.next().is_none().then(|| Ipv4Addr::from(octets).into())
}
