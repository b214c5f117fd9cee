// This file is the component: it takes events and returns events. What it does with them is in
// text.c. What a call is given and what it returns, was allocated with malloc; what it returns is
// freed for it.

#include <stdio.h>
#include <stdlib.h>

#include "component.h"
#include "text.h"

// Says that the event is bad: it becomes a dead letter. With the tag RETRYABLE it would be tried
// again.
static void refuse(size_t at, exports_lockstep_handler_fallible_event_handler_failure_t *err) {
    char reason[64];
    snprintf(reason, sizeof reason, "expected ASCII text: byte %zu is not", at);
    err->tag = LOCKSTEP_HANDLER_TYPES_FAILURE_PERMANENT;
    component_string_dup(&err->val.permanent, reason);
}

bool exports_lockstep_handler_fallible_event_handler_handle(
    exports_lockstep_handler_fallible_event_handler_event_t *event,
    exports_lockstep_handler_fallible_event_handler_list_event_t *ret,
    exports_lockstep_handler_fallible_event_handler_failure_t *err) {
    // No value is a tombstone, which deletes its key: it goes on as it is.
    if (event->value.is_some) {
        uint8_t *text = event->value.val.ptr;
        size_t length = event->value.val.len;
        size_t ascii = text_is_ascii_until(text, length);
        if (ascii < length) {
            exports_lockstep_handler_fallible_event_handler_event_free(event);
            refuse(ascii, err);
            return false;
        }
        text_enlarge(text, length);
    }
    // No topic: the first one under `to` in handler.toml. The rest stays as it is.
    component_option_string_free(&event->topic);
    event->topic.is_some = false;

    // One output, the event itself. With a length of 0 the event would be filtered out.
    ret->ptr = malloc(sizeof *ret->ptr);
    if (ret->ptr == NULL) abort();
    ret->ptr[0] = *event;
    ret->len = 1;
    return true;
}
