#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

int main(void) {
    char text[] = "az AZ {}\xc3\xa9";
    text_enlarge((uint8_t *)text, strlen(text));
    assert(strcmp(text, "AZ AZ {}\xc3\xa9") == 0);
    text_enlarge(NULL, 0);
    puts("ok");
}
