/* Loads the filter on standard input and makes the calls that follow it, each in a
 * process of its own, with arguments that mean nothing: "NUMBER ERRNO" for each. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sock_filter program[4096];

static int call(unsigned length, long number) {
    struct sock_fprog filter = {length, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) _exit(100);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) _exit(101);
    long result = syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
    return result < 0 ? errno : 0;
}

int main(void) {
    unsigned length;
    if (scanf("%u", &length) != 1 || length > 4096) return 1;
    for (unsigned i = 0; i < length; i++) {
        unsigned code, jt, jf, k;
        if (scanf("%u %u %u %u", &code, &jt, &jf, &k) != 4) return 1;
        program[i] = (struct sock_filter){code, jt, jf, k};
    }
    for (long number; scanf("%ld", &number) == 1;) {
        int ends[2], answer = -1;
        if (pipe(ends)) return 1;
        fflush(stdout);
        pid_t child = fork();
        if (child < 0) return 1;
        if (!child) {
            /* So that the answer gets out whatever the filter refuses. */
            int got = call(length, number);
            if (write(ends[1], &got, sizeof got) != sizeof got) _exit(102);
            _exit(0);
        }
        close(ends[1]);
        if (read(ends[0], &answer, sizeof answer) != sizeof answer) answer = -1;
        close(ends[0]);
        waitpid(child, NULL, 0);
        printf("%ld %d\n", number, answer);
    }
    return 0;
}
