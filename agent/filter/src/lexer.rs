//! Text into tokens.

use crate::ast::{Op, Quantifier};
use crate::error::Problem;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'t> {
    /// A name or a literal without quotes.
    Word(&'t str),
    /// A string in quotes.
    Text(Vec<u8>),
    /// A character in quotes.
    Char(u8),
    Compare(Op),
    Quantifier(Quantifier),
    Not,
    And,
    Or,
    Xor,
    In,
    /// `..`
    To,
    /// `&` or `bitwise_and`
    BitAnd,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Open,
    Close,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    Comma,
    Hash,
    End,
}

/// A token with the byte where it starts and its own text.
#[derive(Debug, Clone)]
pub struct Lexed<'t> {
    pub token: Token<'t>,
    pub at: usize,
    pub text: &'t str,
}

pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Byte reached.
    pub fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// The next token.
    pub fn next(&mut self) -> Result<Lexed<'t>, Problem> {
        self.skip_space();
        let at = self.at;
        let token = self.token()?;
        Ok(Lexed { token, at, text: self.text.get(at..self.at).unwrap_or("") })
    }

    fn token(&mut self) -> Result<Token<'t>, Problem> {
        const SIGNS: &[(&str, Token<'static>)] = &[
            ("!==", Token::Compare(Op::AnyNe)),
            ("===", Token::Compare(Op::AllEq)),
            ("!=", Token::Compare(Op::AllNe)),
            ("~=", Token::Compare(Op::AnyNe)),
            ("==", Token::Compare(Op::AnyEq)),
            (">=", Token::Compare(Op::Ge)),
            ("<=", Token::Compare(Op::Le)),
            ("&&", Token::And),
            ("||", Token::Or),
            ("^^", Token::Xor),
            ("..", Token::To),
            (">", Token::Compare(Op::Gt)),
            ("<", Token::Compare(Op::Lt)),
            ("~", Token::Compare(Op::Matches)),
            ("!", Token::Not),
            ("&", Token::BitAnd),
            ("+", Token::Plus),
            ("-", Token::Minus),
            ("*", Token::Star),
            ("/", Token::Slash),
            ("%", Token::Percent),
            ("(", Token::Open),
            (")", Token::Close),
            ("{", Token::OpenBrace),
            ("}", Token::CloseBrace),
            ("[", Token::OpenBracket),
            (",", Token::Comma),
            ("#", Token::Hash),
        ];
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        match first {
            '"' => return self.string(false),
            'r' | 'R' if rest.get(1..2) == Some("\"") => {
                self.at += 1;
                return self.string(true);
            }
            '\'' => return self.character(),
            _ => {}
        }
        if let Some((sign, token)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            self.at += sign.len();
            return Ok(token.clone());
        }
        if is_word(first) {
            return Ok(self.word());
        }
        let problem = match first {
            '=' => "\"=\" is no comparison: write \"==\"".to_owned(),
            '|' => "\"|\" stands alone: write \"||\" or \"or\"".to_owned(),
            '$' => "macros and field references are not supported".to_owned(),
            c if c.is_control() => "a control character was not expected here".to_owned(),
            c => format!("\"{c}\" was not expected here"),
        };
        Err(Problem::new(self.at, problem))
    }

    fn word(&mut self) -> Token<'t> {
        let rest = self.rest();
        let mut end = 0;
        for (i, c) in rest.char_indices() {
            // Two dots are a range, unless the word begins with them.
            if !(is_word(c) || (c == '-' && i > 0)) || (rest[i..].starts_with("..") && i > 0) {
                break;
            }
            end = i + c.len_utf8();
        }
        let mut word = &rest[..end];
        // 10.0.0.0/8
        if let Some(bits) = rest[end..].strip_prefix('/') {
            let digits = bits.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 && is_address(word) {
                end += 1 + digits;
                word = &rest[..end];
            }
        }
        self.at += end;
        match word {
            "eq" | "any_eq" => Token::Compare(Op::AnyEq),
            "ne" | "all_ne" => Token::Compare(Op::AllNe),
            "all_eq" => Token::Compare(Op::AllEq),
            "any_ne" => Token::Compare(Op::AnyNe),
            "gt" => Token::Compare(Op::Gt),
            "ge" => Token::Compare(Op::Ge),
            "lt" => Token::Compare(Op::Lt),
            "le" => Token::Compare(Op::Le),
            "contains" => Token::Compare(Op::Contains),
            "matches" => Token::Compare(Op::Matches),
            "any" => Token::Quantifier(Quantifier::Any),
            "all" => Token::Quantifier(Quantifier::All),
            "and" => Token::And,
            "or" => Token::Or,
            "xor" => Token::Xor,
            "not" => Token::Not,
            "in" => Token::In,
            "bitwise_and" => Token::BitAnd,
            word => Token::Word(word),
        }
    }

    /// A string in double quotes; a raw one keeps its backslashes.
    fn string(&mut self, raw: bool) -> Result<Token<'t>, Problem> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek(0) {
                None => return Err(Problem::new(start, "the closing quote of this string is missing")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Token::Text(bytes));
                }
                Some(b'\\') if raw => {
                    bytes.push(b'\\');
                    self.at += 1;
                    if let Some(c @ (b'"' | b'\\')) = self.peek(0) {
                        bytes.push(c);
                        self.at += 1;
                    }
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(b) => {
                    bytes.push(b);
                    self.at += 1;
                }
            }
        }
    }

    fn character(&mut self) -> Result<Token<'t>, Problem> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek(0) {
                None => return Err(Problem::new(start, "the closing quote of this character is missing")),
                Some(b'\'') => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(b) => {
                    bytes.push(b);
                    self.at += 1;
                }
            }
        }
        match bytes[..] {
            [one] => Ok(Token::Char(one)),
            _ => Err(Problem::new(
                start,
                "single quotes hold one character of one byte; strings take double ones",
            )),
        }
    }

    /// Resolves the escape sequence that starts here.
    fn escape(&mut self, to: &mut Vec<u8>) -> Result<(), Problem> {
        let start = self.at;
        let rest = self.rest().as_bytes();
        let digits = |from: usize, most: usize, radix: u32| {
            let digits = rest.get(from..).unwrap_or_default();
            let n = digits.iter().take(most).take_while(|b| char::from(**b).is_digit(radix)).count();
            let value = digits[..n].iter().fold(0_u32, |v, b| {
                v.wrapping_mul(radix).wrapping_add(char::from(*b).to_digit(radix).unwrap_or(0))
            });
            (n, value)
        };
        let byte = |n: usize, value: u32| u8::try_from(value).ok().filter(|_| n > 0);
        let (len, one) = match rest.get(1).copied() {
            Some(c @ (b'\'' | b'"' | b'\\')) => (2, Some(c)),
            Some(b'a') => (2, Some(7)),
            Some(b'b') => (2, Some(8)),
            Some(b'f') => (2, Some(12)),
            Some(b'n') => (2, Some(b'\n')),
            Some(b'r') => (2, Some(b'\r')),
            Some(b't') => (2, Some(b'\t')),
            Some(b'v') => (2, Some(11)),
            Some(b'x') => {
                let (n, value) = digits(2, 2, 16);
                (2 + n, byte(n, value))
            }
            Some(b'0'..=b'7') => {
                let (n, value) = digits(1, 3, 8);
                (1 + n, byte(n, value))
            }
            Some(c @ (b'u' | b'U')) => {
                let want = if c == b'u' { 4 } else { 8 };
                let (n, value) = digits(2, want, 16);
                if n == want
                    && let Some(c) = char::from_u32(value)
                {
                    to.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += 2 + n;
                    return Ok(());
                }
                (2, None)
            }
            _ => (1, None),
        };
        let Some(one) = one else {
            return Err(Problem::new(start, "this is no escape sequence: write \"\\\\\" for a backslash"));
        };
        to.push(one);
        self.at += len;
        Ok(())
    }

    /// After `[`: a signed number, or one of `: - , ]`; other signs are left to the caller.
    pub fn in_brackets(&mut self) -> Bracket {
        self.skip_space();
        let Some(first) = self.peek(0) else { return Bracket::Other };
        let sign = match first {
            b':' => Some(Bracket::Colon),
            b',' => Some(Bracket::Comma),
            b']' => Some(Bracket::Close),
            b'-' => Some(Bracket::Minus),
            _ => None,
        };
        if let Some(sign) = sign {
            self.at += 1;
            return sign;
        }
        match self.number() {
            Some(n) => Bracket::Number(n),
            None => Bracket::Other,
        }
    }

    /// A number without a sign that starts here.
    pub fn number(&mut self) -> Option<i32> {
        let rest = self.rest();
        let n = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let value = crate::literal::unsigned(&rest[..n])?;
        self.at += n;
        i32::try_from(value).ok()
    }

    /// Whether `byte` comes right here.
    pub fn is_at(&self, byte: u8) -> bool {
        self.peek(0) == Some(byte)
    }

    /// An opening bracket right here, which is then taken.
    pub fn take_bracket(&mut self) -> bool {
        let is = self.is_at(b'[');
        self.at += usize::from(is);
        is
    }
}

/// What is found between brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bracket {
    Number(i32),
    Colon,
    Minus,
    Comma,
    Close,
    Other,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':')
}

/// What can have a prefix length.
fn is_address(word: &str) -> bool {
    word.contains(':') || (word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}
