//! The defences, in the order of what is built anew for them. docs/runtime.md says the same
//! in words.

use super::{Change, Notice, Weakening};

const fn root(test: &'static str, says: &'static str) -> Notice {
    Notice {
        tier: "root",
        test,
        says,
    }
}

pub const WEAKENINGS: &[Weakening] = &[
    Weakening {
        name: "own-binary-writable",
        attacks: &["2019-5736"],
        changes: &[Change {
            file: "crates/oci/src/runtime/shield.rs",
            old: r#"    warren_mounts::add_attributes(file.as_fd(), c"", read_only).ok()?;"#,
            new: "    let _ = read_only;",
        }],
        noticed_by: &[root(
            "oci::attacks::the_binary_cannot_be_written_by_an_image_that_executes_it",
            "it is read-only",
        )],
    },
    Weakening {
        name: "creation-open-to-neighbours",
        attacks: &["2016-9962"],
        changes: &[Change {
            file: "crates/oci/src/runtime/create.rs",
            old: "    spec.hidden = true;",
            new: "    spec.hidden = false;",
        }],
        noticed_by: &[root(
            "oci::attacks::processes::who_meets_a_creation_cannot_look_into_it",
            "fd /",
        )],
    },
    Weakening {
        name: "groups-shown-writable-with-sys",
        attacks: &["2023-25809"],
        changes: &[Change {
            file: "crates/oci/src/runtime/template.rs",
            old: r#""nodev", "rro"];"#,
            new: r#""nodev", "ro"];"#,
        }],
        noticed_by: &[root(
            "oci::attacks::mounts::a_user_can_write_no_group_that_is_shown_with_sys",
            "made",
        )],
    },
    Weakening {
        name: "inherited-hook-environment",
        attacks: &["2024-0132", "2025-23266"],
        changes: &[Change {
            file: "crates/oci/src/runtime/hooks.rs",
            old: "    command.env_clear().current_dir(bundle);",
            new: r#"    command.env("LD_PRELOAD", "/evil.so").current_dir(bundle);"#,
        }],
        noticed_by: &[root(
            "oci::hooks::none_has_the_environment_of_the_container",
            "LD_PRELOAD",
        )],
    },
    Weakening {
        name: "capabilities-by-default",
        attacks: &["2025-27612"],
        changes: &[Change {
            file: "crates/oci/src/to_spec/capabilities.rs",
            old: "        let none = Capabilities::default();",
            new: r#"        let one = vec!["CAP_SYS_ADMIN".to_owned()];
        let none = Capabilities {
            bounding: one.clone(),
            effective: one.clone(),
            permitted: one,
            ..Capabilities::default()
        };"#,
        }],
        noticed_by: &[root(
            "oci::attacks::ids::an_exec_without_capabilities_has_none",
            "five empty sets",
        )],
    },
    Weakening {
        name: "last-number-as-an-id",
        attacks: &["2024-40635"],
        changes: &[
            Change {
                file: "crates/oci/src/to_spec/process.rs",
                old: "        u32::MAX => Err(Error::new(path, format!(\"{id} is no id\"))),",
                new: "        u32::MAX if path.is_empty() => Err(Error::new(path, \"\")),",
            },
            Change {
                file: "crates/spawn/src/plan.rs",
                old: "            spec.user.as_ref().is_some_and(has_no_id),",
                new: "            spec.user.as_ref().is_some_and(has_no_id) && spec.argv.is_empty(),",
            },
        ],
        noticed_by: &[root(
            "oci::attacks::ids::a_number_that_is_no_id_is_refused",
            "process.user.uid",
        )],
    },
    Weakening {
        name: "user-of-the-images-passwd",
        attacks: &["2016-3697"],
        changes: &[Change {
            file: "crates/cli/src/oci/exec.rs",
            old: "    change(&mut process, options)?;\n    Ok(process)",
            new: r#"    change(&mut process, options)?;
    let passwd = Path::new(&container.record().rootfs).join("etc/passwd");
    let word = options.text("user")?.unwrap_or_default();
    for line in std::fs::read_to_string(passwd).unwrap_or_default().lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if fields[0] == word {
            process.user.uid = fields[2].parse().unwrap_or(0);
        }
    }
    Ok(process)"#,
        }],
        noticed_by: &[root(
            "oci::attacks::ids::a_user_is_not_looked_up_in_the_image",
            r#""1000" on standard output"#,
        )],
    },
    Weakening {
        name: "numbers-read-loosely",
        attacks: &["2026-30892"],
        changes: &[Change {
            file: "crates/cli/src/oci/exec.rs",
            old: "    let number = word.parse().ok().filter(|id| is_number && *id < u32::MAX);",
            new: "    let number = word.trim().parse::<i64>().ok().map(|id| id as u32);\n    \
                  let _ = is_number;",
        }],
        noticed_by: &[root(
            "oci::attacks::ids::a_number_that_is_no_id_is_refused",
            "exit code 255",
        )],
    },
    Weakening {
        name: "added-capability-inheritable",
        attacks: &["2022-29162", "2022-27650", "2022-24769", "2022-27649"],
        changes: &[Change {
            file: "crates/cli/src/oci/exec.rs",
            old: "    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {",
            new: "    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, \
                  &mut sets.inheritable] {",
        }],
        noticed_by: &[root(
            "oci::attacks::ids::nothing_is_inheritable_that_the_caller_has",
            "CapInh",
        )],
    },
    Weakening {
        name: "host-descriptors-in-exec",
        attacks: &["2016-9962"],
        changes: &[Change {
            file: "crates/spawn/src/plan/enter.rs",
            old: "            self.push(Step::CloseHosts { keep });",
            new: "            drop(keep);",
        }],
        noticed_by: &[root(
            "oci::attacks::processes::who_meets_an_exec_finds_no_descriptor_of_the_host",
            "fd /",
        )],
    },
    Weakening {
        name: "arguments-shown-in-exec",
        attacks: &["arguments and environment of the runtime"],
        changes: &[Change {
            file: "crates/spawn/src/child/role.rs",
            old: "    // SAFETY: nothing in a child that walks its plan looks at them.\n    \
                  unsafe { warren_sys::arguments::replace_arguments(c\"warren-init\") };\n    \
                  // SAFETY: as above; the program's own environment is a copy.\n    \
                  unsafe { warren_sys::arguments::wipe_environment() };\n",
            new: "",
        }],
        noticed_by: &[root(
            "oci::attacks::processes::who_meets_an_exec_reads_nothing_of_its_caller",
            "state-Warren",
        )],
    },
    Weakening {
        name: "settings-of-the-machine",
        attacks: &["2022-0811"],
        changes: &[Change {
            file: "crates/spawn/src/plan/sysctl.rs",
            old: "        .map(|(_, kind)| *kind)",
            new: "        .map(|(_, kind)| *kind)\n        .or(Some(Kind::Uts))",
        }],
        noticed_by: &[root(
            "oci::attacks::ids::a_setting_of_the_machine_is_refused",
            "refused",
        )],
    },
    Weakening {
        name: "settings-on-any-filesystem",
        attacks: &["2025-52881"],
        changes: &[Change {
            file: "crates/spawn/src/child.rs",
            old: "            if filesystem.f_type != rustix::fs::PROC_SUPER_MAGIC {",
            new: "            if filesystem.f_type == 0 {",
        }],
        noticed_by: &[root(
            "oci::attacks::mounts::a_setting_is_written_to_the_kernel_alone",
            "exit code 1",
        )],
    },
    Weakening {
        name: "callers-groups-kept",
        attacks: &["2023-25173"],
        changes: &[Change {
            file: "crates/spawn/src/child.rs",
            old: "        rustix::thread::set_thread_groups(groups)?;",
            new: "        let _ = groups;",
        }],
        noticed_by: &[root(
            "oci::attacks::ids::the_callers_groups_stay_outside",
            "Groups:",
        )],
    },
    Weakening {
        name: "groups-not-denied",
        attacks: &["2014-8989"],
        changes: &[Change {
            file: "crates/spawn/src/child.rs",
            old: "        self.write_proc(c\"self/setgroups\", b\"deny\")?;\n",
            new: "",
        }],
        // The kernel does not take the map then.
        noticed_by: &[Notice {
            tier: "user",
            test: "oci::attacks::ids::who_has_one_id_cannot_drop_a_group",
            says: "write the id maps",
        }],
    },
    Weakening {
        name: "profile-not-loaded",
        attacks: &[
            "2022-0185",
            "2024-1086",
            "2021-22555",
            "2023-0386",
            "2020-14386",
        ],
        changes: &[Change {
            file: "crates/spawn/src/child/priority.rs",
            old: "            return filter.load_with(flags);",
            new: "            return Ok(());",
        }],
        noticed_by: &[
            root(
                "oci::config::process::a_filter_is_loaded_with_its_flags",
                "Seccomp:",
            ),
            root("oci::exec::it_is_confined_as_the_first_is", "Seccomp"),
        ],
    },
    Weakening {
        name: "own-filter-not-loaded",
        attacks: &["2022-0185", "2024-1086", "2021-41133", "2017-5226"],
        changes: &[Change {
            file: "crates/spawn/src/child.rs",
            old: "            Step::LoadSeccomp(filter) => filter.load(),",
            new: "            Step::LoadSeccomp(_) => Ok(()),",
        }],
        noticed_by: &[root(
            "posture::capabilities_open_the_calls_that_they_stand_for",
            "seccomp",
        )],
    },
    Weakening {
        name: "descriptors-left-open",
        attacks: &["2024-21626"],
        changes: &[Change {
            file: "crates/spawn/src/child/exec.rs",
            old: "        close_but(|first| self.next_needed(first, keep));",
            new: "        let _ = |first| self.next_needed(first, keep);",
        }],
        noticed_by: &[
            root(
                "oci::attacks::a_container_has_no_descriptor_of_the_host",
                "/etc",
            ),
            root(
                "oci::attacks::a_program_is_none_of_the_host",
                "as the first program",
            ),
        ],
    },
    Weakening {
        name: "working-folder-by-name",
        attacks: &["2024-21626"],
        changes: &[
            // Where it is made, the same way leads nowhere.
            Change {
                file: "crates/oci/src/to_spec/mounts.rs",
                old: "        if self.spec.root == Root::Scratch && is_plain && cwd != Path::new(\"/\") {",
                new: "        if self.spec.root == Root::Scratch && is_plain && cwd == Path::new(\"/\") {",
            },
            Change {
                file: "crates/spawn/src/child/tree.rs",
                old: "            match self.enter_folder(path) {",
                new: "            match rustix::process::chdir(path) {",
            },
        ],
        noticed_by: &[root(
            "oci::attacks::a_working_folder_does_not_lead_out",
            "left != right",
        )],
    },
    Weakening {
        name: "masks-of-the-images-null-device",
        attacks: &["2025-31133"],
        changes: &[Change {
            file: "crates/spawn/src/child/tree.rs",
            old: "            let null = clone_tree(rustix::fs::CWD, c\"/dev/null\", false)?;\n            \
                  warren_mounts::set_attributes(null.as_fd(), Attributes::READ_ONLY, false)?;",
            new: "            let null = open_in_root(self.root()?, c\"dev/null\", OFlags::PATH)?;\n            \
                  let null = clone_tree(null.as_fd(), c\"\", false)?;",
        }],
        noticed_by: &[root(
            "oci::attacks::mounts::a_null_device_of_the_image_covers_nothing",
            "otherotherend",
        )],
    },
    Weakening {
        name: "terminal-by-name",
        attacks: &["2025-52565"],
        changes: &[
            Change {
                file: "crates/spawn/src/child/terminal.rs",
                old: "        if rustix::fs::fstatfs(&folder)?.f_type != DEVPTS_SUPER_MAGIC {",
                new: "        if rustix::fs::fstatfs(&folder)?.f_type == DEVPTS_SUPER_MAGIC + 1 {",
            },
            Change {
                file: "crates/spawn/src/child/terminal.rs",
                old: "        let slave = rustix::pty::ioctl_tiocgptpeer(master, flags)?;",
                new: r#"        let _ = flags;
        let name = rustix::pty::ptsname(master, Vec::new())?;
        let name = name.to_string_lossy();
        let root = self.fds.root.as_ref().ok_or(Errno::BADF)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::openat(root, &name[1..], flags, Mode::empty())?;"#,
            },
        ],
        noticed_by: &[root(
            "oci::attacks::mounts::a_terminal_by_its_name_would_be_anothers",
            "written to another's terminal",
        )],
    },
    Weakening {
        name: "control-groups-writable",
        attacks: &["2022-0492", "2023-25809"],
        changes: &[
            Change {
                file: "crates/spawn/src/child/cgroups.rs",
                old: "        change(own.as_fd(), tree.attributes)?;\n        warren_mounts",
                new: "        change(own.as_fd(), tree.attributes & !1)?;\n        warren_mounts",
            },
            Change {
                file: "crates/spawn/src/child/cgroups.rs",
                old: "            let flags = MountFlags::from_bits_retain(tree.attributes & 0xf);",
                new: "            let flags = MountFlags::from_bits_retain(tree.attributes & 0xe);",
            },
            Change {
                file: "crates/spawn/src/child/cgroups.rs",
                old: "        let flags = MountFlags::from_bits_retain(tree.attributes & 0xf);\n        match",
                new: "        let flags = MountFlags::from_bits_retain(tree.attributes & 0xe);\n        match",
            },
        ],
        noticed_by: &[root(
            "oci::attacks::mounts::control_groups_cannot_be_written",
            "opened",
        )],
    },
    Weakening {
        name: "anything-on-proc",
        attacks: &["2019-16884", "2019-19921", "2025-52881"],
        changes: &[
            Change {
                file: "crates/spawn/src/child/detailed.rs",
                old: "    Ok(!is_procfs(place)? || COVERED.contains(&target.path()))",
                new: "    Ok(!is_procfs(place)? || !COVERED.contains(&target.path()))",
            },
            Change {
                file: "crates/oci/src/to_spec/mounts.rs",
                old: "    if target != Path::new(\"/proc\") || is_own || is_bind && is_procfs() {",
                new: "    if target != Path::new(\"/x\") || is_own || is_bind && is_procfs() {",
            },
        ],
        noticed_by: &[root(
            "oci::config::attacks::nothing_but_a_procfs_is_mounted_on_proc",
            "exit code 125",
        )],
    },
    Weakening {
        name: "dev-through-a-link",
        attacks: &["2026-41579", "2026-47766"],
        changes: &[Change {
            file: "crates/spawn/src/child/detailed.rs",
            old: "        let dev = ensure_exactly(self.root()?, target)?;",
            new: "        let flags = OFlags::PATH | OFlags::CLOEXEC;\n        \
                  let dev = rustix::fs::openat(self.root()?, target.path(), flags, Mode::empty())?;",
        }],
        noticed_by: &[
            root(
                "oci::attacks::nothing_is_made_through_a_dev_that_is_a_link",
                "with a mount",
            ),
            root(
                "oci::config::attacks::a_dev_that_is_a_link_makes_nothing_on_the_host",
                "",
            ),
        ],
    },
    Weakening {
        name: "places-by-name",
        attacks: &[
            "2021-30465",
            "2024-45310",
            "2019-18837",
            "GHSA-pxhw-h44j-8pfx",
        ],
        changes: &[Change {
            file: "crates/spawn/src/child/detailed.rs",
            old: "    match open_in_root(root, target.path(), OFlags::PATH) {\n        \
                  Err(Errno::NOENT) => {\n            \
                  let mode = Mode::from_raw_mode(target.parents_mode());\n            \
                  Ok((make_in_root(root, target.path(), node, mode)?, false))\n        \
                  }\n        \
                  found => Ok((found?, true)),\n    \
                  }",
            new: r#"    // The look, and what is done after it.
    if let Err(Errno::NOENT) = open_in_root(root, target.path(), OFlags::PATH) {
        let mode = Mode::from_raw_mode(target.parents_mode());
        for path in target.parents() {
            let _ = rustix::fs::mkdirat(root, path, mode);
        }
        let _ = match node {
            Node::Folder => rustix::fs::mkdirat(root, target.path(), mode),
            Node::File => {
                rustix::fs::mknodat(root, target.path(), FileType::RegularFile, mode, 0)
            }
        };
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok((rustix::fs::openat(root, target.path(), flags, Mode::empty())?, true))"#,
        }],
        noticed_by: &[root(
            "oci::attacks::mounts::a_place_that_is_exchanged_meanwhile_leads_nowhere",
            "something was made on the host",
        )],
    },
    Weakening {
        name: "proc-through-a-link",
        attacks: &["2019-19921", "2023-27561", "2023-28642", "2025-54867"],
        changes: &[
            Change {
                file: "crates/mounts/src/attach.rs",
                old: "    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY;",
                new: "    let flags = OFlags::PATH | OFlags::DIRECTORY;",
            },
            Change {
                file: "crates/spawn/src/child/detailed.rs",
                old: "        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;\n        \
                      let proc",
                new: "        let flags = OFlags::PATH | OFlags::DIRECTORY;\n        let proc",
            },
        ],
        noticed_by: &[
            root(
                "oci::attacks::proc_and_sys_are_what_they_are_called",
                "proc",
            ),
            root(
                "oci::config::attacks::a_proc_or_sys_that_is_a_link_is_refused",
                "",
            ),
        ],
    },
    Weakening {
        name: "maps-cut-short",
        attacks: &["2021-43784"],
        changes: &[Change {
            file: "crates/namespaces/src/id_map.rs",
            old: "        } in map\n",
            new: "        } in map.iter().take(300)\n",
        }],
        noticed_by: &[root(
            "oci::attacks::ids::a_map_that_is_too_long_is_no_shorter_one",
            "exit code 1",
        )],
    },
];
