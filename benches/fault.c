/* The tracer of `cargo xtask faults`: runs a program and all that it starts, and lets one
 * chosen system call of one chosen process fail, or kills the process there.
 *
 *     fault -o REPORT [-u UID] [-e FOLDER] [-t SECONDS] [-i PROCESS:NUMBER:NTH:FAULT]
 *           COMMAND...
 *
 * Processes are numbered from 1 in the order in which they come to be; NTH counts the
 * calls with that NUMBER of that process alone. strace's injection counts so too but
 * takes the same NTH in every process, so that a call of the second process cannot be
 * reached while the first makes as many. FAULT is `e5` (the call is not made and returns
 * errno 5), `a5` (it is made, and returns errno 5 all the same), `z` (it is made with 0
 * as its first argument) or `k` (SIGKILL).
 *
 * With -e, passwd, subuid and subgid of FOLDER are those of /etc, for COMMAND alone.
 *
 * REPORT is a list of lines, in order:
 *     call PROCESS NUMBER     (without -i)
 *     exec PROCESS            it executes another program
 *     hit                     the chosen call came
 *     exit PROCESS STATUS     as wait(2) has it
 *     hang PROCESS COMM       still there after SECONDS (10), and killed
 *     left PROCESS COMM       still there 2 seconds after process 1, and killed
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef NT_ARM_SYSTEM_CALL
#define NT_ARM_SYSTEM_CALL 0x404
#endif

struct process {
	int pid;
	int alive;
	/* It runs another program than the one that made it. */
	int replaced;
	/* Its chosen call was entered, and what it returns is to be changed. */
	int failing;
	/* Its chosen call was entered with another first argument than this. */
	int refused;
	unsigned long long argument;
};

static struct process processes[256];
static int known;
static FILE *report;

static int chosen_process, chosen_nth, chosen_errno, seen;
static unsigned long long chosen_number;
/* 0 while nothing is chosen, and again after the hit. */
static char fault;
static int listing = 1;

static volatile sig_atomic_t out_of_time;

static void die(const char *what)
{
	fprintf(stderr, "fault: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void on_alarm(int signal)
{
	(void)signal;
	out_of_time = 1;
}

/* Repeats, since the first may come just before waitpid. */
static void set_timer(int seconds)
{
	struct itimerval timer = { { 0, 100000 }, { seconds, 0 } };
	out_of_time = 0;
	setitimer(ITIMER_REAL, &timer, 0);
}

static struct process *find(int pid)
{
	for (int i = 0; i < known; i++)
		if (processes[i].pid == pid && processes[i].alive)
			return &processes[i];
	if (known == sizeof processes / sizeof *processes) {
		errno = E2BIG;
		die("processes");
	}
	processes[known] = (struct process){ .pid = pid, .alive = 1 };
	return &processes[known++];
}

static int number_of(const struct process *process)
{
	return process - processes + 1;
}

static void skip_call(int pid)
{
#if defined __x86_64__
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1L);
#elif defined __aarch64__
	int none = -1;
	struct iovec value = { &none, sizeof none };
	ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &value);
#endif
}

static void set_result(int pid, long result)
{
#if defined __x86_64__
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), result);
#elif defined __aarch64__
	struct user_regs_struct registers;
	struct iovec value = { &registers, sizeof registers };
	ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &value);
	registers.regs[0] = result;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &value);
#endif
}

/* The first argument of the call that is just entered. */
static void set_argument(int pid, unsigned long long value)
{
#if defined __x86_64__
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rdi), value);
#elif defined __aarch64__
	/* Its register is that of the result. */
	set_result(pid, value);
#endif
}

/* At the end of the call: the program knows that the kernel keeps the register. */
static void restore_argument(struct process *process)
{
#if defined __x86_64__
	set_argument(process->pid, process->argument);
#endif
	process->refused = 0;
}

static void on_entry(struct process *process, unsigned long long number,
		     unsigned long long argument)
{
	if (listing)
		fprintf(report, "call %d %llu\n", number_of(process), number);
	if (!fault || number_of(process) != chosen_process || number != chosen_number ||
	    ++seen != chosen_nth)
		return;
	fprintf(report, "hit\n");
	if (fault == 'k')
		kill(process->pid, SIGKILL);
	if (fault == 'e')
		skip_call(process->pid);
	if (fault == 'z') {
		set_argument(process->pid, 0);
		process->refused = 1;
		process->argument = argument;
	}
	process->failing = fault == 'e' || fault == 'a';
	fault = 0;
}

static void on_call(struct process *process)
{
	struct __ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, sizeof info, &info) < 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		on_entry(process, info.entry.nr, info.entry.args[0]);
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && process->failing) {
		set_result(process->pid, -chosen_errno);
		process->failing = 0;
	}
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && process->refused)
		restore_argument(process);
}

/* Process 1 is counted from its own program on. */
static void on_exec(struct process *process, int *started)
{
	if (number_of(process) == 1 && !*started) {
		*started = 1;
		return;
	}
	process->replaced = 1;
	fprintf(report, "exec %d\n", number_of(process));
}

