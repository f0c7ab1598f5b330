/* Redis's own words about itself, and what they are worth. */
#include "proxy/store/store_check.h"

#include <stdio.h>
#include <string.h>

static void copy(char *out, size_t room, const char *p, size_t n)
{
	if (n >= room)
		n = room - 1;
	memcpy(out, p, n);
	out[n] = '\0';
}

/* The value of "\nfield:value\r". */
static void info_field(const char *info, const char *field, char *out, size_t room)
{
	size_t n = strlen(field);
	const char *p = info;

	while ((p = strstr(p, field)) != NULL) {
		if ((p == info || p[-1] == '\n') && p[n] == ':') {
			copy(out, room, p + n + 1, strcspn(p + n + 1, "\r\n"));
			return;
		}
		p += n;
	}
}

void facts_of_info(struct redis_facts *f, const char *info)
{
	info_field(info, "role", f->role, sizeof(f->role));
	info_field(info, "loading", f->loading, sizeof(f->loading));
	info_field(info, "aof_enabled", f->aof_enabled, sizeof(f->aof_enabled));
	info_field(info, "aof_last_write_status", f->aof_write, sizeof(f->aof_write));
	info_field(info, "aof_rewrites", f->aof_rewrites, sizeof(f->aof_rewrites));
	info_field(info, "aof_rewrite_in_progress", f->aof_is_rewriting,
		   sizeof(f->aof_is_rewriting));
	info_field(info, "maxmemory_policy", f->policy, sizeof(f->policy));
	info_field(info, "run_id", f->run_id, sizeof(f->run_id));
	info_field(info, "master_replid", f->replid, sizeof(f->replid));
}

void facts_of_config(struct redis_facts *f, const char *name, const char *value)
{
	size_t n = strlen(value);

	if (strcmp(name, "appendonly") == 0)
		copy(f->appendonly, sizeof(f->appendonly), value, n);
	else if (strcmp(name, "appendfsync") == 0)
		copy(f->appendfsync, sizeof(f->appendfsync), value, n);
	else if (strcmp(name, "no-appendfsync-on-rewrite") == 0)
		copy(f->no_fsync_on_rewrite, sizeof(f->no_fsync_on_rewrite), value, n);
	else if (strcmp(name, "set-max-intset-entries") == 0)
		copy(f->intset_entries, sizeof(f->intset_entries), value, n);
}

static bool is_role_fit(const struct redis_facts *f, char *why, size_t room)
{
	if (strcmp(f->loading, "1") == 0) {
		snprintf(why, room, "Redis is loading its data");
		return false;
	}
	if (strcmp(f->role, "master") == 0)
		return true;
	snprintf(why, room, "Redis is a %s, not a master: point redis.server to the master",
		 strcmp(f->role, "slave") == 0 ? "replica"
		 : f->role[0] != '\0'	       ? f->role
					       : "server without a role");
	return false;
}

/* One sentence of the same form for each setting. */
static void demand(char *why, size_t room, const char *setting, const char *is, const char *wanted,
		   const char *durability)
{
	snprintf(
		why, room,
		"Redis %s is %s, redis.durability = %s needs %s: CONFIG SET %s %s, and the same in "
		"redis.conf",
		setting, is, durability, wanted, setting, wanted);
}

bool facts_are_enough(const struct redis_facts *f, enum conf_durability wanted, char *why,
		      size_t room)
{
	const char *name = wanted == DURABLE_REDIS ? "redis" : "journal";
	bool is_off = f->appendonly[0] != '\0' ? strcmp(f->appendonly, "yes") != 0
					       : strcmp(f->aof_enabled, "1") != 0;

	if (!is_role_fit(f, why, room))
		return false;
	if (wanted == DURABLE_NONE)
		return true;
	if (is_off) {
		demand(why, room, "appendonly", "no", "yes", name);
		return false;
	}
	if (strcmp(f->aof_write, "ok") != 0) {
		snprintf(why, room,
			 "Redis cannot write its append-only file (aof_last_write_status is %s): "
			 "look at its log and free space on its disk",
			 f->aof_write[0] != '\0' ? f->aof_write : "not reported");
		return false;
	}
	if (f->policy[0] != '\0' && strcmp(f->policy, "noeviction") != 0) {
		demand(why, room, "maxmemory-policy", f->policy, "noeviction", name);
		return false;
	}
	if (wanted == DURABLE_JOURNAL && strcmp(f->appendfsync, "no") == 0) {
		demand(why, room, "appendfsync", "no", "everysec", name);
		return false;
	}
	/* A rewrite may take longer than the journal keeps what Redis has. */
	if (strcmp(f->no_fsync_on_rewrite, "yes") == 0) {
		demand(why, room, "no-appendfsync-on-rewrite", "yes", "no", name);
		return false;
	}
	if (wanted == DURABLE_JOURNAL || f->appendfsync[0] == '\0')
		return true;
	if (strcmp(f->appendfsync, "always") != 0) {
		demand(why, room, "appendfsync", f->appendfsync, "always", name);
		return false;
	}
	return true;
}
