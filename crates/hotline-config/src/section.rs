//! Reads TOML by keys and remembers where each stood, so that every complaint of a file comes at
//! once, with its line.

use std::{
    cell::{Cell, RefCell},
    fs,
    ops::RangeInclusive,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use hotline_ivr::Severity;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::Complaint;

/// One file while it is read.
#[derive(Debug)]
pub(crate) struct Document {
    /// As a person would open it.
    file: String,
    /// Relative file names in the configuration start here.
    folder: PathBuf,
    /// Offset of each line's first byte.
    lines: Vec<usize>,
    complaints: RefCell<Vec<Complaint>>,
    /// The text is not TOML; what seems to be missing may stand behind the mistake.
    is_broken: Cell<bool>,
    /// Every key that was asked for, so that a test can hold the example to it.
    #[cfg(test)]
    pub(crate) known: RefCell<std::collections::BTreeSet<String>>,
}

impl Document {
    pub(crate) fn new(file: String, folder: PathBuf, text: &str) -> Self {
        let mut lines = vec![0];
        lines.extend(text.match_indices('\n').map(|it| it.0 + 1));
        Self {
            file,
            folder,
            lines,
            complaints: RefCell::new(Vec::new()),
            is_broken: Cell::new(false),
            #[cfg(test)]
            known: RefCell::default(),
        }
    }

    /// The whole file as one section. A file that is not TOML gives its complaints and what could
    /// be understood.
    pub(crate) fn root<'a, 'i>(&'a self, tables: &'a Tables<'i>) -> Section<'a, 'i> {
        for (text, at) in &tables.errors {
            self.is_broken.set(true);
            let line = at.map_or(0, |at| self.line(at));
            self.push(line, "", format!("不是正确的 TOML：{text}"), "请检查引号、括号和等号");
        }
        Section::new(self, String::new(), Some(&tables.root), 0)
    }

    pub(crate) fn finish(self) -> Vec<Complaint> {
        let mut complaints = self.complaints.into_inner();
        if self.is_broken.get() {
            complaints.retain(|it| it.key.is_empty());
        }
        complaints.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        complaints
    }

    /// Files named in the configuration start at its own folder.
    pub(crate) fn resolve(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn line(&self, at: usize) -> u32 {
        u32::try_from(self.lines.partition_point(|it| *it <= at)).unwrap_or(u32::MAX)
    }

    fn push(&self, line: u32, key: &str, text: impl Into<String>, advice: impl Into<String>) {
        self.complaints.borrow_mut().push(Complaint {
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            text: text.into(),
            advice: advice.into(),
            severity: Severity::Error,
        });
    }
}

/// The tables of a file.
#[derive(Debug)]
pub(crate) struct Tables<'i> {
    root: DeTable<'i>,
    errors: Vec<(String, Option<usize>)>,
}

impl<'i> Tables<'i> {
    pub(crate) fn parse(text: &'i str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let place = |it: &toml::de::Error| (it.message().to_owned(), it.span().map(|at| at.start));
        Self { root: root.into_inner(), errors: errors.iter().map(place).collect() }
    }
}

/// A table of the file. Keys that nobody asked for are complained of by [`end`](Self::end).
#[derive(Debug)]
pub(crate) struct Section<'a, 'i> {
    document: &'a Document,
    path: String,
    /// `None`: the file does not have it.
    table: Option<&'a DeTable<'i>>,
    at: usize,
    asked: RefCell<Vec<&'static str>>,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) key: String,
    pub(crate) at: usize,
}

impl<'a, 'i> Section<'a, 'i> {
    fn new(
        document: &'a Document,
        path: String,
        table: Option<&'a DeTable<'i>>,
        at: usize,
    ) -> Self {
        Self { document, path, table, at, asked: RefCell::new(Vec::new()) }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|it| it.iter().any(|it| it.0.get_ref() == key))
    }

    pub(crate) fn document(&self) -> &'a Document {
        self.document
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.asked.borrow_mut().push(key);
        #[cfg(test)]
        self.document.known.borrow_mut().insert(self.key(key));
        self.table?.iter().find(|it| it.0.get_ref() == key).map(|it| it.1)
    }

    /// Complains about a key of this section, at its line if it is there.
    pub(crate) fn complain(&self, key: &str, text: impl Into<String>, advice: impl Into<String>) {
        let found = self.table.and_then(|it| it.iter().find(|it| it.0.get_ref() == key));
        let at = found.map_or(self.at, |it| it.0.span().start);
        self.document.push(self.document.line(at), &self.key(key), text, advice);
    }

    /// Like [`complain`](Self::complain), but the engine starts all the same.
    pub(crate) fn warn(&self, key: &str, text: impl Into<String>, advice: impl Into<String>) {
        self.complain(key, text, advice);
        if let Some(last) = self.document.complaints.borrow_mut().last_mut() {
            last.severity = Severity::Warning;
        }
    }

    pub(crate) fn complain_at<T>(
        &self,
        it: &Placed<T>,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.document.push(self.document.line(it.at), &it.key, text, advice);
    }

    fn wrong_type(&self, key: &str, found: &Spanned<DeValue<'_>>, expected: &str) {
        let found = match found.get_ref() {
            DeValue::String(_) => "文字",
            DeValue::Integer(_) => "整数",
            DeValue::Float(_) => "小数",
            DeValue::Boolean(_) => "true/false",
            DeValue::Datetime(_) => "日期",
            DeValue::Array(_) => "列表",
            DeValue::Table(_) => "小节",
        };
        self.complain(key, format!("应为{expected}，实为{found}"), "请改正类型；文字要加引号");
    }

    pub(crate) fn section(&self, key: &'static str) -> Self {
        let found = self.value(key);
        let table = found.and_then(|it| {
            let table = it.get_ref().as_table();
            if table.is_none() {
                self.wrong_type(key, it, "小节");
            }
            table
        });
        let at = found.map_or(self.at, |it| it.span().start);
        Self::new(self.document, self.key(key), table, at)
    }

    /// `[[key]]`, counted from 1 in complaints.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Self> {
        let Some(found) = self.value(key) else { return Vec::new() };
        let Some(items) = found.get_ref().as_array() else {
            self.wrong_type(key, found, &format!("列表 [[{key}]]"));
            return Vec::new();
        };
        let one = |(index, it): (usize, &'a Spanned<DeValue<'i>>)| {
            let table = it.get_ref().as_table();
            if table.is_none() {
                self.wrong_type(key, it, "小节");
            }
            let path = format!("{}[{}]", self.key(key), index + 1);
            table.map(|table| Self::new(self.document, path, Some(table), it.span().start))
        };
        items.iter().enumerate().filter_map(one).collect()
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<Placed<String>> {
        let found = self.value(key)?;
        let Some(value) = found.get_ref().as_str() else {
            self.wrong_type(key, found, "文字");
            return None;
        };
        Some(Placed { value: value.to_owned(), key: self.key(key), at: found.span().start })
    }

    /// A text that must be there and not be empty.
    pub(crate) fn required(&self, key: &'static str, advice: &str) -> Option<Placed<String>> {
        let there = self.has(key);
        let text = self.text(key);
        match &text {
            Some(it) if it.value.trim().is_empty() => {
                self.complain(key, "不能为空", advice);
                None
            }
            Some(_) => text,
            None => {
                if !there {
                    self.complain(key, "缺少此项", advice);
                }
                None
            }
        }
    }

    pub(crate) fn text_or(&self, key: &'static str, default: &str) -> String {
        self.text(key).map_or_else(|| default.to_owned(), |it| it.value)
    }

    /// A text that means something; one that does not is complained of.
    pub(crate) fn parsed<T: FromStr>(&self, key: &'static str, what: &str) -> Option<T> {
        let text = self.text(key)?;
        let value = text.value.trim().parse().ok();
        if value.is_none() {
            self.complain(key, format!("{:?} 不是{what}", text.value), "请改正");
        }
        value
    }

    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let found = self.value(key)?;
        let Some(items) = found.get_ref().as_array() else {
            self.wrong_type(key, found, "文字的列表");
            return None;
        };
        let mut texts = Vec::new();
        for (index, it) in items.iter().enumerate() {
            let Some(value) = it.get_ref().as_str() else {
                self.wrong_type(key, it, "文字的列表");
                continue;
            };
            let key = format!("{}[{}]", self.key(key), index + 1);
            texts.push(Placed { value: value.to_owned(), key, at: it.span().start });
        }
        Some(texts)
    }

    /// Keys and whole numbers of a small table such as `groups = { "gx.general" = 1 }`.
    pub(crate) fn numbers(&self, key: &'static str) -> Vec<(Placed<String>, u64)> {
        let Some(found) = self.value(key) else { return Vec::new() };
        let Some(table) = found.get_ref().as_table() else {
            self.wrong_type(key, found, "表 { 名称 = 数字 }");
            return Vec::new();
        };
        let mut numbers = Vec::new();
        for (name, value) in table {
            let path = format!("{}.{}", self.key(key), name.get_ref());
            let name = Placed {
                value: name.get_ref().clone().into_owned(),
                key: path,
                at: name.span().start,
            };
            match whole(value.get_ref()) {
                Some(number) => numbers.push((name, number)),
                None => self.complain_at(&name, "应为非负整数", "请写数字，不加引号"),
            }
        }
        // As in the file, not as in the alphabet.
        numbers.sort_by_key(|it| it.0.at);
        numbers
    }

    pub(crate) fn bool_or(&self, key: &'static str, default: bool) -> bool {
        let Some(found) = self.value(key) else { return default };
        let value = found.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type(key, found, " true 或 false");
        }
        value.unwrap_or(default)
    }

    pub(crate) fn number_or(
        &self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        self.number(key, range).unwrap_or(default)
    }

    pub(crate) fn number(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let found = self.value(key)?;
        let Some(number) = whole(found.get_ref()) else {
            self.wrong_type(key, found, "非负整数");
            return None;
        };
        if range.contains(&number) {
            return Some(number);
        }
        let (low, high) = range.into_inner();
        self.complain(key, format!("{number} 超出范围"), format!("请取 {low} 到 {high}"));
        None
    }

    pub(crate) fn secs_or(
        &self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number_or(key, default, range))
    }

    /// A path relative to the configuration's folder.
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|it| self.document.resolve(&it.value))
    }

    /// The first line of a file that holds a secret.
    pub(crate) fn secret_file(&self, key: &'static str) -> Option<String> {
        let path = self.path(key)?;
        match read_secret(&path) {
            Ok(secret) => {
                self.guarded(key, &path);
                Some(secret)
            }
            Err(why) => {
                let text = format!("{} {why}", path.display());
                self.complain(key, text, "把口令写入此文件的第一行，并设为仅运行账户可读");
                None
            }
        }
    }

    /// Warns of a file with secrets that every account of the machine can read.
    pub(crate) fn guarded(&self, key: &str, path: &Path) {
        let mode = fs::metadata(path).map_or(0, |it| it.permissions().mode());
        if mode & 0o004 != 0 {
            let shown = path.display();
            self.warn(key, format!("{shown} 人人可读"), format!("运行 chmod 600 {shown}"));
        }
    }

    /// Complains about every key that nobody asked for.
    pub(crate) fn end(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let near = asked.iter().min_by_key(|it| distance(it, name));
            let advice = match near {
                Some(near) if distance(near, name) <= 3 => format!("是否想写 {near}？"),
                Some(_) | None => {
                    format!("请删去；此处可用：{}", asked.join("、"))
                }
            };
            self.document.push(
                self.document.line(key.span().start),
                &self.key(name),
                "没有这个配置项",
                advice,
            );
        }
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    let digits: String = integer.as_str().chars().filter(|it| *it != '_').collect();
    u64::from_str_radix(digits.strip_prefix('+').unwrap_or(&digits), integer.radix()).ok()
}

/// The first line without the spaces around it.
pub(crate) fn read_secret(path: &Path) -> Result<String, &'static str> {
    let text = fs::read_to_string(path).map_err(|_| "不能读取")?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { Err("是空的") } else { Ok(line.to_owned()) }
}

/// How many letters must change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.bytes().zip(row.iter().skip(1)) {
            let cost = corner + usize::from(x != y);
            left = cost.min(left + 1).min(above + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
