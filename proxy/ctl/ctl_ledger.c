#include "proxy/ctl/ctl_ledger.h"

#include "proxy/ctl/ctl_http.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ANSWER_CAP (64 << 20)
#define RECOUNT_S  120 /* a recount looks at every client that has something pending */
#define QUESTION_S 30
#define DAY_MS	   86400000

static int parse_age(const char *text, int64_t now_ms, int64_t *out)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', DAY_MS}};
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || n < 0 || n > 1000000 || end[0] == '\0' || end[1] != '\0')
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (end[0] == units[i].unit) {
			*out = now_ms - n * units[i].ms;
			return 0;
		}
	return -EINVAL;
}

int ctl_parse_since(const char *text, int64_t now_ms, int64_t *out)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *end == '\0') {
			*out = (int64_t)timegm(&tm) * 1000;
			return 0;
		}
	}
	return parse_age(text, now_ms, out);
}

/* NULL after a line on standard error. */
static json_t *fetch(const char *address, const char *path, unsigned timeout_s, int *status)
{
	struct strbuf body;
	json_error_t error;
	json_t *doc = NULL;

	strbuf_init(&body, ANSWER_CAP);
	if (ctl_get(address, path, timeout_s, status, &body) == 0) {
		doc = json_loads(body.p, 0, &error);
		if (doc == NULL)
			fprintf(stderr, "statweirctl: %s%s: not what statweir answers (%s)\n",
				address, path, error.text);
	}
	strbuf_fini(&body);
	return doc;
}

static int64_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
	const char *v = json_string_value(json_object_get(o, name));

	return v != NULL ? v : "?";
}

enum ctl_exit ctl_ledger_show(const char *address)
{
	enum ctl_exit rc = CTL_UNKNOWN;
	struct strbuf body;
	int status;

	strbuf_init(&body, ANSWER_CAP);
	if (ctl_get(address, "/ledger?format=text&fresh=1", RECOUNT_S, &status, &body) == 0) {
		fputs(body.p, stdout);
		rc = status == 200 ? CTL_BALANCED : CTL_UNKNOWN;
	}
	strbuf_fini(&body);
	return rc;
}

static bool verify_now(const json_t *doc)
{
	const json_t *traffic = json_object_get(doc, "traffic");
	const json_t *store = json_object_get(doc, "store");

	printf("requests since %s: received %" PRId64 ", imbalance %" PRId64 "\n",
	       text(doc, "counters_since"), number(traffic, "received"),
	       number(traffic, "imbalance"));
	printf("messages in Redis: absorbed %" PRId64 " = summarised %" PRId64 " + pending %" PRId64
	       ", imbalance %" PRId64 "\n",
	       number(store, "absorbed"), number(store, "summarised"), number(store, "pending"),
	       number(store, "imbalance"));
	return json_is_true(json_object_get(doc, "is_balanced"));
}

static bool verify_windows(const json_t *doc, int64_t since_ms)
{
	const json_t *list = json_object_get(doc, "windows");
	bool is_good = true;
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *w = json_array_get(list, i);
		bool is_balanced = json_is_true(json_object_get(w, "is_balanced"));

		if (number(w, "ended_ms") < since_ms)
			continue;
		if (n++ == 0)
			printf("%8s  %-20s %15s %15s %15s %12s\n", "window", "ended", "absorbed",
			       "summarised", "pending then", "imbalance");
		printf("%8" PRId64 "  %-20s %15" PRId64 " %15" PRId64 " %15" PRId64 " %12" PRId64
		       "%s\n",
		       number(w, "number"), text(w, "ended_at"), number(w, "absorbed"),
		       number(w, "summarised"), number(w, "pending_at_end"),
		       number(w, "imbalance_at_end"), is_balanced ? "" : "  <-- off");
		is_good = is_good && is_balanced;
	}
	if (n == 0)
		printf("no window has ended in that time\n");
	return is_good;
}

enum ctl_exit ctl_ledger_verify(const char *address, int64_t since_ms)
{
	json_t *now, *windows = NULL;
	int now_status = 0, windows_status = 0;
	enum ctl_exit rc = CTL_UNKNOWN;
	bool is_good;

	now = fetch(address, "/ledger?fresh=1", RECOUNT_S, &now_status);
	if (now != NULL && now_status == 200)
		windows = fetch(address, "/ledger/windows", QUESTION_S, &windows_status);
	if (now == NULL || now_status != 200 || windows == NULL || windows_status != 200) {
		fprintf(stderr, "statweirctl: the ledger could not be recounted; Redis: %s\n",
			now != NULL ? text(json_object_get(now, "store"), "state") : "?");
	} else {
		is_good = verify_now(now);
		is_good = verify_windows(windows, since_ms) && is_good;
		printf("%s\n", is_good ? "the books balance" : "THE BOOKS DO NOT BALANCE");
		rc = is_good ? CTL_BALANCED : CTL_IMBALANCE;
	}
	json_decref(now);
	json_decref(windows);
	return rc;
}
