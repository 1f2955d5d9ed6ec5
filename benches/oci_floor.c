/* The floor of `cargo xtask bench oci`: the fewest kernel calls that give PROGRAM the
 * isolation of the bench's bundle, without a config.json, without a plan, without state,
 * with every number known beforehand.
 *
 *     oci_floor ROOTFS HIERARCHY[,HIERARCHY...] /absolute/path/of/PROGRAM [ARGUMENT...]
 *
 * Six new namespaces, a control group, a read-only root with
 * /proc, /dev, /sys and the group's own /sys/fs/cgroup, masked and read-only paths, three
 * capabilities, one limit, no_new_privs. As root. The hierarchies are those of v1 below
 * /sys/fs/cgroup, or '-' where cgroup2 is mounted on it.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not from sys/mount.h, which clashes with linux/mount.h. */
#define DETACH 2
#define RDONLY 1
#define NOSUID 2
#define NODEV 4
#define NOEXEC 8
#define REMOUNT 32
#define BIND 4096
#define PRIVATE (1 << 18)
#define REC 16384

#define GROUPS "/sys/fs/cgroup"
#define COUNT(array) (sizeof(array) / sizeof *(array))

static long must(long result, const char *what)
{
	if (result < 0) {
		dprintf(2, "oci_floor: %s: %s\n", what, strerror(errno));
		_exit(125);
	}
	return result;
}

static void mount_one(const char *source, const char *target, const char *type,
		      unsigned long flags, const char *data)
{
	must(syscall(SYS_mount, source, target, type, flags, data), target);
}

static void write_at(int folder, const char *path, const char *text)
{
	int fd = must(openat(folder, path, O_WRONLY | O_CLOEXEC), path);
	must(write(fd, text, strlen(text)), path);
	close(fd);
}

/* --- the control group ------------------------------------------------------------- */

static char name[32];
static char hierarchies[16][32];
static size_t hierarchy_count;

static void take_hierarchies(char *names)
{
	for (char *one = strtok(names, ","); one; one = strtok(0, ","))
		snprintf(hierarchies[hierarchy_count++], 32, "%s", one);
}

static int make_group(const char *hierarchy)
{
	char path[640];
	snprintf(path, sizeof path, GROUPS "/%s/%s", hierarchy, name);
	must(mkdir(path, 0755), path);
	return must(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
}

static void remove_group(const char *hierarchy)
{
	char path[640];
	snprintf(path, sizeof path, GROUPS "/%s/%s", hierarchy, name);
	must(rmdir(path), path);
}

/* The new group of each v1 hierarchy, before the process is in it. */
static void make_v1(int *groups)
{
	for (size_t i = 0; i < hierarchy_count; i++) {
		groups[i] = make_group(hierarchies[i]);
		/* A new cpuset has no processors and takes nobody in. */
		if (!strcmp(hierarchies[i], "cpuset")) {
			char buffer[64];
			int fd = must(openat(groups[i], "../cpuset.cpus", O_RDONLY), "cpus");
			buffer[must(read(fd, buffer, 63), "cpus")] = 0;
			write_at(groups[i], "cpuset.cpus", buffer);
			close(fd);
			write_at(groups[i], "cpuset.mems", "0");
		}
	}
}

/* --- the root ---------------------------------------------------------------------- */

static void fill_dev(void)
{
	static const struct { const char *name; int major, minor; } devices[] = {
		{ "null", 1, 3 },   { "zero", 1, 5 },    { "full", 1, 7 },
		{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
	};
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" }, { "/proc/self/fd/0", "stdin" },
		{ "/proc/self/fd/1", "stdout" }, { "/proc/self/fd/2", "stderr" },
		{ "/proc/kcore", "core" }, { "pts/ptmx", "ptmx" },
	};
	for (size_t i = 0; i < COUNT(devices); i++)
		must(mknod(devices[i].name, S_IFCHR | 0666,
			   makedev(devices[i].major, devices[i].minor)),
		     devices[i].name);
	for (size_t i = 0; i < COUNT(links); i++)
		must(symlink(links[i][0], links[i][1]), links[i][1]);
	must(mkdir("pts", 0755), "pts");
	must(mkdir("shm", 01777), "shm");
	must(mkdir("mqueue", 01777), "mqueue");
	mount_one("devpts", "pts", "devpts", NOSUID | NOEXEC,
		  "newinstance,ptmxmode=0666,mode=0620,gid=5");
	mount_one("shm", "shm", "tmpfs", NOSUID | NODEV | NOEXEC, "mode=1777,size=65536k");
	mount_one("mqueue", "mqueue", "mqueue", NOSUID | NODEV | NOEXEC, 0);
}

/* With /dev, just made, as the working directory. */
static void mask(void)
{
	static const char *const masked[] = {
		"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
		"/proc/sched_debug", "/sys/firmware", "/proc/scsi",
	};
	static const char *const read_only[] = {
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
	};
	for (size_t i = 0; i < COUNT(masked); i++) {
		if (!syscall(SYS_mount, "null", masked[i], 0, BIND, 0) || errno == ENOENT)
			continue;
		mount_one("tmpfs", masked[i], "tmpfs", RDONLY, "size=0,nr_inodes=1");
	}
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	for (size_t i = 0; i < COUNT(read_only); i++) {
		int tree = syscall(SYS_open_tree, AT_FDCWD, read_only[i],
				   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (tree < 0)
			continue;
		must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr),
		     read_only[i]);
		must(syscall(SYS_move_mount, tree, "", AT_FDCWD, read_only[i],
			     MOVE_MOUNT_F_EMPTY_PATH),
		     read_only[i]);
		close(tree);
	}
}

