//! Reading a file document by document.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::record::{Labels, parse_document, title_of};
use crate::data::document::Document;
use crate::data::json_array::{ArrayScanner, ScanError};
use crate::data::pair::PairSet;
use crate::{Error, Result};

/// Reads all documents of a DocRED file.
///
/// # Errors
///
/// The errors of [`DocRedReader::open`], or the first error of its items.
pub fn read_documents(path: &Path, labels: Labels) -> Result<Vec<Document>> {
    DocRedReader::open(path, labels)?.collect()
}

/// Iterates over the documents of a DocRED file.
///
/// # Errors
///
/// - [`Error::Document`] when a document is not valid JSON, lacks `title`, `vertexSet` or `sents`,
///   or is not [valid](Document::validate_for). The next item is the next document.
/// - [`Error::Document`] when the array is malformed at a document. This is the last item.
/// - [`Error::Format`] when the file is not an array, and [`Error::Io`] when it cannot be read.
///   Each is the last item.
pub struct DocRedReader<'a> {
    path: PathBuf,
    labels: Labels<'a>,
    pair_set: PairSet,
    scanner: ArrayScanner<BufReader<File>>,
    element: Vec<u8>,
    n_read: usize,
    finished: bool,
}

impl<'a> DocRedReader<'a> {
    /// Opens `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be opened.
    pub fn open(path: &Path, labels: Labels<'a>) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::io(path, "opening", source))?;
        Ok(Self {
            path: path.to_path_buf(),
            labels,
            pair_set: PairSet::OffDiagonal,
            scanner: ArrayScanner::new(BufReader::with_capacity(1 << 16, file)),
            element: Vec::new(),
            n_read: 0,
            finished: false,
        })
    }

    /// Sets the pairs that labels can be about. By default a label whose head is its tail is an
    /// error.
    pub fn with_pair_set(mut self, pair_set: PairSet) -> Self {
        self.pair_set = pair_set;
        self
    }

    fn next_document(&mut self) -> Result<Option<Document>> {
        let found = match self.scanner.next_element(&mut self.element) {
            Ok(false) => self.scanner.expect_end().map(|()| false),
            found => found,
        };
        match found {
            Ok(false) => Ok(None),
            Ok(true) => {
                let document = parse_document(&self.element, self.labels, self.pair_set)
                    .map_err(|error| self.placed(error));
                self.n_read += 1;
                document.map(Some)
            }
            Err(error) => {
                self.finished = true;
                Err(self.scan_error(error))
            }
        }
    }

    fn scan_error(&self, error: ScanError) -> Error {
        match error {
            ScanError::Io(source) => Error::io(&self.path, "reading", source),
            ScanError::NotAnArray(reason) => Error::format(&self.path, reason),
            ScanError::Broken(reason) => self.placed(Error::document(None, reason)),
        }
    }

    /// Adds file, index and, if it can be read, title of the document in `self.element`.
    fn placed(&self, mut error: Error) -> Error {
        if let Error::Document { title: title @ None, .. } = &mut error {
            *title = title_of(&self.element);
        }
        error.in_file(&self.path).at_index(self.n_read)
    }
}

impl Iterator for DocRedReader<'_> {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let document = self.next_document().transpose();
        self.finished |= document.is_none();
        document
    }
}

