//! Tests of the picture: it is read again as XML, and measured by the labels beside its axis.

use super::*;
use roxmltree::{Document, Node};

fn bar(group: &str, peer: &str, ratio: f64) -> Bar {
    let (group, peer, unit) = (group.into(), peer.into(), "Mpps".into());
    Bar { group, peer, unit, ours: ratio, peer_value: 1.0, ratio, ratio_spread: None, goal: None }
}

/// Thirty rows from 0.05 to 80, with names of 40 characters.
fn many() -> Vec<Bar> {
    let mut bars: Vec<Bar> = (0..30)
        .map(|i| bar(&format!("{:r<40}", i / 2), &format!("{i:p<40}"), 0.05 * 1.29f64.powi(i)))
        .collect();
    for bar in &mut bars {
        bar.ratio_spread = Some((bar.ratio * 0.8, bar.ratio * 1.3));
        bar.goal = Some(0.8);
    }
    bars
}

fn class<'a>(picture: &'a Document, class: &str) -> Vec<Node<'a, 'a>> {
    picture.descendants().filter(|n| n.attribute("class") == Some(class)).collect()
}

fn at(node: &Node, name: &str) -> f64 {
    node.attribute(name).and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("{name} of {node:?}"))
}

/// The crate `svg` puts line breaks around them, which nobody sees.
fn texts<'a>(picture: &'a Document) -> Vec<(Node<'a, 'a>, &'a str)> {
    let texts = picture.descendants().filter(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "text")));
    texts.map(|n| (n, n.text().unwrap_or("").trim())).collect()
}

/// Where a ratio has to be, going by two labels.
fn place(picture: &Document, ratio: f64) -> f64 {
    let labels = texts(picture).into_iter().filter(|(n, _)| n.attribute("text-anchor") == Some("middle"));
    let ticks: Vec<(f64, f64)> = labels
        .filter_map(|(n, label)| Some((label.strip_suffix('x')?.parse::<f64>().ok()?.ln(), at(&n, "x"))))
        .collect();
    let (least, most) = (ticks[0], ticks[ticks.len() - 1]);
    assert!(least.0 < 0.0 && most.0 > 0.0, "labels on both sides of 1: {ticks:?}");
    least.1 + (ratio.ln() - least.0) / (most.0 - least.0) * (most.1 - least.1)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.5
}

#[test]
fn each_row_has_a_bar_from_1_to_its_ratio() {
    let rows = many();
    let picture = svg(&rows, "title", "footer");
    let picture = Document::parse(&picture).unwrap();
    let one = at(&class(&picture, "one")[0], "x1");
    assert!(near(one, place(&picture, 1.0)));
    let drawn = class(&picture, "bar");
    assert_eq!(drawn.len(), rows.len());
    for (row, bar) in rows.iter().zip(&drawn) {
        let (from, to) = (at(bar, "x"), at(bar, "x") + at(bar, "width"));
        let (start, end) = if row.ratio < 1.0 { (to, from) } else { (from, to) };
        assert!(near(start, one) && near(end, place(&picture, row.ratio)), "{row:?}: {from} to {to}");
        assert_eq!(end > one, row.ratio > 1.0, "{row:?}");
        assert_eq!(bar.attribute("fill"), Some(if row.ratio > 1.0 { BETTER } else { WORSE }));
    }
    assert!(drawn.windows(2).all(|b| at(&b[0], "y") + at(&b[0], "height") < at(&b[1], "y")));
}

#[test]
fn spreads_and_goals_are_where_they_belong() {
    let mut rows = vec![bar("a", "p", 1.2), bar("b", "p", 0.5), bar("c", "p", 2.0)];
    rows[0].ratio_spread = Some((0.1, 1.4));
    rows[1].goal = Some(9.0);
    let picture = svg(&rows, "title", "footer");
    let picture = Document::parse(&picture).unwrap();
    let numbers = |node: &Node| -> Vec<f64> {
        let ways = node.attribute("d").unwrap_or("");
        ways.split(|c: char| !matches!(c, '0'..='9' | '.' | '-')).filter_map(|n| n.parse().ok()).collect()
    };
    let middle = |i: usize| at(&class(&picture, "bar")[i], "y") + THICK / 2.0;
    let (spreads, goals) = (class(&picture, "spread"), class(&picture, "goal"));
    assert_eq!((spreads.len(), goals.len()), (1, 1), "only those that were given");
    let spread = numbers(&spreads[0]);
    assert!(near(spread[0], place(&picture, 0.1)) && near(spread[2], place(&picture, 1.4)), "{spread:?}");
    assert!(near(spread[1], middle(0)), "{spread:?}");
    let goal = numbers(&goals[0]);
    assert!(near(goal[0], place(&picture, 9.0)) && near(goal[1] + 6.0, middle(1)), "{goal:?}");
    let left = texts(&picture).iter().find(|(_, t)| *t == "a (Mpps)").map(|(n, _)| at(n, "x") + GAP).unwrap();
    assert!(left < spread[0] && goal[0] < left + AXIS, "the axis reaches as far as they do");
}

