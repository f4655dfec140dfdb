//! What the files of a bundle say, with positions and before any meaning: the reader of YAML fills
//! these values, [`check`](crate::check) judges them.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{GroupId, PromptId, WallTime};

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct At {
    pub line: u32,
    pub col: u32,
}

/// One value of a YAML 1.2 document. A missing value (`key:`) is a plain scalar with empty text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RawNode {
    /// `quoted` is true for single- and double-quoted and for block scalars; the text is unescaped.
    Scalar {
        text: String,
        quoted: bool,
        at: At,
    },
    List {
        items: Vec<RawNode>,
        at: At,
    },
    /// In the order of the file. Duplicate keys are kept: the checker complains.
    Map {
        entries: Vec<RawEntry>,
        at: At,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawEntry {
    pub key: String,
    pub key_quoted: bool,
    /// Where the key stands.
    pub at: At,
    pub value: RawNode,
}

impl RawNode {
    pub const fn at(&self) -> At {
        match self {
            Self::Scalar { at, .. } | Self::List { at, .. } | Self::Map { at, .. } => *at,
        }
    }

    /// The value under `key` of a map; the first when there are several.
    pub fn find(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map { entries, .. } => {
                entries.iter().find(|it| it.key == key).map(|it| &it.value)
            }
            Self::Scalar { .. } | Self::List { .. } => None,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, .. } => Some(text),
            Self::List { .. } | Self::Map { .. } => None,
        }
    }
}

/// Which file of the bundle directory it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RawKind {
    /// `flows/<id>.flow.yaml`
    Flow,
    /// `numbers/<city>.numbers.yaml`: `profile`, `numbers: [{dnis, trunk, flow, params}]`
    Numbers,
    /// `profiles/<name>.yaml`: `inherits`, `params`
    Profile,
    /// `calendars/<name>.yaml`: `calendar`, `inherits`, `days: [{date, kind: rest|work, name}]`
    Calendar,
    /// `schedules/<name>.schedule.yaml`: `schedule`, `calendar`, `hours: {work, weekend, rest}`,
    /// `special: [{date, hours, name}]`
    Schedule,
    /// `tables/<name>.table.yaml`: `table`, `key`, `value`, `columns: {name: type}`
    Table,
    /// `tables/<name>.csv` as a list of rows, each a list of quoted scalars; row 1 names columns.
    TableRows,
    /// `prompts/catalog.yaml`: `prompts: {id: {text: …}}`
    Catalog,
    /// `session.yaml`: `vars` of the whole call, `fallback: {group, flow}`
    Session,
    /// `tests/<name>.test.yaml`; judged by [`testing`](crate::testing)
    Test,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawFile {
    /// Relative to the bundle directory, with `/`: `flows/gx12345.main.flow.yaml`. Complaints name
    /// it so.
    pub name: String,
    pub kind: RawKind,
    pub root: RawNode,
}

/// Everything a bundle is made of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RawBundle {
    pub files: Vec<RawFile>,
    /// Skill groups of the configuration.
    pub groups: BTreeSet<GroupId>,
    /// Prompts that have an audio file, with their length in milliseconds.
    pub recordings: BTreeMap<PromptId, u32>,
    /// Hash over all files, in lower-case hexadecimal: the bundle's name.
    pub hash: String,
    /// When the check is made; `None` leaves out the rules about the coming days (E17).
    pub today: Option<WallTime>,
}
