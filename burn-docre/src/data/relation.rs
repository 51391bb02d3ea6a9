//! Relations: their ids, class indices and names.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::shorten;
use crate::input::{self, read_json};
use crate::{Error, Result};

/// Class index of the threshold class (TH). DocRED calls it `Na`, no relation.
pub const THRESHOLD_CLASS: usize = 0;

/// The ids of the threshold class in known corpora, in lower case and without spaces, `_` and `-`.
/// DocRED has `Na`, the corpora CDR and GDA have `1:NR:2`.
const THRESHOLD_IDS: [&str; 10] =
    ["na", "n/a", "nr", "1:nr:2", "norelation", "none", "th", "threshold", "nil", "unrelated"];

/// The maximum length of a relation id in a message, in characters.
const MAX_ID: usize = 40;

/// One relation type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// The identifier used in data files, for DocRED a Wikidata property (`P17`).
    pub id: String,
    /// The name, such as `country`; equal to the id if the name is unknown.
    pub name: String,
}

/// The condition on the first class of a vocabulary.
#[derive(Clone, Copy)]
enum Threshold<'a> {
    /// It has one of the known names of the threshold class.
    Known,
    /// It has this name.
    Named(&'a str),
    /// None: a model directory has the threshold class first, under any name.
    First,
}

/// The relation types of a model, in the order of its classes. Class 0 is the threshold class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationVocab {
    relations: Vec<Relation>,
    index: HashMap<String, usize>,
}

impl RelationVocab {
    /// A vocabulary of `relations` in class order, the first of which must be the threshold class:
    /// `Na`, `N/A`, `NR`, `1:NR:2`, `no_relation`, `None`, `TH`, `threshold`, `NIL` or `unrelated`,
    /// in any case, with or without `_`, `-` and spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the first is no threshold class, an id is empty or occurs twice, or
    /// there is no other relation.
    pub fn new(relations: Vec<Relation>) -> Result<Self> {
        Self::build(relations, Threshold::Known).map_err(Error::config)
    }

    /// The 96 relations of DocRED and Re-DocRED, in the order of their `rel2id.json`.
    pub fn docred() -> Self {
        Self::from_bytes(include_bytes!("docred_relations.json"))
            .expect("the built-in table is valid")
    }

    /// Reads DocRED's `rel2id.json` (`{"Na": 0, "P17": 1, …}`) and optionally the names in its
    /// `rel_info.json` (`{"P17": "country", …}`). A `relations.json` is accepted in place of the
    /// first.
    ///
    /// `threshold_class` is the id of the threshold class. Without it, class 0 must have one of the
    /// names that [`new`](Self::new) knows: another one could be a relation, whose facts would be
    /// lost.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] unless the indices are 0, 1, … without gap or repetition, every id occurs
    /// once, and the threshold class is 0. [`Error::Io`] when a file cannot be read.
    pub fn from_rel2id(
        rel2id: &Path,
        rel_info: Option<&Path>,
        threshold_class: Option<&str>,
    ) -> Result<Self> {
        let bytes = input::read(rel2id)?;
        let names = match rel_info {
            Some(path) => read_names(path)?,
            None => BTreeMap::new(),
        };
        let threshold = threshold_class.map_or(Threshold::Known, Threshold::Named);
        let first = input::without_byte_order_mark(&bytes).trim_ascii_start().first();
        if first == Some(&b'[') {
            return Self::parse(&bytes, rel2id, threshold).map(|vocab| vocab.with_names(&names));
        }
        let refuse = |reason| Error::format(rel2id, reason);
        let Pairs(entries) = input::parse_json(&bytes, rel2id, "not a table of class indices")?;
        let indices = class_indices(entries).map_err(refuse)?;
        let relations = in_class_order(indices, &names).map_err(refuse)?;
        Self::build(relations, threshold).map_err(refuse)
    }

