//! The table of called numbers: which flow a call enters.

use std::collections::BTreeMap;

use hotline_base::{FlowId, TrunkId};

use crate::{CalledNo, normalise_called};

/// One line of `ivr-flows/numbers/`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberRow {
    /// Called numbers, in any form.
    pub dnis: Vec<String>,
    /// The trunks it is for; none means any.
    pub trunks: Vec<TrunkId>,
    pub flow: FlowId,
    /// The flow's parameters as written; nothing here reads them.
    pub params: BTreeMap<String, String>,
    /// Names the row to whoever keeps the checked parameters.
    pub row: usize,
}

/// The rows by number. The first row wins where two claim the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct NumberTable {
    rows: Vec<NumberRow>,
    /// For one trunk, by number.
    of_trunk: BTreeMap<TrunkId, BTreeMap<String, usize>>,
    /// For any trunk, by number.
    of_any: BTreeMap<String, usize>,
}

impl NumberTable {
    pub(crate) fn new(rows: Vec<NumberRow>) -> Self {
        let mut table = Self::default();
        for (at, row) in rows.iter().enumerate() {
            for dnis in &row.dnis {
                let number = normalise_called(dnis, None).map_or(dnis.clone(), |it| it.norm);
                for trunk in &row.trunks {
                    let of_trunk = table.of_trunk.entry(trunk.clone()).or_default();
                    of_trunk.entry(number.clone()).or_insert(at);
                }
                if row.trunks.is_empty() {
                    table.of_any.entry(number).or_insert(at);
                }
            }
        }
        Self { rows, ..table }
    }

    /// Exact number and trunk, else exact number, else the longest number that the called one
    /// begins with. The full number is tried before the short code.
    pub(crate) fn find(&self, trunk: &TrunkId, called: &CalledNo) -> Option<&NumberRow> {
        let forms = [called.norm.as_str(), called.short_code.as_str()];
        let own = self.of_trunk.get(trunk);
        let on_trunk = |number: &str| own?.get(number);
        let anywhere = |number: &str| self.of_any.get(number);
        let at = forms
            .iter()
            .find_map(|it| on_trunk(it))
            .or_else(|| forms.iter().find_map(|it| anywhere(it)))
            .or_else(|| {
                forms.iter().find_map(|it| {
                    // Numbers are ASCII digits, so every cut is between characters.
                    (1..it.len()).rev().find_map(|n| {
                        let start = it.get(..n)?;
                        on_trunk(start).or_else(|| anywhere(start))
                    })
                })
            })?;
        self.rows.get(*at)
    }
}
