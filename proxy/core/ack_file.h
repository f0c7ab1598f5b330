/*
 * Acknowledgements as files: <state>/ack/, one for each key, read back through the same
 * checks that a reply of the management point goes through. For the ack*.c files only.
 *
 *	statweir-ack 1 CRC32
 *	WORD LENGTH BYTES		path, version, compression, schema, upstream,
 *	...				learned, id, reply: in this order
 */
#ifndef STATWEIR_CORE_ACK_FILE_H
#define STATWEIR_CORE_ACK_FILE_H

#include "proxy/core/ack_template.h"
#include "proxy/http/reader.h"

struct ack_dir {
	char *path; /* owned; NULL: nothing is kept */
	const char *upstream;
	struct http_limits limits;
};

/* The slices live only in the callback; template is the callback's to keep or free. */
struct ack_loaded {
	struct ack_key key;
	struct ack_template *template;
	int64_t learned_ms; /* wall clock */
	uint32_t crc;	    /* of the file */
};
typedef void ack_loaded_fn(void *arg, struct ack_loaded *l);

/* Make the directory. Without one (a warning says why) d->path is NULL. 0 or -ENOMEM. */
int ack_dir_open(struct ack_dir *d, const struct conf *conf) MUSTUSE;
void ack_dir_close(struct ack_dir *d);

/* When it was last changed, in ns; 0 if it can't be told. */
int64_t ack_dir_changed_ns(const struct ack_dir *d);

/* Read all files. Those that can't be used stay where they are; a warning names them. */
void ack_dir_read(const struct ack_dir *d, ack_loaded_fn *fn, void *arg);

/* Durable before this returns. 0 and *crc, or -errno after a warning. */
int ack_file_write(const struct ack_dir *d, const struct ack_key *key, const struct ack_template *t,
		   uint32_t *crc);
void ack_file_remove(const struct ack_dir *d, const struct ack_key *key);

/* The operator's file: a whole HTTP response. 0, or -EINVAL or -ENOMEM after an error line. */
int ack_file_read_response(const struct ack_dir *d, const char *path,
			   struct ack_template **out) MUSTUSE;

#endif
