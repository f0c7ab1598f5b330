#include "proxy/store/embedded_find.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *path)
{
	struct stat st;

	return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool find_in_dir(struct slice dir, const char *name, char *out, size_t room)
{
	int n;

	/* An empty part of PATH is the current directory: not for us. */
	if (dir.n == 0 || dir.n > 400)
		return false;
	n = snprintf(out, room, "%.*s/%s", SLICE_ARG(dir), name);
	return n > 0 && (size_t)n < room && is_program(out);
}

static bool find_in_path(const char *search, const char *name, char *out, size_t room)
{
	const char *p = search;

	while (p != NULL && *p != '\0') {
		size_t n = strcspn(p, ":");

		if (find_in_dir(slice_make(p, n), name, out, room))
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

int embedded_find(const char *configured, const char *search, char *out, size_t room,
		  struct strbuf *err)
{
	static const char *const names[] = {"redis-server", "valkey-server", "redis-check-rdb",
					    "redis-check-aof", "valkey-check-rdb"};

	if (configured[0] != '\0') {
		if (snprintf(out, room, "%s", configured) < (int)room && is_program(out))
			return 0;
		strbuf_printf(err, "redis.binary %s is not a program", configured);
		return -ENOENT;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (find_in_path(search, names[i], out, room) ||
		    find_in_path("/usr/bin:/usr/local/bin", names[i], out, room))
			return 0;
	strbuf_put_str(err, "no redis-server found: install it (Debian: redis-tools or "
			    "redis-server), set redis.binary, or set redis.server to a Redis that "
			    "you run");
	return -ENOENT;
}
