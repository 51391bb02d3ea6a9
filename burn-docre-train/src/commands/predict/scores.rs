//! The logits of all pairs as a safetensors file.
//!
//! Document `i`, counted from 0 in the order of the input, has the tensors `pairs.i` (I32
//! `[pairs, 2]`, head and tail) and `logits.i` (F32 `[pairs, classes]`). The metadata holds the
//! titles and the identifiers of the classes, each as the text of a JSON list.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, Write},
    path::Path,
};

use burn_docre::data::{pair::EntityPair, relation::RelationVocab};
use serde_json::{Map, Value, json};

/// The longest header that readers of safetensors accept, in bytes.
const MAX_HEADER: usize = 100_000_000;
/// The length of a header is a multiple of this number of bytes.
const ALIGNMENT: usize = 8;

/// Collects the logits of documents. The header of a safetensors file precedes the values and names
/// all of them, so the values wait in a file without a name. The memory holds the header alone.
pub(super) struct Scores<'a> {
    vocab: &'a RelationVocab,
    values: BufWriter<File>,
    n_bytes: usize,
    titles: Vec<String>,
    /// The tensors of the header, each after a comma.
    tensors: String,
}

impl<'a> Scores<'a> {
    /// No documents yet. The values wait in a file on the disk of `output`.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(super) fn new(output: &Path, vocab: &'a RelationVocab) -> io::Result<Self> {
        let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = tempfile::tempfile_in(directory.unwrap_or(Path::new(".")))?;
        let (titles, tensors) = (Vec::new(), String::new());
        Ok(Self { vocab, values: BufWriter::new(file), n_bytes: 0, titles, tensors })
    }

    /// Adds the pairs of the next document and their logits, row by row.
    ///
    /// # Errors
    /// If the values cannot be written, or there are too many documents for one file.
    pub(super) fn add(
        &mut self,
        title: &str,
        pairs: impl Iterator<Item = EntityPair>,
        logits: &[f32],
    ) -> io::Result<()> {
        let n_pairs = logits.len() / self.vocab.n_classes();
        self.start("pairs", "I32", [n_pairs, 2]);
        for EntityPair { head, tail } in pairs {
            for entity in [head, tail] {
                let entity = i32::try_from(entity).map_err(io::Error::other)?;
                self.values.write_all(&entity.to_le_bytes())?;
            }
        }
        self.start("logits", "F32", [n_pairs, self.vocab.n_classes()]);
        for logit in logits {
            self.values.write_all(&logit.to_le_bytes())?;
        }
        self.titles.push(title.to_owned());
        check_header(self.tensors.len())
    }

    /// Adds a tensor of the next document to the header. Both types have four bytes.
    fn start(&mut self, name: &str, dtype: &str, shape: [usize; 2]) {
        let begin = self.n_bytes;
        self.n_bytes += shape[0] * shape[1] * size_of::<f32>();
        let offsets = [begin, self.n_bytes];
        let tensor = json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        self.tensors += &format!(",\"{name}.{}\":{tensor}", self.titles.len());
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// If it cannot be written, or there are too many documents for one file.
    pub(super) fn write(self, out: &mut impl Write) -> io::Result<()> {
        let classes: Vec<&str> = self.vocab.iter().map(|relation| relation.id.as_str()).collect();
        let mut metadata = Map::new();
        for (key, list) in [("classes", json!(classes)), ("titles", json!(self.titles))] {
            metadata.insert(key.to_owned(), Value::String(list.to_string()));
        }
        let mut header = format!("{{\"__metadata__\":{}{}}}", json!(metadata), self.tensors);
        let padded = header.len().next_multiple_of(ALIGNMENT);
        header.extend(std::iter::repeat_n(' ', padded - header.len()));
        check_header(header.len())?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        let mut values = self.values.into_inner().map_err(io::IntoInnerError::into_error)?;
        values.rewind()?;
        io::copy(&mut values, out).map(drop)
    }
}

fn check_header(length: usize) -> io::Result<()> {
    if length > MAX_HEADER {
        return Err(io::Error::other(
            "too many documents for a safetensors file, whose header has at most 100 MB; predict \
             parts of the input, or give a `.jsonl` file",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use safetensors::{Dtype, SafeTensors};

    use super::*;

    fn pair(head: usize, tail: usize) -> EntityPair {
        EntityPair { head, tail }
    }

    fn bytes<T>(values: &[T], encode: fn(&T) -> [u8; 4]) -> Vec<u8> {
        values.iter().flat_map(encode).collect()
    }

    #[test]
    fn documents_are_told_apart_by_their_index_also_with_equal_titles_or_without_pairs() {
        let vocab = RelationVocab::docred();
        let n = vocab.n_classes();
        let directory = tempfile::tempdir().unwrap();
        let mut scores = Scores::new(&directory.path().join("x.safetensors"), &vocab).unwrap();
        let logits: Vec<f32> = (0..2 * n).map(|value| value as f32 / 3.0).collect();
        scores.add("\"a\"", [pair(0, 1), pair(1, 0)].into_iter(), &logits).unwrap();
        scores.add("alone", std::iter::empty(), &[]).unwrap();
        scores.add("\"a\"", std::iter::once(pair(3, 2)), &logits[n..]).unwrap();
        let mut file = Vec::new();
        scores.write(&mut file).unwrap();

        let read = SafeTensors::deserialize(&file).unwrap();
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let metadata = header.metadata().as_ref().unwrap();
        let list = |key: &str| serde_json::from_str::<Vec<String>>(&metadata[key]).unwrap();
        assert_eq!(list("titles"), ["\"a\"", "alone", "\"a\""]);
        assert_eq!(list("classes")[..2], [vocab.id(0), vocab.id(1)]);
        assert_eq!((read.len(), list("classes").len()), (6, n));
        for (name, dtype, shape, data) in [
            ("pairs.0", Dtype::I32, [2, 2], bytes(&[0_i32, 1, 1, 0], |v| v.to_le_bytes())),
            ("logits.0", Dtype::F32, [2, n], bytes(&logits, |v| v.to_le_bytes())),
            ("pairs.1", Dtype::I32, [0, 2], Vec::new()),
            ("logits.1", Dtype::F32, [0, n], Vec::new()),
            ("pairs.2", Dtype::I32, [1, 2], bytes(&[3_i32, 2], |v| v.to_le_bytes())),
            ("logits.2", Dtype::F32, [1, n], bytes(&logits[n..], |v| v.to_le_bytes())),
        ] {
            let tensor = read.tensor(name).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (dtype, &shape[..]), "{name}");
            assert_eq!(tensor.data(), data, "{name}");
        }
    }

    #[test]
    fn a_header_that_readers_refuse_is_an_error() {
        assert!(check_header(MAX_HEADER).is_ok());
        let error = check_header(MAX_HEADER + 1).unwrap_err().to_string();
        assert!(error.contains("too many documents"), "{error}");
    }
}
