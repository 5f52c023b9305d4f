/* go_like - a dynamically linked program with the note that the Go linker leaves in each of its programs (cmd/link,
 * .note.go.buildid). What it does itself is nothing. */
__asm__(".pushsection .note.go.buildid,\"a\",@note\n"
        ".balign 4\n"
        ".long 4, 8, 4\n"
        ".asciz \"Go\\0\"\n"
        ".ascii \"build-id\"\n"
        ".popsection\n");

int main(void) {
    return 0;
}
