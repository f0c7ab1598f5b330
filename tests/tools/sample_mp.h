/*
 * The sample management point: one thread, one event loop, as slow in the face of many
 * status files as the real one is said to be. For the sample_mp_*.c files only.
 */
#ifndef STATWEIR_TOOLS_SAMPLE_MP_H
#define STATWEIR_TOOLS_SAMPLE_MP_H

#include "proxy/base/strbuf.h"
#include "tests/tools/ccm_read.h"
#include "tests/tools/http_msg.h"
#include "tests/tools/id_set.h"
#include "tests/tools/tool_address.h"

#include <sys/queue.h>

struct event;
struct event_base;

enum mp_kind {
	MP_RULE,    /* 10907 and nothing else */
	MP_SUMMARY, /* a summary of statweir */
	MP_STATUS,  /* every other message to StatusReceiver */
	MP_STATE,
	MP_INVENTORY,
	MP_SYNC,
	MP_POLICY,
	MP_INFO,
	MP_AUTH,
	MP_BITS,
	MP_OTHER,
	MP_KINDS,
};

enum mp_mode {
	MODE_MP_OK,
	MODE_MP_SLOW,	/* answer after mode_ms */
	MODE_MP_WRONG,	/* CCM messages: 200 and a part that is not NoReply; not taken */
	MODE_MP_EMPTY,	/* CCM messages: 200 without a body, which is a refusal; not taken */
	MODE_MP_500,	/* everything: 500; not taken */
	MODE_MP_VANISH, /* no listener, no connections */
	MODE_MP_RESET,	/* reset instead of an answer; not taken */
	MODE_MP_CLOSE,	/* the message is taken, the connection closed instead of an answer */
	MP_MODES,
};

#define MP_SERVERS_MAX 64

struct mp_options {
	const char *listen, *control, *box, *log;
	bool does_dispatch, has_ack_id;
	unsigned drain;	   /* files moved per pass */
	unsigned max_rate; /* requests per second, 0: no limit */
	unsigned servers;  /* side by side; 0: 1 */
};

struct mp_box {
	int dir; /* -1: no box */
	uint64_t next_name;
	uint64_t written, moved, passes;
	int64_t last_pass_us, slowest_pass_us;
};

struct mp_upload {
	uint32_t number, crc;
	uint64_t bytes;
};

struct mp_conn;

struct mp {
	struct mp_options opt;
	struct event_base *base;
	bool is_done;
	/* the listener */
	struct tool_address addr;
	int fd; /* -1: vanished */
	struct event *acceptable;
	LIST_HEAD(mp_conns, mp_conn) conns;
	/* what to do to whom */
	enum mp_mode mode;
	int64_t mode_ms;
	unsigned mode_kinds; /* bit mask of enum mp_kind */
	int64_t next_free_us[MP_SERVERS_MAX];
	uint64_t n_served;
	/* what has happened */
	uint64_t taken[MP_KINDS], untaken, repeated, damaged, summarised;
	int64_t slowest_policy_us, blocked_us;
	struct id_set seen; /* message IDs */
	struct mp_box box;
	int log;
	struct ccm_reader reader;
	struct strbuf line;
	struct mp_upload upload[1024];
	uint32_t uploads;
};

/* What a handler makes of a request. */
struct mp_answer {
	enum mp_kind kind;
	enum mp_mode mode; /* the mode as it applies to this request */
	struct strbuf *out;
};

const char *mp_kind_name(enum mp_kind kind);
const char *mp_mode_name(enum mp_mode mode);

/* sample_mp_conn.c. 0 or -errno. */
int mp_listen(struct mp *mp) MUSTUSE;
void mp_vanish(struct mp *mp);

/* sample_mp_answer.c: journal the request, file it, append the answer to a->out. */
void mp_answer(struct mp *mp, const struct http_msg *m, uint64_t conn_nonce, struct mp_answer *a);

/* sample_mp_reply.c: the parts of answers. */
struct mp_reply {
	const char *type, *extra; /* Content-Type, further field lines */
	struct slice body;
	int status;
	bool is_unmarked; /* no X-Sample- fields: what a proxy learns must not differ */
};
void mp_reply_put(struct strbuf *out, const struct http_msg *m, const struct mp_reply *r);
void mp_reply_async(struct mp *mp, struct strbuf *out, const struct http_msg *m,
		    const struct ccm_view *v, bool is_unmarked, bool is_wrong);
void mp_reply_sync(struct strbuf *out, const struct http_msg *m, const struct ccm_view *v);
void mp_reply_get(struct strbuf *out, const struct http_msg *m, bool is_policy);
void mp_reply_bits(struct mp *mp, struct strbuf *out, const struct http_msg *m);
void mp_reply_auth(struct strbuf *out, const struct http_msg *m, const struct ccm_view *v,
		   uint64_t nonce);

/* sample_mp_box.c: STAT.BOX and its dispatcher. 0 or -errno. */
int mp_box_open(struct mp *mp) MUSTUSE;
void mp_box_put(struct mp *mp, struct slice content);
/* Files that are there now. */
uint64_t mp_box_files(const struct mp *mp);

/* sample_mp_control.c. 0 or -errno. */
int mp_control_open(struct mp *mp) MUSTUSE;

#endif
