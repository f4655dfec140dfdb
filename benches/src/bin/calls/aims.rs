//! What is aimed at beside what was seen, and whether that is enough.

use anyhow::{Result, ensure};

pub(crate) struct Aims {
    n_missed: usize,
}

impl Aims {
    pub(crate) fn begin() -> Self {
        println!("\n{:52} {:>12} {:>16}", "==", "seen", "aim");
        Self { n_missed: 0 }
    }

    pub(crate) fn at_least(&mut self, what: &str, seen: f64, least: f64, unit: &str) {
        self.judge(what, (seen, seen >= least), ("at least", least), unit);
    }

    pub(crate) fn at_most(&mut self, what: &str, seen: f64, most: f64, unit: &str) {
        self.judge(what, (seen, seen <= most), ("at most", most), unit);
    }

    fn judge(
        &mut self,
        what: &str,
        (seen, met): (f64, bool),
        (bound, aim): (&str, f64),
        unit: &str,
    ) {
        self.n_missed += usize::from(!met);
        let verdict = if met { "met" } else { "MISSED" };
        let (seen, aim) = (format!("{seen:.1} {unit}"), format!("{bound} {aim} {unit}"));
        println!("== {what:49} {:>12} {:>16}  {verdict}", seen.trim_end(), aim.trim_end());
    }

    /// # Errors
    /// With `gate`, when an aim was missed.
    pub(crate) fn end(self, gate: bool) -> Result<()> {
        ensure!(!gate || self.n_missed == 0, "{} aims are missed", self.n_missed);
        Ok(())
    }
}
