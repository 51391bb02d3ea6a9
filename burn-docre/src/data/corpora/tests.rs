//! Small files in the form of each corpus, written by hand.

use super::*;
use crate::Error;
use crate::data::docred::sample::ANNA;
use crate::data::docred::{
    DocRedReader, DocumentWriter, Labels, Layout, OnInvalid, read_documents,
};
use crate::data::document::Document;
use crate::data::pair::{EntityPair, PairSet};
use crate::error::chain_of;

const HACRED: &str = r#"{"id": 6020, "text": "安娜住奥城。",
 "sents_char": [["安", "娜", "住", "奥", "城", "。"]],
 "vertex_char": [[{"name": "安娜", "sent_id": 0, "type": "PER", "pos": [0, 2]}],
                 [{"name": "奥城", "sent_id": 0, "type": "LOC", "pos": [3, 5]}]],
 "labels_char": [{"r": "居住地", "h": 0, "t": 1}],
 "sents_word": [["安娜", "住", "奥城", "。"]],
 "vertex_word": [[{"name": "奥城", "sent_id": 0, "type": "LOC", "pos": [2, 3]}],
                 [{"name": "安娜", "sent_id": 0, "type": "PER", "pos": [0, 1]}]],
 "labels_word": [{"r": "居住地", "h": 1, "t": 0}]}
"#;

/// Concept 3 has no mention. Concept 0 is related to itself. The second line of the content is the
/// article's teaser.
const DWIE: &str = r#"{"id": "DW_1", "content": "Zoë in Tolm\nTolm's mayor Zoë Kay spoke. She left.",
 "tags": ["all", "train"],
 "mentions": [
  {"begin": 0, "end": 3, "text": "Zoë", "concept": 1, "candidates": ["Z"], "scores": [0.5]},
  {"begin": 7, "end": 11, "text": "Tolm", "concept": 0},
  {"begin": 12, "end": 16, "text": "Tolm", "concept": 0},
  {"begin": 25, "end": 32, "text": "Zoë Kay", "concept": 1}],
 "concepts": [
  {"concept": 3, "keyword": false, "count": 0, "link": "Veskia", "tags": []},
  {"concept": 0, "text": "Tolm", "keyword": true, "count": 2,
   "tags": ["slot::keyword", "type::gpe", "type::location"]},
  {"concept": 1, "text": "Zoë Kay", "keyword": false, "count": 2, "tags": ["type::person"]}],
 "relations": [{"s": 1, "p": "head_of_gov", "o": 0}, {"s": 0, "p": "in0", "o": 3},
               {"s": 0, "p": "part_of", "o": 0}],
 "frames": [{"type": "todo", "slots": []}], "iptc": ["04000000"]}
"#;

const CDR: &str = "7\tAspirin causes pain\t1:CID:2\tL2R\tNON-CROSS\t0-1\t2-3\tD1\tAspirin\tChemical\t0\t\
                   1\t0\tD2\tpain\tDisease\t2\t3\t0\n";

const HF: &str = r#"{"title": "Anna", "sents": [["Anna", "lives", "in", "Oslo", "."]],
 "vertexSet": [[{"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": "PER"}],
               [{"name": "Oslo", "sent_id": 0, "pos": [3, 4], "type": "LOC"}]],
 "labels": {"head": [0, 1], "tail": [1, 0], "relation_id": ["P551", "P1"],
            "relation_text": ["residence", "home of"], "evidence": [[0], null]}}
"#;

const LINKED: &str = r#"[{"title": "Anna", "sents": [["Anna", "lives", "in", "Oslo", "."]],
 "entities": [
  {"id": 7, "type": "LOC", "mentions": [{"name": "Oslo", "sent_id": 0, "pos": [3, 4]}],
   "entity_linking": {"wikipedia_resource": "Oslo", "wikidata_resource": "Q585",
                      "wikipedia_not_resource": null, "method": "manual", "confidence": "A"}},
  {"id": 2, "type": "PER", "mentions": [{"name": "Anna", "sent_id": 0, "pos": [0, 1]}],
   "entity_linking": {"wikipedia_resource": "\#DocRED-1\#"}}],
 "relations": [{"r": "P551", "h": 2, "t": 7, "evidence": [0]}]}]
"#;