static void mount_groups(void)
{
	unsigned long flags = NOSUID | NODEV | NOEXEC | RDONLY;
	if (!hierarchy_count) {
		mount_one("cgroup", GROUPS, "cgroup2", flags, 0);
		return;
	}
	mount_one("tmpfs", GROUPS, "tmpfs", flags & ~RDONLY, "mode=755");
	must(chdir(GROUPS), GROUPS);
	for (size_t i = 0; i < hierarchy_count; i++) {
		const char *one = hierarchies[i];
		must(mkdir(one, 0755), one);
		if (!strcmp(one, "unified"))
			mount_one("cgroup", one, "cgroup2", flags, 0);
		else if (!strcmp(one, "systemd"))
			mount_one("cgroup", one, "cgroup", flags, "none,name=systemd");
		else
			mount_one("cgroup", one, "cgroup", flags, one);
	}
	mount_one(0, GROUPS, 0, flags | REMOUNT | BIND, 0);
}

static void enter_root(const char *rootfs)
{
	mount_one(0, "/", 0, PRIVATE | REC, 0);
	mount_one(rootfs, rootfs, 0, BIND | REC, 0);
	must(chdir(rootfs), rootfs);
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(syscall(SYS_umount2, ".", DETACH), "umount2");
	mount_one("proc", "/proc", "proc", 0, 0);
	mount_one("tmpfs", "/dev", "tmpfs", NOSUID, "mode=755,size=65536k");
	must(chdir("/dev"), "/dev");
	fill_dev();
	mount_one("sysfs", "/sys", "sysfs", NOSUID | NODEV | NOEXEC | RDONLY, 0);
	mask();
}

static void drop_privileges(void)
{
	unsigned kept = 1 << CAP_AUDIT_WRITE | 1 << CAP_KILL | 1 << CAP_NET_BIND_SERVICE;
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2] = { { kept, kept, 0 } };
	struct rlimit files = { 1024, 1024 };
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (i > 31 || !(kept & 1 << i))
			must(prctl(PR_CAPBSET_DROP, i, 0, 0, 0), "PR_CAPBSET_DROP");
	must(syscall(SYS_capset, &header, sets), "capset");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	must(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, 0), "RLIMIT_NOFILE");
}

/* A network namespace is made with its loopback down. */
static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	must(ioctl(fd, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
}

/* `joined` ends when the parent has put this process into its groups. */
static void payload(const char *rootfs, char **argv, int joined)
{
	char byte;
	must(sethostname("floor", 5), "sethostname");
	loopback_up();
	enter_root(rootfs);
	if (hierarchy_count) {
		must(read(joined, &byte, 1), "joined");
		must(syscall(SYS_unshare, CLONE_NEWCGROUP), "unshare");
	}
	mount_groups();
	mount_one(0, "/", 0, RDONLY | REMOUNT | BIND, 0);
	must(chdir("/"), "/");
	drop_privileges();
	must(execv(argv[0], argv), argv[0]);
}

int main(int argc, char **argv)
{
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			 CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
	};
	int groups[16], status, ends[2] = { -1, -1 };
	if (argc < 4)
		return 125;
	snprintf(name, sizeof name, "warren-floor-%d", getpid());
	if (strcmp(argv[2], "-"))
		take_hierarchies(argv[2]);
	if (hierarchy_count) {
		make_v1(groups);
		must(pipe2(ends, O_CLOEXEC), "pipe2");
	} else {
		args.cgroup = make_group(".");
		args.flags |= CLONE_INTO_CGROUP | CLONE_NEWCGROUP;
	}
	int child = must(syscall(SYS_clone3, &args, sizeof args), "clone3");
	if (child == 0) {
		close(ends[1]);
		payload(argv[1], argv + 3, ends[0]);
	}
	if (hierarchy_count) {
		char pid[16];
		snprintf(pid, sizeof pid, "%d", child);
		for (size_t i = 0; i < hierarchy_count; i++)
			write_at(groups[i], "cgroup.procs", pid);
		close(ends[1]);
	}
	must(syscall(SYS_wait4, child, &status, 0, 0), "wait4");
	if (!hierarchy_count)
		remove_group(".");
	for (size_t i = 0; i < hierarchy_count; i++)
		remove_group(hierarchies[i]);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
