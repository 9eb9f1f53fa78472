//! Results beside their limits and targets, as a table for people and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::load::Run;
use crate::machine::Machine;

/// A figure with its unit.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quantity {
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things of this kind in a second.
    PerSecond(&'static str),
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A number without a unit.
    Ratio,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::PerSecond(things) => write!(f, "{} {things}/s", grouped(self.value)),
            Unit::Seconds => f.write_str(&time(Duration::from_secs_f64(self.value.max(0.0)))),
            Unit::Bytes if self.value < 1e5 => write!(f, "{} B", grouped(self.value)),
            Unit::Bytes => write!(f, "{:.1} MB", self.value / 1e6),
            Unit::Ratio => write!(f, "{:.2}", self.value),
        }
    }
}

/// What a figure has to reach.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

/// One figure set against another, or against a target alone.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What is compared, and with what.
    pub against: String,
    /// The figure of what it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Quantity>,
    /// The outcome.
    pub figure: Quantity,
    /// What it has to reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

impl Comparison {
    fn new(against: &str, reference: Option<Quantity>, figure: Quantity, target: Option<Target>) -> Self {
        let met = target.map(|target| match target {
            Target::AtLeast(least) => figure.value >= least,
            Target::AtMost(most) => figure.value <= most,
        });
        Self { against: against.to_owned(), reference, figure, target, met }
    }

    fn target_text(&self) -> String {
        let unit = self.figure.unit;
        match self.target {
            None => String::new(),
            Some(Target::AtLeast(value)) => format!("≥ {}", Quantity { value, unit }),
            Some(Target::AtMost(value)) => format!("≤ {}", Quantity { value, unit }),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.met {
            None => "",
            Some(true) => "met",
            Some(false) => "NOT MET",
        }
    }
}

/// The latencies of one round, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of the requests took no longer.
    pub p50: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    /// Those of one round.
    pub fn of(histogram: &Histogram) -> Self {
        let quantile = |share| histogram.quantile(share).as_secs_f64();
        Self { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: histogram.max().as_secs_f64() }
    }
}

/// One line of the report: the best of several rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The figure of the best round.
    pub result: Quantity,
    /// The figures of all rounds.
    pub rounds: Vec<f64>,
    /// The latencies of the best round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Processor time of the server, with its nats-server, for one request of the best round, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu: Option<f64>,
    /// The share of all processors (0 to 1) that went to other processes during the best round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<f64>,
    /// What it is set against.
    pub comparisons: Vec<Comparison>,
}

impl Row {
    /// A figure without rounds of load.
    pub fn figure(name: &str, value: f64, unit: Unit) -> Self {
        Self {
            name: name.to_owned(),
            result: Quantity { value, unit },
            rounds: vec![value],
            latency: None,
            server_cpu: None,
            foreign: None,
            comparisons: Vec::new(),
        }
    }

    /// The best of several figures.
    pub fn best_of(name: &str, rounds: &[f64], unit: Unit) -> Self {
        let best = match unit {
            Unit::PerSecond(_) | Unit::Ratio => rounds.iter().copied().fold(0.0, f64::max),
            Unit::Seconds | Unit::Bytes => rounds.iter().copied().fold(f64::INFINITY, f64::min),
        };
        Self { rounds: rounds.to_vec(), ..Self::figure(name, best, unit) }
    }

    /// Sets the figure against that of another row: this one divided by that.
    pub fn of(mut self, against: &str, reference: &Self, target: Option<Target>) -> Self {
        let ratio = self.result.value / reference.result.value;
        self.set_against(against, reference.result, ratio, target);
        self
    }

    /// Sets the cost of one request (the time for it at full load) against that of another row.
    pub fn cost_of(mut self, against: &str, reference: &Self, target: Option<Target>) -> Self {
        let ratio = reference.result.value / self.result.value;
        self.set_against(&format!("cost, of {against}"), reference.result, ratio, target);
        self
    }

    /// Sets the median latency against that of another row. Rows without latencies stay as they are.
    pub fn p50_of(mut self, against: &str, reference: &Self, target: Option<Target>) -> Self {
        if let (Some(own), Some(other)) = (self.latency, reference.latency) {
            let reference = Quantity { value: other.p50, unit: Unit::Seconds };
            self.set_against(&format!("p50, of {against}"), reference, own.p50 / other.p50, target);
        }
        self
    }