/// A file of each form.
fn samples() -> [(CorpusFormat, String); 6] {
    [
        (CorpusFormat::HacRed, HACRED.to_owned()),
        (CorpusFormat::Dwie, DWIE.to_owned()),
        (CorpusFormat::Cdr, CDR.to_owned()),
        (CorpusFormat::Gda, CDR.replace("CID", "GDA")),
        (CorpusFormat::HfDatasets, HF.to_owned()),
        (CorpusFormat::LinkedDocRed, LINKED.replace("\\#", "#")),
    ]
}

/// The result of reading a file.
struct Found {
    documents: Result<Vec<Document>>,
    relations: RelationVocab,
    omitted: Omitted,
}

/// Reads `text` and collects its relations.
fn read(text: impl AsRef<[u8]>, options: impl Fn(DocRedReader) -> DocRedReader) -> Found {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("corpus");
    std::fs::write(&path, text).unwrap();
    let reader = DocRedReader::open(&path, Labels::Collect).unwrap();
    let mut reader = options(reader.with_pair_set(PairSet::All));
    let documents = reader.by_ref().collect();
    Found { documents, relations: reader.relations().clone(), omitted: reader.omitted().clone() }
}

fn read_as(format: CorpusFormat, text: impl AsRef<[u8]>) -> Found {
    read(text, |reader| reader.with_format(format))
}

/// The message of the error of a file, with its causes.
fn refusal(format: CorpusFormat, text: impl AsRef<[u8]>) -> String {
    chain_of(&read_as(format, text).documents.unwrap_err())
}

/// The only document of a file, and the facts with the ids of their relations.
fn only(found: Found) -> (Document, Vec<(usize, usize, String)>) {
    let [document]: [Document; 1] = found.documents.unwrap().try_into().unwrap();
    let fact = |fact: &crate::RelationFact| {
        let EntityPair { head, tail } = fact.pair;
        (head, tail, found.relations.id(fact.relation).to_owned())
    };
    let facts = document.facts.iter().map(fact).collect();
    (document, facts)
}

/// The words of each mention of an entity.
fn mentioned(document: &Document, entity: usize) -> Vec<String> {
    let mentions = document.entities[entity].mentions.iter();
    mentions.map(|m| document.sentences[m.sentence][m.start..m.end].join(" ")).collect()
}

#[test]
fn every_corpus_has_a_name_that_is_parsed() {
    for format in CorpusFormat::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    assert!("docred".parse::<CorpusFormat>().unwrap_err().to_string().contains("docred-jsonl"));
    for (name, view) in [("char", HacRedView::Char), ("word", HacRedView::Word)] {
        assert_eq!((name.parse(), view.to_string().as_str()), (Ok(view), name));
        assert_eq!(serde_json::to_value(view).unwrap(), name);
    }
}

#[test]
fn hacred_is_read_in_either_view_and_without_one_in_characters() {
    let in_view = |view| only(read(HACRED, |reader| reader.with_hacred_view(view)));
    let (document, facts) = in_view(Some(HacRedView::Word));
    assert_eq!((document.title.as_str(), document.sentences[0].len()), ("6020", 4));
    assert_eq!(
        (mentioned(&document, 1), facts),
        (vec!["安娜".into()], vec![(1, 0, "居住地".into())])
    );
    for view in [Some(HacRedView::Char), None] {
        let (document, facts) = in_view(view);
        assert_eq!(document.sentences[0].len(), 6);
        assert_eq!(mentioned(&document, 0), ["安 娜"]);
        assert_eq!((document.entities[0].kind.as_str(), facts.len()), ("PER", 1));
        assert_eq!(facts[0], (0, 1, "居住地".to_owned()));
    }
}

#[test]
fn a_hacred_record_with_one_view_is_read_in_it_unless_the_other_is_named() {
    let words_only = HACRED.replace("_char", "_other");
    assert_eq!(only(read(&words_only, |reader| reader)).0.sentences[0].len(), 4);
    let named = read(&words_only, |reader| reader.with_hacred_view(Some(HacRedView::Char)));
    let error = chain_of(&named.documents.unwrap_err());
    assert!(error.contains("document 0 (\"6020\"): missing field `sents_char`"), "{error}");
}

