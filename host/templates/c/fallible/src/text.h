// Text in large letters. Knows nothing of events.

#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

// The place of the first byte that is not ASCII; `length` when all are.
size_t text_is_ascii_until(const uint8_t *text, size_t length);

// Makes the letters a to z large, in place. Other bytes stay.
void text_enlarge(uint8_t *text, size_t length);

#endif