impl fmt::Debug for DocRedReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("DocRedReader")
            .field("path", &self.path)
            .field("n_read", &self.n_read)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::docred::sample::{ANNA, vocab};
    use crate::data::docred::write_documents;
    use crate::error::chain_of;

    fn items(json: impl AsRef<[u8]>, labels: Labels) -> Vec<Result<Document>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        std::fs::write(&path, json).unwrap();
        DocRedReader::open(&path, labels).unwrap().collect()
    }

    fn read(json: impl AsRef<[u8]>) -> Result<Vec<Document>> {
        items(json, Labels::Resolve(&vocab())).into_iter().collect()
    }

    /// Index, title and messages of the error that reading `json` returns.
    fn document_error(json: impl AsRef<[u8]>) -> (usize, Option<String>, String) {
        match read(json) {
            Err(error) => {
                let chain = chain_of(&error);
                let Error::Document { index: Some(index), title, .. } = error else {
                    panic!("no document error but {error:?}")
                };
                (index, title, chain)
            }
            other => panic!("no document error but {other:?}"),
        }
    }

    /// [`ANNA`] with one text replaced, as the second document of a file.
    fn second_document_with(from: &str, to: &str) -> String {
        assert!(ANNA.contains(from), "{from}");
        format!("[{ANNA},{}]", ANNA.replacen(from, to, 1))
    }

    #[track_caller]
    fn assert_refused(from: &str, to: &str, expected_reason: &str) {
        let (index, title, reason) = document_error(second_document_with(from, to));
        assert_eq!((index, title.as_deref()), (1, Some("Anna")), "{reason}");
        assert!(reason.contains(expected_reason), "{reason}");
    }

    #[test]
    fn an_empty_array_has_no_documents() {
        assert!(read("[]").unwrap().is_empty());
        assert!(read("\u{feff} [ ]\n").unwrap().is_empty());
    }

    #[test]
    fn an_element_that_is_not_a_document_is_refused() {
        for element in ["7", "null", "\"x\"", "[[]]"] {
            assert_eq!(document_error(format!("[{element}]")).0, 0);
        }
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let json = format!("[{ANNA},{ANNA}]");
        for length in 1..json.len() {
            let (index, _, reason) = document_error(&json[..length]);
            assert!(index <= 1 && reason.contains("the file ends"), "{length}: {index} {reason}");
        }
        let (index, title, reason) = document_error(format!("[{ANNA}"));
        assert_eq!((index, title.as_deref()), (0, Some("Anna")));
        assert!(reason.contains("without the closing `]`"));
    }

    #[test]
    fn text_after_the_array_is_refused() {
        for garbage in ["x", "[]", ",", "]", "\u{0}"] {
            let (index, _, reason) = document_error(format!("[{ANNA}] {garbage}"));
            assert_eq!(index, 1);
            assert!(reason.contains("after the end of the array"), "{reason}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        assert_refused("\"sents\":", "\"sents\"", "expected `:`");
        assert_refused("\"lives\"", "'lives'", "expected value");
        assert_refused("\"lives\"", r#""\ud800""#, "hex escape");
        assert_eq!(document_error(format!("[{ANNA}{ANNA}]")).0, 0);
        assert_eq!(document_error(format!("[{ANNA},]")).0, 1);
        assert_eq!(document_error(format!("[,{ANNA}]")).0, 0);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_even_in_unused_fields() {
        for place in ["lives", "deep"] {
            let mut json = second_document_with(place, "?????").into_bytes();
            let at = json.iter().rposition(|&byte| byte == b'?').unwrap();
            json[at] = 0xFF;
            let (index, title, reason) = document_error(json);
            assert_eq!((index, title.as_deref()), (1, Some("Anna")));
            assert!(reason.contains("not UTF-8"), "{reason}");
        }
    }

    #[test]
    fn a_file_nested_a_hundred_thousand_deep_is_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(document_error(format!("[{deep}]")).2.contains("levels deep"));
            let hidden = second_document_with("{\"deep\":[1,{\"x\":null}]}", &deep);
            assert_eq!(document_error(&hidden).0, 1);
            assert!(items(&hidden, Labels::Ignore).iter().any(Result::is_err));
        }
    }

    #[test]
    fn a_file_that_is_not_an_array_is_a_format_error() {
        for json in ["", "{}", ANNA, "7", "\"[]\"", "null", "\u{feff}"] {
            assert!(matches!(read(json), Err(Error::Format { .. })), "{json}");
        }
    }

    #[test]
    fn reading_continues_after_an_invalid_document_and_ends_at_a_malformed_array() {
        let wrong = ANNA.replace("\"pos\":[3,4]", "\"pos\":[4,3]");
        let read = items(format!("[{ANNA},{wrong},{ANNA}] x"), Labels::Ignore);
        let outcomes: Vec<_> = read.iter().map(Result::is_ok).collect();
        assert_eq!(outcomes, [true, false, true, false]);
    }

    #[test]
    fn a_self_relation_is_read_from_a_corpus_that_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        std::fs::write(&path, second_document_with("\"t\":1", "\"t\":0")).unwrap();
        let vocab = vocab();
        let open = || DocRedReader::open(&path, Labels::Resolve(&vocab)).unwrap();
        let documents: Vec<_> = open().with_pair_set(PairSet::All).collect::<Result<_>>().unwrap();
        let pair = documents[1].facts[0].pair;
        assert_eq!((pair.head, pair.tail), (0, 0));

        let error = open().collect::<Result<Vec<_>>>().unwrap_err().to_string();
        for part in ["documents.json: document 1 (\"Anna\")", "itself", "`self_relations`"] {
            assert!(error.contains(part), "{error}");
        }

        let mut file = std::fs::File::create(&path).unwrap();
        write_documents(&mut file, &documents, &vocab).unwrap();
        let again = open().with_pair_set(PairSet::All).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(again, documents);
    }

    #[test]
    fn a_missing_file_and_a_folder_are_io_errors() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_documents(&directory.path().join("none.json"), Labels::Ignore),
            Err(Error::Io { .. })
        ));
        assert!(matches!(read_documents(directory.path(), Labels::Ignore), Err(Error::Io { .. })));
    }

    #[test]
    fn the_error_names_file_document_and_title() {
        let error = read(second_document_with("\"pos\":[3,4]", "\"pos\":[4,3]")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("documents.json: document 1 (\"Anna\"): entity 1, mention 0"),
            "{text}"
        );
    }
}
