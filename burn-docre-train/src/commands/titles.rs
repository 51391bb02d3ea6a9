//! Repeated titles, by which documents cannot be told apart.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The titles of the documents so far.
#[derive(Default)]
pub(super) struct Titles {
    /// The hashes of the titles. They take less memory than the titles of a large corpus.
    seen: HashSet<u64>,
    n_repeated: usize,
    first_repeated: Option<String>,
}

impl Titles {
    /// Adds the title of a document.
    pub(super) fn add(&mut self, title: &str) {
        let mut hasher = DefaultHasher::new();
        title.hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            return;
        }
        self.n_repeated += 1;
        self.first_repeated.get_or_insert_with(|| title.to_owned());
    }

    /// The message about repeated titles; `None` if there are none.
    pub(super) fn note(&self) -> Option<String> {
        let first = self.first_repeated.as_ref()?;
        Some(format!(
            "{} documents have the title of an earlier one, the first is {first:?}; their \
             predictions cannot be told apart",
            self.n_repeated
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_titles_are_counted_and_the_first_is_named() {
        let note = |titles: &[&str]| {
            let mut found = Titles::default();
            titles.iter().for_each(|title| found.add(title));
            found.note()
        };
        assert_eq!(note(&["a", "b", ""]), None);
        let message = note(&["a", "b", "b", "a", "b"]).unwrap();
        assert!(message.starts_with("3 documents") && message.contains("\"b\""), "{message}");
    }
}
