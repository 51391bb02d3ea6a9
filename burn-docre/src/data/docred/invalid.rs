//! The treatment of documents that are not valid.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::UnknownName;

/// The maximum number of faults that [`Skipped`] lists.
const MAX_LISTED: usize = 10;

/// The treatment of documents that are not [valid](crate::Document::validate).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInvalid {
    /// The first invalid document is an error.
    #[default]
    Error,
    /// Mentions that are not a span of a sentence are skipped. A document that is invalid without
    /// them, for example because an entity has no mention left, is skipped.
    SkipMention,
    /// Invalid documents are skipped.
    SkipDocument,
}

impl OnInvalid {
    const ALL: [Self; 3] = [Self::Error, Self::SkipMention, Self::SkipDocument];

    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::SkipMention => "skip-mention",
            Self::SkipDocument => "skip-document",
        }
    }
}

impl FromStr for OnInvalid {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find("treatment of invalid documents", name, Self::ALL, Self::name)
    }
}

impl fmt::Display for OnInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The mentions and documents that a reader has skipped. [`Display`](fmt::Display) lists the first
/// ten faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The number of skipped mentions in documents that were kept.
    pub n_mentions: usize,
    /// The number of skipped documents.
    pub n_documents: usize,
    /// The places and faults of the first ten, with their causes.
    pub faults: Vec<String>,
}

impl Skipped {
    /// Returns true if nothing was skipped.
    pub fn is_empty(&self) -> bool {
        self.n_mentions + self.n_documents == 0
    }

    pub(super) fn add_mention(&mut self, fault: impl fmt::Display) {
        self.n_mentions += 1;
        self.list(fault);
    }

    pub(super) fn add_document(&mut self, fault: impl fmt::Display) {
        self.n_documents += 1;
        self.list(fault);
    }

    fn list(&mut self, fault: impl fmt::Display) {
        if self.faults.len() < MAX_LISTED {
            self.faults.push(fault.to_string());
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_mentions, n_documents, faults } = self;
        write!(f, "{n_mentions} mentions and {n_documents} documents are skipped: ")?;
        f.write_str(&faults.join("; "))?;
        match n_mentions + n_documents - faults.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_treatment_is_parsed_from_its_name() {
        for value in OnInvalid::ALL {
            assert_eq!(value.to_string().parse(), Ok(value));
            assert_eq!(serde_json::to_value(value).unwrap(), value.to_string());
        }
        let error = "skip".parse::<OnInvalid>().unwrap_err().to_string();
        assert!(error.contains("skip-mention"), "{error}");
    }

    #[test]
    fn the_first_faults_are_listed_and_the_others_counted() {
        let mut skipped = Skipped::default();
        assert!(skipped.is_empty());
        (0..11).for_each(|i| skipped.add_mention(i));
        skipped.add_document("last");
        let expected = "11 mentions and 1 documents are skipped: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9; \
                        and 2 more";
        assert_eq!(skipped.to_string(), expected);
    }
}
