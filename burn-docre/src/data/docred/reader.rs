//! Reading a file document by document.

use std::fmt;
use std::path::{Path, PathBuf};

use super::invalid::{OnInvalid, Skipped};
use super::record::{Labels, Parser, Record};
use crate::data::corpora::{CorpusFormat, HacRedView};
use crate::data::document::Document;
use crate::data::json_array::{ArrayScanner, ScanError};
use crate::data::lines::LineScanner;
use crate::data::pair::PairSet;
use crate::data::raw::{Omitted, refused};
use crate::data::relation::RelationVocab;
use crate::error::chain_of;
use crate::input::{self, Reader, TextPosition};
use crate::{Error, Result};

/// Reads all documents of a DocRED file.
///
/// # Errors
///
/// The errors of [`DocRedReader::open`], or the first error of its items.
pub fn read_documents(path: &Path, labels: Labels) -> Result<Vec<Document>> {
    DocRedReader::open(path, labels)?.collect()
}

/// Iterates over the documents of a file: a JSON array or JSON lines in DocRED's format, or a file
/// of another [corpus](CorpusFormat).
///
/// Without [`with_format`](Self::with_format), the keys of the first well-formed record tell whether
/// the file is of DocRED, HacRED, DWIE or Linked-DocRED.
///
/// # Errors
///
/// - [`Error::Document`] when a document is not valid JSON, lacks `title`, `vertexSet` or `sents`,
///   or is not [valid](Document::validate_for). The next item is the next document.
/// - [`Error::Document`] when the array is malformed at a document. This is the last item.
/// - [`Error::Format`] when the file starts neither as an array nor as an object, and
///   [`Error::Io`] when it cannot be read. Each is the last item.
pub struct DocRedReader<'a> {
    path: PathBuf,
    labels: Labels<'a>,
    /// `None` until a record of a known corpus is read, if the caller gives no format. That record
    /// decides for those after it.
    format: Option<CorpusFormat>,
    hacred_view: Option<HacRedView>,
    split: Option<String>,
    pair_set: PairSet,
    on_invalid: OnInvalid,
    scanner: Scanner,
    element: Vec<u8>,
    n_read: usize,
    n_unlabelled: usize,
    skipped: Skipped,
    omitted: Omitted,
    relations: RelationVocab,
    finished: bool,
}

/// The scanner of a file's records.
enum Scanner {
    Json(ArrayScanner<Reader>),
    Lines(LineScanner<Reader>),
}

impl Scanner {
    /// Reads the bytes of the next record into `element`. Returns `false` at the end of the file.
    fn next_element(&mut self, element: &mut Vec<u8>) -> Result<bool, ScanError> {
        match self {
            Self::Lines(scanner) => scanner.next_line(element),
            Self::Json(scanner) => match scanner.next_element(element) {
                Ok(false) => scanner.expect_end().map(|()| false),
                found => found,
            },
        }
    }

    /// The position of the first byte of the current record.
    fn element_start(&self) -> TextPosition {
        match self {
            Self::Json(scanner) => scanner.element_start(),
            Self::Lines(scanner) => scanner.line_start(),
        }
    }
}

