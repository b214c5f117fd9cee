//! Tables for people: columns, no borders, no colours, no wrapping, so that they read the same
//! on a terminal and in a pipe.

use comfy_table::{CellAlignment, Table, TableStyle};

/// Lays out rows below a header. Columns named in `numbers` are aligned to the right.
pub(super) fn table(
    header: &[&str],
    numbers: &[usize],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_where_the_text_ends() {
        let rows =
            [vec!["orders".to_owned(), "3".to_owned()], vec!["a".to_owned(), "12".to_owned()]];
        assert_eq!(
            table(&["TOPIC", "PARTITIONS"], &[1], rows),
            "TOPIC   PARTITIONS\norders           3\na               12"
        );
    }
}
