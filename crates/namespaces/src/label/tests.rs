use super::*;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const UID: &str = "2b8c2b64-7c4e-4d7a-9a39-1f8a2b0c9d11";

/// Engine and id of the outermost container.
fn container_of(path: &str) -> Option<(Engine, String)> {
    let label = Label::of_path(path);
    let container = label.container()?;
    Some((container.engine, container.id.clone()))
}

#[track_caller]
fn is(path: &str, engine: Engine, id: &str) {
    assert_eq!(container_of(path), Some((engine, id.to_owned())), "{path}");
}

#[test]
fn docker_is_known_under_systemd_and_without() {
    is(
        &format!("/system.slice/docker-{A}.scope"),
        Engine::Docker,
        A,
    );
    is(&format!("/docker/{A}"), Engine::Docker, A);
    let rootless = format!(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope"
    );
    is(&rootless, Engine::Docker, A);
    assert_eq!(Label::of_path(&rootless).user, Some(1000));
}

#[test]
fn podman_is_known_in_each_of_its_layouts() {
    for path in [
        format!("/machine.slice/libpod-{A}.scope"),
        format!("/machine.slice/libpod-{A}.scope/container"),
        format!(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope"
        ),
        format!("/libpod_parent/libpod-{A}"),
        format!("/libpod_parent/{A}"),
        format!("/system.slice/web.service/libpod-payload-{A}"),
    ] {
        is(&path, Engine::Podman, A);
    }
    let monitor = format!("/machine.slice/libpod-conmon-{A}.scope");
    assert_eq!(container_of(&monitor), None);
}

#[test]
fn a_pod_of_podman_is_named() {
    for path in [
        format!("/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope"),
        format!("/user.slice/user-libpod_pod_{B}.slice/libpod-{A}.scope/container"),
        format!("/libpod_parent/{B}/libpod-{A}"),
    ] {
        is(&path, Engine::Podman, A);
        assert_eq!(Label::of_path(&path).pod.as_deref(), Some(B), "{path}");
    }
}

#[test]
fn kubernetes_names_the_pod_and_the_engine_where_the_path_does() {
    let uid = UID.replace('-', "_");
    let slice = format!(
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid}.slice"
    );
    let guaranteed = format!("/kubepods.slice/kubepods-pod{uid}.slice");
    for (path, engine) in [
        (
            format!("{slice}/cri-containerd-{A}.scope"),
            Engine::Containerd,
        ),
        (
            format!("{guaranteed}/cri-containerd-{A}.scope"),
            Engine::Containerd,
        ),
        (format!("{slice}/crio-{A}.scope"), Engine::Crio),
        (format!("{slice}/docker-{A}.scope"), Engine::Docker),
        (format!("/kubepods/burstable/pod{UID}/{A}"), Engine::Unknown),
        (format!("/kubepods/pod{UID}/{A}"), Engine::Unknown),
    ] {
        is(&path, engine, A);
        assert_eq!(Label::of_path(&path).pod.as_deref(), Some(UID), "{path}");
    }
    let monitor = format!("{slice}/crio-conmon-{A}.scope");
    assert_eq!(container_of(&monitor), None);
}

#[test]
fn a_cluster_in_a_container_has_both_and_the_outer_is_first() {
    let path = format!("/docker/{A}/kubelet/kubepods/pod{UID}/{B}");
    let label = Label::of_path(&path);
    let engines: Vec<Engine> = label.containers.iter().map(|c| c.engine).collect();
    assert_eq!(engines, [Engine::Docker, Engine::Unknown]);
    assert_eq!(label.containers[1].id, B);
    assert_eq!(label.pod.as_deref(), Some(UID));
    assert_eq!(label.to_string(), "docker 0123456789ab");
}

#[test]
fn a_contained_program_cannot_pass_for_another_container_or_unit() {
    let path = format!("/system.slice/docker-{A}.scope/libpod-{B}.scope/ssh.service");
    let label = Label::of_path(&path);
    assert_eq!(label.container().map(|c| c.id.as_str()), Some(A));
    assert_eq!(
        label.unit.as_deref(),
        Some(format!("docker-{A}.scope").as_str())
    );
}

