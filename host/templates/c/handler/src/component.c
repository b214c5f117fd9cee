// This file is the component: it takes events and returns events. What it does with them is in
// text.c. What a call is given and what it returns, was allocated with malloc; what it returns is
// freed for it.

#include <stdlib.h>

#include "component.h"
#include "text.h"

void exports_lockstep_handler_event_handler_handle(
    exports_lockstep_handler_event_handler_event_t *event,
    exports_lockstep_handler_event_handler_list_event_t *ret) {
    // No value is a tombstone, which deletes its key: it goes on as it is.
    if (event->value.is_some) {
        text_enlarge(event->value.val.ptr, event->value.val.len);
    }
    // No topic: the first one under `to` in handler.toml. The rest stays as it is.
    component_option_string_free(&event->topic);
    event->topic.is_some = false;

    // One output, the event itself. With a length of 0 the event would be filtered out.
    ret->ptr = malloc(sizeof *ret->ptr);
    if (ret->ptr == NULL) abort();
    ret->ptr[0] = *event;
    ret->len = 1;
}
