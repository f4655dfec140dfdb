//! Tokens → a tree without types. Grammar and precedence are those of CEL.

use super::{
    Wrong,
    lex::{Token, lex},
};

/// A part of an expression; `at` is a byte offset.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ast {
    pub(crate) at: usize,
    pub(crate) kind: AstKind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AstKind {
    Bool(bool),
    Int(i64),
    Str(String),
    Name(String),
    Field(Box<Ast>, String),
    Index(Box<Ast>, Box<Ast>),
    /// `name(args)` or `on.name(args)`.
    Call {
        on: Option<Box<Ast>>,
        name: String,
        args: Vec<Ast>,
    },
    List(Vec<Ast>),
    Not(Box<Ast>),
    Neg(Box<Ast>),
    Binary(Operator, Box<Ast>, Box<Ast>),
    If(Box<[Ast; 3]>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operator {
    Or,
    And,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// Binding strength; comparisons do not chain but bind left as in CEL.
    const fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Less
            | Self::LessEqual
            | Self::Greater
            | Self::GreaterEqual
            | Self::Equal
            | Self::NotEqual
            | Self::In => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Remainder => 5,
        }
    }

    fn of(token: &Token) -> Option<Self> {
        match token {
            Token::Sign("||") => Some(Self::Or),
            Token::Sign("&&") => Some(Self::And),
            Token::Sign("<") => Some(Self::Less),
            Token::Sign("<=") => Some(Self::LessEqual),
            Token::Sign(">") => Some(Self::Greater),
            Token::Sign(">=") => Some(Self::GreaterEqual),
            Token::Sign("==") => Some(Self::Equal),
            Token::Sign("!=") => Some(Self::NotEqual),
            Token::Sign("+") => Some(Self::Add),
            Token::Sign("-") => Some(Self::Subtract),
            Token::Sign("*") => Some(Self::Multiply),
            Token::Sign("/") => Some(Self::Divide),
            Token::Sign("%") => Some(Self::Remainder),
            Token::Name(name) if name == "in" => Some(Self::In),
            Token::Sign(_) | Token::Name(_) | Token::Int(_) | Token::Str(_) => None,
        }
    }
}

/// Deeper nesting than any person writes; keeps recursion bounded.
const DEPTH_MAX: u32 = 64;
/// Longest text of an expression, in bytes.
const TEXT_MAX: usize = 4_096;

/// Reads a whole expression.
pub(crate) fn parse(text: &str) -> Result<Ast, Wrong> {
    if text.len() > TEXT_MAX {
        return Err(Wrong::new(0, "表达式过长"));
    }
    let mut parser = Parser { tokens: lex(text)?, at: 0, depth: 0, end: text.len() };
    let ast = parser.ternary()?;
    match parser.tokens.get(parser.at) {
        None => Ok(ast),
        Some((at, _)) => Err(Wrong::new(*at, "表达式在此处应当结束")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: u32,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|it| &it.1)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |it| it.0)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let here = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Wrong> {
        let at = self.offset();
        if self.take(sign) {
            Ok(())
        } else {
            Err(Wrong::new(at, format!("此处应为“{sign}”")))
        }
    }

    fn ternary(&mut self) -> Result<Ast, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong::new(self.offset(), "表达式嵌套过深"));
        }
        let condition = self.binary(1)?;
        let ast = if self.take("?") {
            let at = condition.at;
            let yes = self.ternary()?;
            self.expect(":")?;
            let no = self.ternary()?;
            Ast { at, kind: AstKind::If(Box::new([condition, yes, no])) }
        } else {
            condition
        };
        self.depth -= 1;
        Ok(ast)
    }

    fn binary(&mut self, weakest: u8) -> Result<Ast, Wrong> {
        let mut left = self.unary()?;
        while let Some(operator) = self.peek().and_then(Operator::of) {
            if operator.strength() < weakest {
                break;
            }
            self.at += 1;
            let right = self.binary(operator.strength() + 1)?;
            let at = left.at;
            let kind = AstKind::Binary(operator, Box::new(left), Box::new(right));
            left = Ast { at, kind };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Ast, Wrong> {
        let at = self.offset();
        let mut signs = Vec::new();
        while let Some(Token::Sign(sign @ ("!" | "-"))) = self.peek() {
            signs.push(*sign);
            self.at += 1;
            if signs.len() > 8 {
                return Err(Wrong::new(at, "表达式嵌套过深"));
            }
        }
        let mut ast = self.postfix()?;
        for sign in signs.into_iter().rev() {
            let inner = Box::new(ast);
            let kind = if sign == "!" { AstKind::Not(inner) } else { AstKind::Neg(inner) };
            ast = Ast { at, kind };
        }
        Ok(ast)
    }

    fn postfix(&mut self) -> Result<Ast, Wrong> {
        let mut ast = self.primary()?;
        loop {
            let at = ast.at;
            if self.take(".") {
                let name_at = self.offset();
                let Some(Token::Name(name)) = self.peek().cloned() else {
                    return Err(Wrong::new(name_at, "“.”后面应为名称"));
                };
                self.at += 1;
                let kind = if self.take("(") {
                    let args = self.items(")")?;
                    AstKind::Call { on: Some(Box::new(ast)), name, args }
                } else {
                    AstKind::Field(Box::new(ast), name)
                };
                ast = Ast { at, kind };
            } else if self.take("[") {
                let index = self.ternary()?;
                self.expect("]")?;
                ast = Ast { at, kind: AstKind::Index(Box::new(ast), Box::new(index)) };
            } else {
                return Ok(ast);
            }
        }
    }

    fn primary(&mut self) -> Result<Ast, Wrong> {
        let at = self.offset();
        let token = self.peek().cloned();
        self.at += 1;
        let kind = match token {
            Some(Token::Int(it)) => AstKind::Int(it),
            Some(Token::Str(it)) => AstKind::Str(it),
            Some(Token::Name(it)) if it == "true" => AstKind::Bool(true),
            Some(Token::Name(it)) if it == "false" => AstKind::Bool(false),
            Some(Token::Name(name)) => {
                if self.take("(") {
                    AstKind::Call { on: None, name, args: self.items(")")? }
                } else {
                    AstKind::Name(name)
                }
            }
            Some(Token::Sign("[")) => AstKind::List(self.items("]")?),
            Some(Token::Sign("(")) => {
                let inner = self.ternary()?;
                self.expect(")")?;
                inner.kind
            }
            Some(Token::Sign(sign)) => {
                return Err(Wrong::new(at, format!("此处不应为“{sign}”")));
            }
            None => return Err(Wrong::new(at, "表达式不完整")),
        };
        Ok(Ast { at, kind })
    }

    /// A list of expressions up to `close`.
    fn items(&mut self, close: &'static str) -> Result<Vec<Ast>, Wrong> {
        let mut items = Vec::new();
        if self.take(close) {
            return Ok(items);
        }
        loop {
            items.push(self.ternary()?);
            if self.take(close) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }
}
