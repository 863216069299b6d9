#include "backend/process-locks.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* More than any honest process has to say about one descriptor: about 15,000 locks. */
#define FDINFO_MAX (1024 * 1024)

/* The text of a file in /proc, or %NULL where it vanished or may not be read. */
static char *
read_text(int folder, const char *name)
{
    dlk_autofd fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    g_autoptr(GString) text = g_string_sized_new(1024);
    char buffer[4096];
    while (text->len < FDINFO_MAX) {
        const ssize_t count = read(fd, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        g_string_append_len(text, buffer, count);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* "lock:	1: OFDLCK ADVISORY  READ -1 fd:00:4711 100 100" */
static gboolean
parse_lock(const char *line, const char *inode_key, DlkProcessLock *lock)
{
    char type[16], access[16], inode[64], last[32];
    guint64 first;
    if (sscanf(line, "lock: %*s %15s %*s %15s %*s %63s %" SCNu64 " %31s", type, access, inode, &first,
               last) != 5)
        return FALSE;
    const gboolean flock = strcmp(type, "FLOCK") == 0;
    if (strcmp(inode, inode_key) != 0 ||
        !(flock || strcmp(type, "POSIX") == 0 || strcmp(type, "OFDLCK") == 0))
        return FALSE;
    lock->flock = flock;
    lock->write = strcmp(access, "WRITE") == 0;
    lock->first = first;
    lock->last = strcmp(last, "EOF") == 0 ? G_MAXUINT64 : g_ascii_strtoull(last, NULL, 10);
    return TRUE;
}

static void
add_locks(GArray *locks, char *text, const char *inode_key, pid_t pid, int fd)
{
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        DlkProcessLock lock = {.pid = pid, .fd = fd};
        if (parse_lock(line, inode_key, &lock))
            g_array_append_val(locks, lock);
    }
}

static void
name_process(GArray *locks, guint start, int process)
{
    g_autofree char *command = start < locks->len ? read_text(process, "comm") : NULL;
    if (command == NULL)
        return;
    if (g_str_has_suffix(command, "\n"))
        command[strlen(command) - 1] = '\0';
    for (guint i = start; i < locks->len; i++) {
        DlkProcessLock *lock = &g_array_index(locks, DlkProcessLock, i);
        g_strlcpy(lock->command, command, sizeof lock->command);
    }
}

/* Everything goes through the descriptor of /proc/PID: it answers nothing once the process has ended, whoever
 * gets the number next. */
static void
scan_process(GArray *locks, const char *path, const char *inode_key, pid_t pid, int except_fd)
{
    dlk_autofd process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dlk_autofd folder = process < 0 ? -1 : openat(process, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = folder < 0 ? NULL : fdopendir(folder);
    if (entries == NULL)
        return;
    const int folder_fd = g_steal_fd(&folder); /* the DIR closes it */
    const guint start = locks->len;
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        guint64 fd;
        if (!g_ascii_string_to_unsigned(entry->d_name, 10, 0, G_MAXINT32, &fd, NULL) || (int)fd == except_fd)
            continue; /* "." and ".." */
        g_autofree char *text = read_text(folder_fd, entry->d_name);
        if (text != NULL && strstr(text, inode_key) != NULL)
            add_locks(locks, text, inode_key, pid, (int)fd);
    }
    (void)closedir(entries);
    name_process(locks, start, process);
}

GArray *
dlk_process_locks_find(const char *inode_key)
{
    GArray *locks = g_array_new(FALSE, FALSE, sizeof(DlkProcessLock));
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
    if (processes == NULL)
        return locks;
    for (const char *name = g_dir_read_name(processes); name != NULL; name = g_dir_read_name(processes)) {
        guint64 pid;
        if (!g_ascii_string_to_unsigned(name, 10, 1, G_MAXINT32, &pid, NULL) || (pid_t)pid == getpid())
            continue;
        g_autofree char *path = g_build_filename("/proc", name, NULL);
        scan_process(locks, path, inode_key, (pid_t)pid, -1);
    }
    return locks;
}

GArray *
dlk_process_locks_find_own(const char *inode_key, int except_fd)
{
    GArray *locks = g_array_new(FALSE, FALSE, sizeof(DlkProcessLock));
    scan_process(locks, "/proc/self", inode_key, getpid(), except_fd);
    return locks;
}

/* The device number of the superblock, which is what mountinfo and /proc/locks show. */
static gboolean
find_device(const char *mount_id, guint *major_number, guint *minor_number)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
        return FALSE;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char id[16];
        if (sscanf(line, "%15s %*s %u:%u ", id, major_number, minor_number) == 3 && strcmp(id, mount_id) == 0)
            return TRUE;
    }
    return FALSE;
}

char *
dlk_process_locks_key(int fd)
{
    struct stat status;
    g_autofree char *mount_id = dlk_fd_info(fd, "mnt_id");
    g_autofree char *inode = dlk_fd_info(fd, "ino"); /* from Linux 5.14 on */
    guint major_number = 0, minor_number = 0;
    const gboolean mount_known = mount_id != NULL && find_device(mount_id, &major_number, &minor_number);
    if ((!mount_known || inode == NULL) && fstat(fd, &status) < 0)
        return NULL;
    if (!mount_known) { /* a mount of another namespace */
        major_number = major(status.st_dev);
        minor_number = minor(status.st_dev);
    }
    if (inode == NULL)
        inode = g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)status.st_ino);
    return g_strdup_printf("%02x:%02x:%s", major_number, minor_number, inode);
}

gboolean
dlk_process_lock_touches(const DlkProcessLock *lock, guint64 first, guint64 last)
{
    return !lock->flock && lock->first <= last && lock->last >= first;
}

gboolean
dlk_process_locks_touch(GArray *locks, guint64 first, guint64 last)
{
    for (guint i = 0; i < locks->len; i++)
        if (dlk_process_lock_touches(&g_array_index(locks, DlkProcessLock, i), first, last))
            return TRUE;
    return FALSE;
}
