/* Frees a block twice with the signal SIGABRT treated as the argument says. The program's own abort() is
 * another function, which must not be called. */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static sigjmp_buf back;
static int jumps;

void abort(void)
{
    _exit(77);
}

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(2);
}

static void handler(int signal)
{
    (void)signal;
    if (jumps)
        siglongjmp(back, 1);
    say("handled\n");
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "default";
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    jumps = !strcmp(how, "jump");
    if (jumps || !strcmp(how, "handler"))
        signal(SIGABRT, handler);
    if (!strcmp(how, "ignored"))
        signal(SIGABRT, SIG_IGN);
    if (!strcmp(how, "blocked")) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
    }
    if (sigsetjmp(back, 1)) {
        say("jumped\n");
        _exit(0);
    }
    void *volatile block = malloc(100);
    free(block);
    free(block);
    return 1;
}
