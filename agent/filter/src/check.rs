//! Names and types: an expression into what can be evaluated.

use std::collections::BTreeSet;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use crate::ast::{Calc, Entity, EntityKind, Expr, Op, Quantifier, Range};
use crate::error::{Problem, near};
use crate::{FieldId, FieldTable, FieldType, literal, time};

mod functions;

pub(crate) use functions::Function;

/// Bytes that a compiled regular expression may take.
const REGEX_SIZE: usize = 1 << 20;

/// A compiled condition.
#[derive(Debug)]
pub(crate) enum Test {
    Always,
    Not(Box<Test>),
    And(Vec<Test>),
    Or(Vec<Test>),
    Xor(Vec<Test>),
    /// Has a value.
    Present(Node),
    /// Has a value other than zero.
    NotZero(Node),
    Compare {
        left: Node,
        relation: Relation,
        right: Node,
        all: bool,
    },
    ContainsConst {
        left: Node,
        what: Box<Finder<'static>>,
        all: bool,
    },
    Matches {
        left: Node,
        regex: Box<Regex>,
        all: bool,
    },
    In {
        left: Node,
        set: Vec<(Node, Option<Node>)>,
        all: bool,
    },
}

/// What must hold between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
}

/// Something that has values, compiled.
#[derive(Debug)]
pub(crate) enum Node {
    Field { id: FieldId, layers: Option<Vec<Range>> },
    Const(Const),
    Slice { of: Box<Node>, ranges: Vec<Range> },
    Negative(Box<Node>),
    Calc { op: Calc, left: Box<Node>, right: Box<Node> },
    Function { function: Function, arguments: Vec<Node>, kind: FieldType },
}

/// A literal.
#[derive(Debug)]
pub(crate) enum Const {
    Uint(u64),
    Int(i64),
    Bytes(Vec<u8>),
    /// Address and mask.
    Ipv4(u32, u32),
    /// Address and mask.
    Ipv6(u128, u128),
    Time(i128),
}

/// A node with its type, and the field that it shows, whose names of values hold for what it is compared with.
struct Typed {
    node: Node,
    kind: FieldType,
    field: Option<FieldId>,
}

/// What a literal is to be read as.
#[derive(Clone, Copy)]
struct Wanted {
    kind: FieldType,
    field: Option<FieldId>,
}

type Checked<T> = Result<T, Problem>;

pub(crate) struct Checker<'c> {
    table: &'c dyn FieldTable,
    fields: BTreeSet<FieldId>,
}

impl<'c> Checker<'c> {
    pub fn new(table: &'c dyn FieldTable) -> Self {
        Self { table, fields: BTreeSet::new() }
    }

    /// Checks a whole filter.
    pub fn filter(mut self, expression: Option<&Expr<'_>>) -> Checked<(Test, Vec<FieldId>)> {
        let test = match expression {
            None => Test::Always,
            Some(expression) => self.test(expression)?,
        };
        Ok((test, self.fields.into_iter().collect()))
    }

    fn test(&mut self, expression: &Expr<'_>) -> Checked<Test> {
        Ok(match expression {
            Expr::Not(inner) => Test::Not(Box::new(self.test(inner)?)),
            Expr::And(all) => Test::And(self.tests(all)?),
            Expr::Or(all) => Test::Or(self.tests(all)?),
            Expr::Xor(all) => Test::Xor(self.tests(all)?),
            Expr::Is(entity) => self.is(entity)?,
            Expr::In { quantifier, left, set } => self.membership(*quantifier, left, set)?,
            Expr::Compare { quantifier, first, rest } => {
                let mut left = first;
                let mut all = Vec::with_capacity(rest.len());
                for (op, at, right) in rest {
                    all.push(self.comparison(*quantifier, left, *op, *at, right)?);
                    left = right;
                }
                if all.len() == 1 { all.swap_remove(0) } else { Test::And(all) }
            }
        })
    }

