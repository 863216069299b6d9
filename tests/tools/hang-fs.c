/* A filesystem that stops answering when it is told to, as a dead NFS server does. */
#define FUSE_USE_VERSION 32
#include <fuse.h>

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define USAGE                                                                                                \
    "Usage: hang-fs FOLDER [FILES]\n"                                                                        \
    "\n"                                                                                                     \
    "Mounts on FOLDER a filesystem with the files disk-0.img, disk-1.img … (FILES of them, 200 if not "    \
    "said), says\n"                                                                                          \
    "\"ready\" when it is there, and stays in the foreground.\n"                                             \
    "\n"                                                                                                     \
    "  SIGUSR1  from now on no operation is answered\n"                                                      \
    "  SIGHUP   from now on every operation fails with EIO; those too that wait\n"                           \
    "  SIGALRM  the same with ESTALE\n"                                                                      \
    "  SIGUSR2  all are answered, those too that wait\n"                                                     \
    "  SIGURG   from now on no close by disklockd is answered, though everything else is\n"                  \
    "  SIGTERM  answers all that wait, unmounts and ends\n"                                                  \
    "After each of the first five it says \"hanging\", \"EIO\", \"ESTALE\", \"answering\" or \"keeping\".\n"

#define DISK_BYTES (1024 * 1024)

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    gboolean hangs;
    gboolean keeps; /* those who close */
    int error;      /* that every operation answers, or 0 */
    guint files;
    struct fuse *fuse;
    sigset_t signals;
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .files = 200};

static void
say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

static void
behave(gboolean hangs, gboolean keeps, int error)
{
    pthread_mutex_lock(&state.mutex);
    state.hangs = hangs;
    state.keeps = keeps;
    state.error = error;
    pthread_cond_broadcast(&state.cond);
    pthread_mutex_unlock(&state.mutex);
}

/* Every operation comes by here first. What it is to answer: 0, or a negative errno. */
static int
stand(void)
{
    pthread_mutex_lock(&state.mutex);
    while (state.hangs)
        pthread_cond_wait(&state.cond, &state.mutex);
    const int answer = -state.error;
    pthread_mutex_unlock(&state.mutex);
    return answer;
}

/* The inode of @path: 1 for the folder, 2 and more for the files; 0: no such thing. */
static guint
inode_of(const char *path)
{
    guint number = 0;
    int length = 0;
    if (strcmp(path, "/") == 0)
        return 1;
    if (sscanf(path, "/disk-%u.img%n", &number, &length) != 1 || path[length] != '\0' || length == 0)
        return 0;
    return number < state.files ? number + 2 : 0;
}

static int
get_attributes(const char *path, struct stat *status, struct fuse_file_info *info)
{
    const int answer = stand();
    if (answer < 0)
        return answer;
    guint inode = inode_of(path);
    if (inode == 0)
        return -ENOENT;
    memset(status, 0, sizeof *status);
    status->st_ino = inode;
    status->st_mode = inode == 1 ? S_IFDIR | 0755 : S_IFREG | 0666;
    status->st_nlink = inode == 1 ? 2 : 1;
    status->st_size = inode == 1 ? 0 : DISK_BYTES;
    return 0;
}

static int
list(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
     enum fuse_readdir_flags flags)
{
    const int answer = stand();
    if (answer < 0)
        return answer;
    for (guint i = 0; i < state.files; i++) {
        char name[32];
        g_snprintf(name, sizeof name, "disk-%u.img", i);
        fill(buffer, name, NULL, 0, 0);
    }
    return 0;
}

static int
open_file(const char *path, struct fuse_file_info *info)
{
    const int answer = stand();
    if (answer < 0)
        return answer;
    return inode_of(path) > 1 ? 0 : -EISDIR;
}

