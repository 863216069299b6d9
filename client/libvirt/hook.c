#include "config.h"
#include "hook-run.h"
#include "terminal.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A hook of libvirt (https://libvirt.org/hooks.html), linked from hooks/qemu.d and hooks/libxl.d by
 * `disklockctl libvirt enable`.
 *
 * Whatever it ends with other than 0 where libvirtd comes back (`reconnect`) ends the VM. So it is linked to
 * the C library alone: with a library that an upgrade is just replacing it would not even begin. And libvirt
 * calls a hook for much that is none of ours, twice more at each start, which ends here, where it costs
 * least.
 */

/* libvirt waits for a hook without end. */
#define PATIENCE 45 /* s */

/* As a shell has them, for what does not exist, and timeout(1), for what does not end. */
#define EXIT_NOT_FOUND 127
#define EXIT_TIMEOUT 124

typedef struct {
    const char *name;
    bool may_fail; /* does libvirt refuse to go on where the hook fails, and rightly so? */
} Operation;

static const Operation operations[] = {
    {"prepare", true},
    {"migrate", true},
    {"release", false},
    {"reconnect", false},
};

static bool may_fail;
static char complaint[512];

static const Operation *
find(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

/* The bus stands still, or what was loaded crashes. */
static void
end(int number)
{
    static const char crash[] = "the hook of disklock was ended by a signal\n";
    const char *text = number == SIGALRM ? complaint : crash;
    const int status = number == SIGALRM ? EXIT_TIMEOUT : EXIT_FAILURE;
    const ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
    _exit(may_fail ? status : EXIT_SUCCESS);
}

/* Now: in a signal's handler not even the domain's name could be put into it. */
static void
prepare_complaint(const char *domain)
{
    char name[256] = "";

    for (size_t length = 0; *domain && length + DLK_SHOWN_SIZE <= sizeof name;
         length += strlen(name + length))
        domain += dlk_terminal_show(domain, name + length);
    snprintf(
        complaint, sizeof complaint,
        "%s: the system bus or disklockd has not answered for %d seconds: systemctl status dbus disklockd\n",
        name, PATIENCE);
}

/* All others would end a process. SIGKILL and SIGSTOP nothing can catch, SIGPIPE is ignored, and the C
 * library keeps two real-time signals for itself. */
static const int harmless[] = {
    SIGKILL, SIGSTOP, SIGPIPE, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
};

static bool
is_deadly(int number)
{
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (harmless[i] == number)
            return false;
    return true;
}

static void
prepare_for_the_worst(void)
{
    /* A stack that is full has no room for a handler. */
    static char spare[1 << 16];
    const stack_t stack = {.ss_sp = spare, .ss_size = sizeof spare};
    const struct sigaction action = {.sa_handler = end, .sa_flags = SA_ONSTACK};
    sigset_t none;

    sigaltstack(&stack, NULL);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (is_deadly(number))
            sigaction(number, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    alarm(PATIENCE);
}

/* What the work is done by, or NULL. */
static DlkHookRun *
load(void)
{
    /* As libvirt itself: src/locking/lock_manager.c. */
    const char *folder = secure_getenv("LIBVIRT_LOCK_MANAGER_PLUGIN_DIR");
    char path[4096];
    DlkHookRun *run = NULL;

    snprintf(path, sizeof path, "%s/disklock.so", folder ? folder : LIBVIRT_PLUGIN_DIR);
    /* Now: what is missing is to be found here, and not by a process that ends of it. */
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugin)
        *(void **)&run = dlsym(plugin, DLK_HOOK_RUN);
    if (!run)
        fprintf(stderr, "disklock's part of the hook cannot be loaded: %s\n", dlerror());
    return run;
}

int
main(int argc, char **argv)
{
    const Operation *operation = argc > 2 ? find(argv[2]) : NULL;

    if (!operation)
        return EXIT_SUCCESS;
    may_fail = operation->may_fail;
    prepare_complaint(argv[1]);
    prepare_for_the_worst();
    DlkHookRun *run = load();
    const int status = run ? run(operation->name, argv[1]) : EXIT_NOT_FOUND;
    return may_fail ? status : EXIT_SUCCESS;
}
