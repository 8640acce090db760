//! Printing: the same data as a table for people, or as JSON or YAML for programs.

use crate::args::Format;
use crate::client::Failure;
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// Something that can be shown; programs get it as it serialises.
pub(crate) trait View: Serialize {
    /// Whole lines.
    fn table(&self) -> String;
}

pub(crate) fn show(format: Format, view: &impl View) -> Result<(), Failure> {
    print(&rendered(format, view)?)
}

pub(crate) fn rendered(format: Format, view: &impl View) -> Result<String, Failure> {
    match format {
        Format::Table => Ok(view.table()),
        Format::Json => serde_json::to_string(view).map(|s| s + "\n").map_err(|e| unprintable(&e)),
        Format::Yaml => serde_saphyr::to_string(view).map_err(|e| unprintable(&e)),
    }
}

fn unprintable(e: &impl ToString) -> Failure {
    Failure::Refused(format!("output: cannot be written: {}", e.to_string()))
}

/// To standard output. A reader that has seen enough (`vswctl show | head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|e| unprintable(&e)),
    }
}

/// On a terminal that has colours and wants them (no-color.org).
pub(crate) fn coloured() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    wanted && std::env::var_os("TERM").is_none_or(|t| t != "dumb") && std::io::stdout().is_terminal()
}

/// Numbers stand to the right, everything else to the left.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Text(String),
    Number(String),
    /// A port's state.
    State(String),
}

impl Item {
    pub(crate) fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }
    pub(crate) fn number(n: impl ToString) -> Self {
        Self::Number(n.to_string())
    }

    fn cell(self) -> Cell {
        match self {
            Self::Text(text) => Cell::new(text),
            Self::Number(n) => Cell::new(n).set_alignment(CellAlignment::Right),
            Self::State(state) => {
                let cell = Cell::new(&state);
                match state.as_str() {
                    "up" => cell.fg(Color::DarkGreen),
                    "failed" => cell.fg(Color::DarkRed),
                    "down" => cell.fg(Color::DarkYellow),
                    _ => cell,
                }
            }
        }
    }
}

/// Aligned lines: the header, then one for each row. As wide as its content, whatever the terminal.
pub(crate) fn lines<const N: usize>(header: [&str; N], rows: Vec<[Item; N]>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.style_text_only();
    if coloured() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    // A header stands over its column as the column stands.
    let right: Vec<bool> = match rows.first() {
        Some(row) => row.iter().map(|item| matches!(item, Item::Number(_))).collect(),
        None => vec![false; N],
    };
    table.set_header(header.iter().zip(right).map(|(text, right)| {
        Cell::new(text).set_alignment(if right { CellAlignment::Right } else { CellAlignment::Left })
    }));
    for row in rows {
        table.add_row(row.map(Item::cell));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}
