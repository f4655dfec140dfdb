//! Values of parameters, variables and expressions.

use std::{fmt, time::Duration};

use hotline_base::WallTime;

use crate::civil;

/// A value at run time. `Debug` shows the kind and the size only: values hold callers' numbers.
#[derive(Clone, Eq, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Str(String),
    Duration(Duration),
    /// A moment; shown in Asia/Shanghai.
    Time(WallTime),
    List(Vec<Value>),
}

/// The type of an expression.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Type {
    Bool,
    Int,
    Str,
    Duration,
    Time,
    List(Box<Type>),
}

impl Type {
    /// As flow authors know it.
    pub fn name(&self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::Int => "int".into(),
            Self::Str => "string".into(),
            Self::Duration => "duration".into(),
            Self::Time => "time".into(),
            Self::List(of) => format!("list<{}>", of.name()),
        }
    }

    /// What a variable holds before it is set.
    pub(crate) fn empty(&self) -> Value {
        match self {
            Self::Bool => Value::Bool(false),
            Self::Int => Value::Int(0),
            Self::Str => Value::Str(String::new()),
            Self::Duration => Value::Duration(Duration::ZERO),
            Self::Time => Value::Time(WallTime(0)),
            Self::List(_) => Value::List(Vec::new()),
        }
    }
}

impl Value {
    pub fn str(it: &str) -> Self {
        Self::Str(it.to_owned())
    }

    /// `None` for an empty list, whose element type nobody knows.
    pub fn type_of(&self) -> Option<Type> {
        Some(match self {
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Str(_) => Type::Str,
            Self::Duration(_) => Type::Duration,
            Self::Time(_) => Type::Time,
            Self::List(items) => Type::List(Box::new(items.first()?.type_of()?)),
        })
    }

    /// As text: what interpolation and `string()` give. Durations in milliseconds, moments as
    /// `2026-02-14T10:30:00+08:00`.
    pub fn to_text(&self) -> String {
        match self {
            Self::Bool(it) => it.to_string(),
            Self::Int(it) => it.to_string(),
            Self::Str(it) => it.clone(),
            Self::Duration(it) => it.as_millis().to_string(),
            Self::Time(it) => civil::Civil::of(*it).to_string(),
            Self::List(items) => items.iter().map(Self::to_text).collect::<Vec<_>>().join(","),
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(it) => Some(it),
            Self::Bool(_) | Self::Int(_) | Self::Duration(_) | Self::Time(_) | Self::List(_) => {
                None
            }
        }
    }

    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(it) => Some(*it),
            Self::Int(_) | Self::Str(_) | Self::Duration(_) | Self::Time(_) | Self::List(_) => None,
        }
    }

    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(it) => Some(*it),
            Self::Bool(_) | Self::Str(_) | Self::Duration(_) | Self::Time(_) | Self::List(_) => {
                None
            }
        }
    }

    /// Nothing in it: an empty text or list.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Str(it) => it.is_empty(),
            Self::List(it) => it.is_empty(),
            Self::Bool(_) | Self::Int(_) | Self::Duration(_) | Self::Time(_) => false,
        }
    }

    /// Whether it is of the type; an empty list is of every list type.
    pub(crate) fn fits(&self, ty: &Type) -> bool {
        match (self, ty) {
            (Self::List(items), Type::List(of)) => items.iter().all(|it| it.fits(of)),
            _ => self.type_of().as_ref() == Some(ty),
        }
    }

    /// Bytes it takes, for the size limit of results.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Duration(_) | Self::Time(_) => 8,
            Self::Str(it) => it.len(),
            Self::List(items) => items.iter().map(|it| it.size() + 8).sum(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(it) => write!(f, "Bool({it})"),
            Self::Int(_) => f.write_str("Int"),
            Self::Str(it) => write!(f, "Str({} bytes)", it.len()),
            Self::Duration(it) => write!(f, "Duration({it:?})"),
            Self::Time(it) => write!(f, "Time({it:?})"),
            Self::List(items) => f.debug_list().entries(items).finish(),
        }
    }
}