    /// Reads the `relations.json` of a model directory, as written by [`to_json`](Self::to_json).
    /// The first class is the threshold class under any name.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] when an id is empty or occurs twice, there is no other relation, or the
    /// file is not such a table; [`Error::Io`] when it cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(&input::read(path)?, path, Threshold::First)
    }

    /// Reads a `relations.json` from memory.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] under the conditions of [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes, Path::new("relations.json"), Threshold::First)
    }

    /// The vocabulary as `relations.json`: an array of `{"id", "name"}` in class order.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(&self.relations);
        json.expect("pairs of strings can be written") + "\n"
    }

    /// The class index of the relation `id`.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The class index of the relation `id`, or the reason why it is no relation.
    pub(crate) fn relation_index(&self, id: &str) -> Result<usize, String> {
        match self.index_of(id) {
            Some(THRESHOLD_CLASS) => Err(format!("{id:?} is the threshold class, not a relation")),
            Some(class) => Ok(class),
            None => Err(format!("relation {:?} is not in the vocabulary", shorten(id, MAX_ID))),
        }
    }

    /// The id of class `index`.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`n_classes`](Self::n_classes).
    pub fn id(&self, index: usize) -> &str {
        &self.relations[index].id
    }

    /// The name of class `index`.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`n_classes`](Self::n_classes).
    pub fn name(&self, index: usize) -> &str {
        &self.relations[index].name
    }

    /// Number of classes: the relations and the threshold class.
    pub fn n_classes(&self) -> usize {
        self.relations.len()
    }

    /// The classes in order, the threshold class first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Relation> {
        self.relations.iter()
    }

    /// A vocabulary with the threshold class only, for [`collect`](Self::collect).
    pub(crate) fn only_threshold() -> Self {
        let relations = vec![Relation { id: "Na".to_owned(), name: "Na".to_owned() }];
        Self { relations, index: HashMap::from([("Na".to_owned(), THRESHOLD_CLASS)]) }
    }

    /// The class index of the relation `id`, which is appended if it is new. `name` is its name if
    /// the corpus gives one.
    pub(crate) fn collect(&mut self, id: &str, name: Option<&str>) -> Result<usize, String> {
        if let Some(class) = self.index_of(id).filter(|&class| class != THRESHOLD_CLASS) {
            return Ok(class);
        }
        if id.is_empty() {
            return Err("an empty relation".to_owned());
        }
        if is_threshold(id) {
            return Err(format!("{id:?} is the threshold class, not a relation"));
        }
        let class = self.relations.len();
        let name = name.unwrap_or(id).to_owned();
        self.relations.push(Relation { id: id.to_owned(), name });
        self.index.insert(id.to_owned(), class);
        Ok(class)
    }

    /// Removes the classes from `n_classes` on, which [`collect`](Self::collect) has added.
    pub(crate) fn truncate(&mut self, n_classes: usize) {
        for relation in self.relations.split_off(n_classes) {
            self.index.remove(&relation.id);
        }
    }

    fn parse(bytes: &[u8], path: &Path, threshold: Threshold<'_>) -> Result<Self> {
        let relations = input::parse_json(bytes, path, "not a table of relations")?;
        Self::build(relations, threshold).map_err(|reason| Error::format(path, reason))
    }

    fn build(relations: Vec<Relation>, threshold: Threshold<'_>) -> Result<Self, String> {
        let mut index = HashMap::with_capacity(relations.len());
        for (class, relation) in relations.iter().enumerate() {
            if relation.id.is_empty() {
                return Err(format!("class {class} has an empty relation id"));
            }
            if let Some(earlier) = index.insert(relation.id.clone(), class) {
                let id = &relation.id;
                return Err(format!("relation {id:?} is both class {earlier} and class {class}"));
            }
        }
        let first = relations.get(THRESHOLD_CLASS).map_or("", |relation| &relation.id);
        threshold.check(first)?;
        if relations.len() <= 1 {
            return Err(format!("no relation besides {first:?}"));
        }
        Ok(Self { relations, index })
    }

    /// The vocabulary with the names in `names`; the others stay.
    fn with_names(mut self, names: &BTreeMap<String, String>) -> Self {
        for relation in &mut self.relations {
            if let Some(name) = names.get(&relation.id) {
                relation.name.clone_from(name);
            }
        }
        self
    }
}

