//! Functions: what they take and give.

use super::{Checked, Checker, Node, Typed, Wanted, class, describe};
use crate::FieldType;
use crate::ast::Entity;
use crate::error::{Problem, near};

/// A function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Lower,
    Upper,
    Len,
    Count,
    String,
    Max,
    Min,
    Abs,
}

const NAMES: &[(&str, Function)] = &[
    ("lower", Function::Lower),
    ("upper", Function::Upper),
    ("len", Function::Len),
    ("count", Function::Count),
    ("string", Function::String),
    ("max", Function::Max),
    ("min", Function::Min),
    ("abs", Function::Abs),
];

impl Checker<'_> {
    pub(super) fn function(&mut self, at: usize, name: &str, arguments: &[Entity<'_>]) -> Checked<Typed> {
        let Some((_, function)) = NAMES.iter().find(|(n, _)| *n == name) else {
            let names: Vec<&str> = NAMES.iter().map(|(n, _)| *n).collect();
            let near = near(name, &names);
            let remedy = if near.is_empty() { names.join(", ") } else { near.join(", ") };
            let problem = format!("there is no function {}(): {remedy}", super::shortened(name));
            return Err(Problem::new(at, problem));
        };
        let function = *function;
        let Some((first, more)) = arguments.split_first() else {
            return Err(Problem::new(at, format!("{name}() takes an argument")));
        };
        if let Some(second) = more.first()
            && !matches!(function, Function::Max | Function::Min)
        {
            return Err(Problem::new(second.at, format!("{name}() takes one argument")));
        }
        let first_at = first.at;
        let first = self.free(first)?;
        let kind = first.kind;
        let fits = match function {
            Function::Lower | Function::Upper => kind == FieldType::String,
            Function::Len => kind != FieldType::Label,
            Function::Count => matches!(first.node, Node::Field { .. }),
            Function::String => matches!(
                kind,
                FieldType::Uint(_) | FieldType::Int(_) | FieldType::Ether | FieldType::Ipv4 | FieldType::Ipv6
            ),
            Function::Max | Function::Min => !matches!(class(kind), 0 | 1),
            Function::Abs => {
                matches!(kind, FieldType::Uint(_) | FieldType::Int(_) | FieldType::RelativeTime)
            }
        };
        if !fits {
            let takes = match function {
                Function::Lower | Function::Upper => "a text",
                Function::Len => "what has a value",
                Function::Count => "a field or protocol",
                Function::String => "a number or an address",
                Function::Max | Function::Min => "numbers, addresses and times",
                Function::Abs => "a number or a time span",
            };
            let problem = format!("{name}() takes {takes}, and this is {}", describe(kind));
            return Err(Problem::new(first_at, problem));
        }
        let wanted = Wanted { kind, field: first.field };
        let mut nodes = vec![first.node];
        for argument in more {
            nodes.push(self.like(argument, wanted)?.node);
        }
        let result = match function {
            Function::Lower | Function::Upper | Function::String => FieldType::String,
            Function::Len | Function::Count => FieldType::Uint(32),
            Function::Max | Function::Min | Function::Abs => kind,
        };
        Ok(Typed { node: Node::Function { function, arguments: nodes, kind }, kind: result, field: None })
    }
}
