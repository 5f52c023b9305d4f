/* Linked into what `make coverage` builds: counters reach their file from the first moment on. Clang's own start comes
 * last among a library's constructors and forgets what was counted before, which for the shim is all of its beginning.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

extern uint64_t *__llvm_profile_begin_counters(void), *__llvm_profile_end_counters(void);
extern void __llvm_profile_initialize_file(void);
extern intptr_t __llvm_profile_counter_bias; /* from a counter in memory to the one in the mapped file, bytes */

__attribute__((constructor(101))) static void begin(void) {
    uint64_t *counter = __llvm_profile_begin_counters();
    size_t n = (size_t)(__llvm_profile_end_counters() - counter);
    uint64_t *early = mmap(NULL, n * sizeof *early + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (early == MAP_FAILED)
        return;
    memcpy(early, counter, n * sizeof *early);
    __llvm_profile_initialize_file();
    if (__llvm_profile_counter_bias)
        for (size_t i = 0; i < n; i++)
            if (early[i])
                __atomic_fetch_add((uint64_t *)((intptr_t)(counter + i) + __llvm_profile_counter_bias), early[i],
                                   __ATOMIC_RELAXED);
    (void)munmap(early, n * sizeof *early + 1);
}
