//! CDR and GDA in the rows of pairs that ATLOP reads: files with the extension `.data`.
//!
//! Source: the writer, `data_processing/process.py` in
//! <https://github.com/fenchri/edge-oriented-graph>, and the readers `read_cdr` and `read_gda` of
//! ATLOP's `prepro.py`. A line is a document, in columns separated by tabs. The first two are the
//! PMID and the text, with sentences separated by `|` and words by a space. Each pair of a chemical
//! or gene and a disease has 17 further columns:
//!
//! | columns | content |
//! |---|---|
//! | 0 | `1:CID:2`, `1:GDA:2`, or `1:NR:2` for no relation; `not_include` for a negative pair that the filter of hypernyms has taken out |
//! | 1 to 4 | order in the text (`L2R`, `R2L`), `CROSS` or `NON-CROSS`, the closest mentions |
//! | 5 to 7 | first argument: identifiers, names of its mentions separated by `\|`, type |
//! | 8 to 10 | its mentions: first words, ends and sentences, separated by `:`; words are counted in the document |
//! | 11 to 16 | the same for the second argument |
//!
//! A label relates the first argument to the second, which is also the relation's direction. ATLOP
//! exchanges them in rows with `R2L`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::Result;
use crate::data::raw::{Omitted, RawDocument, RawLabel, RawMention, refused};

/// The name of the threshold class.
pub(super) const THRESHOLD: &str = "1:NR:2";
/// The relation of a pair that the filter of hypernyms has taken out.
const FILTERED: &str = "not_include";
/// The number of columns of a pair.
const N_COLUMNS: usize = 17;

/// The title of a line, its PMID.
pub(super) fn title_of(line: &[u8]) -> Option<String> {
    let end = line.iter().position(|&byte| byte == b'\t')?;
    std::str::from_utf8(&line[..end]).ok().map(str::to_owned)
}

/// Parses one line.
pub(super) fn parse(line: &str) -> Result<RawDocument<Vec<RawLabel>>> {
    let columns: Vec<&str> = line.trim_end().split('\t').collect();
    let (title, text, pairs) = match columns.as_slice() {
        [title, text, pairs @ ..] if pairs.len().is_multiple_of(N_COLUMNS) => (title, text, pairs),
        columns => {
            let n = columns.len();
            return Err(refused(format!(
                "{n} columns separated by tabs; there must be 2, and {N_COLUMNS} for each pair"
            )));
        }
    };
    let sentences: Vec<Vec<String>> =
        text.split('|').map(|text| text.split(' ').map(str::to_owned).collect()).collect();
    let mut entities = Entities::new(&sentences);
    let (mut labels, mut omitted) = (Vec::new(), Omitted::new());
    for (index, pair) in pairs.chunks_exact(N_COLUMNS).enumerate() {
        let placed = |reason: String| refused(format!("pair {index}: {reason}"));
        let h = entities.position(&pair[5..11]).map_err(placed)?;
        let t = entities.position(&pair[11..17]).map_err(placed)?;
        match pair[0] {
            THRESHOLD => {}
            FILTERED => {
                *omitted.entry("pairs taken out by the filter of hypernyms").or_default() += 1;
            }
            relation => {
                labels.push(RawLabel { r: relation.to_owned(), h, t, evidence: None, name: None })
            }
        }
    }
    Ok(RawDocument {
        title: (*title).to_owned(),
        entities: entities.found,
        labels: Some(labels),
        omitted,
        sentences,
    })
}

/// The entities of a document, in the order of their first pair.
struct Entities<'a> {
    sentences: &'a [Vec<String>],
    /// The first word of each sentence in the document, and the number of all words.
    starts: Vec<usize>,
    /// The columns of an entity and its position, by its identifiers.
    known: HashMap<&'a str, (&'a [&'a str], usize)>,
    found: Vec<Vec<RawMention>>,
}

impl<'a> Entities<'a> {
    fn new(sentences: &'a [Vec<String>]) -> Self {
        let mut starts = vec![0];
        for sentence in sentences {
            starts.push(starts[starts.len() - 1] + sentence.len());
        }
        Self { sentences, starts, known: HashMap::new(), found: Vec::new() }
    }

