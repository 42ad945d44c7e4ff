/* Stands between a process and its C library (LD_PRELOAD): another wall clock, a slow or a failing disk.
 *
 * Responsible for: CLOCK_REALTIME moved by an offset; fsync and fdatasync that wait, or fail; writes to files that fail.
 * Not for: the monotonic clock and every wait by it, sockets, pipes, and files that are mapped.
 * The orders are four numbers in a file that is mapped (simulators/shim.py writes it), so that they change while the
 * process runs, without a system call. Obeys docs/faults.md.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct orders {
    volatile int64_t clock_offset_ms;
    volatile int64_t sync_delay_ms;
    volatile int64_t sync_errno;
    volatile int64_t write_errno;
};

static const struct orders none;
static const struct orders *orders = &none;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_orders(void) {
    const char *path = getenv("SHIM_ORDERS");
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED) orders = found;
}

int clock_gettime(clockid_t clock, struct timespec *told) {
    int answer = real_clock_gettime ? real_clock_gettime(clock, told) : (int)syscall(SYS_clock_gettime, clock, told);
    if (answer == 0 && orders->clock_offset_ms && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        told->tv_sec += orders->clock_offset_ms / 1000;
        if (told->tv_sec < 0) told->tv_sec = 0;
    }
    return answer;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone) {
    struct timespec moment;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &moment);
    told->tv_sec = moment.tv_sec;
    told->tv_usec = moment.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    if (told) *told = moment.tv_sec;
    return moment.tv_sec;
}

static int synced(long number, int file) {
    int64_t left_ms = orders->sync_delay_ms;
    if (left_ms > 0) {
        struct timespec pause = {left_ms / 1000, (left_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
    }
    if (orders->sync_errno) {
        errno = (int)orders->sync_errno;
        return -1;
    }
    return (int)syscall(number, file);
}

int fsync(int file) { return synced(SYS_fsync, file); }
int fdatasync(int file) { return synced(SYS_fdatasync, file); }

static int may_not_write(int file) {
    struct stat what;
    return orders->write_errno && fstat(file, &what) == 0 && S_ISREG(what.st_mode);
}

#define WRITES(name, number, parameters, ...)                \
    ssize_t name parameters {                                \
        if (may_not_write(file)) {                           \
            errno = (int)orders->write_errno;                \
            return -1;                                       \
        }                                                    \
        return (ssize_t)syscall(number, __VA_ARGS__);        \
    }

WRITES(write, SYS_write, (int file, const void *bytes, size_t size), file, bytes, size)
WRITES(pwrite, SYS_pwrite64, (int file, const void *bytes, size_t size, off_t at), file, bytes, size, at)
WRITES(pwrite64, SYS_pwrite64, (int file, const void *bytes, size_t size, off64_t at), file, bytes, size, at)
