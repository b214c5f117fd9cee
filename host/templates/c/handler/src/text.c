#include "text.h"

void text_enlarge(uint8_t *text, size_t length) {
    for (size_t at = 0; at < length; at++) {
        if (text[at] >= 'a' && text[at] <= 'z') {
            text[at] -= 'a' - 'A';
        }
    }
}
