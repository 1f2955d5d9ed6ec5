//! One line of JSON for each look, or one table.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::frame;
use super::rows::{Meter, Row, Sort, Table, average, counted};
use crate::failure::{Failure, print};
use crate::terminal;
use crate::watch::lines::{print_while_read, rest};
use crate::watch::look::Looks;

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

/// Prints a line for each look until they are over or nobody reads any more.
pub fn json(mut looks: Looks, sort: Sort) -> Result<u8, Failure> {
    let mut meter = Meter::default();
    meter.look(&mut looks, sort)?;
    while !looks.is_over() && rest(looks.rest())? {
        let table = meter.look(&mut looks, sort)?;
        let line = format!("{}\n", line(&table));
        if !print_while_read(&line)? {
            break;
        }
    }
    Ok(0)
}

/// Prints what was used between two looks.
pub fn table(mut looks: Looks, sort: Sort) -> Result<u8, Failure> {
    let mut meter = Meter::default();
    meter.look(&mut looks, sort)?;
    if rest(looks.rest())? {
        let table = meter.look(&mut looks, sort)?;
        print(&frame::text(&table, terminal::width()))?;
    }
    Ok(0)
}

fn line(table: &Table) -> Value {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = time.unwrap_or_default().as_millis() as f64 / 1000.0;
    let rows: Vec<Value> = table.rows.iter().map(row).collect();
    json!({
        "version": VERSION,
        "time": time,
        "seconds": table.seconds,
        "partial": table.partial,
        "rows": rows,
    })
}

fn row(row: &Row) -> Value {
    let percent = |hundredths: u64| hundredths as f64 / 100.0;
    let part = |pair: Option<[u64; 2]>, n: usize| pair.map(|pair| pair[n]);
    let pressure = &row.gauge.pressure;
    let share = |part: Option<_>| {
        let part = part.as_ref().map(average);
        part.map(|part| percent(part.into()))
    };
    json!({
        "name": row.name,
        "command": row.command,
        "pid": row.pid,
        "user": row.user,
        "processes": row.processes,
        "kinds": row.kinds,
        "counted": counted(row.gauge.counted),
        "partial": row.gauge.is_partial,
        "cpu_percent": row.cpu.map(percent),
        "memory": row.gauge.memory,
        "io_read": part(row.io, 0),
        "io_written": part(row.io, 1),
        "net_received": part(row.net, 0),
        "net_sent": part(row.net, 1),
        "pressure": {
            "cpu": share(pressure.cpu),
            "memory": share(pressure.memory),
            "io": share(pressure.io),
        },
    })
}
