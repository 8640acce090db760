//! Text of the picture: its looks, how wide it is, and what of it fits.
//!
//! Nobody knows here with which font the reader will see it. Widths are estimated after a wide font.
//!
//! Thread-safety: plain values.

use super::{INK, px};
use svg::node::element::Text;

/// How a text looks; the size is in user units, as all lengths here.
#[derive(Clone, Copy)]
pub(super) struct Font {
    pub(super) size: f64,
    weight: &'static str,
    color: &'static str,
}

pub(super) const HEADLINE: Font = Font { size: 18.0, weight: "bold", color: INK };
pub(super) const STRONG: Font = Font { size: 13.0, weight: "bold", color: INK };
pub(super) const PLAIN: Font = Font { size: 12.0, weight: "normal", color: INK };
pub(super) const MUTED: Font = Font { size: 12.0, weight: "normal", color: "#57606a" };

/// Left of x, around it or right of it: `anchor` is end, middle or start; y is the base line.
pub(super) fn text(x: f64, y: f64, anchor: &str, font: Font, content: &str) -> Text {
    let text = Text::new(printable(content)).set("x", px(x)).set("y", px(y)).set("text-anchor", anchor);
    text.set("font-size", font.size).set("font-weight", font.weight).set("fill", font.color)
}

/// Control characters and noncharacters have no place in XML (XML 1.0, 2.2).
pub(super) fn printable(content: &str) -> String {
    let bad = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    content.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// About how wide a text is in a wide font (DejaVu Sans, Verdana); in most fonts it is narrower.
pub(super) fn width(content: &str, font: Font) -> f64 {
    let em = |c: char| match c {
        'f' | 'i' | 'j' | 'l' | 't' | ' ' | '.' | ',' | ':' | ';' | '|' | '(' | ')' | '[' | ']' | '\'' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 1.0,
        'A'..='Z' | '<' | '>' | '=' | '+' | '&' => 0.8,
        c if c.is_ascii() => 0.64,
        _ => 1.0,
    };
    content.chars().map(em).sum::<f64>() * font.size * if font.weight == "bold" { 1.1 } else { 1.0 }
}

/// With an ellipsis where it had to be cut.
pub(super) fn shorten(content: &str, room: f64, font: Font) -> String {
    if width(content, font) <= room {
        return content.into();
    }
    let mut short = content.to_owned();
    while !short.is_empty() && width(&short, font) + font.size > room {
        short.pop();
    }
    short + "\u{2026}"
}

/// Lines broken between words; a word that is wider than a line is cut.
pub(super) fn wrap(content: &str, room: f64, font: Font) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in content.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if line.is_empty() || width(&longer, font) <= room {
                line = longer;
            } else {
                lines.push(std::mem::replace(&mut line, word.to_owned()));
            }
        }
        lines.push(line);
    }
    lines.iter().map(|line| shorten(line, room, font)).collect()
}

/// Three significant digits; fewer below 0.1.
pub(super) fn number(v: f64) -> String {
    match v.abs() {
        0.0 => "0".into(),
        a if !(1e-3..1e6).contains(&a) => format!("{v:.2e}"),
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        a if a >= 1.0 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_cut_where_it_must() {
        let room = width("four words in all", PLAIN);
        assert_eq!(
            wrap("four words in all\n\nand more of it", room, PLAIN),
            ["four words in all", "", "and more of it"]
        );
        assert_eq!(wrap("four words in all of it", room, PLAIN), ["four words in all", "of it"]);
        let cut = wrap(&"W".repeat(50), room, PLAIN);
        assert!(cut.len() == 1 && cut[0].ends_with("WW\u{2026}") && width(&cut[0], PLAIN) <= room, "{cut:?}");
    }

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 0.1234, 1.234, 12.34, 1234.5, 1e300, 1e-9, -2.0, f64::NAN].map(number).join(" ");
        assert_eq!(shown, "0 0.123 1.23 12.3 1234 1.00e300 1.00e-9 -2.00 NaN");
    }
}
