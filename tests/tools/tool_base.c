#include "tests/tools/tool_base.h"

#include "proxy/base/check.h"

#include <event2/event.h>

struct event_base *tool_base_new(void)
{
	struct event_config *how = event_config_new();
	struct event_base *base;

	CHECK(how && event_config_set_flag(how, EVENT_BASE_FLAG_PRECISE_TIMER) == 0);
	base = event_base_new_with_config(how);
	event_config_free(how);
	CHECK(base);
	return base;
}
