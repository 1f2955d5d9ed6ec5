/* The floor of `cargo xtask bench`: the fewest kernel calls that give PROGRAM the
 * isolation of the bench's job, without a plan, without choices, with every number
 * known beforehand.
 *
 *     floor /absolute/path/of/PROGRAM [ARGUMENT...]
 *
 * Seven new namespaces, one id mapped, the host's tree read-only, its own /proc, /tmp
 * and minimal /dev, `lo` up, a reaping pid 1 that dies with its parent, no capability
 * in any set, no_new_privs.
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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not from sys/mount.h, which clashes with linux/mount.h. */
#define DETACH 2
#define PRIVATE (1 << 18)

static long must(long result, const char *what)
{
	if (result < 0) {
		dprintf(2, "floor: %s: %s\n", what, strerror(errno));
		_exit(125);
	}
	return result;
}

static void write_file(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CLOEXEC), path);
	must(write(fd, text, strlen(text)), path);
}

static void map_ids(int uid, int gid)
{
	char text[32];
	write_file("/proc/self/setgroups", "deny");
	snprintf(text, sizeof text, "0 %d 1", uid);
	write_file("/proc/self/uid_map", text);
	snprintf(text, sizeof text, "0 %d 1", gid);
	write_file("/proc/self/gid_map", text);
}

/* A new file system that is not attached anywhere yet. */
static int filesystem(const char *type, const char *key, const char *value, int attr)
{
	int fs = must(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);
	if (key)
		must(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0), key);
	must(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0), type);
	return must(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attr), type);
}

static int clone_tree(const char *path, int recursive)
{
	int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
	return must(syscall(SYS_open_tree, AT_FDCWD, path, flags), path);
}

static void attach(int mount, int folder, const char *path)
{
	must(syscall(SYS_move_mount, mount, "", folder, path, MOVE_MOUNT_F_EMPTY_PATH),
	     path);
}

static void fill_dev(int dev)
{
	static const char *const devices[][2] = {
		{ "/dev/null", "null" },     { "/dev/zero", "zero" },
		{ "/dev/full", "full" },     { "/dev/random", "random" },
		{ "/dev/urandom", "urandom" }, { "/dev/tty", "tty" },
	};
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" },     { "fd/0", "stdin" },
		{ "fd/1", "stdout" },          { "fd/2", "stderr" },
		{ "pts/ptmx", "ptmx" },
	};
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
		const char *name = devices[i][1];
		must(mknodat(dev, name, S_IFREG | 0644, 0), name);
		attach(clone_tree(devices[i][0], 0), dev, name);
	}
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		must(symlinkat(links[i][0], dev, links[i][1]), links[i][1]);
	must(mkdirat(dev, "shm", 01777), "shm");
	must(mkdirat(dev, "pts", 0755), "pts");
	attach(filesystem("devpts", "ptmxmode", "0666",
			  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
	       dev, "pts");
}

static void enter_root(void)
{
	struct mount_attr read_only = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID,
		.propagation = PRIVATE,
	};
	int root = clone_tree("/", AT_RECURSIVE);
	must(syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH | AT_RECURSIVE,
		     &read_only, sizeof read_only),
	     "mount_setattr");
	/* Attached first: a tree in no mount namespace takes no mounts. */
	attach(root, AT_FDCWD, "/");
	attach(filesystem("proc", 0, 0,
			  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
	       root, "proc");
	attach(filesystem("tmpfs", 0, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), root,
	       "tmp");
	int dev = filesystem("tmpfs", "mode", "755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	attach(dev, root, "dev");
	fill_dev(dev);
	must(fchdir(root), "fchdir");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	/* The old root lies on the new one, and "." is now the old. */
	must(syscall(SYS_umount2, ".", DETACH), "umount2");
}

static void loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	must(ioctl(fd, SIOCSIFFLAGS, &lo), "lo");
}

static void drop_privileges(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		must(prctl(PR_CAPBSET_DROP, i, 0, 0, 0), "PR_CAPBSET_DROP");
	must(syscall(SYS_capset, &header, none), "capset");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void reap_until(int payload)
{
	int status;
	while (must(syscall(SYS_wait4, -1, &status, 0, 0), "wait4") != payload)
		;
	_exit(exit_code(status));
}

static void init(char **argv, int uid, int gid)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL), "PR_SET_PDEATHSIG");
	map_ids(uid, gid);
	enter_root();
	loopback_up();
	drop_privileges();
	int payload = must(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), "clone");
	if (payload)
		reap_until(payload);
	must(execv(argv[0], argv), argv[0]);
}

int main(int argc, char **argv)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
			 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
		.exit_signal = SIGCHLD,
	};
	int uid = getuid(), gid = getgid(), status;
	if (argc < 2)
		return 125;
	int child = must(syscall(SYS_clone3, &args, sizeof args), "clone3");
	if (child == 0)
		init(argv + 1, uid, gid);
	must(syscall(SYS_wait4, child, &status, 0, 0), "wait4");
	return exit_code(status);
}