impl<'a> DocRedReader<'a> {
    /// Opens `path`, which may be compressed, a pipe, or [`STANDARD`](crate::input::STANDARD).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be opened.
    pub fn open(path: &Path, labels: Labels<'a>) -> Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            labels,
            format: None,
            hacred_view: None,
            split: None,
            pair_set: PairSet::OffDiagonal,
            on_invalid: OnInvalid::Error,
            scanner: Scanner::Json(ArrayScanner::new(input::open(path)?)),
            element: Vec::new(),
            n_read: 0,
            n_unlabelled: 0,
            skipped: Skipped::default(),
            omitted: Omitted::new(),
            relations: RelationVocab::only_threshold(),
            finished: false,
        })
    }

    /// Sets the format of the file.
    ///
    /// # Panics
    /// If a document has been read.
    pub fn with_format(self, format: CorpusFormat) -> Self {
        assert_eq!(self.n_read, 0, "the format is set before the first document is read");
        let scanner = match self.scanner {
            Scanner::Json(scanner) if format.is_text() => {
                Scanner::Lines(LineScanner::new(scanner.into_input()))
            }
            scanner => scanner,
        };
        Self { format: Some(format), scanner, ..self }
    }

    /// Sets the view of HacRED's documents. Without it, or with `None`, it is the characters, or
    /// the words of a document that has no characters. With a view, a document of another corpus is
    /// an error.
    pub fn with_hacred_view(self, hacred_view: Option<HacRedView>) -> Self {
        Self { hacred_view, ..self }
    }

    /// Selects the documents of one split, in a corpus whose records
    /// [name](CorpusFormat::has_splits) it. With `None`, and in other corpora, all documents are
    /// read.
    pub fn with_split(self, split: Option<String>) -> Self {
        Self { split, ..self }
    }

    /// Sets the pairs that labels can be about. By default a label whose head is its tail is an
    /// error.
    pub fn with_pair_set(self, pair_set: PairSet) -> Self {
        Self { pair_set, ..self }
    }

    /// Sets the treatment of invalid documents; the default is [`OnInvalid::Error`].
    ///
    /// A file that is not a JSON array or JSON lines stays an error.
    pub fn on_invalid(self, on_invalid: OnInvalid) -> Self {
        Self { on_invalid, ..self }
    }

    /// The mentions and documents skipped so far.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The parts of the documents read so far that a [`Document`] has no place for: their numbers
    /// by description.
    pub fn omitted(&self) -> &Omitted {
        &self.omitted
    }

    /// The relations of the documents read so far, with [`Labels::Collect`].
    pub fn relations(&self) -> &RelationVocab {
        &self.relations
    }

    /// The number of documents without the key `labels` among those read so far. A list of labels
    /// may be empty. It is 0 with [`Labels::Ignore`].
    pub fn n_unlabelled(&self) -> usize {
        self.n_unlabelled
    }

    fn next_document(&mut self) -> Result<Option<Document>> {
        loop {
            match self.scanner.next_element(&mut self.element) {
                Ok(false) => return Ok(None),
                Ok(true) => {
                    self.format = self.format.or_else(|| CorpusFormat::detect(&self.element));
                    let is_other = |format| format != CorpusFormat::HacRed;
                    if self.hacred_view.is_some() && self.format.is_some_and(is_other) {
                        self.finished = true;
                        return Err(self.placed(refused(
                            "this is no record of HacRED, and only HacRED has a view of characters \
                             and one of words; leave out the view",
                        )));
                    }
                    let document = self.document();
                    self.n_read += 1;
                    match document {
                        Err(error) if self.on_invalid != OnInvalid::Error => {
                            self.skipped.add_document(chain_of(&error));
                        }
                        Ok(None) => {}
                        document => return document,
                    }
                }
                Err(error) => {
                    self.finished = true;
                    return Err(self.scan_error(error));
                }
            }
        }
    }

    /// Parses the document in `self.element`. Returns `None` if it belongs to another split.
    fn document(&mut self) -> Result<Option<Document>> {
        let format = self.format.unwrap_or(CorpusFormat::DocRed);
        if let (Some(split), Some(splits)) = (&self.split, format.splits_of(&self.element))
            && !splits.contains(split)
        {
            *self.omitted.entry("documents of another split").or_default() += 1;
            return Ok(None);
        }
        let parser = Parser {
            labels: self.labels,
            format,
            hacred_view: self.hacred_view,
            pair_set: self.pair_set,
            skips_mentions: self.on_invalid == OnInvalid::SkipMention,
        };
        let start = self.scanner.element_start();
        let record = parser.parse(&self.element, start, &mut self.relations);
        let Record { document, has_labels, skipped_mentions, omitted } =
            record.map_err(|error| self.placed(error))?;
        for (what, number) in omitted {
            *self.omitted.entry(what).or_default() += number;
        }
        self.n_unlabelled += usize::from(!has_labels);
        for fault in skipped_mentions {
            let fault = Error::document(document.title.clone(), fault).at_index(self.n_read);
            self.skipped.add_mention(fault);
        }
        Ok(Some(document))
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
            let format = self.format.unwrap_or(CorpusFormat::DocRed);
            *title = format.title_of(&self.element);
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
    #[should_panic = "before the first document is read"]
    fn the_format_of_a_file_cannot_change_after_its_first_document() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        std::fs::write(&path, format!("[{ANNA},{ANNA}]")).unwrap();
        let mut reader = DocRedReader::open(&path, Labels::Ignore).unwrap();
        reader.next().unwrap().unwrap();
        let _ = reader.with_format(CorpusFormat::Dwie);
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
        for json in ["", "7", "\"[]\"", "null", "\u{feff}"] {
            assert!(matches!(read(json), Err(Error::Format { .. })), "{json}");
        }
    }

    #[test]
    fn json_lines_a_single_object_and_compressed_files_hold_the_documents_of_an_array() {
        use std::io::Write;
        let array = read(format!("[{ANNA},{ANNA}]")).unwrap();
        assert_eq!(read(format!("{ANNA}\n{ANNA}\n")).unwrap(), array);
        assert_eq!(read(ANNA).unwrap(), array[..1]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        write!(gzip, "\u{feff}[{ANNA},{ANNA}]").unwrap();
        assert_eq!(read(gzip.finish().unwrap()).unwrap(), array);
        let (index, _, reason) = document_error(format!("{ANNA}\n[{ANNA}]"));
        assert_eq!(index, 1);
        assert!(reason.contains("between the objects of JSON lines"), "{reason}");
    }

    #[test]
    fn the_line_of_an_error_is_that_of_the_file() {
        let pretty = "[\n {\n  \"title\": \"a\",\n  \"sents\": [],\n  \"vertexSet\": []\n },\n {\n  \
                      \"title\": \"b\",\n  \"sents\": 7\n }\n]";
        let (index, title, reason) = document_error(pretty);
        assert_eq!((index, title.as_deref()), (1, Some("b")));
        assert!(
            reason.ends_with("expected a list, not the number 7 (line 9, column 12)"),
            "{reason}"
        );
        let (_, _, reason) =
            document_error("{\"title\": \"a\", \"sents\": [],\n\"vertexSet\": []} {7}");
        assert!(reason.ends_with("key must be a string (line 2, column 19)"), "{reason}");
    }

    #[test]
    fn invalid_mentions_or_documents_are_skipped_and_listed_where_that_is_chosen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        let empty_span = ANNA.replace("\"pos\":[0,1]}", "\"pos\":[0,0]}");
        let first_only = ANNA.replacen("\"pos\":[0,1]}", "\"pos\":[5,5]}", 1);
        let documents = [ANNA, &first_only, &empty_span, "{\"title\": 7}", ANNA].join(",");
        std::fs::write(&path, format!("[{documents}]")).unwrap();
        let vocab = vocab();
        let read = |on_invalid| {
            let reader = DocRedReader::open(&path, Labels::Resolve(&vocab)).unwrap();
            let mut reader = reader.on_invalid(on_invalid);
            let found: Result<Vec<_>> = reader.by_ref().collect();
            (found, reader.skipped().clone())
        };
        let (found, skipped) = read(OnInvalid::SkipMention);
        let n_mentions: Vec<_> =
            found.unwrap().iter().map(|document| document.entities[0].mentions.len()).collect();
        assert_eq!(n_mentions, [2, 1, 2]);
        assert_eq!((skipped.n_mentions, skipped.n_documents), (1, 2));
        assert!(
            skipped.faults[0].starts_with("document 1 (\"Anna\"): entity 0, mention 0: [5, 5]")
        );
        assert!(skipped.faults[1].ends_with("document 2 (\"Anna\"): entity 0 has no mentions"));
        let causes = ["document 3", "a string, not the number 7 (line 1"];
        assert!(causes.iter().all(|part| skipped.faults[2].contains(part)), "{skipped}");
        let (found, skipped) = read(OnInvalid::SkipDocument);
        assert_eq!((found.unwrap().len(), skipped.n_mentions, skipped.n_documents), (2, 0, 3));
        let (found, skipped) = read(OnInvalid::Error);
        assert!(found.unwrap_err().to_string().contains("document 1 (\"Anna\")"));
        assert!(skipped.is_empty());
    }

    #[test]
    fn a_malformed_file_is_an_error_whatever_is_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        std::fs::write(&path, format!("[{ANNA},")).unwrap();
        let reader = DocRedReader::open(&path, Labels::Ignore).unwrap();
        let found: Vec<_> = reader.on_invalid(OnInvalid::SkipDocument).collect();
        assert!(found.len() == 2 && found[1].is_err(), "{found:?}");
    }

    #[test]
    fn documents_without_the_key_labels_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        let misspelt = ANNA.replace("\"labels\":", "\"relations\":");
        let empty = ANNA.replace(r#"[{"r":"P551","h":0,"t":1,"evidence":[0]}]"#, "[]");
        std::fs::write(&path, format!("[{ANNA},{misspelt},{empty}]")).unwrap();
        let vocab = vocab();
        for (labels, expected) in [(Labels::Resolve(&vocab), 1), (Labels::Ignore, 0)] {
            let mut reader = DocRedReader::open(&path, labels).unwrap();
            assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 3);
            assert_eq!(reader.n_unlabelled(), expected);
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
