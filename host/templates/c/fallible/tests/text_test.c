#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

int main(void) {
    char text[] = "az AZ {}";
    text_enlarge((uint8_t *)text, strlen(text));
    assert(strcmp(text, "AZ AZ {}") == 0);
    assert(text_is_ascii_until((const uint8_t *)text, 8) == 8);
    assert(text_is_ascii_until((const uint8_t *)"ab\xc3", 3) == 2);
    assert(text_is_ascii_until(NULL, 0) == 0);
    puts("ok");
}
