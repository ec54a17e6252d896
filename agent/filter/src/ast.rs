//! What was written, before names and types are looked at. Every part knows the byte where it starts.

/// A logical expression.
#[derive(Debug)]
pub enum Expr<'t> {
    Not(Box<Expr<'t>>),
    /// All of them.
    And(Vec<Expr<'t>>),
    /// At least one of them.
    Or(Vec<Expr<'t>>),
    /// An odd number of them.
    Xor(Vec<Expr<'t>>),
    /// `a == b < c`: each neighbouring pair.
    Compare {
        quantifier: Option<Quantifier>,
        first: Entity<'t>,
        rest: Vec<(Op, usize, Entity<'t>)>,
    },
    /// `a in {b, c..d}`.
    In {
        quantifier: Option<Quantifier>,
        left: Entity<'t>,
        set: Vec<(Entity<'t>, Option<Entity<'t>>)>,
    },
    /// `tcp.port`, `tcp[13] & 2`: present, or not zero.
    Is(Entity<'t>),
}

/// Before a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    Any,
    All,
}

/// Between the sides of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    AnyEq,
    AllEq,
    AnyNe,
    AllNe,
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
    Matches,
}

/// Between the sides of a calculation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calc {
    And,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

/// Something that has values.
#[derive(Debug)]
pub struct Entity<'t> {
    /// Byte where it starts.
    pub at: usize,
    pub kind: EntityKind<'t>,
}

#[derive(Debug)]
pub enum EntityKind<'t> {
    /// A field's name or a literal without quotes.
    Word(&'t str),
    /// A string in quotes, its escapes resolved; as bytes, because they may be anything.
    Text(Vec<u8>),
    /// A character in single quotes.
    Char(u8),
    Function {
        name: &'t str,
        arguments: Vec<Entity<'t>>,
    },
    /// `field#2`, `field#[1-2]`.
    Layer {
        of: Box<Entity<'t>>,
        ranges: Vec<Range>,
    },
    Slice {
        of: Box<Entity<'t>>,
        ranges: Vec<Range>,
    },
    Negative(Box<Entity<'t>>),
    Calc {
        op: Calc,
        left: Box<Entity<'t>>,
        right: Box<Entity<'t>>,
    },
}

/// A range of offsets, negative ones counted from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: i32,
    pub end: RangeEnd,
}

/// How far a range goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeEnd {
    /// So many.
    Length(i32),
    /// Up to this one, inclusive.
    Offset(i32),
    /// To the end.
    Open,
}

impl Range {
    /// First and one-after-last position in something of length `len`; `None` where it doesn't fit.
    pub fn within(self, len: usize) -> Option<(usize, usize)> {
        let len = i64::try_from(len).ok()?;
        let from_start = |offset: i32| {
            let offset = i64::from(offset);
            if offset < 0 { offset + len } else { offset }
        };
        let start = from_start(self.start);
        let end = match self.end {
            RangeEnd::Length(n) => start + i64::from(n),
            RangeEnd::Offset(last) => from_start(last) + 1,
            RangeEnd::Open => len,
        };
        if start < 0 || end > len || start >= end {
            return None;
        }
        Some((usize::try_from(start).ok()?, usize::try_from(end).ok()?))
    }
}
