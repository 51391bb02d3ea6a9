//! The kinds of entities in the synthetic corpus.

/// A kind of entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Country,
    Town,
    Firm,
    Person,
    Book,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Country, Self::Town, Self::Firm, Self::Person, Self::Book];

    /// The entity type in DocRED's labels.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Country | Self::Town => "LOC",
            Self::Firm => "ORG",
            Self::Person => "PER",
            Self::Book => "MISC",
        }
    }
}
