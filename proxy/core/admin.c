#include "proxy/core/admin_priv.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/core/statbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DOCUMENT_CAP (1 << 20)
#define TIMEOUT_S    10
#define MAX_HEAD     8192
#define MAX_BODY     1024

#define TYPE_TEXT   "text/plain; charset=utf-8"
#define TYPE_JSON   "application/json"
#define TYPE_HTML   "text/html; charset=utf-8"
#define TYPE_CSV    "text/csv; charset=utf-8"
#define TYPE_PROM   "text/plain; version=0.0.4; charset=utf-8"
#define ALL_METHODS 0xffff

void admin_answer(struct evhttp_request *req, int status, const char *type,
		  const struct strbuf *out)
{
	struct evkeyvalq *fields = evhttp_request_get_output_headers(req);
	struct evbuffer *body = evbuffer_new();
	char length[24];

	evhttp_add_header(fields, "Content-Type", type);
	evhttp_add_header(fields, "Cache-Control", "no-store");
	evhttp_add_header(fields, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(fields, "Content-Security-Policy",
			  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
	if (body == NULL || !strbuf_ok(out)) {
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
	} else {
		snprintf(length, sizeof(length), "%zu", out->n);
		evhttp_add_header(fields, "Content-Length", length);
		if (evhttp_request_get_command(req) != EVHTTP_REQ_HEAD && out->n > 0)
			evbuffer_add(body, out->p, out->n);
		evhttp_send_reply(req, status, NULL, body);
	}
	if (body != NULL)
		evbuffer_free(body);
}

void admin_answer_words(struct evhttp_request *req, int status, const char *words)
{
	struct strbuf out;

	strbuf_init(&out, DOCUMENT_CAP);
	strbuf_put_str(&out, words);
	admin_answer(req, status, TYPE_TEXT, &out);
	strbuf_fini(&out);
}

/* --- the paths --- */

static int serve_health(struct admin *a, const struct figures *f, struct strbuf *out)
{
	(void)a;
	(void)f;
	strbuf_put_str(out, "ok\n");
	return HTTP_OK;
}

static int serve_readiness(struct admin *a, const struct figures *f, struct strbuf *out)
{
	admin_put_readiness(a, f, out);
	return f->is_ready ? HTTP_OK : HTTP_SERVUNAVAIL;
}

static int serve_metrics(struct admin *a, const struct figures *f, struct strbuf *out)
{
	(void)a;
	admin_put_metrics(f, out);
	return HTTP_OK;
}

static int serve_csv(struct admin *a, const struct figures *f, struct strbuf *out)
{
	(void)a;
	admin_put_csv(f, out);
	return HTTP_OK;
}

static int serve_stats(struct admin *a, const struct figures *f, struct strbuf *out)
{
	admin_put_stats(a, f, out);
	return HTTP_OK;
}

static int serve_conf(struct admin *a, const struct figures *f, struct strbuf *out)
{
	(void)f;
	/* No setting holds a secret: passwords stand in files of their own. */
	conf_print(a->env.conf, out);
	return HTTP_OK;
}

static int serve_page(struct admin *a, const struct figures *f, struct strbuf *out)
{
	admin_put_page(a, f, out);
	return HTTP_OK;
}

struct route {
	const char *path, *type;
	int (*serve)(struct admin *a, const struct figures *f, struct strbuf *out);
};

static const struct route routes[] = {
	{"/", TYPE_HTML, serve_page},	       {"/stats.json", TYPE_JSON, serve_stats},
	{"/stats.csv", TYPE_CSV, serve_csv},   {"/metrics", TYPE_PROM, serve_metrics},
	{"/healthz", TYPE_TEXT, serve_health}, {"/readyz", TYPE_JSON, serve_readiness},
	{"/config", TYPE_TEXT, serve_conf},
};

static void serve_route(struct admin *a, const struct route *r, struct evhttp_request *req)
{
	struct figures f;
	struct strbuf out;
	int status;

	strbuf_init(&out, DOCUMENT_CAP);
	figures_read(a, &f);
	status = r->serve(a, &f, &out);
	admin_answer(req, status, r->type, &out);
	strbuf_fini(&out);
}

/* --- the ledger, perhaps recounted --- */

static void answer_ledger(struct admin *a, struct evhttp_request *req, bool is_text, int status)
{
	struct figures f;
	struct strbuf out;

	strbuf_init(&out, DOCUMENT_CAP);
	figures_read(a, &f);
	if (is_text)
		admin_put_ledger_text(a, &f, &out);
	else
		admin_put_ledger(a, &f, &out);
	admin_answer(req, status, is_text ? TYPE_TEXT : TYPE_JSON, &out);
	strbuf_fini(&out);
}

/*
 * The request stays open. When its client goes away meanwhile, libevent takes it off the
 * connection but leaves it to us: the late answer then only frees it.
 */
static void wait_for_recount(struct admin *a, struct evhttp_request *req, bool is_text)
{
	struct admin_waiter *w = NULL;

	if (store_is_ready(a->env.store) && a->n_waiters < ADMIN_MAX_WAITING)
		w = calloc(1, sizeof(*w));
	if (w == NULL) {
		answer_ledger(a, req, is_text, HTTP_SERVUNAVAIL);
		return;
	}
	w->req = req;
	w->is_text = is_text;
	w->run = admin_audit_begin(a);
	STAILQ_INSERT_TAIL(&a->waiters, w, link);
	a->n_waiters++;
}

/* They stand in the order of the recounts that they wait for. */
static void answer_waiters(struct admin *a, uint64_t run, bool is_good)
{
	struct admin_waiter *w;

	while ((w = STAILQ_FIRST(&a->waiters)) != NULL && w->run <= run) {
		STAILQ_REMOVE_HEAD(&a->waiters, link);
		a->n_waiters--;
		answer_ledger(a, w->req, w->is_text, is_good ? HTTP_OK : HTTP_SERVUNAVAIL);
		free(w);
	}
}

void admin_audit_ended(struct admin *a)
{
	answer_waiters(a, a->audit.run, !a->audit.has_failed);
}

static bool has_parameter(struct evhttp_request *req, const char *name, const char *value)
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
	struct evkeyvalq parameters;
	const char *found;
	bool is_so;

	if (query == NULL || evhttp_parse_query_str(query, &parameters) < 0)
		return false;
	found = evhttp_find_header(&parameters, name);
	is_so = found != NULL && strcmp(found, value) == 0;
	evhttp_clear_headers(&parameters);
	return is_so;
}

/* The one thing that this listener takes: a number, where throttle.files_push lets it. */
static void take_statbox(struct admin *a, struct evhttp_request *req)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	char text[32];
	ssize_t n = evbuffer_copyout(in, text, sizeof(text));
	int rc;

	if (!a->env.conf->throttle_files_push) {
		admin_answer_words(req, 403, "Set throttle.files_push = on to allow this.\n");
		return;
	}
	rc = statbox_write(a->env.conf, slice_make(text, n < 0 ? 0 : (size_t)n));
	if (rc == 0)
		admin_answer_words(req, HTTP_OK, "ok\n");
	else if (rc == -EINVAL)
		admin_answer_words(req, HTTP_BADREQUEST,
				   "The body is the number of files in STAT.BOX, in digits.\n");
	else
		admin_answer_words(req, HTTP_INTERNAL, "The state directory cannot be written.\n");
}

