//! The words of an expression.

use super::{Comparison, Operand};

#[derive(Clone, Debug, PartialEq)]
pub enum Token<'t> {
    Open,
    Close,
    And,
    Or,
    Not,
    Compare(Comparison),
    /// Of a regular expression: whether it is to match.
    Match(bool),
    Literal(Operand),
    Holder(&'t str),
}

const SIGNS: &[(&str, Token<'static>)] = &[
    ("&&", Token::And),
    ("||", Token::Or),
    ("==", Token::Compare(Comparison::Equal)),
    ("!=", Token::Compare(Comparison::NotEqual)),
    (">=", Token::Compare(Comparison::GreaterOrEqual)),
    ("<=", Token::Compare(Comparison::LessOrEqual)),
    ("=~", Token::Match(true)),
    ("!~", Token::Match(false)),
    (">", Token::Compare(Comparison::Greater)),
    ("<", Token::Compare(Comparison::Less)),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
];

/// Words for signs, and the truth values: all upper case or all lower case.
const WORDS: &[(&str, Token<'static>)] = &[
    ("AND", Token::And),
    ("OR", Token::Or),
    ("NOT", Token::Not),
    ("EQ", Token::Compare(Comparison::Equal)),
    ("NE", Token::Compare(Comparison::NotEqual)),
    ("GE", Token::Compare(Comparison::GreaterOrEqual)),
    ("LE", Token::Compare(Comparison::LessOrEqual)),
    ("GT", Token::Compare(Comparison::Greater)),
    ("LT", Token::Compare(Comparison::Less)),
    ("TRUE", Token::Literal(Operand::Bool(true))),
    ("FALSE", Token::Literal(Operand::Bool(false))),
];

/// Splits an expression; gives each token with its text. An error is what is wrong.
pub fn tokens(text: &str) -> Result<Vec<(Token<'_>, &str)>, String> {
    let mut rest = text.trim_start();
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        let (token, length) = first(rest)?;
        tokens.push((token, &rest[..length]));
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The token at the start, and its length.
fn first(text: &str) -> Result<(Token<'_>, usize), String> {
    let begins = |sign: &&(&str, Token<'static>)| text.starts_with(sign.0);
    if let Some((sign, token)) = SIGNS.iter().find(begins) {
        return Ok((token.clone(), sign.len()));
    }
    match text.chars().next().unwrap_or_default() {
        quote @ ('"' | '\'') => string(text, quote),
        '0'..='9' => number(text),
        'a'..='z' | 'A'..='Z' => Ok(word(text)),
        other => Err(format!("syntax error, unexpected character '{other}'")),
    }
}

/// A string has no escapes: it ends at the next quote of its sort.
fn string(text: &str, quote: char) -> Result<(Token<'_>, usize), String> {
    let inner = &text[1..];
    let end = inner
        .find([quote, '\n'])
        .filter(|end| inner[*end..].starts_with(quote));
    let end = end.ok_or("syntax error, unexpected end of a string")?;
    let string = inner[..end].to_owned();
    Ok((Token::Literal(Operand::Text(string)), end + 2))
}

/// `5`, `5K`, `5KiB`, `5.25`.
fn number(text: &str) -> Result<(Token<'_>, usize), String> {
    let too_large = || "a number beyond 64 bits".to_owned();
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let after = &text[whole..];
    if let Some(fraction) = after
        .strip_prefix('.')
        .map(digits)
        .filter(|count| *count > 0)
    {
        let length = whole + 1 + fraction;
        let float = text[..length].parse().map_err(|_| too_large())?;
        return Ok((Token::Literal(Operand::Float(float)), length));
    }
    let power = after.chars().next().and_then(|unit| "KMGTPEZY".find(unit));
    let factor = match power {
        Some(power) => 1024_u64.checked_pow(power as u32 + 1),
        None => Some(1),
    };
    let unit = match power {
        Some(_) if after[1..].starts_with("iB") => 3,
        Some(_) => 1,
        None => 0,
    };
    let number: u64 = text[..whole].parse().map_err(|_| too_large())?;
    let number = factor.and_then(|factor| number.checked_mul(factor));
    let number = number.ok_or_else(too_large)?;
    Ok((Token::Literal(Operand::Number(number)), whole + unit))
}

fn word(text: &str) -> (Token<'_>, usize) {
    let ends = |char: char| !char.is_ascii_alphanumeric() && !"_.%:/-".contains(char);
    let length = text.find(ends).unwrap_or(text.len());
    let word = &text[..length];
    let is = |(name, _): &&(&str, Token<'static>)| {
        word == *name || word == name.to_ascii_lowercase()
    };
    let token = WORDS.iter().find(is).map(|(_, token)| token.clone());
    (token.unwrap_or(Token::Holder(word)), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number_of(text: &str) -> Option<Operand> {
        match tokens(text).ok()?.as_slice() {
            [(Token::Literal(operand), _)] => Some(operand.clone()),
            _ => None,
        }
    }

    #[test]
    fn numbers_have_suffixes_of_1024() {
        assert_eq!(number_of("007"), Some(Operand::Number(7)));
        assert_eq!(number_of("2K"), Some(Operand::Number(2048)));
        assert_eq!(number_of("2MiB"), Some(Operand::Number(2 << 20)));
        assert_eq!(number_of("15E"), Some(Operand::Number(15 << 60)));
        assert_eq!(number_of("1.5"), Some(Operand::Float(1.5)));
        for beyond in ["16E", "1Z", "1Y", "18446744073709551616"] {
            assert!(tokens(beyond).is_err(), "{beyond}");
        }
    }

    #[test]
    fn a_holder_goes_on_as_far_as_its_letters() {
        let text = "MAJ:MIN!=a-b.c%d/e_1 and true";
        let tokens = tokens(text).expect("tokens");
        assert_eq!(
            tokens
                .into_iter()
                .map(|(token, _)| token)
                .collect::<Vec<_>>(),
            [
                Token::Holder("MAJ:MIN"),
                Token::Compare(Comparison::NotEqual),
                Token::Holder("a-b.c%d/e_1"),
                Token::And,
                Token::Literal(Operand::Bool(true)),
            ]
        );
    }

    #[test]
    fn a_string_ends_at_its_own_quote_and_in_its_line() {
        let text = |text: &str| match tokens(text).ok()?.as_slice() {
            [(Token::Literal(Operand::Text(inner)), _)] => Some(inner.clone()),
            _ => None,
        };
        assert_eq!(text("\"it's\""), Some("it's".to_owned()));
        assert_eq!(text("'a\"\\'"), Some("a\"\\".to_owned()));
        for broken in ["'a", "\"a'", "'a\nb'"] {
            assert!(tokens(broken).is_err(), "{broken}");
        }
    }
}
