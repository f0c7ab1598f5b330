/*
 * A non-blocking socket with one buffer each way. Reading stops while nobody uses
 * what was read; writing tries the socket first and keeps only what it refuses, so
 * that the write event (an epoll_ctl each time) is the exception.
 */
#ifndef STATWEIR_IO_STREAM_H
#define STATWEIR_IO_STREAM_H

#include "proxy/io/iobuf.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct stream;
typedef void stream_fn(void *arg);

struct stream {
	int fd; /* owned; -1: closed */
	struct event read_ev, write_ev;
	struct iobuf in, out;
	bool is_reading, is_writing; /* which events are added */
	bool has_eof;		     /* peer has shut down its sending side */
	bool has_failed;	     /* a read or write failed for good */
	int unacked;		     /* see stream_has_moved() */
	stream_fn *readable, *writable;
	void *arg;
};

/* Take over fd (non-blocking). Reading starts with stream_want_read(). */
void stream_init(struct stream *s, struct event_base *base, int fd, stream_fn *readable,
		 stream_fn *writable, void *arg);
/* Remove events, close, give buffers back. Harmless when closed. */
void stream_close(struct stream *s);
/* The same, but the peer sees a reset: for messages that must not look whole. */
void stream_reset(struct stream *s);

/* Turn the read event on or off; on a stream at its end it stays off. */
void stream_want_read(struct stream *s, bool want);
/* Ask for one call of writable() when the socket takes bytes again. */
void stream_want_write(struct stream *s, bool want);

/*
 * One read into s->in. Bytes read, 0 at the end of input (has_eof is set), -EAGAIN,
 * -ENOBUFS when the buffer is full, or -errno (has_failed is set).
 */
ssize_t stream_read(struct stream *s);

/*
 * Send the slices behind what waits already; what the socket does not take is kept.
 * Whoever sends more than stream_room() has a bound of its own. 0, or -errno (has_failed
 * is set).
 */
int stream_send(struct stream *s, const struct slice *v, unsigned n);

/*
 * While bytes wait to be written: has the peer taken any since the last call (or since
 * the socket was full)? Tells a slow reader from one that reads nothing.
 */
bool stream_has_moved(struct stream *s);

/* Write what waits. 0 (perhaps with bytes left: writable() will come), or -errno. */
int stream_flush(struct stream *s);

static inline size_t stream_pending(const struct stream *s)
{
	return iobuf_used(&s->out);
}

/* Bytes that stream_send() takes now without needing more memory than a block. */
static inline size_t stream_room(const struct stream *s)
{
	size_t used = iobuf_used(&s->out);

	return used < IOBUF_BYTES ? IOBUF_BYTES - used : 0;
}

#endif