    /// The position in `found` of the entity that six columns of a pair describe. Adds the entity
    /// at its first pair.
    fn position(&mut self, columns: &'a [&'a str]) -> Result<i64, String> {
        let id = columns[0];
        let next = self.found.len();
        let position = match self.known.entry(id) {
            Entry::Occupied(entry) => {
                let (known, position) = *entry.get();
                if known != columns {
                    return Err(format!("entity {id:?} differs from the one of an earlier pair"));
                }
                return Ok(position as i64);
            }
            Entry::Vacant(entry) => entry.insert((columns, next)).1,
        };
        let mentions = self.mentions(columns).map_err(|reason| format!("entity {id:?}: {reason}"));
        self.found.push(mentions?);
        Ok(position as i64)
    }

    fn mentions(&self, columns: &[&str]) -> Result<Vec<RawMention>, String> {
        let &[_, names, kind, starts, ends, sentences] = columns else {
            return Err("its columns are incomplete".to_owned());
        };
        let starts = numbers(starts)?;
        let (ends, sentences) = (numbers(ends)?, numbers(sentences)?);
        if starts.len() != ends.len() || starts.len() != sentences.len() {
            let lengths = (starts.len(), ends.len(), sentences.len());
            return Err(format!("{lengths:?} first words, ends and sentences of its mentions"));
        }
        let names: Vec<&str> = names.split('|').collect();
        let spans = starts.iter().zip(&ends).zip(&sentences).enumerate();
        // A name that contains the separator gives more names than mentions.
        let has_names = names.len() == starts.len();
        let mentions = spans.map(|(index, ((&start, &end), &sentence))| {
            let name = has_names.then(|| names[index].to_owned());
            self.mention(start, end, sentence, name, kind)
        });
        Ok(mentions.collect())
    }

    /// The mention from the word `start` of the document to the one before `end`. Words that are no
    /// span of the sentence are the mention's fault.
    fn mention(
        &self,
        start: usize,
        end: usize,
        sentence: usize,
        name: Option<String>,
        kind: &str,
    ) -> RawMention {
        let first = self.starts.get(sentence).copied().unwrap_or(usize::MAX);
        let is_inside = start >= first
            && start < end
            && self.starts.get(sentence + 1).is_some_and(|&next| end <= next);
        let pos = if is_inside { [start - first, end - first] } else { [0, 0] };
        let fault = (!is_inside).then(|| {
            format!("the words {start} to {end} of the document are no span of sentence {sentence}")
        });
        let words = || self.sentences[sentence][pos[0]..pos[1]].join(" ");
        let name = name.unwrap_or_else(|| if is_inside { words() } else { String::new() });
        RawMention {
            name,
            kind: kind.to_owned(),
            sent_id: sentence as i64,
            pos: pos.map(|word| word as i64).to_vec(),
            fault,
        }
    }
}