impl Threshold<'_> {
    /// Checks the id of class 0.
    fn check(self, first: &str) -> Result<(), String> {
        let found = shorten(first, MAX_ID);
        match self {
            Self::Known if !is_threshold(first) => Err(format!(
                "the threshold class must be class {THRESHOLD_CLASS}, under one of the names Na, \
                 {}, or under its own if that is given (`data.threshold_class`, `--threshold-class`); class \
                 {THRESHOLD_CLASS} is {found:?}",
                THRESHOLD_IDS[1..].join(", ")
            )),
            Self::Named(given) if given != first => Err(format!(
                "{given:?} is given as the threshold class, which must be class \
                 {THRESHOLD_CLASS}; class {THRESHOLD_CLASS} is {found:?}"
            )),
            _ => Ok(()),
        }
    }
}

/// Returns true if `id` is a name of the threshold class.
fn is_threshold(id: &str) -> bool {
    let id: String = id.to_lowercase().split([' ', '_', '-']).collect();
    THRESHOLD_IDS.contains(&id.as_str())
}

/// A value in a table that should map relations to class indices.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Index(usize),
    Name(String),
    Other(IgnoredAny),
}

/// The entries of a `rel2id.json` with their class indices.
fn class_indices(entries: Vec<(String, Entry)>) -> Result<Vec<(String, usize)>, String> {
    let has_names = entries.iter().any(|(_, entry)| matches!(entry, Entry::Name(_)));
    if has_names && !entries.iter().any(|(_, entry)| matches!(entry, Entry::Index(_))) {
        return Err("it has texts in place of class indices, as the names in DocRED's \
                    rel_info.json; give the rel2id.json of the corpus"
            .to_owned());
    }
    let index = |(id, entry): (String, Entry)| match entry {
        Entry::Index(index) => Ok((id, index)),
        Entry::Name(_) | Entry::Other(_) => Err(format!(
            "the class index of {:?} must be a whole number of at least 0",
            shorten(&id, MAX_ID)
        )),
    };
    entries.into_iter().map(index).collect()
}

/// Reads the names of relations from a `rel_info.json`.
fn read_names(path: &Path) -> Result<BTreeMap<String, String>> {
    let Pairs(entries) = read_json::<Pairs<Entry>>(path, "not a table of relation names")?;
    let is_index = |(_, entry): &(String, Entry)| matches!(entry, Entry::Index(_));
    if !entries.is_empty() && entries.iter().all(is_index) {
        let reason = "it has class indices in place of names, as DocRED's rel2id.json; give the \
                      rel_info.json of the corpus";
        return Err(Error::format(path, reason));
    }
    let name = |(id, entry): (String, Entry)| match entry {
        Entry::Name(name) => Ok((id, name)),
        Entry::Index(_) | Entry::Other(_) => {
            let id = shorten(&id, MAX_ID);
            Err(Error::format(path, format!("the name of {id:?} must be a text")))
        }
    };
    entries.into_iter().map(name).collect()
}

/// Sorts the entries of a `rel2id.json` by class and looks up their names.
fn in_class_order(
    indices: Vec<(String, usize)>,
    names: &BTreeMap<String, String>,
) -> Result<Vec<Relation>, String> {
    let n_classes = indices.len();
    let mut slots = vec![None; n_classes];
    for (id, index) in indices {
        let slot = slots.get_mut(index).ok_or_else(|| {
            format!(
                "{id:?} has index {index}, but {n_classes} indices must run from 0 without gaps"
            )
        })?;
        let name = names.get(&id).unwrap_or(&id).clone();
        if let Some(Relation { id: earlier, .. }) = slot.replace(Relation { id: id.clone(), name })
        {
            return Err(format!("{earlier:?} and {id:?} share index {index}"));
        }
    }
    Ok(slots.into_iter().flatten().collect())
}