#[test]
fn a_view_is_for_hacred_only_and_a_malformed_first_record_does_not_decide_the_format() {
    let error = read(DWIE, |reader| reader.with_hacred_view(Some(HacRedView::Word)));
    let error = chain_of(&error.documents.unwrap_err());
    assert!(error.contains("document 0") && error.contains("leave out the view"), "{error}");
    // The first line ends with a comma.
    let one_line = HACRED.replace('\n', " ");
    let malformed = one_line.trim_end().strip_suffix('}').unwrap().to_owned() + ", }";
    let lines = format!("{malformed}\n{one_line}");
    for view in [None, Some(HacRedView::Word)] {
        let found = read(&lines, |reader| {
            reader.with_hacred_view(view).on_invalid(OnInvalid::SkipDocument)
        });
        assert_eq!(found.documents.unwrap().len(), 1);
    }
}

#[test]
fn a_document_of_another_split_and_a_skipped_one_are_not_checked_and_add_no_relations() {
    let broken = DWIE.replace("DW_1", "DW_2").replacen("\"content\"", "\"missing\"", 1);
    let broken = broken.replace("\"train\"", "\"test\"");
    let found =
        read(format!("{broken}\n{DWIE}"), |reader| reader.with_split(Some("train".to_owned())));
    assert_eq!(found.documents.unwrap().len(), 1);
    assert_eq!(found.omitted["documents of another split"], 1);
    // Tags that are no list are an error whatever the split.
    let tags = DWIE.replace(r#"["all", "train"]"#, "null");
    let found = read(&tags, |reader| reader.with_split(Some("train".to_owned())));
    assert!(chain_of(&found.documents.unwrap_err()).contains("null"));
    // The label is of an entity that does not exist.
    let label = r#"{"r": "P99", "h": 0, "t": 77, "evidence": null}"#;
    let invalid = ANNA.replacen("\"labels\":[", &format!("\"labels\":[{label},"), 1);
    assert_ne!(invalid, ANNA);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("documents.json");
    std::fs::write(&path, format!("[{invalid}]")).unwrap();
    let reader = DocRedReader::open(&path, Labels::Collect).unwrap();
    let mut reader = reader.on_invalid(OnInvalid::SkipDocument);
    assert_eq!(reader.by_ref().count(), 0);
    assert_eq!(reader.relations().n_classes(), 1);
}

#[test]
fn dwie_concepts_are_entities_and_character_offsets_are_words() {
    let found = read_as(CorpusFormat::Dwie, DWIE);
    let omitted: Vec<_> = found.omitted.clone().into_iter().collect();
    assert_eq!(
        omitted,
        [("concepts without a mention", 1), ("facts about a concept without a mention", 1)]
    );
    let (document, facts) = only(found);
    assert_eq!(document.title, "DW_1");
    let sentences: Vec<_> = document.sentences.iter().map(|words| words.join(" ")).collect();
    assert_eq!(sentences, ["Zoë in Tolm", "Tolm ' s mayor Zoë Kay spoke .", "She left ."]);
    assert_eq!(mentioned(&document, 0), ["Tolm", "Tolm"]);
    assert_eq!(mentioned(&document, 1), ["Zoë", "Zoë Kay"]);
    assert_eq!(document.entities[1].mentions[1].name, "Zoë Kay");
    assert_eq!(document.entities[0].kind, "gpe,location");
    assert_eq!(facts, [(1, 0, "head_of_gov".to_owned()), (0, 0, "part_of".to_owned())]);
}

#[test]
fn dwie_tokens_are_kept_where_the_article_has_them() {
    let tokens = r#""tokenization": {"tokens": ["Zoë", "in Tolm", "\n", "Tolm's mayor", "Zoë", "Kay"],
                    "begin": [0, 4, 11, 12, 25, 29], "end": [3, 11, 12, 24, 28, 32]}, "tags""#;
    let (document, _) = only(read_as(CorpusFormat::Dwie, DWIE.replacen("\"tags\"", tokens, 1)));
    // Words are cut where a mention begins or ends.
    assert_eq!(document.sentences[0], ["Zoë", "in ", "Tolm"]);
    assert_eq!(document.sentences[1], ["Tolm", "'s mayor", "Zoë", "Kay"]);
    assert_eq!(mentioned(&document, 0), ["Tolm", "Tolm"]);
    let tokens = tokens.replace("[0, 4", "[0, 2");
    let error = refusal(CorpusFormat::Dwie, DWIE.replacen("\"tags\"", &tokens, 1));
    assert!(error.contains("`tokenization`: 2 to 11 is no token"), "{error}");
}

#[test]
fn dwie_articles_of_several_files_are_read_one_after_the_other() {
    let second = DWIE.replace("DW_1", "DW_2");
    let documents = read(format!("{DWIE}{second}"), |reader| reader).documents.unwrap();
    assert_eq!(documents.iter().map(|d| d.title.as_str()).collect::<Vec<_>>(), ["DW_1", "DW_2"]);
}

