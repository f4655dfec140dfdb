//! The YAML of flows: version 1.2, core schema, without the traps. Gives raw nodes with positions;
//! what they mean is judged in `hotline-ivr`.

use hotline_ivr::{
    Complaint,
    raw::{At, RawEntry, RawNode},
};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A flow file is read by people; one that is longer is not a flow.
pub(crate) const SIZE_MAX: usize = 256 * 1024;
const DEPTH_MAX: usize = 24;

/// Reads one document. `name` is used in the complaints only.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<RawNode, Vec<Complaint>> {
    let refuse = |text: &str, advice: &str| {
        let at = At::default();
        Err(vec![Complaint::new(name, at, "", "E01", text.to_owned()).advise(advice)])
    };
    if bytes.len() > SIZE_MAX {
        return refuse("文件超过 256 KiB", "请拆成几个流程，用 call 节点连接");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return refuse("不是 UTF-8 编码", "请用 UTF-8 重新保存此文件");
    };
    let mut builder = Builder { name, complaints: Vec::new(), open: Vec::new(), root: None };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let at = at_marker(error.marker().line(), error.marker().col());
                builder.complain(
                    at,
                    "E01",
                    &format!("不是正确的 YAML：{}", error.info()),
                    "请检查缩进、引号和括号",
                );
                break;
            }
        }
    }
    builder.finish()
}

/// A list or map whose end has not come.
enum Open {
    List { items: Vec<RawNode>, at: At },
    Map { entries: Vec<RawEntry>, key: Option<Key>, at: At },
}

struct Key {
    text: String,
    quoted: bool,
    at: At,
}

struct Builder<'a> {
    name: &'a str,
    complaints: Vec<Complaint>,
    open: Vec<Open>,
    root: Option<RawNode>,
}

impl Builder<'_> {
    fn complain(&mut self, at: At, code: &'static str, text: &str, advice: &str) {
        let it = Complaint::new(self.name, at, &self.path(), code, text.to_owned());
        self.complaints.push(it.advise(advice));
    }

    /// The keys that lead to where the reader stands.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            let part = match open {
                Open::List { items, .. } => items.len().to_string(),
                Open::Map { key: Some(key), .. } => key.text.clone(),
                Open::Map { key: None, .. } => continue,
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
        path
    }

    fn take(&mut self, event: Event<'_>, span: Span) {
        let at = at_marker(span.start.line(), span.start.col());
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                if self.root.is_some() {
                    self.complain(at, "E01", "一个文件只能有一份文档", "请去掉多余的 ---");
                }
            }
            Event::Alias(_) => {
                self.complain(at, "E01", "不能使用别名（*）", "请把内容写在用到的地方");
                self.put(RawNode::Scalar { text: String::new(), quoted: false, at });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_marks(at, anchor, tag.is_some());
                let quoted = style != ScalarStyle::Plain;
                let text = if !quoted && (text == "~" || text == "null") {
                    String::new()
                } else {
                    text.into_owned()
                };
                self.put(RawNode::Scalar { text, quoted, at });
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_marks(at, anchor, tag.is_some());
                self.begin(Open::List { items: Vec::new(), at }, at);
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_marks(at, anchor, tag.is_some());
                self.begin(Open::Map { entries: Vec::new(), key: None, at }, at);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn refuse_marks(&mut self, at: At, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.complain(at, "E01", "不能使用锚点（&）", "请把内容写在用到的地方");
        }
        if tagged {
            self.complain(at, "E01", "不能使用标签（!）", "请去掉标签；文字请加引号");
        }
    }

    fn begin(&mut self, open: Open, at: At) {
        if self.open.len() == DEPTH_MAX {
            self.complain(at, "E01", "嵌套过深", "请检查括号是否配对");
        }
        self.open.push(open);
    }

    fn close(&mut self) {
        let node = match self.open.pop() {
            Some(Open::List { items, at }) => RawNode::List { items, at },
            Some(Open::Map { entries, at, .. }) => RawNode::Map { entries, at },
            None => return,
        };
        // What lies deeper has been complained of; it is not kept, so that nobody recurses into it.
        if self.open.len() < DEPTH_MAX {
            self.put(node);
        }
    }

    fn put(&mut self, node: RawNode) {
        match self.open.last_mut() {
            None => {
                if self.root.is_none() {
                    self.root = Some(node);
                }
            }
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => {
                if let Some(key) = key.take() {
                    if key.text == "<<" && !key.quoted {
                        self.complain(key.at, "E01", "不能使用合并键（<<）", "请把内容写全");
                        return;
                    }
                    let (text, key_quoted, at) = (key.text, key.quoted, key.at);
                    let double = entries.iter().any(|it| it.key == text);
                    entries.push(RawEntry { key: text.clone(), key_quoted, at, value: node });
                    if double {
                        let text = format!("键 {text} 重复");
                        self.complain(at, "E01", &text, "同一处每个键只能写一次，请合并或改名");
                    }
                } else if let RawNode::Scalar { text, quoted, at } = node {
                    *key = Some(Key { text, quoted, at });
                } else {
                    let at = node.at();
                    *key = Some(Key { text: String::new(), quoted: true, at });
                    self.complain(at, "E01", "键必须是文字", "请检查冒号和缩进");
                }
            }
        }
    }

    fn finish(mut self) -> Result<RawNode, Vec<Complaint>> {
        if self.root.is_none() && self.complaints.is_empty() {
            self.complain(At::default(), "E01", "文件是空的", "请写入内容或删去此文件");
        }
        match self.root {
            Some(root) if self.complaints.is_empty() => Ok(root),
            Some(_) | None => Err(self.complaints),
        }
    }
}

fn at_marker(line: usize, col: usize) -> At {
    At {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        col: u32::try_from(col.saturating_add(1)).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
