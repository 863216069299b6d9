#include "host/resolve.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINKS 40 /* as the kernel */
#define STEP_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* Where a walk stands. */
typedef struct {
    const DlkMounts *mounts;
    const char *lane;
    const char *asked; /* the path as it was asked for, printable */
    GString *at;       /* where it is, without links; "" for the root */
    char *rest;        /* what is still to be walked */
    int fd;            /* the object at @at */
    int folder_fd;     /* the folder that @at's last component stands in, or -1 */
    guint links;
    char *elsewhere;
} Walk;

static void
walk_clear(Walk *walk)
{
    dlk_close_fd(&walk->fd);
    dlk_close_fd(&walk->folder_fd);
    g_string_free(walk->at, TRUE);
    g_free(walk->rest);
    g_free(walk->elsewhere);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Walk, walk_clear)

void
dlk_resolved_free(DlkResolved *self)
{
    dlk_close_fd(&self->fd);
    dlk_close_fd(&self->folder_fd);
    g_free(self->name);
    g_free(self->path);
    g_free(self->elsewhere);
    g_free(self);
}

char *
dlk_resolve_normalize(const char *path)
{
    GString *plain = g_string_sized_new(strlen(path) + 2);
    for (gsize length = 0; *path != '\0'; path += length) {
        path += strspn(path, "/");
        length = strcspn(path, "/");
        if (length == 0 || (length == 1 && path[0] == '.'))
            continue;
        g_string_append_c(plain, '/');
        g_string_append_len(plain, path, (gssize)length);
    }
    if (plain->len == 0)
        g_string_append_c(plain, '/');
    return g_string_free(plain, FALSE);
}

/* What is wrong with the path itself, or with the storage? */
static gboolean
fail(const Walk *walk, const char *at, int errsv, GError **error)
{
    gboolean is_path = errsv == ENOENT || errsv == ENOTDIR || errsv == ELOOP || errsv == ENAMETOOLONG;
    g_autofree char *place = dlk_text_printable(at, PATH_MAX);
    if (g_str_equal(place, walk->asked))
        return dlk_set_error_errno(error, is_path ? DLK_ERROR_NOT_A_DISK : DLK_ERROR_BACKEND_FAILED, errsv,
                                   "%s", walk->asked);
    return dlk_set_error_errno(error, is_path ? DLK_ERROR_NOT_A_DISK : DLK_ERROR_BACKEND_FAILED, errsv,
                               "%s leads to %s", walk->asked, place);
}

static gboolean
to_root(Walk *walk, GError **error)
{
    dlk_close_fd(&walk->fd);
    dlk_close_fd(&walk->folder_fd);
    g_string_truncate(walk->at, 0);
    walk->fd = open("/", STEP_FLAGS | O_DIRECTORY);
    return walk->fd >= 0 || fail(walk, "/", errno, error);
}

static gboolean
to_parent(Walk *walk, GError **error)
{
    dlk_autofd parent = openat(walk->fd, "..", STEP_FLAGS | O_DIRECTORY);
    if (parent < 0)
        return fail(walk, walk->at->str, errno, error);
    dlk_close_fd(&walk->fd);
    dlk_close_fd(&walk->folder_fd);
    walk->fd = g_steal_fd(&parent);
    const char *slash = strrchr(walk->at->str, '/');
    g_string_truncate(walk->at, slash != NULL ? (gsize)(slash - walk->at->str) : 0);
    return TRUE;
}

/*
 * May this job go on to @next? A mount of its own lane, or one on the way to where the rest of the path leads
 * in this lane. TRUE with walk->elsewhere set: not this job.
 */
static gboolean
may_enter(Walk *walk, const char *next, gboolean must_be_folder, GError **error)
{
    const DlkMount *mount = dlk_mounts_at(walk->mounts, next);
    if (mount == NULL)
        return TRUE;
    if (g_str_equal(mount->filesystem, "proc")) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK,
                    "%s leads into /proc, where nothing is a disk: name the disk itself", walk->asked);
        return FALSE;
    }
    g_autofree char *whole = g_strconcat(next, must_be_folder ? "/" : "", walk->rest, NULL);
    g_autofree char *plain = dlk_resolve_normalize(whole);
    const DlkMount *end = dlk_mounts_of_path(walk->mounts, plain);
    if (!g_str_equal(mount->lane, walk->lane) && !g_str_equal(end->lane, walk->lane))
        walk->elsewhere = g_steal_pointer(&whole);
    return TRUE;
}

/* The folder was an automount point: what has just been mounted there is not in our table and has a lane of
 * its own. */
static void
look_for_automount(Walk *walk, const char *next, int fd)
{
    const DlkMount *mount = dlk_mounts_of_path(walk->mounts, next);
    guint64 id = 0;
    if (mount == NULL || !g_str_equal(mount->filesystem, "autofs"))
        return;
    g_autofree char *text = dlk_fd_info(fd, "mnt_id");
    if (text != NULL && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &id, NULL) &&
        dlk_mounts_by_id(walk->mounts, id) == NULL)
        walk->elsewhere = g_strconcat(next, "/", walk->rest, NULL);
}

