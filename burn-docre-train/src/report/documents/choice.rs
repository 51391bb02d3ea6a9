//! The choice of the dev documents to show.

use anyhow::{Context, Result, bail};
use burn_docre::Document;

/// The choice of documents.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The first documents that have a label, in the order of the corpus; the first documents of
    /// a corpus without labels.
    First(usize),
    /// The documents of these titles or indices, in this order. Indices are counted from 0. A
    /// title takes precedence over an index.
    Named(Vec<String>),
}

impl Default for Choice {
    fn default() -> Self {
        Self::First(8)
    }
}

impl Choice {
    /// Checks that one of the corpora has all chosen documents.
    ///
    /// # Errors
    /// That of the first corpus, if none has them.
    pub fn check(&self, corpora: &[&[Document]]) -> Result<()> {
        let mut checks = corpora.iter().map(|documents| self.indices(documents).map(drop));
        match checks.next() {
            Some(Err(error)) if !checks.any(|check| check.is_ok()) => Err(error),
            _ => Ok(()),
        }
    }

    /// The indices of the chosen documents, without repetition.
    ///
    /// # Errors
    /// If there is no document of a title or index, or several have the title.
    pub(super) fn indices(&self, documents: &[Document]) -> Result<Vec<usize>> {
        match self {
            Self::First(n) => Ok(first(*n, documents)),
            Self::Named(names) => {
                let mut indices = Vec::new();
                for name in names {
                    let index = find(name, documents)?;
                    if !indices.contains(&index) {
                        indices.push(index);
                    }
                }
                Ok(indices)
            }
        }
    }

    /// The rule in words.
    pub(super) fn rule(&self) -> String {
        match self {
            Self::First(n) => format!("the first {n} dev documents with a label"),
            Self::Named(_) => "the dev documents named on the command line".into(),
        }
    }
}

fn first(n: usize, documents: &[Document]) -> Vec<usize> {
    let has_label = |index: &usize| !documents[*index].facts.is_empty();
    let labelled: Vec<usize> = (0..documents.len()).filter(has_label).take(n).collect();
    if labelled.is_empty() { (0..documents.len()).take(n).collect() } else { labelled }
}

fn find(name: &str, documents: &[Document]) -> Result<usize> {
    let mut found = (0..documents.len()).filter(|index| documents[*index].title == name);
    match (found.next(), found.next()) {
        (Some(index), None) => return Ok(index),
        (Some(index), Some(other)) => {
            bail!(
                "several dev documents have the title {name:?}; give an index, {index} or {other}"
            )
        }
        _ => {}
    }
    let index = name.parse().ok().filter(|index| *index < documents.len());
    index.with_context(|| {
        format!(
            "no dev document has the title or index {name:?}; there are {} dev documents",
            documents.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use burn_docre::{EntityPair, RelationFact};

    use super::*;

    fn documents(titles: &[(&str, usize)]) -> Vec<Document> {
        let fact = RelationFact {
            pair: EntityPair { head: 0, tail: 1 },
            relation: 1,
            evidence: Vec::new(),
        };
        let document = |(title, n_facts): &(&str, usize)| Document {
            title: (*title).into(),
            sentences: Vec::new(),
            entities: Vec::new(),
            facts: vec![fact.clone(); *n_facts],
        };
        titles.iter().map(document).collect()
    }

    #[test]
    fn the_first_documents_with_a_label_are_chosen() {
        let labelled = documents(&[("a", 0), ("b", 1), ("c", 0), ("d", 2), ("e", 1)]);
        assert_eq!(Choice::First(2).indices(&labelled).unwrap(), [1, 3]);
        assert_eq!(Choice::default().indices(&labelled).unwrap(), [1, 3, 4]);
        let unlabelled = documents(&[("a", 0), ("b", 0)]);
        assert_eq!(Choice::First(1).indices(&unlabelled).unwrap(), [0]);
        assert!(Choice::First(1).indices(&[]).unwrap().is_empty());
    }

    #[test]
    fn the_documents_of_one_of_the_corpora_can_be_chosen() {
        let [first, second] = [documents(&[("a", 0)]), documents(&[("b", 0), ("c", 0)])];
        let check = |names: &[&str]| {
            let choice = Choice::Named(names.iter().map(|name| name.to_string()).collect());
            choice.check(&[&first, &second])
        };
        assert!(check(&["a"]).is_ok() && check(&["b", "1"]).is_ok());
        let error = check(&["a", "b"]).unwrap_err().to_string();
        assert!(error.contains("\"b\"; there are 1 dev documents"), "{error}");
        assert!(Choice::default().check(&[]).is_ok());
    }

    #[test]
    fn a_document_is_named_by_its_title_or_else_by_its_index() {
        let documents = documents(&[("2", 0), ("b", 0), ("c", 0), ("c", 0)]);
        let named = |names: &[&str]| {
            Choice::Named(names.iter().map(|name| name.to_string()).collect()).indices(&documents)
        };
        assert_eq!(named(&["b", "2", "3", "1"]).unwrap(), [1, 0, 3]);
        let error = named(&["c"]).unwrap_err().to_string();
        assert!(error.ends_with("the title \"c\"; give an index, 2 or 3"), "{error}");
        for missing in ["4", "B", "-1", ""] {
            let error = named(&[missing]).unwrap_err().to_string();
            assert!(error.contains(&format!("{missing:?}; there are 4 dev documents")), "{error}");
        }
    }
}