#[test]
fn a_dwie_mention_that_is_not_at_its_offsets_is_an_error_or_skipped() {
    for (from, to, expected) in [
        (
            "\"begin\": 12, \"end\": 16",
            "\"begin\": 13, \"end\": 16",
            "the content has \"olm\" at 13",
        ),
        ("\"begin\": 12, \"end\": 16", "\"begin\": 16, \"end\": 12", "16 to 12 is no span"),
        ("\"begin\": 12, \"end\": 16", "\"begin\": 12, \"end\": 99", "12 to 99 is no span"),
        ("\"begin\": 12", "\"begin\": -1", "-1 to 16 is no span"),
    ] {
        let text = DWIE.replacen(from, to, 1);
        let error = refusal(CorpusFormat::Dwie, &text);
        assert!(error.contains("document 0 (\"DW_1\"): entity 0, mention 1"), "{error}");
        assert!(error.contains(expected), "{error}");
        let skipped = read(&text, |reader| reader.on_invalid(OnInvalid::SkipMention));
        assert_eq!(mentioned(&only(skipped).0, 0).len(), 1);
    }
    // Other spaces and invisible characters are no difference.
    let text = DWIE.replace("\"text\": \"Zoë Kay\"", "\"text\": \"Zoë\u{a0}Kay\"");
    assert!(read_as(CorpusFormat::Dwie, text).documents.is_ok());
}

#[test]
fn a_split_selects_dwie_articles_by_their_tags() {
    let text = format!("{DWIE}{}", DWIE.replace("DW_1", "DW_2").replace("\"train\"", "\"test\""));
    for (split, title) in [("train", "DW_1"), ("test", "DW_2")] {
        let found = read(&text, |reader| reader.with_split(Some(split.to_owned())));
        assert_eq!(found.omitted["documents of another split"], 1);
        assert_eq!(only(found).0.title, title);
    }
    let all = read(&text, |reader| reader.with_split(Some("all".to_owned())));
    assert_eq!(all.documents.unwrap().len(), 2);
}

#[test]
fn inconsistent_dwie_articles_are_refused() {
    for (from, to, expected) in [
        ("\"content\"", "\"text\"", "no `content`; DWIE's download script adds it"),
        ("\"concept\": 3", "\"concept\": 0", "two concepts have the number 0"),
        ("\"concept\": 3", "\"concept\": 4", "a relation names concept 3"),
        ("\"text\": \"Tolm\", \"concept\": 0}", "\"text\": \"Tolm\", \"concept\": 9}", "concept 9"),
        ("\"p\"", "\"q\"", "missing field `p`"),
        ("\"head_of_gov\"", "\"Na\"", "label 0: \"Na\" is the threshold class"),
    ] {
        assert!(DWIE.contains(from), "{from}");
        let error = refusal(CorpusFormat::Dwie, DWIE.replacen(from, to, 1));
        assert!(error.contains("document 0 (\"DW_1\")") && error.contains(expected), "{error}");
    }
}

#[test]
fn cdr_and_gda_have_one_relation_beside_the_threshold_class() {
    for (format, relation) in [(CorpusFormat::Cdr, "1:CID:2"), (CorpusFormat::Gda, "1:GDA:2")] {
        let vocab = format.relations().unwrap();
        let ids: Vec<_> = vocab.iter().map(|relation| relation.id.as_str()).collect();
        assert_eq!(ids, ["1:NR:2", relation]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("corpus.data");
        std::fs::write(&path, CDR).unwrap();
        let reader = DocRedReader::open(&path, Labels::Resolve(&vocab)).unwrap();
        let found: Result<Vec<_>> = reader.with_format(format).collect();
        if format == CorpusFormat::Cdr {
            let documents = found.unwrap();
            assert_eq!((documents[0].title.as_str(), documents[0].facts[0].relation), ("7", 1));
        } else {
            let error = found.unwrap_err().to_string();
            assert!(error.contains("document 0 (\"7\"): label 0: relation \"1:CID:2\""), "{error}");
        }
    }
}

#[test]
fn labels_of_the_datasets_library_are_read_from_columns_and_from_rows() {
    let rows = r#""labels": [
        {"head": 0, "tail": 1, "relation_id": "P551", "relation_text": "residence", "evidence": [0]},
        {"head": 1, "tail": 0, "relation_id": "P1", "relation_text": "home of", "evidence": null}]}"#;
    let in_rows = format!("{}{rows}", &HF[..HF.find("\"labels\"").unwrap()]);
    for text in [HF, &in_rows] {
        let found = read_as(CorpusFormat::HfDatasets, text);
        assert_eq!(found.relations.name(1), "residence");
        let (document, facts) = only(found);
        assert_eq!(facts, [(0, 1, "P551".to_owned()), (1, 0, "P1".to_owned())]);
        assert_eq!(document.facts[0].evidence, [0]);
    }
    let error = refusal(CorpusFormat::HfDatasets, HF.replace("\"tail\": [1, 0]", "\"tail\": [1]"));
    assert!(error.contains("2 values in `head`, but 1 in `tail`"), "{error}");
    let error = refusal(CorpusFormat::HfDatasets, HF.replace("\"tail\"", "\"to\""));
    assert!(error.contains("columns `head`, `tail`, `relation_id`"), "{error}");
}

