/* A disk that fails at one call: preloaded into the real command.
 *
 * fail_at() chooses the kind of call, which of them fails, with what error, and whether it goes on failing. Calls count
 * where they concern a file below one folder and nowhere else. All others are the C library's own.
 *
 * A disk that is full and stays so has room again for what a removed file took up: the size of .spare.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, WRITE, RENAME, UNLINK, SYNC, KINDS };

static char below[PATH_MAX];
static int chosen = -1, nth, error, stays;
static int seen[KINDS];
static char hit[PATH_MAX];
static size_t room;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

void fail_at(const char *folder, int kind, int number, int code, int on)
{
	snprintf(below, sizeof below, "%s/", folder);
	chosen = kind, nth = number, error = code, stays = on;
}

int calls(int kind) { return seen[kind]; }
const char *hit_path(void) { return hit; }

static int is_spare(const char *path)
{
	size_t size = strlen(path);
	return size > 7 && !strcmp(path + size - 7, "/.spare");
}

static int fails(int kind, const char *path, size_t bytes)
{
	if (!below[0] || strncmp(path, below, strlen(below)))
		return 0;
	pthread_mutex_lock(&counting);
	int number = ++seen[kind];
	int now = kind == chosen && (number == nth || (stays && number > nth));
	if (now && bytes && bytes <= room)
		now = 0, room -= bytes;
	if (kind == UNLINK && !now && hit[0] && is_spare(path))
		room = 64 * 1024;
	if (now && !hit[0])
		snprintf(hit, sizeof hit, "%s", path + strlen(below));
	pthread_mutex_unlock(&counting);
	if (now)
		errno = error;
	return now;
}

static int fails_at(int kind, int folder, const char *name)
{
	char path[PATH_MAX] = "", link[64];
	if (!below[0] || !name)
		return 0;
	if (name[0] != '/') {
		if (folder == AT_FDCWD) {
			if (!getcwd(path, sizeof path / 2))
				return 0;
		} else {
			snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
			ssize_t size = readlink(link, path, sizeof path / 2);
			if (size < 0)
				return 0;
			path[size] = 0;
		}
		strcat(path, "/");
	}
	strncat(path, name, sizeof path - strlen(path) - 1);
	return fails(kind, path, 0);
}

static int fails_on(int kind, int handle, size_t bytes)
{
	char path[PATH_MAX], link[64];
	if (!below[0])
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
	ssize_t size = readlink(link, path, sizeof path - 1);
	if (size < 0)
		return 0;
	path[size] = 0;
	return fails(kind, path, bytes);
}

#define REAL(result, name, ...) ((result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

#define MODE(flags)                                 \
	mode_t mode = 0;                                \
	if (flags & (O_CREAT | __O_TMPFILE)) {          \
		va_list rest;                               \
		va_start(rest, flags);                      \
		mode = va_arg(rest, mode_t);                \
		va_end(rest);                               \
	}

#define OPENS(name)                                                                  \
	int name(const char *path, int flags, ...)                                       \
	{                                                                                \
		MODE(flags)                                                                  \
		if (fails_at(OPEN, AT_FDCWD, path))                                          \
			return -1;                                                               \
		return REAL(int, name, const char *, int, ...)(path, flags, mode);           \
	}
#define OPENS_AT(name)                                                               \
	int name(int folder, const char *path, int flags, ...)                           \
	{                                                                                \
		MODE(flags)                                                                  \
		if (fails_at(OPEN, folder, path))                                            \
			return -1;                                                               \
		return REAL(int, name, int, const char *, int, ...)(folder, path, flags, mode); \
	}
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

#define ON_HANDLE(kind, result, name, types, values, handle, bytes)                  \
	result name types                                                                \
	{                                                                                \
		if (fails_on(kind, handle, bytes))                                           \
			return -1;                                                               \
		return ((result(*) types)dlsym(RTLD_NEXT, #name))values;                     \
	}
ON_HANDLE(WRITE, ssize_t, write, (int h, const void *b, size_t n), (h, b, n), h, n)
ON_HANDLE(WRITE, ssize_t, pwrite, (int h, const void *b, size_t n, off_t o), (h, b, n, o), h, n)
ON_HANDLE(WRITE, ssize_t, pwrite64, (int h, const void *b, size_t n, off64_t o), (h, b, n, o), h, n)
ON_HANDLE(WRITE, ssize_t, writev, (int h, const struct iovec *v, int n), (h, v, n), h, 1)
ON_HANDLE(WRITE, ssize_t, sendfile, (int h, int from, off_t *o, size_t n), (h, from, o, n), h, n)
ON_HANDLE(WRITE, ssize_t, sendfile64, (int h, int from, off64_t *o, size_t n), (h, from, o, n), h, n)
ON_HANDLE(WRITE, ssize_t, copy_file_range, (int from, off64_t *o, int h, off64_t *p, size_t n, unsigned f),
          (from, o, h, p, n, f), h, n)
ON_HANDLE(WRITE, int, ftruncate, (int h, off_t n), (h, n), h, 1)
ON_HANDLE(WRITE, int, ftruncate64, (int h, off64_t n), (h, n), h, 1)
ON_HANDLE(SYNC, int, fsync, (int h), (h), h, 0)
ON_HANDLE(SYNC, int, fdatasync, (int h), (h), h, 0)

int posix_fallocate64(int handle, off64_t from, off64_t size)
{
	return fails_on(WRITE, handle, size) ? errno : REAL(int, posix_fallocate64, int, off64_t, off64_t)(handle, from, size);
}
int rename(const char *from, const char *to)
{
	return fails_at(RENAME, AT_FDCWD, to) ? -1 : REAL(int, rename, const char *, const char *)(from, to);
}
int renameat(int a, const char *from, int b, const char *to)
{
	return fails_at(RENAME, b, to) ? -1 : REAL(int, renameat, int, const char *, int, const char *)(a, from, b, to);
}
int link(const char *from, const char *to)
{
	return fails_at(RENAME, AT_FDCWD, to) ? -1 : REAL(int, link, const char *, const char *)(from, to);
}
int mkdir(const char *path, mode_t mode)
{
	return fails_at(OPEN, AT_FDCWD, path) ? -1 : REAL(int, mkdir, const char *, mode_t)(path, mode);
}
int unlink(const char *path)
{
	return fails_at(UNLINK, AT_FDCWD, path) ? -1 : REAL(int, unlink, const char *)(path);
}
int unlinkat(int folder, const char *path, int flags)
{
	return fails_at(UNLINK, folder, path) ? -1 : REAL(int, unlinkat, int, const char *, int)(folder, path, flags);
}
