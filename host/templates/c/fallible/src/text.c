#include "text.h"

size_t text_is_ascii_until(const uint8_t *text, size_t length) {
    size_t at = 0;
    while (at < length && text[at] < 0x80) {
        at++;
    }
    return at;
}

void text_enlarge(uint8_t *text, size_t length) {
    for (size_t at = 0; at < length; at++) {
        if (text[at] >= 'a' && text[at] <= 'z') {
            text[at] -= 'a' - 'A';
        }
    }
}
