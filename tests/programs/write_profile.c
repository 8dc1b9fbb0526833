/* Allocates and keeps some blocks, then has a profile written: to the file that the argument names, or, without
 * one, by a signal to itself, which is waited for a while. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "stratalloc.h"

void *volatile kept[2000];

int main(int count, char **arguments)
{
    for (int i = 0; i < 2000; i++)
        kept[i] = malloc(1000);
    if (count > 1)
        return stratalloc_write_profile(arguments[1]) ? 1 : 0;
    raise(SIGUSR1);
    usleep(300 * 1000);
    return 0;
}
