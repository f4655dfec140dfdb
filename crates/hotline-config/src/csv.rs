//! Tables of the flows: comma-separated values, RFC 4180, UTF-8 with or without a mark.

use hotline_ivr::{
    Complaint,
    raw::{At, RawNode},
};

/// Rows of quoted scalars; empty lines are left out.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<RawNode, Vec<Complaint>> {
    let complain = |line: u32, text: &str, advice: &str| {
        let at = At { line, col: 1 };
        vec![Complaint::new(name, at, "", "E01", text.to_owned()).advise(advice)]
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(complain(0, "不是 UTF-8 编码", "在表格软件里另存为“CSV UTF-8”"));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = Vec::new();
    let mut row = Row::default();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    while let Some(it) = chars.next() {
        match (it, row.state) {
            ('"', State::Start) => row.state = State::Quoted,
            ('"', State::Quoted) if chars.peek() == Some(&'"') => {
                chars.next();
                row.cell.push('"');
            }
            ('"', State::Quoted) => row.state = State::Closed,
            (it, State::Quoted) => {
                line += u32::from(it == '\n');
                row.cell.push(it);
            }
            (',', State::Start | State::Plain | State::Closed) => row.end_cell(line),
            ('\r', _) if chars.peek() == Some(&'\n') => {}
            ('\n', State::Start | State::Plain | State::Closed) => {
                rows.extend(row.end(line));
                line += 1;
            }
            (_, State::Closed) => {
                return Err(complain(line, "引号之后还有文字", "整格加引号，内部引号写两次"));
            }
            (it, State::Start | State::Plain) => {
                row.state = State::Plain;
                row.cell.push(it);
            }
        }
    }
    if row.state == State::Quoted {
        return Err(complain(line, "引号没有配对", "检查这一行之前的引号"));
    }
    rows.extend(row.end(line));
    Ok(RawNode::List { items: rows, at: At { line: 1, col: 1 } })
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum State {
    #[default]
    Start,
    Plain,
    Quoted,
    Closed,
}

#[derive(Default)]
struct Row {
    state: State,
    cell: String,
    cells: Vec<RawNode>,
}

impl Row {
    fn end_cell(&mut self, line: u32) {
        let at = At { line, col: u32::try_from(self.cells.len() + 1).unwrap_or(u32::MAX) };
        let cell = std::mem::take(&mut self.cell);
        let text = if self.state == State::Closed { cell } else { cell.trim().to_owned() };
        self.cells.push(RawNode::Scalar { text, quoted: true, at });
        self.state = State::Start;
    }

    fn end(&mut self, line: u32) -> Option<RawNode> {
        if self.state == State::Start && self.cells.is_empty() {
            return None;
        }
        self.end_cell(line);
        let items = std::mem::take(&mut self.cells);
        Some(RawNode::List { items, at: At { line, col: 1 } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Vec<String>> {
        let RawNode::List { items, .. } = read("t.csv", text.as_bytes()).unwrap() else {
            panic!("a list of rows")
        };
        let cells = |row: &RawNode| match row {
            RawNode::List { items, .. } => {
                items.iter().map(|it| it.text().unwrap().to_owned()).collect()
            }
            RawNode::Scalar { .. } | RawNode::Map { .. } => panic!("a list of cells"),
        };
        items.iter().map(cells).collect()
    }

    #[test]
    fn a_table_saved_by_a_spreadsheet_is_read() {
        let read = rows("\u{feff}city,name\r\n450100,\"南宁, \"\"邕\"\"\"\r\n\r\n,x");
        assert_eq!(read, [["city", "name"], ["450100", "南宁, \"邕\""], ["", "x"]]);
    }

    #[test]
    fn a_quote_that_never_ends_is_named_with_its_line() {
        let complaints = read("t.csv", b"a,b\n\"c,d\n").unwrap_err();
        assert_eq!(complaints[0].line, 3);
        assert_eq!(read("t.csv", b"a\n\"b\"c\n").unwrap_err()[0].line, 2);
    }
}