/// The numbers in a list separated by colons.
fn numbers(list: &str) -> Result<Vec<usize>, String> {
    let number = |text: &str| {
        // Sums of indices of 32 bits do not overflow.
        let number = text.parse::<u32>().map_err(|_| format!("{text:?} is no index of a word"));
        number.map(|number| number as usize)
    };
    list.split(':').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sentences of three words each.
    const TEXT: &str = "7\tAspirin causes pain|Acute pain heals";
    const ASPIRIN: &str = "D1\tAspirin\tChemical\t0\t1\t0";
    const PAIN: &str = "D2|D3\tpain|acute pain\tDisease\t2:3\t3:5\t0:1";
    const OTHER: &str = "D4\theals\tDisease\t5\t6\t1";

    fn line(pairs: &[(&str, &str, &str)]) -> String {
        let pair = |(relation, first, second): &(&str, &str, &str)| {
            format!("\t{relation}\tR2L\tNON-CROSS\t0-1\t2-3\t{first}\t{second}")
        };
        format!("{TEXT}{}", pairs.iter().map(pair).collect::<String>())
    }

    fn reason(line: &str) -> String {
        parse(line).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_line_is_read_with_its_entities_once_each_and_its_positive_pairs() {
        let line = line(&[
            ("1:CID:2", ASPIRIN, PAIN),
            ("1:NR:2", ASPIRIN, OTHER),
            ("not_include", ASPIRIN, OTHER),
        ]);
        let document = parse(&format!("{line}\n")).unwrap();
        assert_eq!((document.title.as_str(), document.sentences.len()), ("7", 2));
        let mentions: Vec<Vec<_>> = document
            .entities
            .iter()
            .map(|mentions| {
                mentions.iter().map(|m| (m.name.as_str(), m.sent_id, m.pos.clone())).collect()
            })
            .collect();
        assert_eq!(
            mentions,
            [
                vec![("Aspirin", 0, vec![0, 1])],
                vec![("pain", 0, vec![2, 3]), ("acute pain", 1, vec![0, 2])],
                vec![("heals", 1, vec![2, 3])],
            ]
        );
        assert_eq!(document.entities[1][0].kind, "Disease");
        let labels = document.labels.unwrap();
        assert_eq!(labels.len(), 1);
        // The first argument is the head, also in a row with `R2L`.
        assert_eq!((labels[0].r.as_str(), labels[0].h, labels[0].t), ("1:CID:2", 0, 1));
        let omitted: Vec<_> = document.omitted.into_iter().collect();
        assert_eq!(omitted, [("pairs taken out by the filter of hypernyms", 1)]);
    }

    #[test]
    fn a_document_without_pairs_has_no_entities() {
        let document = parse(TEXT).unwrap();
        assert!(document.entities.is_empty() && document.labels.unwrap().is_empty());
    }

    #[test]
    fn a_name_with_the_separator_in_it_is_taken_from_the_text() {
        let odd = "D1\ta|b\tChemical\t0\t1\t0";
        let document = parse(&line(&[("1:NR:2", odd, PAIN)])).unwrap();
        assert_eq!(document.entities[0][0].name, "Aspirin");
    }

    #[test]
    fn a_mention_outside_its_sentence_has_its_fault() {
        for (span, expected) in [
            ("2\t4\t0", "the words 2 to 4 of the document are no span of sentence 0"),
            ("3\t4\t0", "no span of sentence 0"),
            ("0\t1\t1", "no span of sentence 1"),
            ("1\t1\t0", "no span of sentence 0"),
            ("0\t1\t2", "no span of sentence 2"),
            ("0\t1\t4294967295", "no span of sentence 4294967295"),
        ] {
            let entity = format!("D1\tx\tChemical\t{span}");
            let document = parse(&line(&[("1:NR:2", &entity, PAIN)])).unwrap();
            let fault = document.entities[0][0].fault.as_deref().unwrap_or_default();
            assert!(fault.contains(expected), "{span}: {fault:?}");
        }
    }

    #[test]
    fn malformed_lines_are_refused_with_the_place_of_the_fault() {
        let whole = line(&[("1:CID:2", ASPIRIN, PAIN)]);
        assert!(reason(whole.rsplit_once('\t').unwrap().0).contains("18 columns"));
        assert!(reason("7").contains("1 columns"));
        let wrong = whole.replace("2:3\t3:5", "2:x\t3:5");
        assert!(reason(&wrong).contains("pair 0: entity \"D2|D3\": \"x\" is no index of a word"));
        let wrong = whole.replace("2:3\t3:5", "2:3\t3");
        assert!(reason(&wrong).contains("(2, 1, 2) first words"), "{}", reason(&wrong));
        let changed = PAIN.replace("3:5", "3:4");
        let wrong = line(&[("1:CID:2", ASPIRIN, PAIN), ("1:NR:2", ASPIRIN, &changed)]);
        assert!(reason(&wrong).contains("pair 1: entity \"D2|D3\" differs"));
    }

    #[test]
    fn the_title_of_a_line_is_its_first_column() {
        assert_eq!(title_of(b"12\tx").as_deref(), Some("12"));
        assert_eq!(title_of(b"12"), None);
        assert_eq!(title_of(b"\xFF\tx"), None);
    }
}
