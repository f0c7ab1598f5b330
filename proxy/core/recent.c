#include "proxy/core/recent.h"

#include "proxy/base/log.h"
#include "proxy/base/siphash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUCKETS	    16384u /* a power of 2 */
#define KEYS	    7u
#define TABLE_BYTES ((size_t)BUCKETS * sizeof(struct bucket))

/* A cache line. The oldest key goes first: each write takes the next place, also past a gap. */
struct bucket {
	_Atomic uint64_t keys[KEYS];
	_Atomic uint64_t n_written;
};

struct recent {
	struct bucket *buckets;
};

static void *map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *p = MAP_FAILED;
	int rc;

	if (fd < 0)
		return MAP_FAILED;
	/* Reserved: a write to a page that has no place on the disk would be a signal. */
	rc = posix_fallocate(fd, 0, (off_t)TABLE_BYTES);
	if (rc == 0)
		p = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	else
		errno = rc;
	rc = errno;
	close(fd);
	errno = rc;
	return p;
}

struct recent *recent_open(const char *state_dir)
{
	struct recent *r = calloc(1, sizeof(*r));
	char path[4096];
	void *p;

	if (r == NULL)
		return NULL;
	snprintf(path, sizeof(path), "%s/recent", state_dir);
	p = map_file(path);
	if (p == MAP_FAILED) {
		log_line(
			LOG_WARN, "recent_file",
			"file=\"%s\" error=\"%s\" effect=\"a message that was recorded just before "
			"statweir and Redis both end may be forwarded as well\"",
			path, strerror(errno));
		p = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	}
	if (p == MAP_FAILED) {
		free(r);
		return NULL;
	}
	r->buckets = p;
	return r;
}

void recent_close(struct recent *r)
{
	if (r == NULL)
		return;
	munmap(r->buckets, TABLE_BYTES);
	free(r);
}

uint64_t recent_key(struct slice client, uint64_t digest)
{
	static const struct siphash_key key = {0x7374617477656972u, 0x726563656e743031u};
	uint64_t k = siphash(&key, client) ^ digest;

	return k != 0 ? k : 1;
}

static struct bucket *bucket(const struct recent *r, uint64_t key)
{
	return &r->buckets[key & (BUCKETS - 1)];
}

static _Atomic uint64_t *find(const struct recent *r, uint64_t key)
{
	struct bucket *b = bucket(r, key);

	for (unsigned i = 0; i < KEYS; i++)
		if (atomic_load_explicit(&b->keys[i], memory_order_relaxed) == key)
			return &b->keys[i];
	return NULL;
}

void recent_put(struct recent *r, uint64_t key)
{
	struct bucket *b;
	uint64_t n;

	if (r == NULL || find(r, key) != NULL)
		return;
	b = bucket(r, key);
	/* No two workers get the same place. */
	n = atomic_fetch_add_explicit(&b->n_written, 1, memory_order_relaxed);
	atomic_store_explicit(&b->keys[n % KEYS], key, memory_order_relaxed);
}

void recent_drop(struct recent *r, uint64_t key)
{
	_Atomic uint64_t *place = r != NULL ? find(r, key) : NULL;
	uint64_t was = key;

	/* Another worker may have written there since. */
	if (place != NULL)
		atomic_compare_exchange_strong_explicit(place, &was, 0, memory_order_relaxed,
							memory_order_relaxed);
}

bool recent_has(const struct recent *r, uint64_t key)
{
	return r != NULL && find(r, key) != NULL;
}
