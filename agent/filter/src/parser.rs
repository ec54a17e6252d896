//! Tokens into an expression, by recursive descent. From the loosest to the tightest: `or`, `xor`, `and`, `not`,
//! comparisons, `&`, `+ -`, `* / %`, signs, `#` and slices.

use crate::MAX_DEPTH;
use crate::ast::{Calc, Entity, EntityKind, Expr, Op, Quantifier, Range, RangeEnd};
use crate::error::Problem;
use crate::lexer::{Bracket, Lexed, Lexer, Token};

/// Reads a whole filter; `None` for one without any token.
pub fn parse(text: &str) -> Result<Option<Expr<'_>>, Problem> {
    let mut lexer = Lexer::new(text);
    let now = lexer.next()?;
    let mut parser = Parser { lexer, now, depth: 0 };
    if parser.now.token == Token::End {
        return Ok(None);
    }
    let expression = parser.or()?;
    if parser.now.token != Token::End {
        return Err(parser.unexpected());
    }
    Ok(Some(expression))
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    now: Lexed<'t>,
    depth: usize,
}

type Parsed<T> = Result<T, Problem>;

impl<'t> Parser<'t> {
    fn advance(&mut self) -> Parsed<Lexed<'t>> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.now, next))
    }

    fn take(&mut self, token: &Token<'_>) -> Parsed<bool> {
        let is = self.now.token == *token;
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, token: &Token<'_>, what: &str) -> Parsed<()> {
        if self.take(token)? {
            return Ok(());
        }
        let problem = match self.now.token {
            Token::End => format!("{what} is missing"),
            _ => format!("\"{}\" was not expected here: {what} is missing", self.now.text),
        };
        Err(Problem::new(self.now.at, problem))
    }

    fn unexpected(&self) -> Problem {
        let problem = match &self.now.token {
            Token::End => "the filter ends too early".to_owned(),
            _ => format!("\"{}\" was not expected here{}", self.now.text, self.hint()),
        };
        Problem::new(self.now.at, problem)
    }

    /// A remedy for what is often written.
    fn hint(&self) -> &'static str {
        match self.now.text {
            "AND" | "OR" | "NOT" | "EQ" | "NE" | "GT" | "LT" | "GE" | "LE" | "IN" | "CONTAINS"
            | "MATCHES" => ": operators are written in small letters",
            "==" | "!=" | ">" | "<" | ">=" | "<=" | "contains" | "matches" => {
                ": a comparison has a field on its left, and no parentheses around a calculation ({} does it)"
            }
            _ => "",
        }
    }

    /// Goes one level deeper for the time of `inner`.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let problem = format!("nested more than {MAX_DEPTH} levels deep");
            return Err(Problem::new(self.now.at, problem));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// `inner` once, or several times with `between` them.
    fn list(
        &mut self,
        between: &Token<'_>,
        make: fn(Vec<Expr<'t>>) -> Expr<'t>,
        inner: fn(&mut Self) -> Parsed<Expr<'t>>,
    ) -> Parsed<Expr<'t>> {
        let first = inner(self)?;
        if self.now.token != *between {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take(between)? {
            all.push(inner(self)?);
        }
        Ok(make(all))
    }

    fn or(&mut self) -> Parsed<Expr<'t>> {
        self.list(&Token::Or, Expr::Or, Self::xor)
    }

    fn xor(&mut self) -> Parsed<Expr<'t>> {
        self.list(&Token::Xor, Expr::Xor, Self::and)
    }

    fn and(&mut self) -> Parsed<Expr<'t>> {
        self.list(&Token::And, Expr::And, Self::not)
    }

    fn not(&mut self) -> Parsed<Expr<'t>> {
        let mut negated = false;
        while self.take(&Token::Not)? {
            negated = !negated;
        }
        let inner = self.test()?;
        Ok(if negated { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn test(&mut self) -> Parsed<Expr<'t>> {
        if self.take(&Token::Open)? {
            let inner = self.deeper(Self::or)?;
            self.expect(&Token::Close, "\")\"")?;
            return Ok(inner);
        }
        let quantifier = match self.now.token {
            Token::Quantifier(quantifier) => {
                self.advance()?;
                Some(quantifier)
            }
            _ => None,
        };
        let first = self.entity()?;
        match self.now.token {
            Token::Compare(_) => self.comparison(quantifier, first),
            Token::In => {
                self.advance()?;
                self.set(quantifier, first)
            }
            Token::Not => {
                self.advance()?;
                self.expect(&Token::In, "\"in\"")?;
                Ok(Expr::Not(Box::new(self.set(quantifier, first)?)))
            }
            _ if quantifier.is_some() => Err(match self.now.token {
                Token::End => Problem::new(self.now.at, "\"any\" and \"all\" need a comparison"),
                _ => self.unexpected(),
            }),
            _ => Ok(Expr::Is(first)),
        }
    }

    fn comparison(&mut self, quantifier: Option<Quantifier>, first: Entity<'t>) -> Parsed<Expr<'t>> {
        let mut rest: Vec<(Op, usize, Entity<'t>)> = Vec::new();
        while let Token::Compare(op) = self.now.token {
            let at = self.now.at;
            self.advance()?;
            rest.push((op, at, self.entity()?));
        }
        Ok(Expr::Compare { quantifier, first, rest })
    }

    /// `{...}` after `in`.
    fn set(&mut self, quantifier: Option<Quantifier>, left: Entity<'t>) -> Parsed<Expr<'t>> {
        self.expect(&Token::OpenBrace, "\"{\" of a set")?;
        let mut set = Vec::new();
        loop {
            let low = self.entity()?;
            let high = if self.take(&Token::To)? { Some(self.entity()?) } else { None };
            set.push((low, high));
            if !self.take(&Token::Comma)? {
                break;
            }
        }
        self.expect(&Token::CloseBrace, "\",\" or \"}\"")?;
        Ok(Expr::In { quantifier, left, set })
    }

    fn entity(&mut self) -> Parsed<Entity<'t>> {
        self.deeper(|p| p.chain(|t| (*t == Token::BitAnd).then_some(Calc::And), Self::sum))
    }

    fn sum(&mut self) -> Parsed<Entity<'t>> {
        let calc = |t: &Token<'_>| match t {
            Token::Plus => Some(Calc::Add),
            Token::Minus => Some(Calc::Sub),
            _ => None,
        };
        self.chain(calc, Self::product)
    }

    fn product(&mut self) -> Parsed<Entity<'t>> {
        let calc = |t: &Token<'_>| match t {
            Token::Star => Some(Calc::Mul),
            Token::Slash => Some(Calc::Div),
            Token::Percent => Some(Calc::Mod),
            _ => None,
        };
        self.chain(calc, Self::signed)
    }

    /// Calculations of one precedence, from left to right.
    fn chain(
        &mut self,
        calc: impl Fn(&Token<'_>) -> Option<Calc>,
        inner: fn(&mut Self) -> Parsed<Entity<'t>>,
    ) -> Parsed<Entity<'t>> {
        let mut left = inner(self)?;
        let mut length = 0;
        while let Some(op) = calc(&self.now.token) {
            length += 1;
            // Each one makes the tree a level deeper.
            if length + self.depth > MAX_DEPTH {
                let problem = format!("more than {MAX_DEPTH} calculations in a row");
                return Err(Problem::new(self.now.at, problem));
            }
            self.advance()?;
            let right = inner(self)?;
            let at = left.at;
            let kind = EntityKind::Calc { op, left: Box::new(left), right: Box::new(right) };
            left = Entity { at, kind };
        }
        Ok(left)
    }

    fn signed(&mut self) -> Parsed<Entity<'t>> {
        let at = self.now.at;
        let mut negative = None;
        loop {
            match self.now.token {
                Token::Minus => negative = Some(!negative.unwrap_or(false)),
                Token::Plus => {}
                _ => break,
            }
            self.advance()?;
        }
        let inner = self.primary()?;
        Ok(match negative {
            Some(true) => Entity { at, kind: EntityKind::Negative(Box::new(inner)) },
            _ => inner,
        })
    }

    fn primary(&mut self) -> Parsed<Entity<'t>> {
        let at = self.now.at;
        match self.now.token {
            Token::Word(word) => {
                // What follows a word closely belongs to it.
                let mut layers = None;
                if self.lexer.is_at(b'#') {
                    self.advance()?;
                    layers = Some(self.layers()?);
                } else {
                    self.advance()?;
                }
                let mut kind = EntityKind::Word(word);
                if layers.is_none() && self.take(&Token::Open)? {
                    let arguments = self.arguments()?;
                    self.expect(&Token::Close, "\",\" or \")\"")?;
                    kind = EntityKind::Function { name: word, arguments };
                }
                if let Some(ranges) = layers {
                    kind = EntityKind::Layer { of: Box::new(Entity { at, kind }), ranges };
                }
                self.slices(Entity { at, kind })
            }
            Token::Text(ref mut text) => {
                let kind = EntityKind::Text(std::mem::take(text));
                self.advance()?;
                Ok(Entity { at, kind })
            }
            Token::Char(c) => {
                self.advance()?;
                Ok(Entity { at, kind: EntityKind::Char(c) })
            }
            Token::OpenBrace => {
                self.advance()?;
                let inner = self.entity()?;
                self.expect(&Token::CloseBrace, "\"}\"")?;
                Ok(inner)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Entity<'t>>> {
        let mut arguments = Vec::new();
        if self.now.token == Token::Close {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.entity()?);
            if !self.take(&Token::Comma)? {
                return Ok(arguments);
            }
        }
    }

    /// `#2` or `#[...]`; the hash sign is the token at hand.
    fn layers(&mut self) -> Parsed<Vec<Range>> {
        let ranges = if self.lexer.take_bracket() {
            self.ranges()?
        } else {
            let at = self.lexer.at();
            let start = self
                .lexer
                .number()
                .ok_or_else(|| Problem::new(at, "\"#\" is followed by the number of a layer, or by \"[\""))?;
            vec![Range { start, end: RangeEnd::Length(1) }]
        };
        self.now = self.lexer.next()?;
        Ok(ranges)
    }

    /// `[...]`, perhaps several times.
    fn slices(&mut self, mut entity: Entity<'t>) -> Parsed<Entity<'t>> {
        let mut count = 0;
        while self.now.token == Token::OpenBracket {
            count += 1;
            if count + self.depth > MAX_DEPTH {
                return Err(Problem::new(self.now.at, format!("more than {MAX_DEPTH} slices in a row")));
            }
            let ranges = self.ranges()?;
            self.now = self.lexer.next()?;
            let at = entity.at;
            entity = Entity { at, kind: EntityKind::Slice { of: Box::new(entity), ranges } };
        }
        Ok(entity)
    }

    /// What is between brackets; the lexer stands after the opening one and is left after the closing one.
    fn ranges(&mut self) -> Parsed<Vec<Range>> {
        let mut ranges = Vec::new();
        loop {
            let (range, end) = self.range()?;
            ranges.push(range);
            if end == Bracket::Close {
                return Ok(ranges);
            }
        }
    }

    /// One range, and the comma or bracket after it.
    fn range(&mut self) -> Parsed<(Range, Bracket)> {
        let wrong = |p: &Self| {
            Err(Problem::new(
                p.lexer.at(),
                "this is no range: write [offset], [offset:length], [first-last], [:length] or [offset:]",
            ))
        };
        let (start, mut after) = match self.lexer.in_brackets() {
            Bracket::Colon => (0, Bracket::Colon),
            Bracket::Number(n) => (n, self.lexer.in_brackets()),
            Bracket::Minus => match self.lexer.in_brackets() {
                Bracket::Number(n) => (n.saturating_neg(), self.lexer.in_brackets()),
                _ => return wrong(self),
            },
            _ => return wrong(self),
        };
        let end = match after {
            Bracket::Comma | Bracket::Close => RangeEnd::Length(1),
            Bracket::Colon => match self.lexer.in_brackets() {
                Bracket::Number(n) => {
                    after = self.lexer.in_brackets();
                    RangeEnd::Length(n)
                }
                other => {
                    after = other;
                    RangeEnd::Open
                }
            },
            Bracket::Minus => {
                let last = match self.lexer.in_brackets() {
                    Bracket::Number(n) => n,
                    Bracket::Minus => match self.lexer.in_brackets() {
                        Bracket::Number(n) => n.saturating_neg(),
                        _ => return wrong(self),
                    },
                    _ => return wrong(self),
                };
                after = self.lexer.in_brackets();
                RangeEnd::Offset(last)
            }
            _ => return wrong(self),
        };
        match after {
            Bracket::Comma | Bracket::Close => Ok((Range { start, end }, after)),
            _ => wrong(self),
        }
    }
}
