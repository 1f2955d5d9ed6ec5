/* The tracer of `cargo xtask order`: which instructions of PROGRAM a run executes.
 *
 *     steps FILE PROGRAM [ARGUMENT...]
 *
 * Steps through PROGRAM and the processes that it forks, up to their end or to the next
 * program, and writes where each instruction lies in PROGRAM's image to FILE, in hex, in
 * the order in which they were executed first.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE (16UL << 20)
#define PROCESSES 64

static unsigned char seen[IMAGE];
/* Those that execute another program by now. */
static pid_t gone[PROCESSES];
static int count;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Where the first mapping of a process begins, which is its program's. */
static unsigned long base_of(pid_t pid)
{
	char path[64];
	unsigned long base;
	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "r");
	if (!maps || fscanf(maps, "%lx", &base) != 1)
		fail(path);
	fclose(maps);
	return base;
}

static int is_gone(pid_t pid)
{
	for (int i = 0; i < count; i++)
		if (gone[i] == pid)
			return 1;
	return 0;
}

static void note(pid_t pid, unsigned long base, FILE *file)
{
	struct user_regs_struct registers;
	if (ptrace(PTRACE_GETREGS, pid, 0, &registers) < 0)
		return;
	unsigned long place = registers.rip - base;
	if (place < IMAGE && !seen[place]) {
		seen[place] = 1;
		fprintf(file, "%lx\n", place);
	}
}

int main(int argc, char **argv)
{
	int status, code = 1;
	unsigned long base = 0;
	if (argc < 3)
		return 2;
	FILE *file = fopen(argv[1], "w");
	if (!file)
		fail(argv[1]);
	pid_t first = fork();
	if (first == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		fail(argv[2]);
	}
	if (waitpid(first, &status, 0) != first)
		fail("waitpid");
	long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC |
		       PTRACE_O_EXITKILL;
	if (ptrace(PTRACE_SETOPTIONS, first, 0, options) < 0)
		fail("ptrace");
	ptrace(PTRACE_CONT, first, 0, 0);
	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0)
			break;
		if (!WIFSTOPPED(status)) {
			if (pid == first)
				code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
			continue;
		}
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			if (!base)
				base = base_of(pid);
			else if (count < PROCESSES)
				gone[count++] = pid;
		}
		int signal = WSTOPSIG(status);
		int ours = status >> 16 || signal == SIGTRAP || signal == SIGSTOP;
		int steps = base && !is_gone(pid);
		if (steps)
			note(pid, base, file);
		ptrace(steps ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, 0, ours ? 0 : signal);
	}
	fclose(file);
	return code;
}