static void resume(const struct process *process, int started, int signal)
{
	int watched = !process->replaced && (listing || fault || process->failing ||
					     process->refused);
	ptrace(watched || !started ? PTRACE_SYSCALL : PTRACE_CONT, process->pid, 0, signal);
}

static void on_stop(struct process *process, int status, int *started)
{
	int signal = WSTOPSIG(status), event = status >> 16;
	unsigned long child;
	switch (event) {
	case 0:
		if (signal != (SIGTRAP | 0x80)) {
			resume(process, *started, signal);
			return;
		}
		if (*started && !process->replaced)
			on_call(process);
		break;
	case PTRACE_EVENT_EXEC:
		on_exec(process, started);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		if (ptrace(PTRACE_GETEVENTMSG, process->pid, 0, &child) == 0)
			find(child);
		break;
	case PTRACE_EVENT_STOP:
		if (signal != SIGTRAP) {
			ptrace(PTRACE_LISTEN, process->pid, 0, 0);
			return;
		}
		break;
	}
	resume(process, *started, 0);
}

static void report_alive(const char *what)
{
	for (int i = 0; i < known; i++) {
		char path[32], comm[32] = "?";
		if (!processes[i].alive)
			continue;
		snprintf(path, sizeof path, "/proc/%d/comm", processes[i].pid);
		FILE *file = fopen(path, "re");
		if (file) {
			if (fscanf(file, "%31[^\n]", comm) != 1)
				strcpy(comm, "?");
			fclose(file);
		}
		fprintf(report, "%s %d %s\n", what, i + 1, comm);
	}
}

/* Until no process is left. Those that are when it gives up die with the tracer. */
static void trace(int seconds)
{
	int started = 0;
	set_timer(seconds);
	for (;;) {
		int status, pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR && out_of_time) {
			report_alive(processes[0].alive ? "hang" : "left");
			return;
		}
		if (pid < 0 && errno == ECHILD)
			return;
		if (pid < 0)
			continue;
		struct process *process = find(pid);
		if (WIFSTOPPED(status)) {
			on_stop(process, status, &started);
			continue;
		}
		process->alive = 0;
		fprintf(report, "exit %d %d\n", number_of(process), status);
		if (process == processes)
			set_timer(2);
	}
}

static void become(char **command, int gate, int uid)
{
	char byte;
	if (read(gate, &byte, 1) != 1)
		_exit(1);
	close(gate);
	if (uid >= 0 && (setgroups(0, 0) || setresgid(uid, uid, uid) ||
			 setresuid(uid, uid, uid)))
		die("become the user");
	execvp(command[0], command);
	die(command[0]);
}

static void start(char **command, int uid)
{
	long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC |
		       PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	int gate[2];
	if (pipe(gate))
		die("pipe");
	int pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(gate[1]);
		become(command, gate[0], uid);
	}
	close(gate[0]);
	find(pid);
	if (ptrace(PTRACE_SEIZE, pid, 0, options))
		die("PTRACE_SEIZE");
	/* From a running process there is no other way to the first system call stop. */
	ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	if (write(gate[1], "", 1) != 1)
		die("write");
	close(gate[1]);
}

static void choose(const char *text)
{
	listing = 0;
	if (sscanf(text, "%d:%llu:%d:%c%d", &chosen_process, &chosen_number, &chosen_nth,
		   &fault, &chosen_errno) < 4 ||
	    !strchr("eazk", fault)) {
		errno = EINVAL;
		die(text);
	}
}

/* In a mount namespace of the tracer's own, which nobody else sees. */
static void show_accounts(const char *folder)
{
	static const char *const names[] = { "passwd", "subuid", "subgid" };
	if (unshare(CLONE_NEWNS) || mount("", "/", 0, MS_REC | MS_PRIVATE, 0))
		die("unshare");
	for (int i = 0; i < 3; i++) {
		char from[4096], to[32];
		snprintf(from, sizeof from, "%s/%s", folder, names[i]);
		snprintf(to, sizeof to, "/etc/%s", names[i]);
		if (mount(from, to, 0, MS_BIND, 0))
			die(to);
	}
}

int main(int argc, char **argv)
{
	int option, uid = -1, seconds = 10;
	while ((option = getopt(argc, argv, "+o:u:e:t:i:")) != -1) {
		switch (option) {
		case 'o':
			report = fopen(optarg, "we");
			if (!report)
				die(optarg);
			break;
		case 'u':
			uid = atoi(optarg);
			break;
		case 'e':
			show_accounts(optarg);
			break;
		case 't':
			seconds = atoi(optarg);
			break;
		case 'i':
			choose(optarg);
			break;
		default:
			return 1;
		}
	}
	if (!report || optind == argc) {
		fprintf(stderr, "fault: -o REPORT and a command are needed\n");
		return 1;
	}
	/* No SA_RESTART: the timer is to interrupt waitpid. */
	struct sigaction action = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &action, 0);
	start(argv + optind, uid);
	trace(seconds);
	fclose(report);
	return 0;
}
