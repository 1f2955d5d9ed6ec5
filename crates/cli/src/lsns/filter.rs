//! `--filter`: an expression over the columns that says which lines are shown, in the
//! language of scols-filter(5).

mod ere;
mod lexer;
mod parser;

use regex_lite::Regex;

use super::column::{Column, Value};
use crate::failure::Failure;

/// The longest expression.
const LONGEST: usize = 1024;

/// A parsed expression.
#[derive(Debug)]
pub struct Filter(Node);

/// An operator with its operands, or one of those.
#[derive(Debug)]
enum Node {
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    /// Whether the expression matches, or with `false` does not.
    Match(Box<Node>, Regex, bool),
    Literal(Operand),
    Column(Column),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// What an empty cell holds.
    Nothing,
    Bool(bool),
    Number(u64),
    Float(f64),
    Text(String),
}

impl Filter {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let problem = |problem: parser::Problem| match problem {
            parser::Problem::Syntax(what) => {
                Failure::usage(format!("failed to parse \"{text}\": {what}"))
            }
            parser::Problem::Column(name) => Failure::usage(format!(
                "unknown column: {name}\nlsns: failed to initialize filter"
            )),
        };
        if text.len() > LONGEST {
            let what = format!("more than {LONGEST} bytes");
            return Err(problem(parser::Problem::Syntax(what)));
        }
        parser::parse(text).map(Self).map_err(problem)
    }

    /// The columns that it asks for.
    pub fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        let mut nodes = vec![&self.0];
        while let Some(node) = nodes.pop() {
            match node {
                Node::Not(inner) | Node::Match(inner, ..) => nodes.push(inner),
                Node::And(left, right)
                | Node::Or(left, right)
                | Node::Compare(_, left, right) => nodes.extend([&**left, &**right]),
                Node::Literal(_) => {}
                Node::Column(column) => columns.push(*column),
            }
        }
        columns
    }

    /// Whether it holds for a line whose cells `cell` gives.
    pub fn holds(&self, mut cell: impl FnMut(Column) -> Option<Vec<u8>>) -> bool {
        evaluate(&self.0, &mut cell).is_true()
    }
}

fn evaluate(node: &Node, cell: &mut impl FnMut(Column) -> Option<Vec<u8>>) -> Operand {
    Operand::Bool(match node {
        Node::Literal(operand) => return operand.clone(),
        Node::Column(column) => return Operand::of_cell(*column, cell(*column)),
        Node::Not(inner) => !evaluate(inner, cell).is_true(),
        Node::And(left, right) => {
            evaluate(left, cell).is_true() && evaluate(right, cell).is_true()
        }
        Node::Or(left, right) => {
            evaluate(left, cell).is_true() || evaluate(right, cell).is_true()
        }
        Node::Match(inner, regex, wanted) => {
            regex.is_match(&evaluate(inner, cell).text()) == *wanted
        }
        Node::Compare(comparison, left, right) => {
            let literal = |node: &Node| matches!(node, Node::Literal(_));
            let (told_left, told_right) = (literal(left), literal(right));
            let (left, right) = (evaluate(left, cell), evaluate(right, cell));
            match (told_left, told_right) {
                (false, true) => comparison.holds(&left.cast_like(&right), &right),
                (true, false) => comparison.holds(&left, &right.cast_like(&left)),
                _ => {
                    let (left, right) =
                        (left.cast_like_number(&right), right.cast_like_number(&left));
                    comparison.holds(&left, &right)
                }
            }
        }
    })
}

impl Operand {
    fn of_cell(column: Column, cell: Option<Vec<u8>>) -> Self {
        let Some(cell) = cell else {
            return Self::Nothing;
        };
        let text = String::from_utf8_lossy(&cell).into_owned();
        match (column.value(), text.parse()) {
            (Value::Number, Ok(number)) => Self::Number(number),
            _ => Self::Text(text),
        }
    }

    /// An operand that stands alone is true unless it is empty.
    fn is_true(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Bool(bool) => *bool,
            Self::Number(number) => *number != 0,
            Self::Float(float) => *float != 0.0,
            Self::Text(text) => !text.is_empty(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Bool(bool) => bool.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Float(float) => float.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::Bool(bool) => Some(f64::from(u8::from(*bool))),
            Self::Number(number) => Some(*number as f64),
            Self::Float(float) => Some(*float),
            Self::Text(text) => text.parse().ok(),
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Bool(bool) => Some(u64::from(*bool)),
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Nothing | Self::Float(_) => None,
        }
    }

