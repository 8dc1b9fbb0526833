/* Listens at a socket as processes on the allocator do, and answers by rules of its own; it has nothing of the library.
 * Says `ready`, and ends when its input does.
 *
 *   answers SOCKET silent_once   has a list of blocks, of which there are none, but no answer when it is first asked
 *   answers SOCKET looks         says `asked` when there is a request, leaves it where it is, and never answers
 *   answers SOCKET reads         the same, but takes the request
 */
#include "check.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *mode;
static int listening;

static void answer(int peer, int lists) {
    dprintf(peer, "ok\n");
    if (!lists) {
        dprintf(peer, "protocol 1\nversion 0.1.0\nlive_bytes 1\n");
        return;
    }
    dprintf(peer, "stratalloc profile 1\npid %d\nmode trace\ninterval 0\nclock_ms 1\nlost 0\n", (int)getpid());
    dprintf(peer, "live_bytes 0 peak_bytes 0\nstack 0 0 0 0 0 0 0 0 0 0 0 0 @ 1000\nstack_id 1000\n");
    dprintf(peer, "mappings\nend\n");
}

static void *serve(void *unused) {
    int silent = !strcmp(mode, "silent_once");
    /* The tool knows the thread that answers by this name, and does not stop it with the others. */
    prctl(PR_SET_NAME, "stratalloc-ctl");
    for (;;) {
        char request[64] = "";
        int peer = accept(listening, NULL, NULL);
        CHECK(peer >= 0, "accept");
        /* Some only look who listens. */
        if (recv(peer, request, sizeof request - 1, strcmp(mode, "looks") ? 0 : MSG_PEEK) > 0) {
            int lists = !strcmp(request, "blocks\n");
            if (strcmp(mode, "silent_once")) {
                dprintf(1, "asked\n");
                pause();
            }
            if (lists && silent) {
                silent = 0;
                /* Until the other side gives up. */
                while (read(peer, request, sizeof request) > 0) {
                }
            } else {
                answer(peer, lists);
            }
        }
        close(peer);
    }
    return unused;
}

int main(int argc, char **argv) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    pthread_t thread;
    char byte;
    CHECK(argc == 3 && strlen(argv[1]) < sizeof at.sun_path, "answers SOCKET MODE");
    mode = argv[2];
    strcpy(at.sun_path, argv[1]);
    listening = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listening, (struct sockaddr *)&at, sizeof at) == 0 && listen(listening, 5) == 0, "a socket");
    CHECK(pthread_create(&thread, NULL, serve, NULL) == 0, "a thread");
    /* Nobody waits for a request that does not come. */
    alarm(100);
    dprintf(1, "ready\n");
    while (read(0, &byte, 1) > 0) {
    }
    return 0;
}