    /// Sets the figure against a target of its own.
    pub fn must(mut self, target: Target) -> Self {
        self.comparisons.push(Comparison::new("its target", None, self.result, Some(target)));
        self
    }

    fn set_against(&mut self, against: &str, reference: Quantity, ratio: f64, target: Option<Target>) {
        let figure = Quantity { value: ratio, unit: Unit::Ratio };
        self.comparisons.push(Comparison::new(against, Some(reference), figure, target));
    }

    /// How far the worst round is from the best, as a share of the best. `None` for a single round.
    fn spread(&self) -> Option<f64> {
        let smallest = self.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = self.rounds.iter().copied().fold(0.0, f64::max);
        (self.rounds.len() > 1).then(|| (largest - smallest) / self.result.value)
    }

    fn cells(&self) -> Vec<[String; COLUMNS.len()]> {
        let latency = |of: fn(&Latency) -> f64| {
            self.latency.map_or(String::new(), |latency| time(Duration::from_secs_f64(of(&latency))))
        };
        let percent = |share: Option<f64>| share.map_or(String::new(), |share| format!("{:.0} %", share * 100.0));
        let first = [
            self.name.clone(),
            self.result.to_string(),
            percent(self.spread()),
            latency(|latency| latency.p50),
            latency(|latency| latency.p90),
            latency(|latency| latency.p99),
            latency(|latency| latency.max),
            self.server_cpu.map_or(String::new(), |cpu| time(Duration::from_secs_f64(cpu))),
            percent(self.foreign),
        ];
        let compared = |comparison: &Comparison| {
            [
                comparison.against.clone(),
                comparison.reference.map_or(String::new(), |reference| reference.to_string()),
                comparison.figure.to_string(),
                comparison.target_text(),
                comparison.verdict().to_owned(),
            ]
        };
        let mut comparisons = self.comparisons.iter().map(compared);
        let line = |left: Option<[String; 9]>, right: Option<[String; 5]>| {
            let mut cells = left.unwrap_or_default().into_iter().chain(right.unwrap_or_default());
            std::array::from_fn(|_| cells.next().unwrap_or_default())
        };
        let mut lines = vec![line(Some(first), comparisons.next())];
        lines.extend(comparisons.map(|comparison| line(None, Some(comparison))));
        lines
    }
}

/// Rounds of the same work, which may be interleaved with rounds of others.
#[derive(Debug, Clone)]
pub struct Series {
    things: &'static str,
    /// How many of those things one request does.
    weight: u32,
    runs: Vec<Run>,
}

impl Series {
    /// Rounds in which each request does `weight` things.
    pub fn new(things: &'static str, weight: u32) -> Self {
        Self { things, weight, runs: Vec::new() }
    }

    /// Adds a round.
    pub fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Forgets the rounds so far: they were to warm up.
    pub fn clear(&mut self) {
        self.runs.clear();
    }

    fn rate(&self, run: &Run) -> f64 {
        run.latencies.total() as f64 * f64::from(self.weight) / run.elapsed.as_secs_f64()
    }

    /// The line for it in the report.
    pub fn row(&self, name: &str) -> Row {
        let rates: Vec<f64> = self.runs.iter().map(|run| self.rate(run)).collect();
        let best = self.runs.iter().max_by(|one, other| self.rate(one).total_cmp(&self.rate(other)));
        let cpu = best.and_then(|run| run.cpu);
        let requests = best.map_or(1, |run| run.latencies.total().max(1));
        Row {
            latency: best.map(|run| Latency::of(&run.latencies)),
            server_cpu: cpu.and_then(|cpu| cpu.server).map(|server| server.as_secs_f64() / requests as f64),
            foreign: cpu.map(|cpu| cpu.foreign),
            ..Row::best_of(name, &rates, Unit::PerSecond(self.things))
        }
    }
}

/// The rows of one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    /// What was measured, and how.
    pub title: String,
    /// The results.
    pub rows: Vec<Row>,
}

/// All that was measured, and on what.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// The version of this program.
    pub version: &'static str,
    /// The measured server, as it describes itself, or its URL.
    pub server: String,
    /// The nats-server that the raw publish is measured on.
    pub nats_server: String,
    /// What an acknowledgement of it means.
    pub durability: String,
    /// `full` or `quick`.
    pub sizes: &'static str,
    /// How many rounds there were of each.
    pub rounds: usize,
    /// The results.
    pub sections: Vec<Section>,
}

