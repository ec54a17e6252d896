//! The parser. As in ss, `and` and `or` bind alike, from left to right, and two conditions side by side are an `and`.
//! Unlike in ss, no blanks are needed around signs and parentheses.

mod value;

use std::net::{IpAddr, ToSocketAddrs as _};

use tracenet_collectors::cgroups::Cgroups;
use tracenet_collectors::interfaces::Interface;
use tracenet_collectors::services::Services;

use super::{Bound, Host, Node, Side};
use crate::cmd::sockets::choice::Choice;
use crate::cmd::sockets::flags::Family;

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
    /// Addresses of a host; none where nobody knows it.
    pub hosts: &'a dyn Fn(&str) -> Vec<IpAddr>,
}

/// As getaddrinfo(3) knows them, which may ask name servers.
pub(super) fn hosts(name: &str) -> Vec<IpAddr> {
    (name, 0).to_socket_addrs().map_or(Vec::new(), |found| found.map(|a| a.ip()).collect())
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
}

fn negated(not: bool, node: Node) -> Node {
    if not { Node::Not(Box::new(node)) } else { node }
}
