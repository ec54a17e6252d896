//! What can be listed, sorted by and filtered on: each under one name.

use std::cmp::{Ordering, Reverse};
use std::marker::PhantomData;
use std::ops::ControlFlow;

use tracenet_filter::{Field, FieldId, FieldTable, FieldType, Fields, Filter, ParseError, Value, Visit};

use super::columns::Column;
use super::names::Names;
use super::screen::Look;

/// A number of something that is listed.
pub struct Number<R> {
    /// In filters and in the JSON.
    pub name: &'static str,
    /// Over its column.
    pub title: &'static str,
    pub of: fn(&R) -> u64,
}

/// What takes words, one after the other.
pub type Take<'a> = dyn FnMut(&str) + 'a;

/// Words of it: there may be several, or none.
pub struct Text<R> {
    /// In filters.
    pub name: &'static str,
    pub each: fn(&R, &mut Take<'_>),
}

/// What makes the rows of a page.
pub trait Listed: Clone + 'static {
    /// All that it has.
    const NUMBERS: &'static [Number<Self>];
    const TEXTS: &'static [Text<Self>];
    /// Orders that `s` goes through.
    const ORDERS: &'static [&'static str];
    /// What it is, if there are several.
    const PLURAL: &'static str;
    /// Columns of a terminal of 80, of a wider one, and the room that the words need beside the wide ones.
    const NARROW: &'static [Column];
    const WIDE: &'static [Column];
    const ROOM: usize;

    /// Over the words behind the columns, for which there is so much `room`.
    fn title(room: usize) -> String;

    /// The words.
    fn words(&self, names: &Names, look: Look, room: usize) -> String;

    /// The latest rates.
    fn history(&self) -> &[u64];

    /// True where it has ended.
    fn is_over(&self) -> bool {
        false
    }

    /// Order of those that are equal.
    fn tie(&self, other: &Self) -> Ordering;

    /// The number of that name.
    fn number(name: &str) -> Option<&'static Number<Self>> {
        Self::NUMBERS.iter().find(|n| n.name == name)
    }

    /// The name of what it can be sorted by.
    fn order(name: &str) -> Option<&'static str> {
        let text = || Self::TEXTS.iter().find(|t| t.name == name).map(|t| t.name);
        Self::number(name).map(|n| n.name).or_else(text)
    }
}

/// Compiles a filter over what `R` has.
///
/// # Errors
/// Where it is wrong, and what is.
pub fn parse<R: Listed>(text: &str) -> Result<Filter, ParseError> {
    Filter::parse(text, &Table::<R>(PhantomData))
}

/// Keeps what `filter` lets pass and sorts it: numbers from the highest on, PIDs from the lowest, words by the alphabet.
pub fn arrange<R: Listed>(rows: &mut Vec<R>, filter: Option<&Filter>, order: &str) {
    if let Some(filter) = filter {
        rows.retain(|row| filter.matches(&Row(row)));
    }
    rows.sort_by(R::tie);
    match (R::number(order), R::TEXTS.iter().find(|t| t.name == order)) {
        (Some(number), _) if order == "pid" => rows.sort_by_key(number.of),
        (Some(number), _) => rows.sort_by_key(|row| Reverse((number.of)(row))),
        (None, Some(text)) => rows.sort_by_cached_key(|row| {
            let mut words = String::new();
            (text.each)(row, &mut |word| words.push_str(word));
            words
        }),
        (None, None) => {}
    }
}

struct Table<R>(PhantomData<R>);

impl<R: Listed> FieldTable for Table<R> {
    fn field(&self, name: &str) -> Option<Field> {
        let at = self.names().iter().position(|n| *n == name)?;
        let kind = if at < R::NUMBERS.len() { FieldType::Uint(64) } else { FieldType::String };
        Some(Field { id: FieldId(u32::try_from(at).ok()?), kind })
    }

    fn names(&self) -> Vec<&str> {
        R::NUMBERS.iter().map(|n| n.name).chain(R::TEXTS.iter().map(|t| t.name)).collect()
    }
}

/// A row as a filter sees it.
struct Row<'a, R>(&'a R);

impl<R: Listed> Fields for Row<'_, R> {
    fn each(&self, field: FieldId, visit: &mut Visit<'_>) -> ControlFlow<()> {
        let at = field.0 as usize;
        if let Some(number) = R::NUMBERS.get(at) {
            return visit(1, Value::Uint((number.of)(self.0)));
        }
        let mut flow = ControlFlow::Continue(());
        if let Some(text) = at.checked_sub(R::NUMBERS.len()).and_then(|at| R::TEXTS.get(at)) {
            (text.each)(self.0, &mut |word| {
                if flow.is_continue() {
                    flow = visit(1, Value::Str(word));
                }
            });
        }
        flow
    }
}
