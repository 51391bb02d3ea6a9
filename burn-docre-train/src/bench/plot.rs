//! The comparison as a bar chart in SVG and PNG: documents per second, one panel per mode, one bar
//! per process.

use std::{fmt::Write, path::Path};

use anyhow::{Context, Result};
use burn_docre::io::atomic_file::write_atomically;
use resvg::{tiny_skia, usvg};

use super::{
    comparison::{Named, by_mode, conditions, named, names, work},
    record::Record,
};
use crate::ui::three_digits;

const MARGIN: f64 = 24.0;
/// The length of the axis.
const AXIS: f64 = 480.0;
/// The width of the column of values behind the axis.
const VALUES: f64 = 210.0;
/// The minimum width of the column of names before the axis.
const MIN_LEFT: f64 = 190.0;
const ROW: f64 = 30.0;
const BAR: f64 = 20.0;
const PANEL_HEAD: f64 = 34.0;
const PANEL_FOOT: f64 = 12.0;
/// The number of PNG pixels per unit of the drawing.
const SCALE: f32 = 2.0;
/// The colours of Okabe and Ito, which colour-blind readers can distinguish. A process has the same
/// colour in every panel.
const COLOURS: [&str; 7] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f"];
const REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
const BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold-subset.ttf");

/// The style of a text.
struct Style {
    anchor: &'static str,
    size: f64,
    weight: &'static str,
}

const TITLE: Style = Style { anchor: "start", size: 20.0, weight: "bold" };
const SUBTITLE: Style = Style { anchor: "start", size: 13.0, weight: "normal" };
const MODE: Style = Style { anchor: "start", size: 15.0, weight: "bold" };
const NAME: Style = Style { anchor: "end", size: 13.0, weight: "normal" };
const VALUE: Style = Style { anchor: "start", size: 13.0, weight: "normal" };
const FOOT: Style = Style { anchor: "start", size: 11.0, weight: "normal" };

impl Style {
    /// The approximate width of a text with `n_characters` characters.
    fn width(&self, n_characters: usize) -> f64 {
        0.58 * self.size * n_characters as f64
    }
}