    fn tests(&mut self, all: &[Expr<'_>]) -> Checked<Vec<Test>> {
        all.iter().map(|e| self.test(e)).collect()
    }

    fn is(&mut self, entity: &Entity<'_>) -> Checked<Test> {
        match &entity.kind {
            EntityKind::Function { name, .. } => {
                let problem = format!("{name}() must be compared with something");
                Err(Problem::new(entity.at, problem))
            }
            EntityKind::Text(_) | EntityKind::Char(_) => {
                Err(Problem::new(entity.at, "this is neither a field nor a protocol name"))
            }
            EntityKind::Calc { .. } | EntityKind::Negative(_) => Ok(Test::NotZero(self.free(entity)?.node)),
            _ => Ok(Test::Present(self.free(entity)?.node)),
        }
    }

    fn membership(
        &mut self,
        quantifier: Option<Quantifier>,
        left: &Entity<'_>,
        set: &[(Entity<'_>, Option<Entity<'_>>)],
    ) -> Checked<Test> {
        let at = left.at;
        let left = self.free(left)?;
        self.comparable(at, left.kind)?;
        let wanted = Wanted { kind: left.kind, field: left.field };
        let mut nodes = Vec::with_capacity(set.len());
        for (low, high) in set {
            let low = self.like(low, wanted)?.node;
            let high = high.as_ref().map(|high| self.like(high, wanted)).transpose()?;
            nodes.push((low, high.map(|h| h.node)));
        }
        Ok(Test::In { left: left.node, set: nodes, all: quantifier == Some(Quantifier::All) })
    }

    fn comparison(
        &mut self,
        quantifier: Option<Quantifier>,
        left: &Entity<'_>,
        op: Op,
        op_at: usize,
        right: &Entity<'_>,
    ) -> Checked<Test> {
        let left_at = left.at;
        let left = self.free(left)?;
        let (relation, strict) = match op {
            Op::AnyEq => (Relation::Eq, false),
            Op::AllEq => (Relation::Eq, true),
            Op::AnyNe => (Relation::Ne, false),
            Op::AllNe => (Relation::Ne, true),
            Op::Gt => (Relation::Gt, false),
            Op::Ge => (Relation::Ge, false),
            Op::Lt => (Relation::Lt, false),
            Op::Le => (Relation::Le, false),
            Op::Contains | Op::Matches => (Relation::Contains, false),
        };
        let all = match quantifier {
            None => strict,
            Some(quantifier) => quantifier == Quantifier::All,
        };
        if relation != Relation::Contains {
            self.comparable(left_at, left.kind)?;
            let wanted = Wanted { kind: left.kind, field: left.field };
            let right = self.like(right, wanted)?;
            return Ok(Test::Compare { left: left.node, relation, right: right.node, all });
        }
        let word = if op == Op::Matches { "matches" } else { "contains" };
        let kind = match left.kind {
            FieldType::String => FieldType::String,
            FieldType::Protocol | FieldType::Bytes | FieldType::Ether => FieldType::Bytes,
            kind => {
                let problem = format!(
                    "{word} searches text and bytes, and this is {}: take string() of a number or an address",
                    describe(kind)
                );
                return Err(Problem::new(left_at, problem));
            }
        };
        if op == Op::Matches {
            let EntityKind::Text(pattern) = &right.kind else {
                let problem = "matches takes a regular expression in double quotes";
                return Err(Problem::new(right.at.max(op_at), problem));
            };
            return Ok(Test::Matches { left: left.node, regex: Box::new(regex(right.at, pattern)?), all });
        }
        let right = self.like(right, Wanted { kind, field: None })?;
        if let Node::Const(Const::Bytes(bytes)) = &right.node {
            let what = Box::new(Finder::new(bytes).into_owned());
            return Ok(Test::ContainsConst { left: left.node, what, all });
        }
        Ok(Test::Compare { left: left.node, relation, right: right.node, all })
    }

    fn comparable(&self, at: usize, kind: FieldType) -> Checked<()> {
        if kind == FieldType::Label {
            return Err(Problem::new(at, "this has no value: ask for its presence, by its name alone"));
        }
        Ok(())
    }

    /// What nothing tells the type of: no literal.
    fn free(&mut self, entity: &Entity<'_>) -> Checked<Typed> {
        self.typed(entity, None)
    }

    /// What is compared or calculated with something of a type.
    fn like(&mut self, entity: &Entity<'_>, wanted: Wanted) -> Checked<Typed> {
        let typed = self.typed(entity, Some(wanted))?;
        if class(typed.kind) != class(wanted.kind) || typed.kind == FieldType::Label {
            let problem = format!(
                "this is {}, and cannot be compared with {}",
                describe(typed.kind),
                describe(wanted.kind)
            );
            return Err(Problem::new(entity.at, problem));
        }
        Ok(typed)
    }

    fn typed(&mut self, entity: &Entity<'_>, wanted: Option<Wanted>) -> Checked<Typed> {
        let at = entity.at;
        match &entity.kind {
            EntityKind::Word(word) => self.word(at, word, wanted),
            EntityKind::Text(text) => match wanted {
                Some(wanted) => self.text(at, text, wanted),
                None => Err(Problem::new(at, "a text cannot stand here: a field or a function must")),
            },
            EntityKind::Char(c) => match wanted {
                Some(wanted) => character(at, *c, wanted),
                None => Err(Problem::new(at, "a character cannot stand here: a field or a function must")),
            },
            EntityKind::Layer { of, ranges } => {
                let mut typed = self.free(of)?;
                if let Node::Field { layers, .. } = &mut typed.node {
                    *layers = Some(ranges.clone());
                }
                Ok(typed)
            }
            EntityKind::Slice { of, ranges } => {
                let inner = self.free(of)?;
                match inner.kind {
                    FieldType::Protocol
                    | FieldType::Bytes
                    | FieldType::String
                    | FieldType::Ether
                    | FieldType::Ipv4
                    | FieldType::Ipv6 => {}
                    kind => {
                        let problem = format!("{} has no bytes to take a slice of", describe(kind));
                        return Err(Problem::new(at, problem));
                    }
                }
                let node = Node::Slice { of: Box::new(inner.node), ranges: ranges.clone() };
                Ok(Typed { node, kind: FieldType::Bytes, field: None })
            }
            EntityKind::Negative(inner) => self.negative(at, inner, wanted),
            EntityKind::Calc { op, left, right } => self.calculation(at, *op, left, right, wanted),
            EntityKind::Function { name, arguments } => self.function(at, name, arguments),
        }
    }

    fn negative(&mut self, at: usize, inner: &Entity<'_>, wanted: Option<Wanted>) -> Checked<Typed> {
        let Typed { node, kind, .. } = self.typed(inner, wanted)?;
        let node = match (kind, node) {
            // As Wireshark has it: compared with an unsigned field, a negative number is a very large one.
            (FieldType::Uint(bits), Node::Const(Const::Uint(n))) => {
                let mask = if bits <= 32 { u64::from(u32::MAX) } else { u64::MAX };
                Node::Const(Const::Uint(n.wrapping_neg() & mask))
            }
            (FieldType::Int(_), Node::Const(Const::Int(n))) => Node::Const(Const::Int(n.wrapping_neg())),
            (FieldType::RelativeTime, Node::Const(Const::Time(ns))) => Node::Const(Const::Time(-ns)),
            (FieldType::Uint(_) | FieldType::Int(_), node) => {
                let node = Node::Negative(Box::new(node));
                return Ok(Typed { node, kind: FieldType::Int(64), field: None });
            }
            (FieldType::RelativeTime, node) => Node::Negative(Box::new(node)),
            _ => return Err(Problem::new(at, format!("{} has no sign", describe(kind)))),
        };
        Ok(Typed { node, kind, field: None })
    }

    fn calculation(
        &mut self,
        at: usize,
        op: Calc,
        left: &Entity<'_>,
        right: &Entity<'_>,
        wanted: Option<Wanted>,
    ) -> Checked<Typed> {
        let left = self.typed(left, wanted)?;
        let able = matches!(
            (op, left.kind),
            (_, FieldType::Uint(_) | FieldType::Int(_))
                | (Calc::And, FieldType::Bytes | FieldType::Ether | FieldType::Ipv4 | FieldType::Ipv6)
                | (Calc::Add | Calc::Sub, FieldType::RelativeTime)
        );
        if !able {
            let sign = match op {
                Calc::And => "&",
                Calc::Add => "+",
                Calc::Sub => "-",
                Calc::Mul => "*",
                Calc::Div => "/",
                Calc::Mod => "%",
            };
            let remedy = match (op, left.kind) {
                (Calc::And, FieldType::Protocol | FieldType::String) => ": take a slice of it",
                (Calc::And, FieldType::Bool) => ": it is 0 or 1 already",
                _ => "",
            };
            let problem = format!("\"{sign}\" does not work on {}{remedy}", describe(left.kind));
            return Err(Problem::new(at, problem));
        }
        let right = self.like(right, Wanted { kind: left.kind, field: None })?;
        let kind = match (op, left.kind) {
            (Calc::Sub, FieldType::Uint(_)) => FieldType::Int(64),
            (_, FieldType::Uint(_)) => FieldType::Uint(64),
            // Of two lengths the shorter one counts.
            (_, FieldType::Ether) => FieldType::Bytes,
            (_, kind) => kind,
        };
        let node = Node::Calc { op, left: Box::new(left.node), right: Box::new(right.node) };
        Ok(Typed { node, kind, field: None })
    }

    fn word(&mut self, at: usize, word: &str, wanted: Option<Wanted>) -> Checked<Typed> {
        let name = word.strip_prefix('.').unwrap_or(word);
        if let Some(field) = self.table.field(name) {
            self.fields.insert(field.id);
            let node = Node::Field { id: field.id, layers: None };
            return Ok(Typed { node, kind: field.kind, field: Some(field.id) });
        }
        match wanted {
            Some(wanted) => self.bare(at, word, wanted),
            None => Err(self.unknown(at, name)),
        }
    }

    fn unknown(&self, at: usize, name: &str) -> Problem {
        let mut problem = format!("{} is neither a field nor a protocol name", shortened(name));
        if name.split_once('-').is_some_and(|(field, _)| self.table.field(field).is_some()) {
            problem.push_str(": a minus sign needs a space before it");
        } else if name.starts_with(|c: char| c.is_ascii_digit()) {
            problem.push_str(": a comparison has a field on its left");
        } else {
            problem.push_str(&self.suggestion(name));
        }
        Problem::new(at, problem)
    }

    fn suggestion(&self, name: &str) -> String {
        let near = near(name, &self.table.names());
        if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
    }

    /// A literal without quotes.
    fn bare(&self, at: usize, word: &str, wanted: Wanted) -> Checked<Typed> {
        let named = || self.named(wanted, word);
        let value = match wanted.kind {
            FieldType::Label => None,
            FieldType::Protocol | FieldType::Bytes => literal::bytes(word).map(Const::Bytes),
            FieldType::String => Some(Const::Bytes(word.as_bytes().to_vec())),
            FieldType::Bool => match word {
                "True" | "TRUE" | "true" => Some(Const::Uint(1)),
                "False" | "FALSE" | "false" => Some(Const::Uint(0)),
                _ => literal::unsigned(word).map(|n| Const::Uint(u64::from(n != 0))).or_else(named),
            },
            FieldType::Uint(bits) => match literal::unsigned(word) {
                Some(n) => {
                    let most = u64::MAX >> (64 - u32::from(bits.clamp(1, 64)));
                    if n > most {
                        let problem = format!("{word} is too big for this field: it holds {most} at most");
                        return Err(Problem::new(at, problem));
                    }
                    Some(Const::Uint(n))
                }
                None => named(),
            },
            FieldType::Int(_) => {
                literal::unsigned(word).and_then(|n| i64::try_from(n).ok()).map(Const::Int).or_else(named)
            }
            FieldType::Ether => literal::ether(word).map(Const::Bytes),
            FieldType::Ipv4 => literal::ipv4(word).map(|(a, m)| Const::Ipv4(a, m)),
            FieldType::Ipv6 => literal::ipv6(word).map(|(a, m)| Const::Ipv6(a, m)),
            FieldType::AbsoluteTime => self.absolute(word),
            FieldType::RelativeTime => time::span(word).map(Const::Time),
        };
        match value {
            Some(value) => Ok(Typed { node: Node::Const(value), kind: wanted.kind, field: None }),
            None => {
                let remedy = match wanted.kind {
                    FieldType::Protocol | FieldType::Bytes => {
                        " (bytes are written 47:45:54, text in double quotes)"
                    }
                    FieldType::Ether => " (six bytes: 00:1b:21:0a:0b:0c)",
                    FieldType::Ipv4 => " (10.1.2.3, or with a prefix length, 10.0.0.0/8)",
                    FieldType::Ipv6 => " (fe80::1, or with a prefix length, fe80::/10)",
                    FieldType::AbsoluteTime => " (\"2024-01-02 03:04:05.678\")",
                    FieldType::RelativeTime => " (seconds: 0.25)",
                    _ => "",
                };
                let suggestion = if word.contains('.') { self.suggestion(word) } else { String::new() };
                let what = describe(wanted.kind);
                let problem = format!("{} is not {what}{remedy}{suggestion}", shortened(word));
                Err(Problem::new(at, problem))
            }
        }
    }

    fn absolute(&self, text: &str) -> Option<Const> {
        time::absolute(text, &|local| self.table.to_utc(local)).map(Const::Time)
    }

    fn named(&self, wanted: Wanted, name: &str) -> Option<Const> {
        let value = self.table.named_value(wanted.field?, name)?;
        match wanted.kind {
            FieldType::Int(_) => Some(Const::Int(i64::try_from(value).ok()?)),
            _ => Some(Const::Uint(value)),
        }
    }

    /// A string in quotes.
    fn text(&self, at: usize, text: &[u8], wanted: Wanted) -> Checked<Typed> {
        let word = std::str::from_utf8(text).unwrap_or("");
        let value = match wanted.kind {
            FieldType::Protocol | FieldType::Bytes | FieldType::String => Some(Const::Bytes(text.to_vec())),
            FieldType::AbsoluteTime => self.absolute(word),
            FieldType::Bool | FieldType::Uint(_) | FieldType::Int(_) => self.named(wanted, word),
            _ => None,
        };
        match value {
            Some(value) => Ok(Typed { node: Node::Const(value), kind: wanted.kind, field: None }),
            None => {
                let what = describe(wanted.kind);
                let remedy = match wanted.kind {
                    FieldType::AbsoluteTime => " (\"2024-01-02 03:04:05.678\")",
                    _ => ": write it without quotes",
                };
                Err(Problem::new(at, format!("this text is not {what}{remedy}")))
            }
        }
    }
}

fn character(at: usize, c: u8, wanted: Wanted) -> Checked<Typed> {
    let value = match wanted.kind {
        FieldType::Protocol | FieldType::Bytes | FieldType::String => Const::Bytes(vec![c]),
        FieldType::Uint(_) => Const::Uint(u64::from(c)),
        FieldType::Int(_) => Const::Int(i64::from(c)),
        kind => return Err(Problem::new(at, format!("a character is not {}", describe(kind)))),
    };
    Ok(Typed { node: Node::Const(value), kind: wanted.kind, field: None })
}

/// Types that can be compared with each other.
fn class(kind: FieldType) -> u8 {
    match kind {
        FieldType::Label => 0,
        FieldType::Protocol | FieldType::Bytes | FieldType::String | FieldType::Ether => 1,
        FieldType::Bool | FieldType::Uint(_) | FieldType::Int(_) => 2,
        FieldType::Ipv4 => 3,
        FieldType::Ipv6 => 4,
        FieldType::AbsoluteTime => 5,
        FieldType::RelativeTime => 6,
    }
}

fn describe(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Label => "a label without a value",
        FieldType::Protocol => "a protocol",
        FieldType::Bytes => "a byte string",
        FieldType::String => "a text",
        FieldType::Bool => "a truth value",
        FieldType::Uint(_) | FieldType::Int(_) => "a number",
        FieldType::Ether => "an Ethernet address",
        FieldType::Ipv4 => "an IPv4 address",
        FieldType::Ipv6 => "an IPv6 address",
        FieldType::AbsoluteTime => "a time of day",
        FieldType::RelativeTime => "a time span",
    }
}

/// What was written, as far as it fits into a message.
fn shortened(word: &str) -> String {
    let mut shown: String = word.chars().take(40).collect();
    if shown.len() < word.len() {
        shown.push_str("...");
    }
    shown
}

/// A pattern over bytes; letters match in both cases unless it says `(?-i)`.
fn regex(at: usize, pattern: &[u8]) -> Checked<Regex> {
    let mut escaped = String::with_capacity(pattern.len());
    for b in pattern {
        match b {
            b' '..=b'~' => escaped.push(char::from(*b)),
            other => escaped.push_str(&format!("\\x{other:02x}")),
        }
    }
    RegexBuilder::new(&escaped)
        .unicode(false)
        .case_insensitive(true)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(REGEX_SIZE)
        .nest_limit(100)
        .build()
        .map_err(|e| {
            let text = e.to_string();
            // The last line of a syntax error says what is wrong.
            let last = text.lines().last().unwrap_or("").trim_start_matches("error: ");
            Problem::new(at, format!("this regular expression cannot be used: {last}"))
        })
}
