//! `[callers]`: what is known of callers by their numbers.

use std::fs;

use hotline_switchboard::Regions;

use crate::section::Section;

pub(crate) fn read(root: &Section<'_, '_>) -> Regions {
    let it = root.section("callers");
    let rows = match it.path("mobile_regions").map(|path| (fs::read_to_string(&path), path)) {
        None => Vec::new(),
        Some((Ok(text), path)) => rows(&text).unwrap_or_else(|line| {
            let text = format!("{} 第 {line} 行不是“7 位号段,6 位区划代码”", path.display());
            it.complain("mobile_regions", text, "每行如 1340770,450100；UTF-8，不要表头");
            Vec::new()
        }),
        Some((Err(error), path)) => {
            let text = format!("不能读取 {}: {error}", path.display());
            it.complain("mobile_regions", text, "检查路径和权限，或删去此项");
            Vec::new()
        }
    };
    it.end();
    Regions::new(rows)
}

/// A segment and a region a line; what stands behind them is for people. `Err` is the line with a
/// mistake.
fn rows(text: &str) -> Result<Vec<(u32, u32)>, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let number = |cell: Option<&str>, digits: usize| {
        let cell = cell.map(str::trim).filter(|it| it.len() == digits)?;
        cell.bytes().all(|it| it.is_ascii_digit()).then(|| cell.parse::<u32>().ok()).flatten()
    };
    let filled = text.lines().zip(1..).filter(|it| !it.0.trim().is_empty());
    filled
        .map(|(line, n)| {
            let mut cells = line.split(',');
            let segment = number(cells.next(), 7).filter(|it| *it >= 1_000_000);
            segment.zip(number(cells.next(), 6)).ok_or(n)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_segments_is_read_and_the_line_of_a_mistake_is_named() {
        let read = rows("\u{feff}1340770,450100\r\n\r\n 1340780 , 450200,柳州\n");
        assert_eq!(read, Ok(vec![(1_340_770, 450_100), (1_340_780, 450_200)]));
        for wrong in ["134077,450100", "1340770", "1340770,南宁", "0340770,450100", "号段,区划"]
        {
            assert_eq!(rows(&format!("1340780,450200\n{wrong}\n")), Err(2), "{wrong}");
        }
    }
}
