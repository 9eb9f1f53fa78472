//! What the operating system says of the process, where it is Linux.

use prometheus_client::registry::Registry;

#[cfg(not(target_os = "linux"))]
pub(super) fn register(_: &mut Registry) {}

#[cfg(target_os = "linux")]
pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(linux::Process));
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt::Error;

    use procfs::process::{LimitValue, Process as Entry};
    use procfs::{ProcResult, WithCurrentSystemInfo as _};
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::counter::ConstCounter;
    use prometheus_client::metrics::gauge::ConstGauge;

    #[derive(Debug)]
    pub struct Process;

    struct Reading {
        cpu_seconds: f64,
        resident_bytes: u64,
        virtual_bytes: u64,
        threads: i64,
        open_files: usize,
        most_files: Option<u64>,
    }

    fn read() -> ProcResult<Reading> {
        let process = Entry::myself()?;
        let stat = process.stat()?;
        let most_files = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(most) => Some(most),
            LimitValue::Unlimited => None,
        };
        Ok(Reading {
            cpu_seconds: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            resident_bytes: stat.rss_bytes().get(),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads,
            open_files: process.fd_count()?,
            most_files,
        })
    }

    impl Collector for Process {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
            // A system that says nothing of its processes is no reason to say nothing of the server.
            let Ok(reading) = read() else { return Ok(()) };
            let cpu = ConstCounter::new(reading.cpu_seconds);
            let help = "Processor time that the process used";
            cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
            let gauges = [
                (
                    "process_resident_memory_bytes",
                    "Memory of the process that is in use",
                    reading.resident_bytes as f64,
                ),
                ("process_virtual_memory_bytes", "Address space of the process", reading.virtual_bytes as f64),
                ("process_threads", "Threads of the process", reading.threads as f64),
                ("process_open_fds", "Open files and connections of the process", reading.open_files as f64),
            ];
            let most = reading.most_files.map(|most| {
                ("process_max_fds", "How many files and connections the process may have open", most as f64)
            });
            for (name, help, value) in gauges.into_iter().chain(most) {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
            Ok(())
        }
    }
}
