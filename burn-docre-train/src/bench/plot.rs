//! The comparison as a picture: documents a second by mode, one bar a backend. SVG, and PNG drawn from it.

use std::{fmt::Write, path::Path};

use anyhow::{Context, Result};
use burn_docre::atomic_file::write_atomically;
use resvg::{tiny_skia, usvg};

use super::{modes_in_order, record::Record, table};

const WIDTH: f64 = 880.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 230.0;
const TOP: f64 = 92.0;
const ROW: f64 = 30.0;
const BAR: f64 = 20.0;
const PANEL_HEAD: f64 = 46.0;
const FOOT: f64 = 44.0;
/// Pixels of the PNG to one unit of the drawing.
const SCALE: f32 = 2.0;
/// Okabe and Ito's colours, which colour-blind readers can tell apart; a backend keeps its own in every panel.
const COLOURS: [&str; 7] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f"];
const REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
const BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold-subset.ttf");

/// The picture as SVG.
pub fn svg(records: &[Record]) -> String {
    let panels = modes_in_order(records);
    let mut labels: Vec<String> = Vec::new();
    for record in records {
        if !labels.contains(&record.label()) {
            labels.push(record.label());
        }
    }
    let n_rows: usize = panels.iter().map(|(_, records)| records.len()).sum();
    let height = TOP + panels.len() as f64 * PANEL_HEAD + n_rows as f64 * ROW + FOOT;
    let mut body = String::new();
    text(&mut body, (24.0, 36.0), "start", 20.0, true, "Throughput by backend, documents a second");
    text(&mut body, (24.0, 60.0), "start", 13.0, false, &subtitle(records));
    let mut y = TOP;
    for (mode, records) in panels {
        text(&mut body, (24.0, y + 22.0), "start", 15.0, true, &mode);
        y += PANEL_HEAD - 12.0;
        let fastest = records.first().map_or(1.0, |record| record.per_second(record.documents));
        for record in records {
            let colour = labels.iter().position(|label| *label == record.label()).unwrap_or(0);
            row(&mut body, y, record, fastest, COLOURS[colour % COLOURS.len()]);
            y += ROW;
        }
        y += 12.0;
    }
    let foot = "Bars: median of the samples; lines: slowest to fastest sample.";
    text(&mut body, (24.0, height - 18.0), "start", 12.0, false, foot);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" role=\"img\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn subtitle(records: &[Record]) -> String {
    let Some(first) = records.first() else { return String::new() };
    let batch = first.shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(0);
    let mut devices: Vec<&str> = records.iter().map(|record| record.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    let on = match devices[..] {
        [device] => device.to_string(),
        _ => format!("{} devices", devices.len()),
    };
    format!("{} documents, batches of {batch}, {on}", first.documents)
}

fn row(body: &mut String, y: f64, record: &Record, fastest: f64, colour: &str) {
    let full = WIDTH - LEFT - RIGHT;
    let rate = record.per_second(record.documents);
    // The slowest sample of another bar may be faster than this scale's end only by noise; it is cut there.
    let x_of = |rate: f64| LEFT + full * (rate / fastest).min(1.08);
    let (width, middle) = (x_of(rate) - LEFT, y + BAR / 2.0);
    text(body, (LEFT - 12.0, middle + 4.5), "end", 13.0, false, &record.label());
    let _ = writeln!(
        body,
        "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"/>"
    );
    let of_sample = |micros: u64| record.documents as f64 / (micros.max(1) as f64 * 1e-6);
    let (slow, fast) = (x_of(of_sample(record.max)), x_of(of_sample(record.min)));
    let _ = writeln!(
        body,
        "<path d=\"M{slow:.1} {middle:.1}H{fast:.1}M{slow:.1} {a:.1}V{b:.1}M{fast:.1} {a:.1}V{b:.1}\" \
         stroke=\"#222222\" stroke-width=\"1.2\" fill=\"none\"/>",
        a = middle - 4.0,
        b = middle + 4.0,
    );
    let share = record
        .achieved_flops()
        .map_or(String::new(), |(_, share)| format!("  · {:.0} % of matmul", 100.0 * share));
    let value = format!("{}{share}", table::figure(rate));
    text(body, (fast.max(x_of(rate)) + 8.0, middle + 4.5), "start", 13.0, false, &value);
}

fn text(body: &mut String, (x, y): (f64, f64), anchor: &str, size: f64, bold: bool, words: &str) {
    let weight = if bold { " font-weight=\"bold\"" } else { "" };
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\"{weight} fill=\"#222222\">{words}</text>"
    );
}

/// Draws `svg` as a PNG file, with the fonts that the program carries.
pub fn write_png(svg: &str, path: &Path) -> Result<()> {
    let mut options = usvg::Options { font_family: "DejaVu Sans".into(), ..Default::default() };
    let fonts = options.fontdb_mut();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    let tree = usvg::Tree::from_str(svg, &options).context("the plot cannot be drawn")?;
    let size = tree.size().to_int_size();
    let (width, height) =
        ((size.width() as f32 * SCALE) as u32, (size.height() as f32 * SCALE) as u32);
    let mut pixels = tiny_skia::Pixmap::new(width, height).context("the plot has no size")?;
    let transform = tiny_skia::Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    let png = pixels.encode_png().context("the plot cannot be written as PNG")?;
    Ok(write_atomically(path, |out| std::io::Write::write_all(out, &png))?)
}

#[cfg(test)]
mod tests {
    use super::{super::record::tests::record, *};

    #[test]
    fn every_record_has_a_bar_and_words_are_escaped() {
        let mut odd = record("tch", "training", 2.0);
        odd.device = "a < b & c".into();
        let picture = svg(&[odd, record("flex", "inference", 1.0)]);
        assert_eq!(picture.matches("rx=\"2\"").count(), 2);
        assert!(picture.contains("2 devices") && !picture.contains("a < b"));
    }

    #[test]
    fn the_png_has_letters_and_bars() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bench.png");
        let with = svg(&[record("flex", "inference", 1.0)]);
        write_png(&with, &path).unwrap();
        let drawn = tiny_skia::Pixmap::load_png(&path).unwrap();
        let dark = |pixels: &tiny_skia::Pixmap| {
            pixels.pixels().iter().filter(|pixel| pixel.red() < 100 && pixel.blue() < 100).count()
        };
        assert!(dark(&drawn) > 1000, "{} dark pixels", dark(&drawn));
    }
}
