//! The page: one HTML file with its style and its script, which loads nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::sections::Section;
use crate::version;

const STYLE: &str = include_str!("style.css");

/// The parts of a section that other files own.
#[derive(Default)]
pub(super) struct Assets {
    /// A style sheet that follows that of the page.
    pub(super) style: &'static str,
    /// A script at the end of the page; may be empty.
    pub(super) script: &'static str,
}

/// Renders the page with its sections in their order.
pub(super) fn page(title: &str, sections: &[Section], assets: &Assets) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // The page may not load anything, whatever its texts are.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) (PreEscaped(assets.style)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    h1 { (title) }
                    nav aria-label="Sections" {
                        ul {
                            @for section in sections {
                                li { a href={ "#" (section.id) } { (section.title) } }
                            }
                        }
                    }
                }
                main id="content" tabindex="-1" {
                    @for Section { id, title, body } in sections {
                        section id=(id) aria-labelledby={ (id) "-heading" } {
                            h2 id={ (id) "-heading" } { (title) }
                            (body)
                        }
                    }
                }
                footer {
                    p { "Written by docre " (version::PROGRAM) ". The page is one file and loads nothing." }
                }
                @if !assets.script.is_empty() { script { (PreEscaped(assets.script)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sections() -> Vec<Section> {
        let section = |id, title| Section { id, title, body: html! { p { "x" } } };
        vec![section("runs", "Runs"), section("scores", "Scores")]
    }

    #[test]
    fn every_section_has_a_heading_a_label_and_a_link() {
        let page = page("A <title>", &sections(), &Assets::default()).into_string();
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
        assert!(page.contains("<h1>A &lt;title&gt;</h1>") && !page.contains("<script"), "{page}");
        for part in [
            "<a href=\"#scores\">Scores</a>",
            "<section id=\"scores\" aria-labelledby=\"scores-heading\"><h2 id=\"scores-heading\">Scores",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    /// The colours of a theme by name.
    fn colours(theme: &str) -> BTreeMap<&str, [f64; 3]> {
        let lines =
            theme.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        let channel = |hex: &str, i: usize| {
            let value = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        lines.map(|(name, hex)| (name, [0, 1, 2].map(|i| channel(hex, i)))).collect()
    }

    /// The contrast ratio of WCAG 2.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |[r, g, b]: [f64; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
        let (a, b) = (luminance(a), luminance(b));
        a.max(b) / a.min(b)
    }

    #[test]
    fn the_contrast_of_black_and_white_is_21() {
        let colours = colours("--a: #000000;\n--b: #ffffff;");
        assert!((contrast(colours["a"], colours["b"]) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn every_colour_of_text_has_enough_contrast_in_both_themes() {
        let (light, rest) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
        let dark = rest.split_once("\n}").unwrap().0;
        let (light, dark) = (colours(light), colours(dark));
        assert!(light.keys().eq(dark.keys()) && light.len() > 10, "{light:?} {dark:?}");
        for theme in [light, dark] {
            let grounds = ["background", "surface"].map(|name| theme[name]);
            for (name, colour) in &theme {
                if ["background", "surface", "border"].contains(name) {
                    continue;
                }
                for ground in grounds {
                    assert!(
                        contrast(*colour, ground) >= 4.5,
                        "{name}: {}",
                        contrast(*colour, ground)
                    );
                }
            }
        }
    }
}
