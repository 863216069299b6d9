#pragma once

/**
 * What an administrator does about a lock of another host on a Linux NFS server; a clause. No name of a host
 * stands in a command of it: a record may be forged by whoever can write it, and what is advised here is
 * done as root on the server.
 */
#define DLK_NFS_SERVER_ADVICE                                                                                \
    "on the server, where it is a Linux NFS server: find the client that this host is with  grep -E "        \
    "'^(name|address):' /proc/fs/nfsd/clients/*/info  and end its locks with  echo expire > "                \
    "/proc/fs/nfsd/clients/N/ctl  (NFS 4; for version 3:  echo CLIENT-ADDRESS > /proc/fs/nfsd/unlock_ip  "   \
    "does so for all locks behind that address of the server)"
