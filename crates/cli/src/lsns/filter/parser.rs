//! The grammar: from the loosest, `||`, `&&`, comparisons, `!`.

use regex_lite::Regex;

use super::lexer::{Token, tokens};
use super::{Node, Operand, ere};
use crate::lsns::column::Column;

/// Why a text is no expression.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    Syntax(String),
    /// There is no column of this name.
    Column(String),
}

/// The most operators and operands, and how deep they may be nested.
const MOST: usize = 256;

struct Parser<'t> {
    tokens: Vec<(Token<'t>, &'t str)>,
    at: usize,
    nodes: usize,
    depth: usize,
}

/// Reads a whole expression.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let mut parser = Parser {
        tokens: tokens(text).map_err(Problem::Syntax)?,
        at: 0,
        nodes: 0,
        depth: 0,
    };
    let node = parser.either()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.unexpected()),
    }
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn accept(&mut self, token: &Token<'_>) -> bool {
        let accepted = self.peek() == Some(token);
        self.at += usize::from(accepted);
        accepted
    }

    fn unexpected(&self) -> Problem {
        Problem::Syntax(match self.tokens.get(self.at) {
            Some((_, text)) => format!("syntax error, unexpected {text}"),
            None => "syntax error, unexpected end of file".to_owned(),
        })
    }

    fn node(&mut self, node: Node) -> Result<Node, Problem> {
        self.nodes += 1;
        if self.nodes > MOST {
            return Err(Problem::Syntax(format!("more than {MOST} operands")));
        }
        Ok(node)
    }

    fn either(&mut self) -> Result<Node, Problem> {
        let mut left = self.both()?;
        while self.accept(&Token::Or) {
            let right = self.both()?;
            left = self.node(Node::Or(left.into(), right.into()))?;
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Node, Problem> {
        let mut left = self.comparison()?;
        while self.accept(&Token::And) {
            let right = self.comparison()?;
            left = self.node(Node::And(left.into(), right.into()))?;
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Node, Problem> {
        let mut left = self.operand()?;
        loop {
            let node = match self.peek() {
                Some(Token::Compare(comparison)) => {
                    let comparison = *comparison;
                    self.at += 1;
                    let right = self.operand()?;
                    Node::Compare(comparison, left.into(), right.into())
                }
                Some(Token::Match(wanted)) => {
                    let wanted = *wanted;
                    self.at += 1;
                    Node::Match(left.into(), self.regex()?, wanted)
                }
                _ => return Ok(left),
            };
            left = self.node(node)?;
        }
    }

    fn regex(&mut self) -> Result<Regex, Problem> {
        let Some(Token::Literal(Operand::Text(text))) = self.peek() else {
            return Err(self.unexpected());
        };
        let regex = ere::compile(text).map_err(Problem::Syntax)?;
        self.at += 1;
        Ok(regex)
    }

    fn operand(&mut self) -> Result<Node, Problem> {
        self.depth += 1;
        if self.depth > MOST {
            return Err(Problem::Syntax("nested too deeply".to_owned()));
        }
        let node = match self.peek().cloned() {
            Some(Token::Not) => {
                self.at += 1;
                Node::Not(self.operand()?.into())
            }
            Some(Token::Open) => {
                self.at += 1;
                let inner = self.either()?;
                if !self.accept(&Token::Close) {
                    return Err(self.unexpected());
                }
                inner
            }
            Some(Token::Literal(operand)) => {
                self.at += 1;
                Node::Literal(operand)
            }
            Some(Token::Holder(name)) => {
                let column = Column::by_name(name);
                let column = column.ok_or_else(|| Problem::Column(name.to_owned()))?;
                self.at += 1;
                Node::Column(column)
            }
            _ => return Err(self.unexpected()),
        };
        self.depth -= 1;
        self.node(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        match parse(text) {
            Err(Problem::Syntax(what)) => what,
            Err(Problem::Column(name)) => format!("column {name}"),
            Ok(node) => panic!("{text}: {node:?}"),
        }
    }

    #[test]
    fn what_is_no_expression_says_where_it_breaks() {
        for (text, what) in [
            ("", "syntax error, unexpected end of file"),
            ("NS ==", "syntax error, unexpected end of file"),
            ("(NS", "syntax error, unexpected end of file"),
            ("NS )", "syntax error, unexpected )"),
            ("NS TYPE", "syntax error, unexpected TYPE"),
            ("== 5", "syntax error, unexpected =="),
            ("NS =~ 5", "syntax error, unexpected 5"),
            ("NS =~ TYPE", "syntax error, unexpected TYPE"),
            ("NS = 5", "syntax error, unexpected character '='"),
            ("NS == 'a", "syntax error, unexpected end of a string"),
            ("foo", "column foo"),
        ] {
            assert_eq!(problem(text), what, "{text}");
        }
    }

    #[test]
    fn depth_and_number_of_operands_have_a_limit() {
        assert_eq!(problem(&"(".repeat(1000)), "nested too deeply");
        assert_eq!(problem(&"!".repeat(1000)), "nested too deeply");
        let long = ["1"; 200].join("||");
        assert_eq!(problem(&long), "more than 256 operands");
    }
}
