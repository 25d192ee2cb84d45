//! Lines of a frame, cut to the width and height that there are.

use super::sample::{Row, Shown, Standing};

const TITLES: [&str; 11] = [
    "NAME",
    "STATE",
    "PID",
    "PEERS",
    "SETTLED/S",
    "OPEN",
    "IN DOUBT",
    "HEIGHT",
    "LOG",
    "CPU %",
    "MEMORY",
];
/// Between two columns.
const GAP: &str = "  ";

fn cell<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Up => "up",
        Standing::Silent => "SILENT",
        Standing::Dead => "DEAD",
        Standing::Down => "down",
    }
}

fn cells(row: &Row) -> [String; 11] {
    [
        row.name.clone(),
        word(row.state).to_owned(),
        cell(row.pid, |pid| pid.to_string()),
        cell(row.peers_up.zip(row.peers_known), |(up, known)| format!("{up}/{known}")),
        cell(row.settlements_per_second, |rate| format!("{rate:.1}")),
        cell(row.open, |open| open.to_string()),
        cell(row.in_doubt, |late| late.to_string()),
        cell(row.height, |height| height.to_string()),
        megabytes(row.log_bytes),
        cell(row.cpu_percent, |cpu| format!("{cpu:.0}")),
        cell(row.memory_bytes, megabytes),
    ]
}

/// The lines, at most `height` of at most `width` characters.
pub(super) fn draw(shown: &Shown, width: usize, height: usize) -> Vec<String> {
    let titles = TITLES.map(str::to_owned);
    let table: Vec<[String; 11]> =
        std::iter::once(titles).chain(shown.rows.iter().map(cells)).collect();
    let mut widths = [0_usize; 11];
    for row in &table {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut lines = vec![summary(shown)];
    for row in &table {
        let cells = row.iter().zip(widths).enumerate().map(|(place, (cell, width))| {
            // Words to the left, numbers to the right.
            if place < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        lines.push(cells.collect::<Vec<_>>().join(GAP));
    }
    if shown.faults.is_empty() {
        lines.push("no faults in force".to_owned());
    } else {
        lines.extend(shown.faults.iter().map(|fault| format!("fault: {fault}")));
    }
    if lines.len() > height {
        let left_out = lines.len().saturating_sub(height.saturating_sub(1));
        lines.truncate(height.saturating_sub(1));
        lines.push(format!("… and {left_out} lines more"));
    }
    lines.iter().map(|line| line.trim_end().chars().take(width).collect()).collect()
}

fn summary(shown: &Shown) -> String {
    let rows = &shown.rows;
    let up = rows.iter().filter(|row| row.state == Standing::Up).count();
    let rate: f64 = rows.iter().filter_map(|row| row.settlements_per_second).sum();
    let open: u64 = rows.iter().filter_map(|row| row.open).map(u64::from).sum();
    let late: u64 = rows.iter().filter_map(|row| row.in_doubt).map(u64::from).sum();
    let memory: u64 = rows.iter().filter_map(|row| row.memory_bytes).sum();
    let cpu: f64 = rows.iter().filter_map(|row| row.cpu_percent).sum();
    format!(
        "{up} of {} up, {rate:.1} settlements/s at all banks, {open} open, {late} in doubt, cpu \
         {cpu:.0} %, {}",
        rows.len(),
        megabytes(memory)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        let row = |name: &str, state, open| Row {
            name: name.to_owned(),
            state,
            pid: Some(1234),
            peers_up: open,
            peers_known: Some(9),
            settlements_per_second: Some(12.25),
            settled: Some(1),
            refunded: Some(0),
            open,
            in_doubt: open,
            height: Some(77),
            log_bytes: 3_456_789,
            cpu_percent: Some(50.4),
            memory_bytes: Some(50_000_000),
        };
        let rows = vec![
            row("bank-a", Standing::Up, Some(3)),
            row("bank-b", Standing::Dead, None),
            row("bank-c", Standing::Silent, None),
        ];
        Shown { rows, faults: Vec::new() }
    }

    #[test]
    fn the_dead_are_shown_as_dead_and_columns_stand_below_each_other() {
        let lines = draw(&shown(), 200, 50);
        assert!(lines[0].starts_with("1 of 3 up, 36.8 settlements/s"), "{}", lines[0]);
        assert!(lines[3].contains("bank-b") && lines[3].contains("DEAD"), "{}", lines[3]);
        assert!(lines[4].contains("SILENT"));
        assert!(lines[2].contains("3.4 MB") && lines[2].contains("12.2"), "{}", lines[2]);
        let end = |line: &str| line.find("MB").unwrap();
        assert_eq!(end(&lines[2]), end(&lines[3]));
        assert_eq!(lines[5], "no faults in force");
    }

    #[test]
    fn no_line_is_wider_and_no_frame_higher_than_the_screen() {
        for (width, height) in [(10, 3), (40, 4), (80, 50)] {
            let lines = draw(&shown(), width, height);
            assert!(lines.len() <= height);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
        }
        let mut broken = shown();
        broken.faults = vec!["partition bank-a / bank-b".to_owned()];
        let lines = draw(&broken, 80, 50);
        assert_eq!(lines.last().unwrap(), "fault: partition bank-a / bank-b");
    }
}
