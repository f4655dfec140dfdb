//! Text of an expression → tokens.

use super::Wrong;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Token {
    Int(i64),
    Str(String),
    Name(String),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Longer signs first.
const SIGNS: [&str; 24] = [
    "<=", ">=", "==", "!=", "&&", "||", "<", ">", "!", "-", "+", "*", "/", "%", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

/// Tokens with their byte offsets.
pub(crate) fn lex(text: &str) -> Result<Vec<(usize, Token)>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first.is_ascii_digit() {
            let len = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
            let digits = rest.get(..len).unwrap_or_default();
            let value = digits.parse().map_err(|_| Wrong::new(at, "数字过大"))?;
            tokens.push((at, Token::Int(value)));
            at += len;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let len = rest
                .find(|it: char| !it.is_ascii_alphanumeric() && it != '_')
                .unwrap_or(rest.len());
            tokens.push((at, Token::Name(rest.get(..len).unwrap_or_default().to_owned())));
            at += len;
        } else if first == '\'' || first == '"' {
            let (value, len) = quoted(rest, first).ok_or_else(|| {
                Wrong::new(at, "引号没有配对，或转义符不是 \\\\ \\' \\\" \\n \\t")
            })?;
            tokens.push((at, Token::Str(value)));
            at += len;
        } else if let Some(sign) = SIGNS.iter().find(|it| rest.starts_with(**it)) {
            tokens.push((at, Token::Sign(sign)));
            at += sign.len();
        } else {
            return Err(Wrong::new(at, format!("表达式中不能有“{first}”")));
        }
    }
    Ok(tokens)
}

/// The text between quotes and the length of it all in bytes.
pub(crate) fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, it)) = chars.next() {
        match it {
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                escaped @ ('\\' | '\'' | '"') => escaped,
                _ => return None,
            }),
            it if it == quote => return Some((value, at + it.len_utf8())),
            it => value.push(it),
        }
    }
    None
}