    /// As an operand of the type that the user wrote; of numbers, a fraction stays one.
    /// What is none of that type is nothing.
    fn cast_like(&self, written: &Self) -> Self {
        match (self, written) {
            (_, Self::Text(_)) => Self::Text(self.text()),
            (Self::Nothing, _) => Self::Nothing,
            (_, Self::Bool(_)) => match self {
                Self::Text(text) => match text.as_str() {
                    "true" | "TRUE" => Self::Bool(true),
                    "false" | "FALSE" => Self::Bool(false),
                    _ => Self::Nothing,
                },
                _ => Self::Bool(self.is_true()),
            },
            (Self::Float(_), Self::Number(_)) | (_, Self::Float(_)) => {
                self.float().map_or(Self::Nothing, Self::Float)
            }
            (_, Self::Number(_)) => self.number().map_or(Self::Nothing, Self::Number),
            (_, Self::Nothing) => self.clone(),
        }
    }

    /// As a number where the other one is.
    fn cast_like_number(&self, other: &Self) -> Self {
        match other {
            Self::Number(_) | Self::Float(_) => self.cast_like(other),
            _ => self.clone(),
        }
    }
}

impl Comparison {
    /// Nothing is equal to nothing, and neither less nor greater than anything.
    fn holds(self, left: &Operand, right: &Operand) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let ordering = match (left, right) {
            (Operand::Text(left), Operand::Text(right)) => Some(left.cmp(right)),
            (Operand::Bool(left), Operand::Bool(right)) => Some(left.cmp(right)),
            (Operand::Number(left), Operand::Number(right)) => Some(left.cmp(right)),
            (Operand::Nothing, Operand::Nothing) => None,
            _ => left
                .float()
                .zip(right.float())
                .and_then(|(left, right)| left.partial_cmp(&right)),
        };
        match self {
            Self::Equal => ordering == Some(Equal),
            Self::NotEqual => ordering != Some(Equal),
            Self::Less => ordering == Some(Less),
            Self::LessOrEqual => matches!(ordering, Some(Less | Equal)),
            Self::Greater => ordering == Some(Greater),
            Self::GreaterOrEqual => matches!(ordering, Some(Greater | Equal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line: a network namespace without processes that is mounted nowhere, called 3.
    fn cell(column: Column) -> Option<Vec<u8>> {
        let text = match column {
            Column::Ns => "4026532251",
            Column::Type => "net",
            Column::Nprocs | Column::Uid | Column::Pns => "0",
            Column::User => "root",
            Column::Netnsid => "3",
            Column::Ons => "4026531837",
            _ => return None,
        };
        Some(text.into())
    }

    fn holds(text: &str) -> bool {
        match Filter::parse(text) {
            Ok(filter) => filter.holds(cell),
            Err(failure) => panic!("{text}: {failure:?}"),
        }
    }

    #[test]
    fn what_holds() {
        for text in [
            "NS == 4026532251",
            "ns==4026532251&&nprocs==0",
            "NS EQ 4026532251 AND TYPE eq 'net'",
            "NS != 5",
            "NS NE 5",
            "NS > 5 && NS >= 5 && 5 < NS && 5 LE NS",
            "NS GT 5 AND NS GE 4026532251",
            "UID LT 1 && UID <= 0",
            "TYPE == \"net\"",
            "TYPE =~ '^n[[:alpha:]]t$'",
            "TYPE !~ 'mnt|uts'",
            "NETNSID == '3'",
            "NETNSID == 3",
            "NS == '4026532251'",
            "NS",
            "!NSFS",
            "NOT NSFS",
            "!NPROCS",
            "! !TYPE",
            "PID == 1 || TYPE == 'net'",
            "(PID == 1 || TYPE == 'net') && USER == 'root'",
            "PID == 1 AND TYPE == 'uts' OR NS",
            "NS OR PID == 1 AND PID",
            "true",
            "!false",
            "TYPE == 'net' == true",
            "NS > 3G",
            "NS < 4GiB",
            "NS == 4026532251.0",
            "NPROCS < 0.5",
            "NSFS == ''",
            "PID != 0",
            "ONS > UID",
            "NPROCS == UID",
        ] {
            assert!(holds(text), "{text}");
        }
    }

    #[test]
    fn what_does_not_hold() {
        for text in [
            "NS == 5",
            "NSFS",
            "NSFS && TYPE",
            "PID",
            "PID == 0",
            "PID < 5",
            "PID >= 0",
            "TYPE == 0",
            "TYPE == true",
            "COMMAND =~ 'x'",
            "TYPE !~ 'net'",
            "!NS == 5",
            "false",
            "''",
            "0",
            "0.0",
            "PID == PPID",
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn the_columns_of_a_filter_are_known() {
        let filter = Filter::parse("NS == 1 && (!NSFS || USER =~ 'r')");
        let mut columns = filter.map(|filter| filter.columns()).unwrap_or_default();
        columns.reverse();
        assert_eq!(columns, [Column::Ns, Column::Nsfs, Column::User]);
    }
}
