/* Conway's game of life. Writes a generation a line, as JSON, and reads words: "stop", "go", "step", "clear", "seed", or
 * "X Y", which turns that cell over. It knows nothing of the web. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COLUMNS = 48, ROWS = 32, PAUSE_MILLISECONDS = 150 };

static unsigned char cells[ROWS][COLUMNS];
static unsigned long generation;

static int neighbours(int row, int column) {
    int count = 0;
    for (int down = -1; down <= 1; down++) {
        for (int right = -1; right <= 1; right++) {
            if (down == 0 && right == 0) continue;
            count += cells[(row + down + ROWS) % ROWS][(column + right + COLUMNS) % COLUMNS];
        }
    }
    return count;
}

static void step(void) {
    static unsigned char next[ROWS][COLUMNS];
    for (int row = 0; row < ROWS; row++) {
        for (int column = 0; column < COLUMNS; column++) {
            int count = neighbours(row, column);
            next[row][column] = count == 3 || (count == 2 && cells[row][column]);
        }
    }
    memcpy(cells, next, sizeof cells);
    generation++;
}

static void seed(void) {
    generation = 0;
    for (int row = 0; row < ROWS; row++) {
        for (int column = 0; column < COLUMNS; column++) cells[row][column] = rand() % 4 == 0;
    }
}

/* A row is a number in hexadecimal digits, the leftmost cell first. */
static void show(int runs) {
    printf("{\"generation\":%lu,\"runs\":%s,\"columns\":%d,\"rows\":[", generation, runs ? "true" : "false", COLUMNS);
    for (int row = 0; row < ROWS; row++) {
        printf("%s\"", row ? "," : "");
        for (int column = 0; column < COLUMNS; column += 4) {
            const unsigned char *four = &cells[row][column];
            printf("%x", four[0] << 3 | four[1] << 2 | four[2] << 1 | four[3]);
        }
        printf("\"");
    }
    printf("]}\n");
    /* A pipe is no terminal: what is not flushed waits for 4 kB more. */
    fflush(stdout);
}

/* Returns whether the world runs on. */
static int obey(const char *word, int runs) {
    int column, row;
    if (strcmp(word, "stop") == 0) return 0;
    if (strcmp(word, "go") == 0) return 1;
    if (strcmp(word, "step") == 0) {
        step();
        return 0;
    }
    if (strcmp(word, "clear") == 0) {
        memset(cells, 0, sizeof cells);
        generation = 0;
        return 0;
    }
    if (strcmp(word, "seed") == 0) seed();
    if (sscanf(word, "%d %d", &column, &row) == 2 && column >= 0 && column < COLUMNS && row >= 0 && row < ROWS) {
        cells[row][column] ^= 1;
    }
    return runs;
}

int main(void) {
    char line[64];
    size_t count = 0;
    int runs = 1;
    srand((unsigned)time(NULL) ^ (unsigned)getpid());
    seed();
    show(runs);
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = poll(&input, 1, runs ? PAUSE_MILLISECONDS : -1);
        if (ready < 0 && errno != EINTR) return 1;
        if (ready == 0) {
            step();
            show(runs);
            continue;
        }
        if (ready < 0) continue;
        char byte;
        if (read(STDIN_FILENO, &byte, 1) != 1) return 0;
        if (byte != '\n') {
            if (count < sizeof line - 1) line[count++] = byte;
            continue;
        }
        line[count] = '\0';
        count = 0;
        runs = obey(line, runs);
        show(runs);
    }
}
