#ifndef STATWEIR_TOOLS_TOOL_BASE_H
#define STATWEIR_TOOLS_TOOL_BASE_H

struct event_base;

/* An event base whose timers keep to the microsecond: the usual one is 4 ms coarse. */
struct event_base *tool_base_new(void);

#endif
