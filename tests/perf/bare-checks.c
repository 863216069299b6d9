/*
 * What the kernel takes for the checks of leases, with nothing around its calls: the monitor's bound.
 *   bare-checks BACKEND INTERVAL SECONDS <PATHS     prints the microseconds of processor time of a check
 * Opens all the files, and locks them where BACKEND is fcntl. Then, for SECONDS, makes the calls of a check
 * for each once in INTERVAL seconds, as the monitor does: a few neighbours together, their groups in an order
 * of chance that stays the same, and what is due in 50 ms at once.
 */
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

/* As in core/monitor.c. */
#define GATHER_US (50 * G_TIME_SPAN_MILLISECOND)
#define NEIGHBOURS 16
/* As in backend/hold.h. */
#define CHECKS_A_LOOK 8

typedef struct {
    int fd, folder_fd;
    char *name;
} File;

static int
open_or_die(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return fd;
}

static int
folder_of(GHashTable *folders, const char *path)
{
    char *folder = g_path_get_dirname(path);
    gpointer fd;

    if (!g_hash_table_lookup_extended(folders, folder, NULL, &fd)) {
        fd = GINT_TO_POINTER(open_or_die(folder, O_PATH | O_DIRECTORY));
        g_hash_table_insert(folders, g_strdup(folder), fd);
    }
    g_free(folder);
    return GPOINTER_TO_INT(fd);
}

static GArray *
open_files(gboolean locked)
{
    GArray *files = g_array_new(FALSE, FALSE, sizeof(File));
    g_autoptr(GHashTable) folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    char path[4096];

    while (fgets(path, sizeof path, stdin)) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

        g_strchomp(path);
        File file = {open_or_die(path, locked ? O_RDWR : O_PATH), folder_of(folders, path),
                     g_path_get_basename(path)};
        if (locked && fcntl(file.fd, F_OFD_SETLK, &lock) < 0) {
            perror(path);
            exit(EXIT_FAILURE);
        }
        g_array_append_val(files, file);
    }
    return files;
}

static GArray *
shuffled(const GArray *files)
{
    GArray *result = g_array_new(FALSE, FALSE, sizeof(File));
    g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint first = 0; first < files->len; first += NEIGHBOURS)
        g_array_append_val(groups, first);
    while (groups->len > 0) {
        const guint pick = (guint)g_random_int_range(0, (gint)groups->len);
        const guint first = g_array_index(groups, guint, pick);

        g_array_append_vals(result, &g_array_index(files, File, first), MIN(NEIGHBOURS, files->len - first));
        g_array_remove_index_fast(groups, pick);
    }
    return result;
}

/* As fcntl's check does for a file that only this host has; the look at the name is every backend's. */
static void
check(const File *file, gboolean looks, gboolean locked)
{
    struct statx found;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    if ((looks && statx(file->folder_fd, file->name, AT_SYMLINK_NOFOLLOW | AT_STATX_SYNC_AS_STAT,
                        STATX_INO | STATX_NLINK, &found) < 0) ||
        (locked && (fcntl(file->fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK))) {
        perror(file->name);
        exit(EXIT_FAILURE);
    }
}

static double
cpu_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* Returns how many it made. */
static guint64
check_until(const GArray *files, gboolean locked, double interval, gint64 end)
{
    const double per_turn = files->len * (double)GATHER_US / (interval * G_USEC_PER_SEC);
    guint64 made = 0;
    double wanted = 0;

    for (gint64 now = g_get_monotonic_time(); now < end; now = g_get_monotonic_time()) {
        for (wanted += per_turn; (double)made < wanted; made++)
            check(&g_array_index(files, File, made % files->len),
                  (made + made / files->len) % CHECKS_A_LOOK == 0, locked);
        g_usleep((gulong)(GATHER_US - g_get_monotonic_time() % GATHER_US));
    }
    return made;
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "bare-checks BACKEND INTERVAL SECONDS <PATHS\n");
        return EXIT_FAILURE;
    }
    const gboolean locked = g_str_equal(argv[1], "fcntl");
    const double interval = g_ascii_strtod(argv[2], NULL);
    g_autoptr(GArray) opened = open_files(locked);
    g_autoptr(GArray) files = shuffled(opened);

    const double before = cpu_us();
    const guint64 made =
        check_until(files, locked, interval,
                    g_get_monotonic_time() + (gint64)(g_ascii_strtod(argv[3], NULL) * G_USEC_PER_SEC));
    printf("check us=%.2f\n", (cpu_us() - before) / (double)MAX(made, 1));
    return EXIT_SUCCESS;
}