static void on_request(struct evhttp_request *req, void *arg)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	struct admin *a = arg;

	OBJ_CHECK(a, ADMIN_MAGIC);
	clock_touch();
	if (method == EVHTTP_REQ_POST && path != NULL && strcmp(path, "/statbox") == 0) {
		take_statbox(a, req);
		return;
	}
	if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "GET, HEAD");
		admin_answer_words(req, HTTP_BADMETHOD, "Only GET and HEAD, and POST /statbox.\n");
		return;
	}
	for (size_t i = 0; path != NULL && i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(path, routes[i].path) == 0) {
			serve_route(a, &routes[i], req);
			return;
		}
	}
	if (path != NULL && admin_query(a, req, path))
		return;
	if (path == NULL || strcmp(path, "/ledger") != 0) {
		admin_answer_words(
			req, HTTP_NOTFOUND,
			"There are / /stats.json /stats.csv /metrics /healthz /readyz /ledger "
			"/ledger/windows /clients/ID /rules /rules/ID /rules/ID/missing.csv "
			"/config\n");
		return;
	}
	if (has_parameter(req, "fresh", "1"))
		wait_for_recount(a, req, has_parameter(req, "format", "text"));
	else
		answer_ledger(a, req, has_parameter(req, "format", "text"), HTTP_OK);
}