static int
read_file(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    const int answer = stand();
    if (answer < 0)
        return answer;
    if (offset >= DISK_BYTES)
        return 0;
    size_t length = MIN(size, (size_t)(DISK_BYTES - offset));
    memset(buffer, 0, length);
    return (int)length;
}

static int
write_file(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    const int answer = stand();
    if (answer < 0)
        return answer;
    return (int)size;
}

static gboolean
is_disklockd(pid_t thread)
{
    g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)thread);
    g_autofree char *program = g_file_read_link(link, NULL);
    g_autofree char *name = program ? g_path_get_basename(program) : NULL;

    return name && g_str_has_prefix(name, "disklockd");
}

/* Comes with every close(2) of a descriptor, and close waits for the answer; so would the end of a process,
 * which a filesystem that hangs otherwise lets end. */
static int
close_file(const char *path, struct fuse_file_info *info)
{
    const gboolean ours = is_disklockd(fuse_get_context()->pid);

    pthread_mutex_lock(&state.mutex);
    while (state.keeps && ours)
        pthread_cond_wait(&state.cond, &state.mutex);
    pthread_mutex_unlock(&state.mutex);
    return 0;
}

/* Nothing is kept, so that each look at a file asks us. */
static void *
start(struct fuse_conn_info *connection, struct fuse_config *config)
{
    config->use_ino = 1;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
    say("ready");
    return NULL;
}

static const struct fuse_operations operations = {
    .init = start,
    .getattr = get_attributes,
    .readdir = list,
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .flush = close_file,
};

/* Threads of the filesystem may all be standing, so signals have a thread of their own. */
static void *
take_signals(void *data)
{
    for (;;) {
        int number = 0;
        sigwait(&state.signals, &number);
        behave(number == SIGUSR1, number == SIGURG, number == SIGHUP ? EIO : number == SIGALRM ? ESTALE : 0);
        if (number != SIGTERM && number != SIGINT) {
            say(number == SIGUSR1   ? "hanging"
                : number == SIGUSR2 ? "answering"
                : number == SIGURG  ? "keeping"
                : number == SIGHUP  ? "EIO"
                                    : "ESTALE");
            continue;
        }
        fuse_exit(state.fuse);
        fuse_unmount(state.fuse); /* wakes the threads that wait for the next request */
        return NULL;
    }
}

static int
serve(void)
{
    pthread_t thread;
    struct fuse_loop_config config = {.clone_fd = 0, .max_idle_threads = 16};
    if (pthread_create(&thread, NULL, take_signals, NULL) != 0)
        return EXIT_FAILURE;
    fuse_loop_mt(state.fuse, &config);
    pthread_kill(thread, SIGTERM); /* for the case that somebody else unmounted it */
    pthread_join(thread, NULL);
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(USAGE, stdout);
        return EXIT_SUCCESS;
    }
    guint64 files = state.files;
    if (argc < 2 || argc > 3 ||
        (argc == 3 && !g_ascii_string_to_unsigned(argv[2], 10, 1, 100000, &files, NULL))) {
        fputs(USAGE, stderr);
        return 2;
    }
    state.files = (guint)files;
    sigemptyset(&state.signals);
    sigaddset(&state.signals, SIGUSR1);
    sigaddset(&state.signals, SIGUSR2);
    sigaddset(&state.signals, SIGURG);
    sigaddset(&state.signals, SIGHUP);
    sigaddset(&state.signals, SIGALRM);
    sigaddset(&state.signals, SIGTERM);
    sigaddset(&state.signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &state.signals, NULL);

    char *fuse_argv[] = {argv[0], (char *)"-ofsname=hang-fs,default_permissions", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, fuse_argv);
    state.fuse = fuse_new(&args, &operations, sizeof operations, NULL);
    if (state.fuse == NULL || fuse_mount(state.fuse, argv[1]) != 0)
        return EXIT_FAILURE;
    int status = serve();
    fuse_destroy(state.fuse);
    fuse_opt_free_args(&args);
    return status;
}
