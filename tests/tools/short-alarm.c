#include <sys/time.h>
#include <unistd.h>

/* Loaded before the C library: whoever sets an alarm is woken in a moment. */
unsigned int
alarm(unsigned int seconds)
{
    const struct itimerval moment = {.it_value = {.tv_usec = 200000}};
    return seconds > 0 && setitimer(ITIMER_REAL, &moment, NULL) == 0 ? 0 : seconds;
}
