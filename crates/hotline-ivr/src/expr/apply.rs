//! What the functions of expressions compute.

use hotline_base::GroupId;

use super::{
    eval::{EvalError, Scope},
    funcs::Func,
    text,
};
use crate::{
    Value,
    calendar::Decision,
    civil::{Civil, Date},
};

/// Arguments of a call, of the types that the check promised.
struct Args<'a>(&'a [Value]);

impl Args<'_> {
    fn str(&self, idx: usize) -> &str {
        self.0.get(idx).and_then(Value::as_str).unwrap_or_default()
    }

    fn int(&self, idx: usize) -> i64 {
        self.0.get(idx).and_then(Value::as_int).unwrap_or_default()
    }

    /// The first argument as text, whatever its type.
    fn text(&self) -> String {
        self.0.first().map(Value::to_text).unwrap_or_default()
    }
}

fn count(it: usize) -> Value {
    Value::Int(i64::try_from(it).unwrap_or(i64::MAX))
}

/// Computes a function.
pub(super) fn apply(func: &Func, args: &[Value], scope: &Scope<'_>) -> Result<Value, EvalError> {
    let (first, args) = (args.first(), Args(args));
    Ok(match func {
        Func::Size => match first {
            Some(Value::List(items)) => count(items.len()),
            Some(_) | None => count(args.str(0).chars().count()),
        },
        Func::Contains => Value::Bool(args.str(0).contains(args.str(1))),
        Func::StartsWith => Value::Bool(args.str(0).starts_with(args.str(1))),
        Func::EndsWith => Value::Bool(args.str(0).ends_with(args.str(1))),
        Func::Matches(regex) => Value::Bool(regex.is_match(args.str(0))),
        Func::Substr => {
            let len = args.0.get(2).and_then(Value::as_int);
            Value::Str(text::substr(args.str(0), args.int(1), len))
        }
        Func::Split => {
            let separator = args.str(1);
            if separator.is_empty() {
                return Err(EvalError::EmptySeparator);
            }
            Value::List(args.str(0).split(separator).map(Value::str).collect())
        }
        Func::Upper => Value::Str(args.str(0).to_uppercase()),
        Func::Lower => Value::Str(args.str(0).to_lowercase()),
        Func::ToInt => return to_int(first),
        Func::ToStr => Value::Str(args.text()),
        Func::ToBool => return to_bool(first),
        Func::Has => Value::Bool(first.is_some_and(|it| !it.is_empty())),
        Func::Hash => Value::Int(text::hash(&args.text())),
        Func::Mask => Value::Str(text::mask(&args.text())),
        Func::Lookup => return lookup(&args, scope),
        Func::Now
        | Func::DateOf
        | Func::Hour
        | Func::Weekday
        | Func::ScheduleOpen
        | Func::IsWorkday
        | Func::CalendarKind
        | Func::QueueWaiting
        | Func::QueueEwt
        | Func::AgentsReady
        | Func::CallerCity
        | Func::CallerCarrier
        | Func::CallerRepeat
        | Func::Overlay => return ask(func, &args, scope),
    })
}

/// What the moment and the rest of the engine decide.
fn ask(func: &Func, args: &Args<'_>, scope: &Scope<'_>) -> Result<Value, EvalError> {
    let civil = || match args.0.first() {
        Some(Value::Time(it)) => Civil::of(*it),
        Some(_) | None => Civil::of(scope.wall),
    };
    let group = || GroupId::new(args.str(0));
    Ok(match func {
        Func::Now => Value::Time(scope.wall),
        Func::DateOf => Value::Str(civil().date.to_string()),
        Func::Hour => Value::Int(i64::from(civil().hour())),
        Func::Weekday => Value::Int(i64::from(civil().date.weekday())),
        Func::ScheduleOpen => {
            let decision = scope.bundle.decide(args.str(0), scope.wall);
            Value::Bool(decision.ok_or(EvalError::UnknownName)? == Decision::Open)
        }
        Func::IsWorkday => Value::Bool(kind_of(scope, args.str(0))? == "work"),
        Func::CalendarKind => Value::str(kind_of(scope, args.str(0))?),
        Func::QueueWaiting => count(scope.env.queue_waiting(&group())),
        Func::QueueEwt => {
            let ewt = scope.env.queue_ewt(&group());
            Value::Int(ewt.map_or(-1, |it| i64::try_from(it.as_secs()).unwrap_or(i64::MAX)))
        }
        Func::AgentsReady => count(scope.env.agents_ready(&group())),
        Func::CallerCity => Value::Str(scope.env.caller_city()),
        Func::CallerCarrier => Value::Str(scope.env.caller_carrier()),
        Func::CallerRepeat => {
            let hours = u32::try_from(args.int(0)).map_err(|_| EvalError::Conversion)?;
            Value::Int(i64::from(scope.env.caller_repeat(hours)))
        }
        // No overlay is published with a bundle.
        Func::Overlay => Value::Str(String::new()),
        Func::Size
        | Func::Contains
        | Func::StartsWith
        | Func::EndsWith
        | Func::Matches(_)
        | Func::Substr
        | Func::Split
        | Func::Upper
        | Func::Lower
        | Func::ToInt
        | Func::ToStr
        | Func::ToBool
        | Func::Has
        | Func::Lookup
        | Func::Hash
        | Func::Mask => return Err(EvalError::Internal),
    })
}

fn lookup(args: &Args<'_>, scope: &Scope<'_>) -> Result<Value, EvalError> {
    let table = scope.bundle.tables.get(args.str(0)).ok_or(EvalError::UnknownName)?;
    let default = args.0.get(2);
    match table.rows.get(args.str(1)) {
        // The default tells the type that was promised.
        Some(found) if found.type_of() == default.and_then(Value::type_of) => Ok(found.clone()),
        Some(found) => Ok(Value::Str(found.to_text())),
        None => default.cloned().ok_or(EvalError::UnknownName),
    }
}

/// The kind of today in a calendar.
fn kind_of(scope: &Scope<'_>, calendar: &str) -> Result<&'static str, EvalError> {
    let today: Date = Civil::of(scope.wall).date;
    let kind = scope.bundle.day_kind(calendar, today).ok_or(EvalError::UnknownName)?;
    Ok(kind.as_str())
}

fn to_bool(it: Option<&Value>) -> Result<Value, EvalError> {
    match it.map(Value::to_text).as_deref() {
        Some("true") => Ok(Value::Bool(true)),
        Some("false") => Ok(Value::Bool(false)),
        Some(_) | None => Err(EvalError::Conversion),
    }
}

fn to_int(it: Option<&Value>) -> Result<Value, EvalError> {
    match it {
        Some(Value::Int(it)) => Ok(Value::Int(*it)),
        Some(Value::Bool(it)) => Ok(Value::Int(i64::from(*it))),
        Some(Value::Str(it)) => {
            it.trim().parse().map(Value::Int).map_err(|_| EvalError::Conversion)
        }
        Some(Value::Duration(it)) => {
            i64::try_from(it.as_millis()).map(Value::Int).map_err(|_| EvalError::Conversion)
        }
        Some(Value::Time(it)) => Ok(Value::Int(it.0.div_euclid(1_000))),
        Some(Value::List(_)) | None => Err(EvalError::Conversion),
    }
}
