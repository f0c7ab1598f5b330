/*
 * A summary as bytes: a pure function of the sealed claim, so that whoever sends it
 * again sends the same bytes under the same ID.
 */
#ifndef STATWEIR_FLUSH_SUMMARY_H
#define STATWEIR_FLUSH_SUMMARY_H

#include "proxy/base/strbuf.h"
#include "proxy/store/store.h"

struct summary_identity {
	const char *nonce;	  /* store_nonce() */
	const char *source_id;	  /* "GUID:..." of statweir */
	const char *machine_name; /* of statweir */
	const char *site_code;	  /* may be empty */
	const char *target_host;  /* the management point's name, for Host and TargetHost */
};

/* The window ID of a claim: "{8-4-4-4-12}" upper-case hex, 38 bytes and a NUL. */
void summary_window_id(const struct summary_identity *who, const struct claim *c, char out[39]);

/*
 * How many messages a claim needs (its rule list is cut into insertion strings of at
 * most 255 characters, 6 to a message beside 4 fixed ones), at least 1. 0: no memory.
 */
unsigned summary_parts(const struct claim *c, const struct slice *names, unsigned n_names);

/*
 * Append part number part (from 0) as one whole CCM_POST request, head and body. id
 * (39 bytes) receives the envelope ID of that part. 0, -ENOMEM or -EMSGSIZE.
 */
int summary_write(const struct summary_identity *who, const struct claim *c,
		  const struct slice *names, unsigned n_names, unsigned part, struct strbuf *out,
		  char id[39]) MUSTUSE;

/*
 * The envelope ID of a genuine request, as it stands in its first <ID> element, into
 * out; "" where there is none or it is not plain ASCII shorter than room.
 */
void summary_find_id(struct slice raw, char *out, size_t room);

#endif