/* --- listening --- */

static uint16_t port_of(int fd)
{
	struct sockaddr_storage addr = {0};
	socklen_t n = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &n) < 0)
		return 0;
	if (addr.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)(void *)&addr)->sin6_port);
	return ntohs(((struct sockaddr_in *)(void *)&addr)->sin_port);
}

static int bind_to(struct admin *a, const char *address)
{
	struct evhttp_bound_socket *bound;
	char host[256];
	uint16_t port;
	int fd;

	if (conf_parse_address(address, host, &port) < 0)
		return -EINVAL;
	errno = 0;
	bound = evhttp_bind_socket_with_handle(a->http, host, port);
	if (bound == NULL)
		return errno != 0 ? -errno : -EADDRNOTAVAIL;
	fd = evhttp_bound_socket_get_fd(bound);
	/* A Redis that is started later must not keep the port. */
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	a->port = port_of(fd);
	return 0;
}

static int start(struct admin *a, struct event_base *base)
{
	int rc;

	a->http = evhttp_new(base);
	if (a->http == NULL)
		return -ENOMEM;
	evhttp_set_timeout(a->http, TIMEOUT_S);
	evhttp_set_max_headers_size(a->http, MAX_HEAD);
	evhttp_set_max_body_size(a->http, MAX_BODY);
	evhttp_set_allowed_methods(a->http, ALL_METHODS);
	evhttp_set_gencb(a->http, on_request, a);
	rc = bind_to(a, a->env.conf->admin);
	if (rc < 0)
		log_line(LOG_ERROR, "admin_listen",
			 "setting=global.admin value=\"%s\" error=\"%s\" hint=\"choose another "
			 "with --admin ADDR:PORT, or off\"",
			 a->env.conf->admin, strerror(-rc));
	return rc;
}

int admin_open(struct admin **out, struct event_base *base, const struct admin_env *env)
{
	struct admin *a = calloc(1, sizeof(*a));
	char host[64] = "localhost";
	int rc = 0;

	if (a == NULL)
		return -ENOMEM;
	CHECK(env->n_slots > 0);
	a->magic = ADMIN_MAGIC;
	a->env = *env;
	a->since_ms = clock_wall_ms();
	a->since_mono_ms = clock_mono_ms();
	STAILQ_INIT(&a->waiters);
	LIST_INIT(&a->questions);
	(void)gethostname(host, sizeof(host) - 1);
	snprintf(a->instance, sizeof(a->instance), "%s/%ld", host, (long)getpid());
	if (strcmp(env->conf->admin, "off") != 0)
		rc = start(a, base);
	if (rc < 0) {
		admin_close(a);
		return rc;
	}
	*out = a;
	return 0;
}

void admin_close(struct admin *a)
{
	a->audit.has_failed = true;
	answer_waiters(a, UINT64_MAX, false);
	admin_query_close(a);
	if (a->http != NULL)
		evhttp_free(a->http);
	a->http = NULL;
	if (a->audit.is_running) {
		a->is_closed = true;
		return;
	}
	a->magic = 0;
	free(a);
}

uint16_t admin_port(const struct admin *a)
{
	return a != NULL ? a->port : 0;
}

void admin_tick(struct admin *a)
{
	if (a->http != NULL)
		admin_audit_tick(a);
}
