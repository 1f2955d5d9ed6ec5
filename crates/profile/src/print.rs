//! Profile to text: what reading it gives back.

use std::fmt::{self, Display, Formatter};

use crate::profile::{
    Capabilities, Files, Limits, Network, Process, Profile, Syscalls, Version,
};
use crate::value::{BYTES, Limit, SECONDS, Units};

/// A list is written in one line up to this width.
const WIDTH: usize = 80;

impl Display for Profile {
    /// As TOML, with what is not said left out.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            version: Version,
            about,
            include,
            require,
            landlock,
            files,
            process,
            network,
            syscalls,
            capabilities,
            limits,
        } = self;
        let mut top = Table::new("");
        top.pair("version", Version::NUMBER);
        top.text("about", about.as_deref());
        top.texts("include", include);
        top.list("require", require.iter().map(|one| quoted(one.name())));
        top.flag("landlock", *landlock);
        let tables = [
            top,
            of_files(files),
            of_process(process),
            of_variables(process),
            of_network(network),
            of_syscalls(syscalls),
            of_capabilities(capabilities),
            of_limits(limits),
        ];
        let mut is_first = true;
        for table in tables.iter().filter(|table| !table.lines.is_empty()) {
            if !is_first {
                f.write_str("\n")?;
            }
            is_first = false;
            if !table.name.is_empty() {
                writeln!(f, "[{}]", table.name)?;
            }
            f.write_str(&table.lines)?;
        }
        Ok(())
    }
}

fn of_files(files: &Files) -> Table {
    let Files {
        root,
        read,
        write,
        overlay,
        tmpfs,
        hide,
    } = files;
    let mut table = Table::new("files");
    table.text("root", root.map(|root| root.name()));
    table.texts("read", read);
    table.texts("write", write);
    table.texts("overlay", overlay);
    table.texts("tmpfs", tmpfs);
    table.texts("hide", hide);
    table
}

fn of_process(process: &Process) -> Table {
    let Process {
        workdir,
        hostname,
        map,
        clear_env,
        pass,
        set: _,
    } = process;
    let mut table = Table::new("process");
    table.text("workdir", workdir.as_deref());
    table.text("hostname", hostname.as_deref());
    table.text("map", map.map(|map| map.name()));
    table.flag("clear-env", *clear_env);
    table.texts("pass", pass);
    table
}

fn of_variables(process: &Process) -> Table {
    let mut table = Table::new("process.set");
    for (name, value) in &process.set {
        let is_bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        match name.chars().all(is_bare) {
            true => table.pair(name, quoted(value)),
            false => table.pair(&quoted(name), quoted(value)),
        }
    }
    table
}

fn of_network(network: &Network) -> Table {
    let Network {
        mode,
        connect,
        bind,
    } = network;
    let mut table = Table::new("network");
    table.text("mode", mode.map(|mode| mode.name()));
    if let Some(connect) = connect {
        let targets = connect.iter().map(|target| match target.host {
            Some(_) => quoted(&target.to_string()),
            None => target.to_string(),
        });
        table.items("connect", &targets.collect::<Vec<_>>());
    }
    if let Some(bind) = bind {
        table.items("bind", &bind.iter().map(u16::to_string).collect::<Vec<_>>());
    }
    table
}

fn of_syscalls(syscalls: &Syscalls) -> Table {
    let Syscalls {
        default,
        allow,
        deny,
        policy,
        file,
    } = syscalls;
    let mut table = Table::new("syscalls");
    table.text("default", default.as_deref());
    table.texts("allow", allow);
    table.texts("deny", deny);
    if let Some(policy) = policy {
        table.pair("policy", lines(policy));
    }
    table.text("file", file.as_deref());
    table
}

fn of_capabilities(capabilities: &Capabilities) -> Table {
    let Capabilities { add } = capabilities;
    let mut table = Table::new("capabilities");
    table.list("add", add.iter().map(|one| quoted(&one.to_string())));
    table
}

fn of_limits(limits: &Limits) -> Table {
    let Limits {
        cpu_time,
        file_size,
        open_files,
        processes,
        address_space,
    } = limits;
    let mut table = Table::new("limits");
    table.limit("cpu-time", *cpu_time, SECONDS);
    table.limit("file-size", *file_size, BYTES);
    table.limit("open-files", *open_files, &[]);
    table.limit("processes", *processes, &[]);
    table.limit("address-space", *address_space, BYTES);
    table
}

/// The lines below one header.
struct Table {
    name: &'static str,
    lines: String,
}

impl Table {
    fn new(name: &'static str) -> Self {
        let lines = String::new();
        Self { name, lines }
    }

    fn pair(&mut self, key: &str, value: impl Display) {
        self.lines.push_str(&format!("{key} = {value}\n"));
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.pair(key, quoted(value));
        }
    }

    fn flag(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.pair(key, value);
        }
    }

    fn limit(&mut self, key: &str, limit: Option<Limit>, units: &Units) {
        match limit {
            None => {}
            Some(Limit::Unlimited) => self.pair(key, quoted("unlimited")),
            Some(Limit::At(value)) => {
                let exact = |(_, unit): &&(&str, u64)| value % unit == 0 && value != 0;
                match units.iter().find(exact) {
                    Some((suffix, unit)) => {
                        self.pair(key, quoted(&format!("{}{suffix}", value / unit)));
                    }
                    None => self.pair(key, quoted(&value.to_string())),
                }
            }
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        self.list(key, texts.iter().map(|text| quoted(text)));
    }

    /// Nothing where there is nothing in it.
    fn list(&mut self, key: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.collect();
        if !items.is_empty() {
            self.items(key, &items);
        }
    }

    fn items(&mut self, key: &str, items: &[String]) {
        let one = format!("[{}]", items.join(", "));
        if items.len() < 2 || key.len() + " = ".len() + one.len() <= WIDTH {
            return self.pair(key, one);
        }
        self.pair(key, format!("[\n    {},\n]", items.join(",\n    ")));
    }
}

/// A basic string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('\n', "\\n"))
}

/// A basic string of several lines.
fn lines(text: &str) -> String {
    format!("\"\"\"\n{}\"\"\"", escaped(text))
}

/// With everything escaped that may not stand in a basic string, but the end of a line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            '\n' => escaped.push(c),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