#[test]
fn nerdctl_and_ids_of_unknown_engines_are_known() {
    is(
        &format!("/system.slice/nerdctl-{A}.scope"),
        Engine::Containerd,
        A,
    );
    is(&format!("/default/{A}"), Engine::Unknown, A);
    assert_eq!(container_of("/default/0123456789ab"), None);
}

#[test]
fn lxc_is_known_by_name() {
    is("/lxc.payload.web/init.scope", Engine::Lxc, "web");
    is("/lxc/web", Engine::Lxc, "web");
    is(
        "/machine.slice/machine-lxc\\x2d4217\\x2dweb.scope",
        Engine::Lxc,
        "web",
    );
    assert_eq!(container_of("/lxc.monitor.web"), None);
}

#[test]
fn machines_are_known_and_virtual_ones_are_not_containers() {
    is(
        "/machine.slice/machine-debian\\x2dsid.scope/payload/init.scope",
        Engine::Machine,
        "debian-sid",
    );
    is(
        "/machine.slice/systemd-nspawn@db.service/payload",
        Engine::Machine,
        "db",
    );
    let virtual_machine = "/machine.slice/machine-qemu\\x2d1\\x2dwin.scope";
    assert_eq!(container_of(virtual_machine), None);
    let unit = Label::of_path(virtual_machine).unit;
    assert_eq!(unit.as_deref(), Some("machine-qemu\\x2d1\\x2dwin.scope"));
}

#[test]
fn the_innermost_unit_is_named_and_slices_are_none() {
    for (path, unit, user) in [
        ("/system.slice/cron.service", Some("cron.service"), None),
        ("/init.scope", Some("init.scope"), None),
        ("/system.slice", None, None),
        ("/user.slice/user-7.slice", None, Some(7)),
        (
            "/user.slice/user-7.slice/session-3.scope",
            Some("session-3.scope"),
            Some(7),
        ),
        (
            "/user.slice/user-7.slice/user@7.service/app.slice/app-a@1.service",
            Some("app-a@1.service"),
            Some(7),
        ),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            Some("getty@tty1.service"),
            None,
        ),
        ("/.service", None, None),
        ("/", None, None),
    ] {
        let label = Label::of_path(path);
        assert_eq!((label.unit.as_deref(), label.user), (unit, user), "{path}");
    }
}

#[test]
fn version_1_hybrid_and_version_2_are_read() {
    let v2 = "0::/system.slice/ssh.service\n";
    let hybrid = "4:memory:/system.slice/ssh.service\n\
                  1:name=systemd:/system.slice/ssh.service\n\
                  0::/system.slice/ssh.service\n";
    let v1 = "4:cpu,cpuacct:/\n1:name=systemd:/system.slice/ssh.service\n";
    for text in [v2, hybrid, v1] {
        let label = Label::of_cgroups(text).expect("a path");
        assert_eq!(label.to_string(), "ssh.service", "{text}");
    }
    assert_eq!(Label::of_cgroups(""), None);
    assert_eq!(Label::of_cgroups("nonsense\n0:\n"), None);
}

#[test]
fn the_hierarchy_that_says_most_is_believed() {
    let text =
        format!("0::/\n1:name=systemd:/system.slice/x.service\n4:pids:/docker/{A}\n");
    let label = Label::of_cgroups(&text).expect("a path");
    assert_eq!(label.container().map(|c| c.engine), Some(Engine::Docker));
    let text = "0::/\n4:memory:/jobs/7\n3:pids:/\n";
    let label = Label::of_cgroups(text).expect("a path");
    assert_eq!(label.to_string(), "/jobs/7");
}

#[test]
fn colons_and_removed_cgroups_are_no_trouble() {
    let label = Label::of_cgroups("0::/a:b/c (deleted)\n").expect("a path");
    assert_eq!(label.path, "/a:b/c");
}

#[test]
fn broken_escapes_stay_as_they_are() {
    assert_eq!(unescaped("a\\x2db"), "a-b");
    for text in ["a\\x2", "a\\xzz", "\\x", "ä\\x", "\\xä"] {
        assert_eq!(unescaped(text), text);
    }
}