#[test]
fn linked_docred_relations_name_entities_by_their_ids() {
    let text = LINKED.replace("\\#", "#");
    let (document, facts) = only(read(&text, |reader| reader));
    assert_eq!(facts, [(1, 0, "P551".to_owned())]);
    assert_eq!((document.entities[0].kind.as_str(), document.facts[0].evidence[0]), ("LOC", 0));
    let error = refusal(CorpusFormat::LinkedDocRed, text.replace("\"h\": 2", "\"h\": 1"));
    assert!(error.contains("document 0 (\"Anna\"): a relation names entity 1"), "{error}");
    let error = refusal(CorpusFormat::LinkedDocRed, text.replace("\"id\": 2", "\"id\": 7"));
    assert!(error.contains("two entities have the id 7"), "{error}");
}

#[test]
fn documents_of_every_corpus_are_written_in_docreds_format_and_read_back_equal() {
    let directory = tempfile::tempdir().unwrap();
    for (format, text) in samples() {
        let found = read_as(format, text);
        let documents = found.documents.unwrap();
        let path = directory.path().join(format!("{format}.json"));
        let mut writer = DocumentWriter::new(std::fs::File::create(&path).unwrap(), Layout::Array);
        documents.iter().for_each(|document| writer.write(document, &found.relations).unwrap());
        writer.finish().unwrap();
        let labels = Labels::Resolve(&found.relations);
        let reader = DocRedReader::open(&path, labels).unwrap().with_pair_set(PairSet::All);
        assert_eq!(reader.collect::<Result<Vec<_>>>().unwrap(), documents, "{format}");
        assert!(documents.iter().all(|document| !document.facts.is_empty()), "{format}");
    }
}

#[test]
fn json_corpora_with_keys_of_their_own_are_recognised() {
    for (format, text) in samples() {
        if format.is_text() || format == CorpusFormat::HfDatasets {
            continue;
        }
        let (expected, _) = only(read_as(format, &text));
        assert_eq!(only(read(&text, |reader| reader)).0, expected, "{format}");
    }
    // An export of `datasets` is read as DocRED: only its labels differ, which are ignored here.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("export.json");
    std::fs::write(&path, HF).unwrap();
    assert_eq!(read_documents(&path, Labels::Ignore).unwrap().len(), 1);
    for text in [r#"{"title": "t", "sents": []}"#, "{", "[7]"] {
        assert_eq!(CorpusFormat::detect(text.as_bytes()), None);
    }
}

#[test]
fn a_truncated_or_damaged_file_of_any_corpus_is_an_error_or_other_documents() {
    for (format, text) in samples() {
        let text = text.trim_end();
        for length in (1..text.len()).filter(|length| length % 7 == 1) {
            let found = read_as(format, &text.as_bytes()[..length]).documents;
            // A line that is cut off within its text is a valid line without pairs.
            let is_short = format.is_text() && text[..length].trim_end().split('\t').count() == 2;
            assert_eq!(found.is_err(), !is_short, "{format}: {length} of {} bytes", text.len());
        }
        for (index, byte) in (0..text.len()).zip(b"0\"\t-9]\xFF".iter().copied().cycle()).step_by(5)
        {
            let mut damaged = text.as_bytes().to_vec();
            damaged[index] = byte;
            if let Err(error) = read_as(format, damaged).documents {
                assert!(matches!(error, Error::Document { .. } | Error::Format { .. }));
            }
        }
    }
}
