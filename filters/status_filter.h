/*
 * The status message filter: recognises coalesced status messages (protocol facts in
 * docs/PROTOCOL.md), table of kinds from the configuration.
 */
#ifndef STATWEIR_FILTERS_STATUS_FILTER_H
#define STATWEIR_FILTERS_STATUS_FILTER_H

#include "filters/filter.h"

#define STATUS_MAX_NAMES 16

/* A comma-separated list of the configuration, cut into slices of its text. */
struct name_list {
	unsigned n;
	struct slice v[STATUS_MAX_NAMES];
};

enum status_match {
	STATUS_EITHER,
	STATUS_BOTH,
	STATUS_TYPE,
	STATUS_ID
};

/* Const after status_filter_init(); shared by all messages. */
struct status_filter {
	struct name_list paths, endpoints, types, rule_properties;
	unsigned n_ids;
	uint16_t ids[STATUS_MAX_NAMES];
	enum status_match match;
	size_t max_inspect, max_inflated;
};

struct status_filter_conf {
	const char *paths, *endpoints, *types, *message_ids, *rule_properties;
	enum status_match match;
	size_t max_inspect, max_inflated;
};

/* The texts of conf are borrowed. 0, or -EINVAL: a list too long, an ID not 0 to 65535. */
int status_filter_init(struct status_filter *f, const struct status_filter_conf *conf) MUSTUSE;

/* Bytes of scratch that every message within the limits needs at most. */
size_t status_filter_scratch(const struct status_filter *f);

extern const struct filter status_filter_ops; /* self is a struct status_filter */

#endif
