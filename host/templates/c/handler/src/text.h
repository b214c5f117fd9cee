// Text in large letters. Knows nothing of events.

#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

// Makes the letters a to z large, in place. Other bytes stay.
void text_enlarge(uint8_t *text, size_t length);

#endif