static gboolean
follow(Walk *walk, int link_fd, const char *next, gboolean must_be_folder, GError **error)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(link_fd, "", target, sizeof target - 1);
    if (length < 0)
        return fail(walk, next, errno, error);
    target[length] = '\0';
    if (length == 0)
        return fail(walk, next, ENOENT, error);
    if (++walk->links > MAX_LINKS)
        return fail(walk, next, ELOOP, error);
    if ((gsize)length + strlen(walk->rest) + 1 >= PATH_MAX)
        return fail(walk, next, ENAMETOOLONG, error);

    g_autofree char *after = g_steal_pointer(&walk->rest);
    walk->rest = g_strconcat(target, must_be_folder ? "/" : "", after, NULL);
    return target[0] != '/' || to_root(walk, error);
}

static void
step_to(Walk *walk, const char *next, int *fd)
{
    dlk_close_fd(&walk->folder_fd);
    walk->folder_fd = g_steal_fd(&walk->fd);
    walk->fd = g_steal_fd(fd);
    g_string_assign(walk->at, next);
}

/*
 * One component. Where a folder has to follow, O_DIRECTORY tells folders from the rest at no further cost,
 * and makes an automount point be mounted.
 */
static gboolean
enter(Walk *walk, const char *name, gboolean must_be_folder, GError **error)
{
    g_autofree char *next = g_strconcat(walk->at->str, "/", name, NULL);
    if (!may_enter(walk, next, must_be_folder, error))
        return FALSE;
    if (walk->elsewhere != NULL)
        return TRUE;

    dlk_autofd fd = openat(walk->fd, name, STEP_FLAGS | (must_be_folder ? O_DIRECTORY : 0));
    if (fd >= 0 && must_be_folder) {
        look_for_automount(walk, next, fd);
        step_to(walk, next, &fd);
        return TRUE;
    }
    if (fd < 0 && must_be_folder && errno == ENOTDIR)
        fd = openat(walk->fd, name, STEP_FLAGS);

    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return fail(walk, next, errno, error);
    if (S_ISLNK(status.st_mode))
        return follow(walk, fd, next, must_be_folder, error);
    if (must_be_folder && !S_ISDIR(status.st_mode))
        return fail(walk, next, ENOTDIR, error);
    step_to(walk, next, &fd);
    return TRUE;
}

/* Takes the first component, "" included, off walk->rest; @more: a slash came after it. */
static char *
next_component(Walk *walk, gboolean *more)
{
    g_autofree char *rest = g_steal_pointer(&walk->rest);
    char *slash = strchr(rest, '/');
    *more = slash != NULL;
    if (slash == NULL) {
        walk->rest = g_strdup("");
        return g_steal_pointer(&rest);
    }
    walk->rest = g_strdup(slash + 1 + strspn(slash + 1, "/"));
    return g_strndup(rest, (gsize)(slash - rest));
}

static gboolean
walk_on(Walk *walk, GError **error)
{
    while (walk->rest[0] != '\0' && walk->elsewhere == NULL) {
        gboolean more = FALSE, ok = TRUE;
        g_autofree char *name = next_component(walk, &more);
        if (g_str_equal(name, ".."))
            ok = to_parent(walk, error);
        else if (name[0] != '\0' && !g_str_equal(name, "."))
            ok = enter(walk, name, more, error);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

static gboolean
check_text(const char *path, const char *printable, GError **error)
{
    if (path[0] != '/') {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "'%s' is not an absolute path", printable);
        return FALSE;
    }
    if (strlen(path) < PATH_MAX)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "a path of %" G_GSIZE_FORMAT " bytes is too long: %d is the limit", strlen(path),
                PATH_MAX - 1);
    return FALSE;
}

static DlkResolved *
to_resolved(Walk *walk)
{
    DlkResolved *resolved = g_new0(DlkResolved, 1);
    resolved->fd = resolved->folder_fd = -1;
    if (walk->elsewhere != NULL) {
        resolved->elsewhere = g_steal_pointer(&walk->elsewhere);
        return resolved;
    }
    resolved->fd = g_steal_fd(&walk->fd);
    resolved->folder_fd = g_steal_fd(&walk->folder_fd);
    resolved->path = g_strdup(walk->at->len > 0 ? walk->at->str : "/");
    resolved->name = g_path_get_basename(resolved->path);
    return resolved;
}

DlkResolved *
dlk_resolve(const DlkMounts *mounts, const char *path, const char *lane, GError **error)
{
    g_autofree char *printable = dlk_text_printable(path, 1024);
    if (!check_text(path, printable, error))
        return NULL;

    g_auto(Walk) walk = {.mounts = mounts,
                         .lane = lane,
                         .asked = printable,
                         .at = g_string_new(NULL),
                         .rest = g_strdup(path),
                         .fd = -1,
                         .folder_fd = -1};
    if (!to_root(&walk, error) || !walk_on(&walk, error))
        return NULL;
    return to_resolved(&walk);
}
