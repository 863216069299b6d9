#include "base/as-user.h"

#include "base/fd.h"
#include "base/thread.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWNER "owner"
#define MAX_RECORD (1u << 20)
#define FIRST_GROUPS 64
#define MAX_GROUPS 65536 /* NGROUPS_MAX of linux/limits.h */

/*
 * The system calls themselves: glibc's setgroups() changes every thread of the process (nptl(7)), and its
 * setfsuid() cannot tell whether it succeeded. The 32-bit machines' calls of that name take 16 bits.
 */
#ifdef SYS_setfsuid32
#define CALL_SETFSUID SYS_setfsuid32
#define CALL_SETFSGID SYS_setfsgid32
#define CALL_SETGROUPS SYS_setgroups32
#else
#define CALL_SETFSUID SYS_setfsuid
#define CALL_SETFSGID SYS_setfsgid
#define CALL_SETGROUPS SYS_setgroups
#endif

typedef struct {
    uid_t uid;
    gid_t gid;
    GArray *groups; /* of gid_t */
} Rights;

typedef struct {
    const Rights *rights;
    DlkAsUserFunc func;
    gpointer data;
    int result;
    int failure; /* errno */
} Call;

/* FALSE: not known; what there was no room for would be left as group 0, root's. More groups than were
 * counted may be there when they are asked for. */
static gboolean
look_up_groups(const struct passwd *user, GArray *groups)
{
    int count = FIRST_GROUPS;
    for (int room = count; room <= MAX_GROUPS; room = MAX(count, 2 * room)) {
        g_array_set_size(groups, (guint)room);
        count = room;
        const int result = getgrouplist(user->pw_name, user->pw_gid, (gid_t *)(void *)groups->data, &count);
        if (result < 0)
            continue;
        g_array_set_size(groups, (guint)count);
        return TRUE;
    }
    g_array_set_size(groups, 0);
    return FALSE;
}

/* FALSE: there is no such user. @name may be %NULL for whoever has @uid. */
static gboolean
look_up(const char *name, uid_t uid, Rights *rights)
{
    struct passwd record, *found = NULL;
    int failure = ERANGE;
    for (gsize size = 1024; failure == ERANGE && size <= MAX_RECORD; size *= 2) {
        g_autofree char *buffer = g_malloc(size);
        failure = name != NULL ? getpwnam_r(name, &record, buffer, size, &found)
                               : getpwuid_r(uid, &record, buffer, size, &found);
        if (failure != 0 || found == NULL)
            continue;
        rights->uid = record.pw_uid;
        rights->gid = record.pw_gid;
        if (!look_up_groups(&record, rights->groups))
            return FALSE;
    }
    return failure == 0 && found != NULL;
}

/* Of a user whom only the server knows, nothing is known but what the file says. */
static gboolean
find_owner(int fd, Rights *rights)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return FALSE;
    if (!look_up(NULL, status.st_uid, rights)) {
        rights->uid = status.st_uid;
        rights->gid = status.st_gid;
        g_array_set_size(rights->groups, 0);
        g_array_append_val(rights->groups, status.st_gid);
    }
    return TRUE;
}

/*
 * A filesystem uid other than root's takes the capabilities away that would open every file
 * (capabilities(7), "Effect of user ID changes on capabilities"). An invalid id changes nothing and tells
 * which one holds (setfsuid(2)).
 */
static gboolean
take(const Rights *rights)
{
    const gsize count = rights->groups->len;
    if (syscall(CALL_SETGROUPS, count, rights->groups->data) != 0)
        return FALSE;
    (void)syscall(CALL_SETFSGID, rights->gid);
    (void)syscall(CALL_SETFSUID, rights->uid);
    return (gid_t)syscall(CALL_SETFSGID, -1) == rights->gid &&
           (uid_t)syscall(CALL_SETFSUID, -1) == rights->uid;
}

static void *
run(void *data)
{
    Call *call = data;
    call->result = -1;
    errno = EACCES;
    if (take(call->rights))
        call->result = call->func(call->data);
    call->failure = errno;
    return NULL;
}

int
dlk_as_user(const char *user, int fd, DlkAsUserFunc func, gpointer data)
{
    g_autoptr(GArray) groups = g_array_new(FALSE, TRUE, sizeof(gid_t));
    Rights rights = {.groups = groups};
    const gboolean is_known = g_str_equal(user, OWNER) ? find_owner(fd, &rights) : look_up(user, 0, &rights);
    if (!is_known) {
        errno = EACCES;
        return -1;
    }
    Call call = {&rights, func, data, -1, EAGAIN};
    (void)dlk_thread_run(run, &call);
    errno = call.failure;
    return call.result;
}

gboolean
dlk_as_user_is_known(const char *user)
{
    g_autoptr(GArray) groups = g_array_new(FALSE, TRUE, sizeof(gid_t));
    Rights rights = {.groups = groups};
    return g_str_equal(user, OWNER) || look_up(user, 0, &rights);
}

typedef struct {
    int fd;
    int flags;
} Reopen;

static int
reopen(gpointer data)
{
    const Reopen *call = data;
    return dlk_fd_reopen(call->fd, call->flags);
}

int
dlk_as_user_reopen(const char *user, int fd, int flags)
{
    Reopen call = {fd, flags};
    return user != NULL ? dlk_as_user(user, fd, reopen, &call) : dlk_fd_reopen(fd, flags);
}
