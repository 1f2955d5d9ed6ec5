/* What libseccomp makes of a profile, handed to it as a container runtime does.
 *
 * A profile is lines on standard input, ended by "end"; the answer to each is, on
 * standard output, three 32-bit numbers (rules that libseccomp refused, microseconds
 * that it took, instructions), the instructions, and a line for each unknown name is on
 * standard error. "name NAME" asks for the numbers of a call on the five architectures.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS 16

static const char *word(void) {
    const char *next = strtok(NULL, " \n");
    return next ? next : "";
}

static uint32_t action(const char *name, uint32_t number) {
    if (!strcmp(name, "SCMP_ACT_ALLOW")) return SCMP_ACT_ALLOW;
    if (!strcmp(name, "SCMP_ACT_ERRNO")) return SCMP_ACT_ERRNO(number);
    if (!strcmp(name, "SCMP_ACT_TRACE")) return SCMP_ACT_TRACE(number);
    if (!strcmp(name, "SCMP_ACT_LOG")) return SCMP_ACT_LOG;
    if (!strcmp(name, "SCMP_ACT_TRAP")) return SCMP_ACT_TRAP;
    if (!strcmp(name, "SCMP_ACT_NOTIFY")) return SCMP_ACT_NOTIFY;
    if (!strcmp(name, "SCMP_ACT_KILL_PROCESS")) return SCMP_ACT_KILL_PROCESS;
    return SCMP_ACT_KILL_THREAD;
}

static enum scmp_compare comparison(const char *name) {
    static const char *const names[] = {"NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"};
    for (int i = 0; i < 7; i++)
        if (!strcmp(name + strlen("SCMP_CMP_"), names[i])) return i + 1;
    exit(3);
}

static uint32_t architecture(const char *name) {
    if (!strcmp(name, "SCMP_ARCH_X86")) return SCMP_ARCH_X86;
    if (!strcmp(name, "SCMP_ARCH_X86_64")) return SCMP_ARCH_X86_64;
    if (!strcmp(name, "SCMP_ARCH_X32")) return SCMP_ARCH_X32;
    if (!strcmp(name, "SCMP_ARCH_AARCH64")) return SCMP_ARCH_AARCH64;
    if (!strcmp(name, "SCMP_ARCH_ARM")) return SCMP_ARCH_ARM;
    exit(4);
}

static uint32_t refused;

static void add(scmp_filter_ctx filter, uint32_t what, int number, int n,
                struct scmp_arg_cmp *args) {
    if (seccomp_rule_add_array(filter, what, number, n, args)) refused++;
}

/* rule ACTION NUMBER NAME [INDEX COMPARISON VALUE VALUE]... */
static void rule(scmp_filter_ctx filter, uint32_t by_default) {
    const char *name = word();
    uint32_t what = action(name, strtoul(word(), NULL, 0));
    name = word();
    struct scmp_arg_cmp args[MAX_ARGS];
    int n = 0, seen[6] = {0}, twice = 0;
    for (const char *index; n < MAX_ARGS && *(index = word()); n++) {
        args[n].arg = atoi(index);
        args[n].op = comparison(word());
        args[n].datum_a = strtoull(word(), NULL, 0);
        args[n].datum_b = strtoull(word(), NULL, 0);
        twice |= seen[args[n].arg]++;
    }
    if (what == by_default) return;
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;
    if (!twice) return add(filter, what, number, n, args);
    for (int i = 0; i < n; i++) add(filter, what, number, 1, &args[i]);
}

static void name(const char *name) {
    static const uint32_t all[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X32, SCMP_ARCH_X86,
                                   SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
    for (int i = 0; i < 5; i++) {
        int number = seccomp_syscall_resolve_name_arch(all[i], name);
        fwrite(&number, sizeof number, 1, stdout);
    }
    fflush(stdout);
}

static uint32_t microseconds(struct timespec from) {
    struct timespec to;
    clock_gettime(CLOCK_MONOTONIC, &to);
    return (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
}

static void answer(scmp_filter_ctx filter, struct timespec from) {
    FILE *program = tmpfile();
    if (!program || seccomp_export_bpf(filter, fileno(program))) exit(5);
    uint32_t took = microseconds(from);
    seccomp_release(filter);
    static unsigned char bytes[8 * 65536];
    rewind(program);
    size_t length = fread(bytes, 1, sizeof bytes, program);
    fclose(program);
    uint32_t head[3] = {refused, took, length / 8};
    fwrite(head, sizeof head, 1, stdout);
    fwrite(bytes, 1, length, stdout);
    fflush(stdout);
}

int main(void) {
    static char line[65536];
    scmp_filter_ctx filter = NULL;
    uint32_t by_default = 0;
    struct timespec from;
    while (fgets(line, sizeof line, stdin)) {
        const char *what = strtok(line, " \n");
        if (!what) continue;
        if (!strcmp(what, "default")) {
            clock_gettime(CLOCK_MONOTONIC, &from);
            const char *name = word();
            by_default = action(name, strtoul(word(), NULL, 0));
            filter = seccomp_init(by_default);
            if (!filter) return 2;
            refused = 0;
        } else if (!strcmp(what, "architecture")) {
            int result = seccomp_arch_add(filter, architecture(word()));
            if (result && result != -EEXIST) return 2;
        } else if (!strcmp(what, "rule")) {
            rule(filter, by_default);
        } else if (!strcmp(what, "name")) {
            name(word());
        } else if (!strcmp(what, "end")) {
            answer(filter, from);
        }
    }
    return 0;
}
