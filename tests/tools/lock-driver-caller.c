/*
 * lock-driver-caller NAME UUID PID [CALL…]: makes the calls that libvirt makes of its lock driver, one after
 * the other, and prints of each "done" or "failed", and " CODE: what the user would read, or libvirt's log
 * has". Without any it reads them from its standard input, one a line, and lives as long as that.
 *
 * A CALL is VERB[:FLAG=PATH[,FLAG=PATH…]]: begin (as in the child that becomes QEMU), register (as for a
 * domain of Xen, before it is made), acquire, ignore (acquire where a lock that is lost does not matter),
 * resume, release, suspend, restart (acquire for a domain that is to be restarted where its lock is lost).
 * FLAG: 0 exclusive, 1 read-only, 2 shared, L a lease in the lockspace "space".
 */

#include "lock-driver.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void virReportErrorHelper(int domain, int code, const char *file, const char *function, size_t line,
                          const char *format, ...) __attribute__((format(printf, 6, 7)));

static char said[4096];

/* The driver looks for it as libvirt's. */
void
virReportErrorHelper(int domain, int code, const char *file, const char *function, size_t line,
                     const char *format, ...)
{
    va_list arguments;
    int length = snprintf(said, sizeof said, " %d: ", code);

    va_start(arguments, format);
    vsnprintf(said + length, sizeof said - (size_t)length, format, arguments);
    va_end(arguments);
}

static void
read_uuid(const char *text, unsigned char uuid[16])
{
    for (int i = 0; i < 16; text++)
        if (*text != '-' && sscanf(text, "%2hhx", &uuid[i++]) == 1)
            text++;
}

static int
add(VirLockManager *manager, char *resource)
{
    char *path = resource + 2;
    VirLockParam params[] = {{.type = 1, .key = "path", .value.cstr = "/target"},
                             {.type = 4, .key = "offset", .value.ul = 0},
                             {.type = 1, .key = "lockspace", .value.cstr = "space"}};

    if (*resource == 'L')
        return virLockDriverImpl.add_resource(manager, VIR_LOCK_RESOURCE_LEASE, path, 3, params, 0);
    return virLockDriverImpl.add_resource(manager, VIR_LOCK_RESOURCE_DISK, path, 0, NULL,
                                          (unsigned int)(*resource - '0'));
}

static int
make_call(VirLockManager *manager, const char *verb)
{
    char *state = NULL;
    int fd = 0, result = -1;

    if (strcmp(verb, "begin") == 0)
        result = virLockDriverImpl.acquire(manager, NULL, VIR_LOCK_REGISTER_ONLY | VIR_LOCK_RESTRICT,
                                           VIR_LOCK_FAILURE_DEFAULT, &fd);
    else if (strcmp(verb, "register") == 0)
        result =
            virLockDriverImpl.acquire(manager, NULL, VIR_LOCK_REGISTER_ONLY, VIR_LOCK_FAILURE_DEFAULT, NULL);
    else if (strcmp(verb, "acquire") == 0)
        result = virLockDriverImpl.acquire(manager, NULL, 0, VIR_LOCK_FAILURE_PAUSE, NULL);
    else if (strcmp(verb, "ignore") == 0)
        result = virLockDriverImpl.acquire(manager, NULL, 0, VIR_LOCK_FAILURE_IGNORE, NULL);
    else if (strcmp(verb, "resume") == 0)
        result = virLockDriverImpl.acquire(manager, "suspended", 0, VIR_LOCK_FAILURE_DEFAULT, NULL);
    else if (strcmp(verb, "restart") == 0)
        result = virLockDriverImpl.acquire(manager, NULL, 0, VIR_LOCK_FAILURE_RESTART, NULL);
    else if (strcmp(verb, "release") == 0)
        result = virLockDriverImpl.release(manager, NULL, 0);
    else if (strcmp(verb, "suspend") == 0)
        result = virLockDriverImpl.release(manager, &state, 0);
    free(state);
    return result;
}

static void
call(VirLockParam *params, char *text)
{
    char *rest = NULL;
    const char *verb = strtok_r(text, ":", &rest);
    VirLockManager manager = {.driver = &virLockDriverImpl};
    bool ready = virLockDriverImpl.new_manager(&manager, VIR_LOCK_OBJECT_DOMAIN, 5, params, 0) == 0;

    said[0] = '\0';
    for (char *resource; ready && (resource = strtok_r(NULL, ",", &rest));)
        ready = add(&manager, resource) == 0;
    printf("%s%s\n", ready && make_call(&manager, verb) == 0 ? "done" : "failed", said);
    virLockDriverImpl.free_manager(&manager);
}

static void
make_calls_of_input(VirLockParam *params)
{
    char line[4096];

    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        call(params, line);
        fflush(stdout);
    }
}

int
main(int argc, char **argv)
{
    VirLockParam params[] = {{.type = 7, .key = "uuid"},
                             {.type = 0, .key = "name", .value.str = argv[1]},
                             {.type = 4, .key = "id", .value.ui = 1},
                             {.type = 4, .key = "pid", .value.ui = (unsigned int)atoi(argv[3])},
                             {.type = 1, .key = "uri", .value.cstr = NULL}};

    if (argc < 4 || virLockDriverImpl.init(1000000, NULL, 0) < 0)
        return 2;
    read_uuid(argv[2], params[0].value.uuid);
    for (int i = 4; i < argc; i++)
        call(params, argv[i]);
    if (argc == 4)
        make_calls_of_input(params);
    return virLockDriverImpl.deinit() < 0;
}