#[test]
fn names_are_shown_as_they_are_and_break_nothing() {
    let name = r#"<b> & "x" 'y' ]]> é"#;
    let picture = svg(&[bar(name, name, 1.5), bar("bell\u{7}", "nul\0\u{ffff}", 1.0)], name, name);
    let picture = Document::parse(&picture).unwrap();
    let shown: Vec<&str> = texts(&picture).into_iter().map(|(_, t)| t).collect();
    assert_eq!(shown.iter().filter(|t| **t == name).count(), 3, "title, peer, footer: {shown:?}");
    for expected in [format!("{name} (Mpps)").as_str(), "bell\u{fffd} (Mpps)", "nul\u{fffd}\u{fffd}", "1.50x"]
    {
        assert!(shown.contains(&expected), "{expected}: {shown:?}");
    }
    assert!(shown.contains(&"(1.50 vs 1.00 Mpps)"), "{shown:?}");
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -1.0];
    let mut rows: Vec<Bar> = bad.iter().map(|r| bar("bad", "peer", *r)).collect();
    let picture = svg(&rows, "title", "footer");
    assert!(picture.contains("No row has a peer to be compared with."));
    assert!(Document::parse(&svg(&[], "", "")).is_ok());

    rows.push(bar("good", "peer", 1.5));
    rows[6].ratio_spread = Some((0.0, 2.0));
    rows[6].goal = Some(f64::NAN);
    let picture = svg(&rows, "title", "footer");
    let picture = Document::parse(&picture).unwrap();
    assert_eq!(class(&picture, "bar").len(), 1);
    assert_eq!(class(&picture, "spread").len() + class(&picture, "goal").len(), 0);
    let notes: Vec<&str> = texts(&picture).into_iter().map(|(_, t)| t).collect();
    assert_eq!(notes.iter().filter(|n| n.starts_with("Not drawn: bad beside peer")).count(), bad.len());
    assert!(notes.contains(&"Not drawn: bad beside peer, the ratio is NaN."), "{notes:?}");
    assert!(notes.contains(&"Spread not drawn: good beside peer, the ratios are 0 to 2.00."), "{notes:?}");
}

#[test]
fn no_text_is_clipped_or_covered() {
    let mut extreme = vec![bar(&"W".repeat(90), &"m".repeat(90), 1e-300), bar("x", "y", f64::MAX)];
    extreme.push(bar("x", "z", f64::NAN));
    for rows in
        [many(), vec![bar("x", "y", 1.0)], vec![bar("x", "y", 900.0)], vec![bar("x", "y", 0.01)], extreme]
    {
        let picture = svg(&rows, &"long title ".repeat(20), &"long footer ".repeat(60));
        let picture = Document::parse(&picture).unwrap();
        let (wide, high) = (at(&picture.root_element(), "width"), at(&picture.root_element(), "height"));
        let boxes: Vec<(f64, f64, f64, f64, &str)> = texts(&picture)
            .into_iter()
            .map(|(node, shown)| {
                let size = at(&node, "font-size");
                let font = [HEADLINE, STRONG, PLAIN].into_iter().find(|f| f.size == size).unwrap();
                let (x, y, width) = (at(&node, "x"), at(&node, "y"), width(shown, font));
                let left = match node.attribute("text-anchor") {
                    Some("start") => x,
                    Some("middle") => x - width / 2.0,
                    _ => x - width,
                };
                (left, left + width, y - size * 0.8, y + size * 0.25, shown)
            })
            .collect();
        for (i, a) in boxes.iter().enumerate() {
            assert!(a.0 >= 0.0 && a.1 <= wide && a.2 >= 0.0 && a.3 <= high, "{a:?} outside {wide} x {high}");
            let covers = |b: &&(f64, f64, f64, f64, &str)| a.0 < b.1 && b.0 < a.1 && a.2 < b.3 && b.2 < a.3;
            assert_eq!(boxes[i + 1..].iter().find(covers), None, "over {a:?}");
        }
    }
}
