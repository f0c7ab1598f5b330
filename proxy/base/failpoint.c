#include "proxy/base/failpoint.h"

#ifdef STATWEIR_DEBUG

#include "proxy/base/check.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARMED_MAX 16
#define TEXT_MAX  1024

enum action {
	ACTION_KILL,
	ACTION_ABORT,
	ACTION_SLEEP,
	ACTION_ERROR,
	ACTION_SHORT,
};

struct armed {
	const char *name;
	enum action action;
	long value; /* ms, errno or bytes */
	long at;    /* hit that counts; 0: each */
	bool goes_on;
	atomic_long hits;
};

static char text[TEXT_MAX];
static struct armed armed[ARMED_MAX];
static unsigned n_armed;

static const char *const names[] = {
#define FAILPOINT_NAME(name, moment) #name,
#include "proxy/base/failpoint.def"
#undef FAILPOINT_NAME
};

static const struct {
	const char *word;
	int value;
} errors[] = {
	{"EIO", EIO},	    {"ENOSPC", ENOSPC},	    {"ENOMEM", ENOMEM},
	{"EACCES", EACCES}, {"ENOTCONN", ENOTCONN},
};

static _Noreturn void refuse(const char *what)
{
	fprintf(stderr, "<3>failpoints error=\"%s\"\n", what);
	_exit(78);
}

static void read_error(struct armed *a, const char *word)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].word, word) == 0) {
			a->action = ACTION_ERROR;
			a->value = -errors[i].value;
			return;
		}
	refuse(word);
}

static void read_action(struct armed *a, char *word)
{
	char *value = strchr(word, ':');

	if (value != NULL)
		*value++ = '\0';
	if (strcmp(word, "kill") == 0)
		a->action = ACTION_KILL;
	else if (strcmp(word, "abort") == 0)
		a->action = ACTION_ABORT;
	else if (value == NULL)
		refuse(word);
	else if (strcmp(word, "error") == 0)
		read_error(a, value);
	else if (strcmp(word, "sleep") == 0 || strcmp(word, "short") == 0) {
		a->action = word[1] == 'l' ? ACTION_SLEEP : ACTION_SHORT;
		a->value = strtol(value, NULL, 10);
	} else
		refuse(word);
}

static void read_name(struct armed *a, const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0) {
			a->name = names[i];
			return;
		}
	refuse(name);
}

static void arm(char *item)
{
	struct armed *a = &armed[n_armed];
	char *action = strchr(item, '='), *at, *end;

	if (action == NULL || n_armed == ARMED_MAX)
		refuse(item);
	*action++ = '\0';
	at = strchr(action, '@');
	if (at != NULL) {
		*at++ = '\0';
		a->at = strtol(at, &end, 10);
		a->goes_on = *end == '+';
	}
	read_name(a, item);
	read_action(a, action);
	n_armed++;
}

/* Before main(): a failpoint may be hit from anywhere, and nobody has to call us. */
__attribute__((constructor)) static void arm_all(void)
{
	const char *wanted = getenv("STATWEIR_FAILPOINTS");
	char *item = text, *end;

	if (wanted == NULL)
		return;
	if (strlen(wanted) >= sizeof(text))
		refuse("too long");
	memcpy(text, wanted, strlen(wanted) + 1);
	for (; item != NULL && *item != '\0'; item = end) {
		end = strchr(item, ';');
		if (end != NULL)
			*end++ = '\0';
		arm(item);
	}
}

/* The armed failpoint that this hit fires, or NULL. */
static const struct armed *fires(const char *name)
{
	for (unsigned i = 0; i < n_armed; i++) {
		struct armed *a = &armed[i];
		long hit;

		if (strcmp(a->name, name) != 0)
			continue;
		hit = atomic_fetch_add(&a->hits, 1) + 1;
		if (a->at == 0 || hit == a->at || (a->goes_on && hit > a->at))
			return a;
	}
	return NULL;
}

static void nap(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

int failpoint_hit(const char *name)
{
	const struct armed *a = fires(name);

	if (a == NULL)
		return 0;
	switch (a->action) {
	case ACTION_KILL:
		kill(getpid(), SIGKILL);
		break;
	case ACTION_ABORT:
		abort();
	case ACTION_SLEEP:
		nap(a->value);
		break;
	case ACTION_ERROR:
		return (int)a->value;
	case ACTION_SHORT:
		break;
	}
	return 0;
}

size_t failpoint_short(const char *name, size_t n)
{
	const struct armed *a = fires(name);

	if (a == NULL || a->action != ACTION_SHORT || (size_t)a->value >= n)
		return n;
	return (size_t)a->value;
}

#endif