impl Report {
    /// What the figures depend on, as text.
    pub fn preamble(&self) -> String {
        let Machine { processors, processor, memory, system, disk } = &self.machine;
        let memory = *memory as f64 / f64::from(1 << 30);
        format!(
            "machine      {processors} x {processor}, {memory:.0} GiB, {system}, data on {disk}\n\
             server       {}\n\
             log          {}: {}\n\
             measured     by tapelog-bench {}{}, sizes {}, best of {} rounds; spread: worst round from best;\n             \
             foreign: processors' time that went to other work\n",
            self.server,
            self.nats_server,
            self.durability,
            self.version,
            if cfg!(debug_assertions) { " (a debug build: not for quoting)" } else { "" },
            self.sizes,
            self.rounds,
        )
    }

    /// How many targets were met, and which were not.
    pub fn verdict(&self) -> String {
        let (mut judged, mut met) = (0, 0);
        let mut missed = String::new();
        for section in &self.sections {
            for (row, comparison) in section.rows.iter().flat_map(|row| row.comparisons.iter().map(move |it| (row, it)))
            {
                judged += usize::from(comparison.met.is_some());
                met += usize::from(comparison.met == Some(true));
                if comparison.met == Some(false) {
                    let reference =
                        comparison.reference.map_or(String::new(), |_| format!(" ({})", comparison.against));
                    let Section { title, .. } = section;
                    let (name, figure, target) = (&row.name, comparison.figure, comparison.target_text());
                    missed.push_str(&format!("not met: {title}: {name}: {figure}{reference}, target {target}\n"));
                }
            }
        }
        format!("{met} of {judged} targets met\n{missed}")
    }
}

const COLUMNS: [&str; 14] = [
    "measured",
    "best",
    "spread",
    "p50",
    "p90",
    "p99",
    "max",
    "CPU/request",
    "foreign",
    "compared with",
    "its figure",
    "outcome",
    "target",
    "",
];

impl fmt::Display for Section {
    /// A Markdown table whose columns are aligned, so that it can be read as it is and pasted as it is. Columns in
    /// which nothing stands are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.rows.iter().flat_map(Row::cells).collect();
        let used = (0..COLUMNS.len()).filter(|column| lines.iter().any(|line| !line[*column].is_empty()));
        let columns: Vec<_> = used
            .map(|column| {
                let cells = lines.iter().map(|line| line[column].as_str());
                let width = cells.clone().chain([COLUMNS[column]]).map(|cell| cell.chars().count()).max();
                (COLUMNS[column], width.unwrap_or_default(), cells.collect::<Vec<_>>())
            })
            .collect();
        writeln!(f, "### {}\n", self.title)?;
        for (header, width, _) in &columns {
            write!(f, "| {header:width$} ")?;
        }
        writeln!(f, "|")?;
        for (_, width, _) in &columns {
            write!(f, "| {} ", "-".repeat(*width))?;
        }
        writeln!(f, "|")?;
        for line in 0..lines.len() {
            for (_, width, cells) in &columns {
                write!(f, "| {:width$} ", cells[line])?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

/// A whole number with its thousands set apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value);
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        _ if micros < 9.995 => format!("{micros:.2} µs"),
        _ if micros < 999.5 => format!("{micros:.0} µs"),
        _ if micros < 9_995.0 => format!("{:.2} ms", micros / 1e3),
        _ if micros < 999_500.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_judged_by_the_best_round() {
        let limit = Row::best_of("limit", &[90.0, 100.0], Unit::PerSecond("requests"));
        let row = Row::best_of("result", &[49.0, 51.0], Unit::PerSecond("requests"));
        let row =
            row.of("limit", &limit, Some(Target::AtLeast(0.5))).cost_of("limit", &limit, Some(Target::AtMost(1.5)));
        let verdicts: Vec<_> = row.comparisons.iter().map(|comparison| comparison.met).collect();
        assert_eq!(verdicts, [Some(true), Some(false)]);
    }

    #[test]
    fn figures_are_written_for_people() {
        let text = |value, unit| Quantity { value, unit }.to_string();
        assert_eq!(text(1_234_567.8, Unit::PerSecond("segments")), "1,234,568 segments/s");
        assert_eq!(text(0.000_012_34, Unit::Seconds), "12 µs");
        assert_eq!(text(0.009_999, Unit::Seconds), "10 ms");
        assert_eq!(text(149.6, Unit::Bytes), "150 B");
    }
}