/// A JSON object as a list of pairs. Unlike a map it keeps repeated keys, which are an error.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object from relation id to class index")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_rel2id(json: &str) -> Result<RelationVocab> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rel2id.json");
        std::fs::write(&path, json).unwrap();
        RelationVocab::from_rel2id(&path, None, None)
    }

    fn reason(json: &str) -> String {
        match from_rel2id(json) {
            Err(Error::Format { reason, .. }) => reason,
            other => panic!("{json} gave {other:?}"),
        }
    }

    #[test]
    fn docred_has_96_relations_and_the_threshold_class() {
        let vocab = RelationVocab::docred();
        assert_eq!(vocab.n_classes(), 97);
        assert_eq!(vocab.id(THRESHOLD_CLASS), "Na");
        assert_eq!((vocab.id(1), vocab.name(1)), ("P17", "country"));
        assert_eq!(vocab.index_of("P527"), Some(11));
        assert_eq!(vocab.index_of("P0"), None);
        for (class, relation) in vocab.iter().enumerate() {
            assert_eq!(vocab.index_of(&relation.id), Some(class));
            assert!(!relation.name.is_empty());
        }
    }

    #[test]
    fn rel2id_is_read_in_index_order_whatever_the_order_of_its_keys() {
        let directory = tempfile::tempdir().unwrap();
        let (ids, names) =
            (directory.path().join("rel2id.json"), directory.path().join("rel_info.json"));
        std::fs::write(&ids, r#"{"P50": 2, "Na": 0, "P17": 1}"#).unwrap();
        std::fs::write(&names, r#"{"P17": "country", "P999": "unused"}"#).unwrap();
        let vocab = RelationVocab::from_rel2id(&ids, Some(&names), None).unwrap();
        let rows: Vec<_> = vocab.iter().map(|r| (r.id.as_str(), r.name.as_str())).collect();
        assert_eq!(rows, [("Na", "Na"), ("P17", "country"), ("P50", "P50")]);
    }

    #[test]
    fn a_saved_vocabulary_reads_back_equal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relations.json");
        let vocab = RelationVocab::docred();
        std::fs::write(&path, vocab.to_json()).unwrap();
        assert_eq!(RelationVocab::load(&path).unwrap(), vocab);
    }

    #[test]
    fn a_gap_a_shared_index_and_a_repeated_id_are_refused() {
        assert!(reason(r#"{"Na": 0, "P17": 2}"#).contains("without gap"));
        assert!(reason(r#"{"Na": 0, "P17": 1, "P50": 1}"#).contains("share index 1"));
        assert!(reason(r#"{"Na": 0, "P17": 1, "P17": 2}"#).contains("both class 1 and class 2"));
    }

    #[test]
    fn the_threshold_class_may_have_its_name_in_other_corpora() {
        for id in ["NA", "na", "1:NR:2", "no_relation", "No Relation", "no-relation", "TH", "nil"] {
            let vocab = from_rel2id(&format!(r#"{{"P17": 1, "{id}": 0}}"#)).unwrap();
            assert_eq!(vocab.id(THRESHOLD_CLASS), id);
            assert!(vocab.relation_index(id).unwrap_err().contains("is the threshold class"));
        }
        let reason = reason(r#"{"P17": 0, "P50": 1}"#);
        assert!(reason.contains("1:nr:2") && reason.contains("class 0 is \"P17\""), "{reason}");
    }

    #[test]
    fn the_threshold_class_may_have_any_name_that_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relations");
        let read = |json: &str, threshold: &str| {
            std::fs::write(&path, json).unwrap();
            RelationVocab::from_rel2id(&path, None, Some(threshold))
        };
        let table = r#"{"P17": 1, "Sin relación": 0}"#;
        let vocab = read(table, "Sin relación").unwrap();
        assert_eq!(vocab.id(THRESHOLD_CLASS), "Sin relación");
        assert!(vocab.relation_index("Sin relación").unwrap_err().contains("threshold class"));
        // The same as the file of a model directory.
        assert_eq!(RelationVocab::from_bytes(vocab.to_json().as_bytes()).unwrap(), vocab);
        assert_eq!(read(&vocab.to_json(), "Sin relación").unwrap(), vocab);
        for wrong in ["P17", "sin relación", "Na", ""] {
            let error = read(table, wrong).unwrap_err().to_string();
            let expected = format!("{wrong:?} is given as the threshold class");
            assert!(error.contains(&expected) && error.contains("class 0 is"), "{error}");
        }
        assert!(reason(table).contains("`data.threshold_class`"));
        let error = RelationVocab::from_rel2id(&path, None, None).unwrap_err().to_string();
        assert!(error.contains("class 0 is \"Sin relación\""), "{error}");
    }

    #[test]
    fn relations_are_collected_in_the_order_of_their_first_label() {
        let mut vocab = RelationVocab::only_threshold();
        assert_eq!(vocab.collect("P50", Some("author")), Ok(1));
        assert_eq!(vocab.collect("in0", None), Ok(2));
        assert_eq!(vocab.collect("P50", None), Ok(1));
        for (id, reason) in [("", "empty"), ("Na", "threshold"), ("no_relation", "threshold")] {
            let error = vocab.collect(id, None).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let read = RelationVocab::from_bytes(vocab.to_json().as_bytes()).unwrap();
        assert_eq!(read, vocab);
        assert_eq!((read.n_classes(), read.name(1), read.name(2)), (3, "author", "in0"));
    }

    #[test]
    fn a_file_in_place_of_another_is_recognised() {
        let names = r#"{"P17": "country", "P50": "author"}"#;
        assert!(reason(names).contains("give the rel2id.json"));
        let table = r#"[{"id": "Na", "name": "Na"}, {"id": "P17", "name": "P17"}]"#;
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
            path
        };
        let (ids, info) = (file("ids", r#"{"Na": 0, "P17": 1}"#), file("info", names));
        let table = file("relations", table);
        for path in [&ids, &table] {
            let vocab = RelationVocab::from_rel2id(path, Some(&info), None).unwrap();
            assert_eq!((vocab.n_classes(), vocab.name(0), vocab.name(1)), (2, "Na", "country"));
        }
        let error = RelationVocab::from_rel2id(&ids, Some(&ids), None).unwrap_err().to_string();
        assert!(error.contains("give the rel_info.json"), "{error}");
        let wrong = file("wrong", r#"{"P17": "country", "P50": null}"#);
        let error = RelationVocab::from_rel2id(&ids, Some(&wrong), None).unwrap_err().to_string();
        assert!(error.contains("the name of \"P50\" must be a text"), "{error}");
    }

    #[test]
    fn a_class_index_that_is_no_whole_number_is_named() {
        for value in ["-1", "0.5", "\"0\"", "null", "[1]"] {
            let reason = reason(&format!(r#"{{"Na": 0, "P17": {value}}}"#));
            let expected = "the class index of \"P17\" must be a whole number of at least 0";
            assert!(reason.contains(expected), "{value}: {reason}");
        }
    }

    #[test]
    fn the_threshold_class_must_be_na_at_zero() {
        assert!(reason(r#"{"P17": 0, "Na": 1}"#).contains("must be class 0"));
        assert!(reason(r#"{"P17": 0}"#).contains("must be class 0"));
        assert!(reason("{}").contains("must be class 0"));
        assert!(reason(r#"{"Na": 0}"#).contains("no relation besides"));
        assert!(reason(r#"{"Na": 0, "": 1}"#).contains("empty relation id"));
    }

    #[test]
    fn other_json_is_a_format_error_and_a_missing_file_an_io_error() {
        for json in ["", "[]", "{\"Na\": -1}", "{\"Na\": \"0\"}", "{\"Na\": 0.5}", "{\"Na\": 0"] {
            assert!(matches!(from_rel2id(json), Err(Error::Format { .. })), "{json}");
        }
        let missing = Path::new("/nonexistent/relations.json");
        assert!(matches!(RelationVocab::load(missing), Err(Error::Io { .. })));
        assert!(matches!(RelationVocab::from_rel2id(missing, None, None), Err(Error::Io { .. })));
    }

    #[test]
    fn a_relations_file_with_an_unknown_key_or_a_repeated_id_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relations.json");
        for json in [
            r#"[{"id":"Na","name":"none"},{"id":"P1","name":"a"},{"id":"P1","name":"b"}]"#,
            r#"[{"id":"Na","name":"none"},{"id":"P1","name":"a","index":1}]"#,
            r#"[{"id":"Na","name":"none"},{"id":"P1"}]"#,
            r#"{"Na":0,"P1":1}"#,
        ] {
            std::fs::write(&path, json).unwrap();
            assert!(matches!(RelationVocab::load(&path), Err(Error::Format { .. })), "{json}");
        }
    }
}