/// Draws the chart as SVG.
pub(super) fn svg(records: &[Record]) -> String {
    let records = named(records);
    let longest = records.iter().map(|named| named.name.chars().count()).max().unwrap_or(0);
    let left = MIN_LEFT.max(MARGIN + NAME.width(longest) + 12.0);
    let width = left + AXIS + VALUES;
    let mut drawing = Drawing { body: String::new(), y: 36.0, left, width };
    drawing.paragraph(&TITLE, "Throughput, documents per second");
    for line in work(&records) {
        drawing.paragraph(&SUBTITLE, &line);
    }
    let names = names(&records);
    for (mode, records) in by_mode(&records) {
        drawing.panel(mode, &records, &names);
    }
    drawing.y += 16.0;
    drawing.paragraph(
        &FOOT,
        "Bars: median of the samples; lines: slowest to fastest sample; of matmul: share of the speed of a large matrix product in the same process.",
    );
    for line in conditions(&records) {
        drawing.paragraph(&FOOT, &line);
    }
    let Drawing { body, y: height, .. } = drawing;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" role=\"img\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// A drawing that grows downwards.
struct Drawing {
    body: String,
    /// The y coordinate of the next line of text or the next panel.
    y: f64,
    /// The x coordinate at which the bars begin.
    left: f64,
    /// The width of the drawing.
    width: f64,
}

impl Drawing {
    /// Writes a text, wrapped at the width of the drawing.
    fn paragraph(&mut self, style: &Style, text: &str) {
        let mut line = String::new();
        for word in text.split(' ') {
            let n_characters = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && style.width(n_characters) > self.width - 2.0 * MARGIN {
                self.line(style, &std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        self.line(style, &line);
    }

    fn line(&mut self, style: &Style, line: &str) {
        self.text((MARGIN, self.y), style, line);
        self.y += style.size + 6.0;
    }

    /// Draws the panel of a mode. Its axis ends at the fastest sample. The position of a name in
    /// `names` selects its colour.
    fn panel(&mut self, mode: &str, records: &[&Named], names: &[&str]) {
        self.text((MARGIN, self.y + 22.0), &MODE, mode);
        self.y += PANEL_HEAD;
        let fastest = records.iter().map(|named| named.record.rate_of(named.record.min));
        let end = fastest.fold(f64::MIN_POSITIVE, f64::max);
        for named in records {
            let colour = names.iter().position(|name| *name == named.name).unwrap_or(0);
            self.row(named, end, COLOURS[colour % COLOURS.len()]);
            self.y += ROW;
        }
        self.y += PANEL_FOOT;
    }

    /// Draws the bar, the range and the values of a record; `end` is the rate at the end of the
    /// axis.
    fn row(&mut self, Named { record, name }: &Named, end: f64, colour: &str) {
        let (y, left) = (self.y, self.left);
        let x_of = |micros: u64| left + AXIS * record.rate_of(micros) / end;
        let (slow, median, fast) = (x_of(record.max), x_of(record.median), x_of(record.min));
        let (width, middle) = (median - left, y + BAR / 2.0);
        self.text((left - 12.0, middle + 4.5), &NAME, name);
        let _ = writeln!(
            self.body,
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"/>"
        );
        let _ = writeln!(
            self.body,
            "<path d=\"M{slow:.1} {middle:.1}H{fast:.1}M{slow:.1} {a:.1}V{b:.1}M{fast:.1} {a:.1}V{b:.1}\" \
             stroke=\"#222222\" stroke-width=\"1.2\" fill=\"none\"/>",
            a = middle - 4.0,
            b = middle + 4.0,
        );
        let share = record.achieved_flops().map_or(String::new(), |achieved| {
            format!("  · {:.0} % of matmul", 100.0 * achieved.share_of_matmul)
        });
        let values = format!("{}{share}", three_digits(record.rate_of(record.median)));
        self.text((fast + 8.0, middle + 4.5), &VALUE, &values);
    }

    fn text(&mut self, (x, y): (f64, f64), style: &Style, text: &str) {
        let Style { anchor, size, weight } = style;
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" \
             font-weight=\"{weight}\" fill=\"#222222\">{text}</text>"
        );
    }
}

/// Draws `svg` as a PNG file with the embedded fonts.
pub(super) fn write_png(svg: &str, path: &Path) -> Result<()> {
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
    fn every_record_has_a_bar_and_text_is_escaped() {
        let mut odd = record("tch", "training", 2.0);
        odd.device = "a < b & c".into();
        let picture = svg(&[odd, record("flex", "inference", 1.0)]);
        assert_eq!(picture.matches("rx=\"2\"").count(), 2);
        assert!(picture.contains("tch: a &lt; b &amp; c, ") && !picture.contains("a < b"));
    }

    #[test]
    fn the_axis_and_the_range_of_its_record_end_at_the_fastest_sample() {
        let quick = Record { min: 500_000, ..record("flex", "inference", 4.0) };
        let picture = svg(&[quick, record("tch", "inference", 2.0)]);
        let end = MIN_LEFT + AXIS;
        assert_eq!(picture.matches(&format!("H{end:.1}M")).count(), 1, "{picture}");
        // tch: 1.8 s in the fastest sample.
        let of_tch = MIN_LEFT + AXIS * 0.5 / 1.8;
        assert!(picture.contains(&format!("H{of_tch:.1}M")), "{picture}");
    }

    #[test]
    fn records_of_one_backend_on_different_devices_have_different_names_and_colours() {
        let there = Record { device: "a card".into(), ..record("flex", "inference", 2.0) };
        let picture = svg(&[record("flex", "inference", 1.0), there]);
        for part in [">flex, a card<", ">flex, a processor<", COLOURS[0], COLOURS[1]] {
            assert!(picture.contains(part), "{part} in {picture}");
        }
    }

    #[test]
    fn long_text_is_wrapped() {
        let mut drawing = Drawing { body: String::new(), y: 0.0, left: 0.0, width: 300.0 };
        drawing.paragraph(&FOOT, &["word"; 30].join(" "));
        assert_eq!(drawing.body.matches("<text").count(), 4);
    }

    #[test]
    fn the_png_contains_dark_pixels_of_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bench.png");
        let picture = svg(&[record("flex", "inference", 1.0)]);
        write_png(&picture, &path).unwrap();
        let drawn = tiny_skia::Pixmap::load_png(&path).unwrap();
        let dark = |pixels: &tiny_skia::Pixmap| {
            pixels.pixels().iter().filter(|pixel| pixel.red() < 100 && pixel.blue() < 100).count()
        };
        assert!(dark(&drawn) > 1000, "{} dark pixels", dark(&drawn));
    }
}
