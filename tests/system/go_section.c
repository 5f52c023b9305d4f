/* go_section - as go_like, for a program that was linked without a build id (-ldflags=-buildid=): only the section is
 * left that `go version` reads. */
__asm__(".pushsection .go.buildinfo,\"a\",@progbits\n"
        ".balign 16\n"
        ".ascii \"\\377 Go buildinf:\"\n"
        ".popsection\n");

int main(void) {
    return 0;
}
