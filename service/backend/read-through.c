#include "backend/read-through.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

/*
 * Of an empty file there is nothing to read, but a client of NFS version 4.2 asks the server where data
 * begins, with the lock's state id (Linux, fs/nfs/nfs42proc.c). ENXIO: nowhere.
 */
static int
seek_data(int fd)
{
    return lseek(fd, 0, SEEK_DATA) >= 0 || errno != EIO ? 0 : EIO;
}

/*
 * Not by O_DIRECT: a Linux NFS client first writes out all that this host has cached of the file, which may
 * take minutes, and locks the file meanwhile (fs/nfs/io.c, nfs_start_io_direct). Instead one block leaves the
 * cache and is read anew, without those that follow. Another block each time: one that somebody has just
 * written to stays in the cache and proves nothing.
 */
int
dlk_read_through(int fd)
{
    struct stat status;
    char block[BLOCK];
    if (fstat(fd, &status) < 0)
        return errno;
    if (status.st_size <= 0)
        return seek_data(fd);
    const gint64 blocks = (status.st_size - 1) / BLOCK + 1;
    const off_t offset = (off_t)g_random_double_range(0, (double)blocks) * BLOCK;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    (void)posix_fadvise(fd, offset, BLOCK, POSIX_FADV_DONTNEED);
    ssize_t count;
    do
        count = pread(fd, block, BLOCK, offset);
    while (count < 0 && errno == EINTR);
    return count < 0 ? errno : 0;
}
