// SPDX-License-Identifier: GPL-2.0-or-later

//! Tables for people.

/// On which side of a column its text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Lines of cells.
#[derive(Debug)]
pub(super) struct Table {
    sides: Vec<Side>,
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(columns: &[(&str, Side)]) -> Self {
        Self {
            sides: columns.iter().map(|(_, side)| *side).collect(),
            lines: vec![columns.iter().map(|(name, _)| (*name).into()).collect()],
        }
    }

    /// Adds a line.
    pub(super) fn add(&mut self, cells: Vec<String>) {
        self.lines.push(cells);
    }

    /// The lines, with a blank between the columns and none at the end.
    pub(super) fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = (0..self.sides.len())
            .map(|column| {
                let cells = self.lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        self.lines
            .iter()
            .map(|line| {
                let mut text = String::new();
                for ((cell, width), side) in line.iter().zip(&widths).zip(&self.sides) {
                    if !text.is_empty() {
                        text.push(' ');
                    }
                    text += &match side {
                        Side::Left => format!("{cell:<width$}"),
                        Side::Right => format!("{cell:>width$}"),
                    };
                }
                text.truncate(text.trim_end().len());
                text
            })
            .collect()
    }
}

/// A cell for what may be unknown.
pub(super) fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("N", Side::Right), ("NAME", Side::Left)]);
        table.add(vec!["100".into(), "\u{e4}".into()]);
        table.add(vec![cell(None::<u32>), "abcdef".into()]);
        assert_eq!(table.lines(), ["  N NAME", "100 \u{e4}", "  - abcdef"]);
    }
}
